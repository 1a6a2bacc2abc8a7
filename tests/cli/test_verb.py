"""What the flags of every verb that reads a recipe make of it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from serendip.cli.output import Output
from serendip.cli.verb import pairs, verb
from serendip.recipe import Choice, DataSection, Recipe, RecipeError


@pytest.fixture
def look(here: Path) -> Any:
    """A verb that only reads, run on a command line; returns its recipe."""
    import typer
    from typer.testing import CliRunner

    from serendip.cli.errors import Verbs

    seen: list[Recipe] = []

    @verb
    def see(recipe: Recipe, show: Output) -> None:
        """Read."""
        seen.append(recipe)

    app = typer.Typer(cls=Verbs)
    app.command("see")(see)
    app.command("other")(verb(lambda: None))

    def invoke(*arguments: str, code: int = 0) -> Any:
        result = CliRunner().invoke(app, ["see", *arguments])
        assert result.exit_code == code, result.stderr
        return seen[-1] if code == 0 else result.stderr

    return invoke


def test_each_key_of_the_data_has_a_flag_described_by_the_key() -> None:
    from typer.main import get_command

    from serendip.cli import app
    from serendip.recipe import json_schema

    described = json_schema()["$defs"]["DataSection"]["properties"]
    for name in ("fit", "evaluate", "validate", "init", "report"):
        flags = {param.name: param for param in get_command(app).commands[name].params}  # type: ignore[attr-defined]
        for key in DataSection.__struct_fields__:
            assert flags[key].help == described[key]["description"]
            assert "--" + key.replace("_", "-") in flags[key].opts


def test_flags_make_a_recipe(look: Any) -> None:
    found = look(
        *(
            "--events",
            "log.csv",
            "--items",
            "i.csv",
            "--users",
            "u.csv",
            "--relations",
            "trust=t.csv",
            "--columns",
            "timestamp=time_rank,user=who",
        ),
        *("--time-kind", "rank", "--positive-from", "3.5", "--event-weights", "view=1,buy=5", "--labels", "w=duration"),
        *("--target", "buy, cart", "--target", "like"),
        *("--encoding", "latin-1", "--strict", "--rejects", "bad.csv", "--model", "ease", "--seed", "4"),
        *("--threads", "2", "--set", "model.reg=9", "--set", "evaluate.split=per_user"),
    )
    assert found.data == DataSection(
        events="log.csv",
        items="i.csv",
        users="u.csv",
        relations={"trust": "t.csv"},
        columns={"timestamp": "time_rank", "user": "who"},
        time_kind="rank",
        positive_from=3.5,
        event_weights={"view": 1, "buy": 5},
        target=("buy", "cart", "like"),
        labels={"w": "duration"},
        encoding="latin-1",
        strict=True,
        rejects="bad.csv",
    )
    assert found.model == Choice("ease", {"reg": 9})
    assert (found.run.seed, found.run.threads) == (4, 2)
    assert found.evaluate.split == "per_user"


def test_flags_change_a_recipe(look: Any, here: Path) -> None:
    (here / "sub").mkdir()
    (here / "sub" / "r.toml").write_text('[data]\nevents = "log.csv"\nstrict = true\n[run]\nseed = 7\n')
    found = look("sub/r.toml", "--no-strict", "--items", "i.csv")
    assert (Path(found.data.events).name, found.data.items) == ("log.csv", "i.csv")
    assert Path(found.data.events).parent.name == "sub"
    assert found.data.strict is False
    assert found.run.seed == 7


def test_recipe_toml_is_read_where_nothing_is_named(look: Any, here: Path) -> None:
    assert "there is nothing to read: name a recipe, or --events FILE" in look(code=4)
    (here / "recipe.toml").write_text('[data]\nsource = "demo"\n')
    assert look().data.source == "demo"
    assert look("--events", "x.csv").data.source is None
    assert look("--examples", "x.csv").data.examples == "x.csv"


def test_a_table_of_examples_is_something_to_read(look: Any, here: Path) -> None:
    (here / "census.toml").write_text('[data]\nexamples = "x.csv"\nlabels = { rich = "binary" }\n')
    assert Path(look("census.toml").data.examples).name == "x.csv"


@pytest.mark.parametrize(
    ("flag", "texts", "table"),
    [
        ("columns", ["a=b,c = d"], {"a": "b", "c": "d"}),
        ("columns", ["text=a", "text=b,text=c"], {"text": ["a", "b", "c"]}),
        ("columns", ["rating="], {"rating": ""}),
        ("columns", ["user=1"], {"user": "1"}),
        ("event_weights", ["view=1,buy=2.5,x=y"], {"view": 1, "buy": 2.5, "x": "y"}),
    ],
)
def test_pairs(flag: str, texts: list[str], table: dict[str, Any]) -> None:
    assert pairs(flag, texts) == table


@pytest.mark.parametrize("text", ["a", "=b", "a=b,", ""])
def test_what_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="--event-weights must be name=value"):
        pairs("event_weights", [text])


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'polars', 'scipy', 'pyarrow', 'numba', 'litestar', 'rich.markdown'}"
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom serendip.cli import app\n"
        "for verb in ([], ['fit'], ['data', 'get']):\n"
        "    result = CliRunner().invoke(app, [*verb, '--help'])\n"
        "    assert result.exit_code == 0 and 'Usage: ' in result.stdout\n"
        f"bad = {heavy} & set(sys.modules)\nassert not bad, bad"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_verb_keeps_its_own_parameters_first() -> None:
    @verb
    def own(recipe: Recipe, show: Output, mine: int = 3) -> None:
        """Own."""

    names = list(inspect.signature(own).parameters)
    assert names[:2] == ["recipe_file", "mine"]
    assert names[-3:] == ["json", "quiet", "debug"]
