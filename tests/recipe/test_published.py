"""The published schema accepts what `read` accepts, and refuses what it refuses."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from serendip.model import names
from serendip.recipe import RecipeError, json_schema, read

SCHEMA = json_schema()
ROOT = Path(__file__).resolve().parents[2]


def valid(recipe: Any) -> bool:
    return bool(jsonschema.Draft202012Validator(SCHEMA).is_valid(recipe))


def readable(recipe: Any) -> bool:
    try:
        read(recipe)
    except RecipeError:
        return False
    return True


def test_it_is_a_schema_and_plain_json() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA)) == SCHEMA
    assert "null" not in json.dumps(SCHEMA)


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"model": {"name": "ease", "reg": 3.5}},
        {"model": {"factors": 3}},
        {"model": {"name": "popular", "half_life": 2.0}, "run": {"threads": 2, "out": "x"}},
        {"data": {"events": "x", "columns": {"text": ["a", "b"], "user": "u"}, "labels": {"w": "duration"}}},
        {"data": {"event_weights": {"view": 0.5}, "positive_from": 4, "time_kind": "rank"}},
        {"evaluate": {"compare": ["popular", {"name": "ials", "factors": 8}], "split": "k_fold", "folds": 3}},
        {"pipeline": {"fallback": [], "k": 5}},
        {"pipeline": {"rank": {"name": "deepfm", "epochs": 3}, "candidates": 50, "named": 0.5, "moments": 0}},
        {"pipeline": {"rank": "deepfm"}},
        {"features": {"genres": {"kind": "category", "side": "item", "multivalent": True, "oov_buckets": 4}}},
        {"features": {"hour": {"kind": "cycle", "period": "day"}, "age": {"kind": "age"}}},
        {"features": {"name": {"kind": "text", "side": "item", "characters": [3, 4], "dim": 16}}},
    ],
)
def test_both_accept(recipe: Any) -> None:
    assert valid(recipe)
    assert readable(recipe)


@pytest.mark.parametrize(
    "recipe",
    [
        {"dta": {}},
        {"data": {"event": "x"}},
        {"data": {"strict": "yes"}},
        {"data": {"event_weights": {"view": -1}}},
        {"data": {"labels": {"w": "time"}}},
        {"model": {"name": "ease", "factors": 3}},
        {"model": {"factors": 0}},
        {"model": {"fators": 8}},
        {"model": 3},
        {"evaluate": {"split": "none"}},
        {"evaluate": {"test": 1.0}},
        {"evaluate": {"folds": 8}},
        {"evaluate": {"metrics": []}},
        {"evaluate": {"compare": [{"factors": 8}]}},
        {"evaluate": {"compare": [{"name": "popular", "factors": 8}]}},
        {"pipeline": {"k": 0}},
        {"pipeline": {"rank": 3}},
        {"run": {"threads": 1.5}},
        {"features": {"genres": {"kind": "category"}}},
        {"features": {"genres": {"kind": "categories", "side": "item"}}},
        {"features": {"genres": {"side": "item"}}},
        {"features": {"genres": {"kind": "category", "side": "items"}}},
        {"features": {"genres": {"kind": "category", "side": "item", "buckets": 3}}},
        {"features": {"genres": {"kind": "hash", "side": "item", "buckets": 0}}},
        {"features": {"name": {"kind": "text", "side": "item", "characters": [9]}}},
        {"features": {"age": {"kind": "age", "side": "user"}}},
        {"features": {"genres": "category"}},
        {"features": ["genres"]},
    ],
)
def test_both_refuse(recipe: Any) -> None:
    assert not valid(recipe)
    assert not readable(recipe)


def test_a_model_from_elsewhere_may_have_any_options() -> None:
    assert valid({"model": {"name": "my.own.model", "anything": [1]}})


def test_every_model_of_the_package_is_in_it() -> None:
    own = {name for name in names() if "." not in name}
    assert {name.removeprefix("model-") for name in SCHEMA["$defs"] if name.startswith("model-")} == own


@pytest.mark.parametrize("name, model", [("recipe", "ials"), ("features", "two_tower")])
def test_the_example_recipes_are_valid_and_readable(name: str, model: str) -> None:
    example = ROOT / "examples" / f"{name}.toml"
    assert valid(tomllib.loads(example.read_text()))
    assert read(example).model.name == model
