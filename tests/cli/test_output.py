from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from serendip.cli.output import Output, clean, encoded, plain


class Pair(msgspec.Struct):
    left: int
    right: float


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert clean("a\x1b[31mb\tc\nd\u202e é 字") == "a�[31mb�c\nd� é 字"


def test_json_holds_plain_values_only() -> None:
    value = {"path": Path("a/b"), "nan": float("nan"), "numbers": np.arange(2), "pair": Pair(1, 2.5), 3: (1, None)}
    expected = {"path": "a/b", "nan": None, "numbers": [0, 1], "pair": {"left": 1, "right": 2.5}, "3": [1, None]}
    assert json.loads(encoded(value)) == expected


def test_numpy_infinity_is_null() -> None:
    assert plain(np.array([np.inf, 1.0])) == [None, 1.0]


def test_results_go_to_stdout_and_words_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show = Output()
    show.say("going on")
    show.text("result [bold]")
    with show.step("Working"):
        pass
    out, err = capsys.readouterr()
    assert out == "result [bold]\n"
    assert err.startswith("going on\nWorking: 0.0 s")


def test_json_leaves_nothing_else_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    show = Output(json=True)
    show.text("no")
    show.table(["a"], [[1]])
    show.result([1], lambda: show.text("no"))
    assert json.loads(capsys.readouterr().out) == [1]


def test_quiet_says_nothing_but_results(capsys: pytest.CaptureFixture[str]) -> None:
    show = Output(quiet=True)
    show.say("no")
    with show.step("no"):
        pass
    show.result([1], lambda: show.text("yes"))
    assert capsys.readouterr() == ("yes\n", "")


def test_a_table_in_a_pipe_is_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    title = "word " * 80 + "end"
    Output().table(["id", "title", "n", "x"], [["1000", title, 1000, 0.123456], ["2", "[b]", 2, None]])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert title in lines[2]
    assert lines[2].startswith("1000 ")
    assert lines[2].endswith("1,000  0.1235")
    assert "[b]" in lines[3]
    assert all(line == line.rstrip() for line in lines)


def test_a_table_may_be_empty(capsys: pytest.CaptureFixture[str]) -> None:
    Output().table(["id", "title"], [])
    assert capsys.readouterr().out.splitlines()[0].split() == ["id", "title"]


def test_words_come_as_lines_where_there_is_no_terminal_and_the_last_of_them_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Output().told("Fitting") as move:
        assert move is not None
        for done, text in ((1, "too soon"), (4, "as good as there"), (4, "there")):
            move(done, 4, text)
    first, last = capsys.readouterr().err.splitlines()
    assert first == "as good as there"
    assert last.startswith("Fitting: ")


def test_a_bar_is_shown_on_a_terminal_only(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with Output().step("Working") as progress:
        assert progress is None
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Output().step("Working") as progress:
        assert progress is not None
        progress(1, 2)
        progress(1, 0)
    with Output(quiet=True).step("Working") as progress:
        assert progress is None
