"""A table without users and items: learned, judged and asked about as events are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.examples import Examples, are_examples
from serendip.data.features.declared import Category
from serendip.data.findings import SchemaError
from serendip.evaluate import at_random, evaluate_rows
from serendip.model import Run, find
from serendip.recipe import RecipeError, load_data, read
from serendip.recipe.rows import by_labels
from serendip.types import ABSENT, Queries, SerendipError

LABELS: Any = {"rich": "binary"}


def people(n: int = 600) -> pl.DataFrame:
    """Who has studied or is over fifty is rich as a rule; the town, and a column with one value, say nothing."""
    rng = np.random.default_rng(0)
    study, age = rng.integers(0, 2, n), rng.integers(20, 80, n)
    chance = 0.05 + 0.45 * study + 0.45 * (age > 50)
    return pl.DataFrame(
        {
            "study": pl.Series(study).replace_strict({0: "no", 1: "yes"}, return_dtype=pl.String),
            "age": age,
            "town": rng.choice(["a", "b", "c"], n),
            "planet": "earth",
            "married": rng.integers(0, 2, n).astype(bool),
            "rich": (rng.random(n) < chance).astype(int),
        }
    )


def test_every_column_but_the_labels_is_a_feature_of_the_moment() -> None:
    data = Examples.read(people(20), LABELS, without=["married"]).dataset()
    assert are_examples(data) and (data.n_users, data.n_items, len(data.events)) == (1, 1, 20)
    assert data.schema.context == ("study", "age", "town", "planet")
    assert data.features is not None and {one.side for one in data.features.inputs} == {"context"}
    assert data.events.labels["rich"].tolist() == people(20)["rich"].to_list()
    declared = Examples.read(people(20), LABELS, {"where": Category(side="context", column="town")}).dataset()
    assert declared.schema.context == ("town",)


def test_what_is_named_as_a_label_is_a_feature_only_where_that_is_said() -> None:
    """An outcome beside the label would give it away."""
    table = people(20).with_columns(purchased=pl.col("rich"), watch_time_ms=pl.col("rich") * 100.0)
    data = Examples.read(table, LABELS).dataset()
    assert data.schema.context == ("study", "age", "town", "planet", "married")
    (warned,) = [one for one in data.report.of("warning") if "named as labels" in one.what]
    assert "purchased, watch_time_ms" in warned.what and "declare features" in warned.hint
    declared = Examples.read(table, LABELS, {"purchased": Category(side="context")}).dataset()
    assert declared.schema.context == ("purchased",)
    assert not [one for one in declared.report.of("warning") if "named as labels" in one.what]
    assert not Examples.read(people(20), LABELS).left_out


def test_rankers_learn_them_and_are_judged_row_by_row() -> None:
    split = at_random(Examples.read(people(), LABELS).dataset(), 0.3, repeats=True)
    model = find("fm")(label="rich", length=0, factors=4, epochs=8, batch_size=64, learning_rate=0.02)
    model.fit(split.train, Run(threads=1))
    found = evaluate_rows(model, split)["rich"]
    assert found.metrics == ("auc", "logloss", "ece") and found.n == found.users == len(split.test)
    inside = found.interval("auc")
    assert 0.75 < inside.low < inside.value < inside.high < 1
    # A candidate of whom nothing is known at all is answered as far as it goes: not at all, or by a finite score.
    nobody = Queries(np.array([ABSENT], np.int32), np.empty((1, 0), np.int32))
    score = model.lower().score(nobody)
    assert score.shape == (1, 1) and not np.isnan(score).any()


def test_a_recipe_names_a_file_and_the_rest_is_made_to_fit(tmp_path: Path) -> None:
    people(60).write_parquet(tmp_path / "people.parquet")
    (tmp_path / "recipe.toml").write_text('[data]\nexamples = "people.parquet"\nlabels = { rich = "binary" }\n')
    recipe = read(tmp_path / "recipe.toml", ["model.label=rich"], model="deepfm")
    assert recipe.model.options["length"] == 0 and recipe.evaluate.compare == ()
    assert len(load_data(recipe).events) == 60 and by_labels(recipe, load_data(recipe))
    declared = read(
        tmp_path / "recipe.toml",
        ['features.study={kind="category", side="context"}', 'evaluate.metrics=["ece"]'],
        model="fm",
    )
    assert load_data(declared).schema.context == ("study",) and declared.evaluate.metrics == ("ece",)
    with pytest.raises(RecipeError, match=r"without users and items\. Leave out time_kind"):
        load_data(read(tmp_path / "recipe.toml", ["data.time_kind=unix"]))
    with pytest.raises(RecipeError, match="Got events and examples"):
        load_data(read(tmp_path / "recipe.toml", ["data.events=a.csv"]))


def test_what_cannot_be_examples_is_said() -> None:
    frame = people(10)
    with pytest.raises(SerendipError, match=r"must have labels.*Got none\. The columns are study, age"):
        Examples.read(frame, {})
    with pytest.raises(SerendipError, match=r"expected a column 'poor'\. The columns are study"):
        Examples.read(frame, {"poor": "binary"})
    with pytest.raises(SerendipError, match=r"features\.town must be of the side context"):
        Examples.read(frame, LABELS, {"town": Category(side="user")})
    with pytest.raises(SerendipError, match="expected columns beside the labels"):
        Examples.read(frame.select("rich"), LABELS)
    with pytest.raises(SerendipError, match=r"no feature is made of the column 'when' of the type Date"):
        Examples.read(frame.with_columns(when=pl.date(2020, 1, 1)), LABELS)
    with pytest.raises(SchemaError, match=r"read as data\.examples"):
        Dataset.from_frames(frame)


@pytest.mark.parametrize(
    ("kind", "values", "wanted"),
    [
        ("binary", [0, 1, 2], "0 or 1"),
        ("duration", [0.0, -1.0, 2.0], "a number ≥ 0 and at most"),
        ("count", [0.0, 1.5, 2.0], "a whole number ≥ 0"),
        ("rating", [0.0, float("inf"), 2.0], "a number from -1e6 to 1e6"),
        ("rating", [0.0, 1e30, 2.0], "a number from -1e6 to 1e6"),
    ],
)
def test_labels_outside_their_range_are_refused(kind: Any, values: list[float], wanted: str) -> None:
    frame = pl.DataFrame({"x": ["a", "b", "c"], "y": values})
    with pytest.raises(SchemaError, match=wanted):
        Examples.read(frame, {"y": kind}).dataset()
