"""A recipe that names a target, from the log to the answer: what is looked at says what is bought."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from serendip.bundle import Bundle
from tests.models.test__retrieval import SHELVES, shop

RECIPE = """
[data]
events = "shop.parquet"
target = ["buy"]

[model]
name = "youtube_retrieval"
factors = 16
hidden = 32
length = 1
batch_size = 64
learning_rate = 0.02
epochs = 8
negatives = 10

[pipeline]
fallback = []

[evaluate]
metrics = ["hit_rate@5", "coverage@5"]
compare = ["popular"]

[run]
threads = 1
"""


@pytest.fixture
def recipe(here: Path) -> Path:
    shop(users=70).write_parquet(here / "shop.parquet")
    path = here / "recipe.toml"
    path.write_text(RECIPE)
    return path


def test_from_a_recipe_to_answers(run: Any, recipe: Path) -> None:
    run("validate", recipe)
    found = json.loads(run("evaluate", recipe, "--json").stdout)
    figures = {
        name: next(row["mean"] for row in one["table"] if (row["metric"], row["segment"]) == ("hit_rate@5", "all"))
        for name, one in found["models"].items()
    }
    assert figures["youtube_retrieval"] > 0.8 and figures["popular"] < 0.5
    run("fit", recipe, "--out", "out/b", "--quiet")
    assert Bundle.load("out/b").manifest.recipe["data"]["target"] == ["buy"]
    for shelf in range(SHELVES):
        rows = json.loads(run("recommend", "--bundle", "out/b", "--event", f"view=s{shelf}", "-k", 3, "--json").stdout)
        assert {row["item_id"][:2] for row in rows} == {f"b{shelf}"}


def test_a_target_by_flags(run: Any, recipe: Path) -> None:
    flags = ("--events", "shop.parquet", "--model", "popular", "--out", "out/b", "--quiet")
    run("fit", *flags, "--target", "buy")
    assert {str(item)[0] for item in Bundle.load("out/b").recommend(["new"], k=6)["item_id"]} == {"b"}
    run("fit", *flags, "--target", "view, buy")
    assert {str(item)[0] for item in Bundle.load("out/b").recommend(["new"], k=6)["item_id"]} == {"s"}
