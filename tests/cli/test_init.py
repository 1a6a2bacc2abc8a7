from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from serendip.recipe import read


def test_it_says_what_it_found_and_writes_a_recipe(run: Any, data_flags: list[object], here: Path) -> None:
    result = run("init", *data_flags)
    roles, _, features = result.stdout.partition("feature ")
    rows = dict(line.split(maxsplit=1) for line in roles.splitlines() if line.startswith(("user ", "item ", "title ")))
    assert rows == {"user": "user_id", "item": "item_id", "title": "title"}
    assert ["title", "item", "text"] in [line.split() for line in features.splitlines()]
    assert "Wrote recipe.toml." in result.stdout
    assert "Next: serendip validate recipe.toml" in result.stderr
    assert read("recipe.toml").data.positive_from == 4
    run("validate")


def test_a_file_that_cannot_be_read_is_an_error_of_the_data(run: Any, here: Path) -> None:
    (here / "empty.csv").touch()
    for name in ("empty.csv", "none.csv"):
        assert f"{name}: " in run("init", "--events", name, code=3).stderr
    assert not (here / "recipe.toml").exists()


def test_it_does_not_write_over_a_recipe(run: Any, data_flags: list[object], here: Path) -> None:
    (here / "recipe.toml").write_text("mine")
    result = run("init", *data_flags, code=4)
    assert "recipe.toml is there already. Try --force" in result.stderr
    assert (here / "recipe.toml").read_text() == "mine"
    run("init", *data_flags, "--force")
    assert read("recipe.toml").data.events is not None


def test_flags_are_kept_and_paths_are_relative_to_the_recipe(run: Any, data_flags: list[object], here: Path) -> None:
    run("init", *data_flags, "--model", "ease", "--set", "model.reg=7", "--positive-from", "2", "--out", "a/r.toml")
    found = read("a/r.toml")
    assert found.model.plain() == {"name": "ease", "reg": 7}
    assert found.data.positive_from == 2
    text = (here / "a" / "r.toml").read_text()
    assert 'events = "../' in text
    run("fit", "a/r.toml", "--out", "b")


def test_json(run: Any, data_flags: list[object]) -> None:
    found = json.loads(run("init", *data_flags, "--json").stdout)
    assert found["schema"]["timestamp"] == "timestamp"
    assert found["recipe"] == "recipe.toml"
    assert found["features"]["title"] == {"kind": "text", "side": "item"}


def test_a_log_it_cannot_understand(run: Any, here: Path) -> None:
    (here / "log.csv").write_text("a,b\n1,2\n")
    result = run("init", "--events", "log.csv", code=3)
    assert 'expected a column "user_id"' in result.stderr
    assert not (here / "recipe.toml").exists()
    assert "name a recipe, or --events FILE" in run("init", code=4).stderr


def test_a_table_without_users_and_items_needs_no_draft(run: Any, here: Path) -> None:
    """What it says to write is a recipe that is understood."""
    (here / "people.csv").write_text("age,rich\n30,0\n60,1\n")
    told = " ".join(run("init", "--examples", "people.csv", code=4).stderr.split())
    assert "init looks at logs of users and items" in told
    for line in ('examples = "people.csv"', 'labels = { COLUMN = "binary" }', 'name = "deepfm"', 'label = "COLUMN"'):
        assert line in told
    text = '[data]\nexamples = "people.csv"\nlabels = { rich = "binary" }\n[model]\nname = "deepfm"\nlabel = "rich"\n'
    (here / "recipe.toml").write_text(text)
    run("validate", "recipe.toml")


def test_features_it_suggests_that_nothing_reads_are_named_by_fit(
    run: Any, data_flags: list[object], here: Path
) -> None:
    run("init", *data_flags, "--model", "two_tower", "--set", "model.epochs=1", "--set", "model.factors=4")
    features = read("recipe.toml").features
    of_items = ", ".join(name for name, one in features.items() if one.side == "item")
    note = f"Note: no model of the bundle reads the features {of_items}. Try model.items_by = both."
    assert note in " ".join(run("fit", "--threads", 1).stderr.split())
    assert "Note: no model" not in run("fit", "--threads", 1, "--set", "model.items_by=both").stderr
    told = " ".join(run("fit", "--model", "popular").stderr.split())
    assert f"Note: no model of the bundle reads the features {', '.join(features)}." in told
    assert "items_by" not in told
