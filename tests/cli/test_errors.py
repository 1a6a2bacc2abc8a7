"""How commands end: codes, messages, and no traceback unless asked for."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serendip.bundle import BundleError
from serendip.cli.errors import EXIT_CODES, SurroundingsError, exit_code, message
from serendip.data.findings import Report, SchemaError
from serendip.recipe import DataError, RecipeError
from serendip.types import SerendipError


def caused(error: SerendipError, cause: Exception) -> SerendipError:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SchemaError(Report()), 3),
        (DataError("x"), 3),
        (RecipeError("x"), 4),
        (SerendipError("x"), 4),
        (BundleError("x"), 5),
        (caused(BundleError("x"), OSError("y")), 5),
        (SurroundingsError("x"), 6),
        (caused(SerendipError("port taken"), OSError("y")), 6),
        (caused(SerendipError("learns with PyTorch"), ModuleNotFoundError("x", name="torch")), 6),
        (caused(SerendipError("no such model"), ModuleNotFoundError("x", name="my.models")), 4),
        (PermissionError(errno.EACCES, "no"), 6),
        (MemoryError(), 6),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError(), 1),
    ],
)
def test_every_error_has_its_code(error: BaseException, code: int) -> None:
    assert exit_code(error) == code
    assert code in EXIT_CODES


def test_messages_say_what_can_be_done() -> None:
    assert message(RecipeError("as it is")) == "as it is"
    assert message(PermissionError(errno.EACCES, "Permission denied", "a.txt")) == "a.txt: Permission denied."
    assert "not enough memory" in message(MemoryError())
    assert message(KeyError("k")).startswith("This was not expected (KeyError: 'k'). It is a defect")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make `serendip list` end with an error."""

    def fail(error: BaseException) -> None:
        def names() -> list[str]:
            raise error

        monkeypatch.setattr("serendip.model.names", names)

    return fail


def test_an_error_is_one_block_on_stderr(run: Any, failing: Any) -> None:
    failing(SerendipError("X must be [red] 1.\nGot 2\x1b[31m instead."))
    result = run("list", code=4)
    assert result.stdout == ""
    assert result.stderr == "Error: X must be [red] 1.\nGot 2�[31m instead.\n"


def test_the_unexpected_is_called_a_defect(run: Any, failing: Any) -> None:
    failing(ZeroDivisionError("oh"))
    assert "ZeroDivisionError: oh). It is a defect of Serendip" in run("list", code=1).stderr


def test_debug_shows_the_traceback(here: Path, failing: Any) -> None:
    from typer.testing import CliRunner

    from serendip.cli import app

    failing(SerendipError("shown"))
    result = CliRunner().invoke(app, ["list", "--debug"])
    assert result.exit_code == 4
    assert "Traceback" in result.stderr
    assert "shown" in result.stderr


def test_an_interruption_is_quiet(run: Any, failing: Any) -> None:
    failing(KeyboardInterrupt())
    assert run("list", code=130).stderr == "Error: Interrupted.\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lst"], "Did you mean 'list'?"),
        (["list", "--nope"], "No such option: --nope"),
        (["fit", "--positive-from", "x"], "--positive-from"),
        (["recommend", "-k", "0"], "-k"),
    ],
)
def test_a_command_line_that_cannot_be_understood(run: Any, arguments: list[str], said: str) -> None:
    result = run(*arguments, code=2)
    assert said in result.stderr
    assert result.stdout == ""


def test_a_reader_that_goes_away_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "serendip", "list", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        stderr = process.stderr.read().decode()
    assert process.returncode == 0
    assert "Error" not in stderr
    assert "Traceback" not in stderr
    assert "Exception" not in stderr


def test_what_a_terminal_cannot_show_is_written_otherwise(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,item_id\nann,caf\u00e9\nbob,t\u00e9\nann,t\u00e9\n", encoding="utf-8")
    calls = (["fit", "--events", "log.csv", "--model", "popular", "--out", "b"], ["recommend", "-b", "b", "-u", "bob"])
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for call in calls:
        done = subprocess.run(
            [sys.executable, "-m", "serendip", *call], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert rb"caf\xe9" in done.stdout
