from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.synthetic import catalogue
from serendip.evaluate import last_out
from serendip.recipe import Recipe, RecipeError, read, tune_recipe, tuned_recipe
from serendip.recipe.published import json_schema
from serendip.tune import Tuned
from serendip.types import ABSENT, SerendipError


def essence(found: Tuned) -> list[Any]:
    return [(dict(trial.options), trial.value, dict(trial.looks)) for trial in found.trials]


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    log = catalogue(seed=3, users=120, items=60).events.select("user_id", "item_id", "timestamp")
    once = log.sort("timestamp").unique(["user_id", "item_id"], keep="first", maintain_order=True)
    return once.filter(pl.len().over("user_id") >= 4)


def recipe(*overrides: str) -> Recipe:
    return read({"model": {"name": "ease"}, "tune": {"trials": 7}, "run": {"threads": 1}}, overrides)


def test_the_test_part_is_never_looked_at(events: pl.DataFrame) -> None:
    last = events.with_columns(last=pl.col("timestamp").max().over("user_id") == pl.col("timestamp"))
    same = last.with_columns(pl.col("item_id").cast(pl.String))
    other = same.with_columns(item_id=pl.when("last").then(pl.lit("nobody had this")).otherwise("item_id"))
    unchanged, changed = (Dataset.from_frames(frame.drop("last")) for frame in (same, other))
    assert set(last_out(changed).truth.items) == {ABSENT} != set(last_out(unchanged).truth.items)
    before, after = (tune_recipe(recipe(), data=one) for one in (unchanged, changed))
    assert essence(before) == essence(after)
    assert len({value for _, value, _ in essence(before)}) > 3


def test_the_recipes_split_is_applied_again_to_its_training_part(events: pl.DataFrame) -> None:
    data = Dataset.from_frames(events)
    found = tune_recipe(recipe("evaluate.split=per_user", "evaluate.test=0.3", "tune.metric=recall@5"), data=data)
    assert "Hold out a random 30% (rounded up) of each user's items" in found.rule and found.metric == "recall@5"
    folds = tune_recipe(recipe("evaluate.split=k_fold", "evaluate.folds=3", "tune.trials=2"), data=data)
    assert "into 3 parts (seed 0); hold out part 1" in folds.rule


def test_a_tuned_recipe_says_what_was_found_and_what_was_searched(events: pl.DataFrame) -> None:
    data = Dataset.from_frames(events)
    asked = recipe("model.popularity_power=0.5", "tune.space.reg={low=10, high=1000, log=true}")
    found = tune_recipe(asked, data=data)
    better = tuned_recipe(asked, found)
    assert better.model.options == {"popularity_power": 0.5, "reg": found.options["reg"]}
    assert 10 <= better.model.options["reg"] <= 1000
    assert better.tune.metric == "ndcg@10"
    assert better.tune.space == {"reg": {"low": 10.0, "high": 1000.0, "log": True}}
    assert read(better.plain()) == better


def test_a_search_continues_in_its_folder(events: pl.DataFrame, tmp_path: Path) -> None:
    data = Dataset.from_frames(events)
    first = tune_recipe(recipe(), data=data, folder=tmp_path)
    assert tune_recipe(recipe(), data=data, folder=tmp_path).trials == first.trials
    with pytest.raises(SerendipError, match="the data are others"):
        tune_recipe(recipe(), data=Dataset.from_frames(events.head(800)), folder=tmp_path)


def test_models_of_labels_are_tuned_by_what_they_are_judged_by() -> None:
    """The test and what is chosen by are the last events, each by itself; the odds as they are foretell best."""
    frame = pl.DataFrame(
        {
            "user_id": [row % 30 for row in range(600)],
            "item_id": [row % 7 for row in range(600)],
            "timestamp": [1_600_000_000 + 60 * row for row in range(600)],
            "liked": [int(row * row % 10 < row % 7) for row in range(600)],
        }
    )
    data = Dataset.from_frames(frame, labels={"liked": "binary"})
    odds = {"name": "tests.recipe.toys", "label": "liked", "boldness": 9.0}
    space = {"boldness": {"low": 0.3, "high": 9.0, "log": True}}
    asked = read({"model": odds, "tune": {"trials": 6, "metric": "logloss", "space": space}, "run": {"threads": 1}})
    found = tune_recipe(asked, data=data)
    assert found.metric == "logloss" and found.minimise and found.options["boldness"] < 3
    assert "Judged by logloss" in found.rule and "Learn from the events before" in found.rule
    by_default = tune_recipe(read({**asked.plain(), "tune": {"trials": 1, "space": space}}), data=data)
    assert by_default.metric == "auc" and tuned_recipe(asked, by_default).tune.metric == "auc"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("tune.space.reg=3", "tune.space: the search space of reg must be a range"),
        ("tune.space.reg={low=2, high=1}", "--set tune.space.reg=.*a range must go from a finite number up"),
        ("tune.space.reg=[1]", "a choice must be of two different values or more"),
        ("tune.space=3", "tune.space must be a table, each value anything. Got 3 instead"),
        ("tune.trials=0", "tune.trials must be a whole number ≥ 1. Got 0 instead"),
        ("tune.time=0", "tune.time must be a number > 0. Got 0 instead"),
        ("tune.trails=3", "Did you mean 'tune.trials'"),
    ],
)
def test_keys_that_cannot_be_used_are_named(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(override)


def test_the_schema_knows_ranges_and_choices() -> None:
    import jsonschema

    schema = json_schema()
    for good in ({"reg": {"low": 1, "high": 2, "log": True}}, {"how": ["a", "b"]}, {}):
        jsonschema.validate({"tune": {"space": good, "trials": 3}}, schema)
    for bad in ({"reg": {"low": 1}}, {"reg": 3}, {"how": ["a"]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"tune": {"space": bad}}, schema)
