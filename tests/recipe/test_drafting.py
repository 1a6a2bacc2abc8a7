from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serendip.data.features.declared import KINDS, Age, Category, Number, Recency
from serendip.model import describe, find
from serendip.recipe import Recipe, RecipeError, draft, json_schema, load_data, read
from serendip.recipe.drafting import toml, written


def recipe_of(folder: Path, **data: Any) -> Recipe:
    files = {"events": str(folder / "events.parquet"), "items": str(folder / "items.parquet")}
    return read(given={"data": files | data})


def test_what_is_written_reads_as_what_was_found(shop: Path, tmp_path: Path) -> None:
    found = draft(recipe_of(shop))
    path = tmp_path / "recipe.toml"
    path.write_text(written(found, path))
    again = read(path)
    assert Path(again.data.events or "").resolve() == (shop / "events.parquet").resolve()
    assert again.data.columns["timestamp"] == "timestamp"
    assert again.data.columns["categories"] == ("categories",)
    assert again.data.event_weights == {"view": 1, "like": 1, "purchase": 1}
    assert again.data.time_kind == "unix"
    assert again.data.users is None
    assert load_data(again).schema.title == "title"
    jsonschema.Draft202012Validator(json_schema()).validate(tomllib.loads(path.read_text()))


def test_relations_are_written_relative_to_the_recipe(shop: Path, tmp_path: Path) -> None:
    pl.DataFrame({"user_id": ["u1"], "friend": ["u2"]}).write_csv(tmp_path / "friends.csv")
    found = draft(recipe_of(shop, relations={"friends": str(tmp_path / "friends.csv")}))
    assert found.notes["data.relations"] == "friends: 1 rows with the columns user_id, friend."
    path = tmp_path / "sub" / "recipe.toml"
    text = written(found, path)
    assert 'relations = { friends = "../friends.csv" }' in text.splitlines()


def test_columns_without_a_role_are_named_with_what_can_be_done(tmp_path: Path) -> None:
    events = {
        "user_id": [1, 2],
        "item_id": [1, 2],
        "timestamp": [1, 2],
        "like": [0, 1],
        "device": ["a", "b"],
        "x": [1, 2],
    }
    items = {"item_id": [1, 2], "title": ["a", "b"], "genres": ["x", "y"], "price": [1.5, 2.5], "same": [1, 1]}
    users = {"user_id": [1, 2], "age": [30, 40], "code": [None, None]}
    paths = {name: str(tmp_path / f"{name}.parquet") for name in ("events", "items", "users")}
    for path, columns in zip(paths.values(), (events, items, users), strict=True):
        pl.DataFrame(columns).write_parquet(path)
    note = draft(read(given={"data": paths})).notes["data.columns"]
    assert note.startswith("Without a role in events: device, x. What is known of the moment is context (--columns ")
    assert "(--columns context=device,context=x)" in note
    declare = "where they say something all the same, declare a feature."
    assert f"Without a role in items: same. Their values are missing, all alike or all different: {declare}" in note
    assert "Without a role in users: code. " in note
    path = tmp_path / "recipe.toml"
    path.write_text(written(draft(read(given={"data": paths})), path))
    assert "# Without a role in events: device, x. " in path.read_text()
    said = {"same": {"kind": "number", "side": "item"}, "k": {"kind": "category", "side": "user", "column": "code"}}
    columns = {"context": ("device", "x")}
    assert "data.columns" not in draft(read({"features": said, "data": {**paths, "columns": columns}})).notes


def test_every_key_and_option_is_listed_with_its_meaning(shop: Path, tmp_path: Path) -> None:
    text = written(draft(recipe_of(shop)), tmp_path / "recipe.toml")
    lines = text.splitlines()
    for section in Recipe.__struct_fields__:
        value = getattr(Recipe(), section)
        if section == "model":
            keys = [option.name for option in describe(find("ials"))]
        elif section == "features":
            assert [line for line in lines if line.startswith("price = ")] == [
                'price = { kind = "number", side = "item" }'
            ]
            assert all(any(line.startswith(f"# {kind}: ") for line in lines) for kind in KINDS)
            continue
        else:
            keys = list(value.__struct_fields__)
        for key in keys:
            place = next(
                i for i, line in enumerate(lines) if line.removeprefix("# ").startswith((f"{key} = ", f"{key} is"))
            )
            assert lines[place - 1].startswith("# "), key
    assert max(map(len, (line for line in lines if line.startswith("# ")))) <= 130


def test_keys_that_are_left_out_are_right_when_they_are_let_in(shop: Path, tmp_path: Path) -> None:
    """Whoever takes away the # in front of any one key gets a recipe that can be read."""
    path = tmp_path / "recipe.toml"
    lines = written(draft(recipe_of(shop)), path).splitlines()
    commented = [
        i
        for i, line in enumerate(lines)
        if line.startswith("# ") and " = " in line and line[2:].split(" = ")[0].isidentifier()
    ]
    assert len(commented) > 15
    for place in commented:
        path.write_text("\n".join([*lines[:place], lines[place][2:], *lines[place + 1 :]]))
        read(path)


def test_features_are_suggested_and_those_that_were_said_are_kept(shop: Path, tmp_path: Path) -> None:
    given = {"price": {"kind": "bucket", "side": "item", "buckets": 4}, "kind": {"kind": "hash", "side": "item"}}
    found = draft(read({"features": given, "data": recipe_of(shop).plain()["data"]}))
    features = found.recipe.features
    assert features["categories"] == Category(side="item", multivalent=True)
    assert features["released"] == Recency(side="item")
    assert features["example_age"] == Age()
    assert features["minutes"] == Number(side="item")
    path = tmp_path / "recipe.toml"
    path.write_text(written(found, path))
    again = read(path)
    assert again.features == features
    assert again.plain()["features"]["price"] == {"kind": "bucket", "side": "item", "buckets": 4}
    fitted = load_data(again).features
    assert fitted is not None
    assert fitted.declared == features


def test_without_features_the_recipe_shows_how_to_declare_one(shop: Path, tmp_path: Path) -> None:
    found = draft(recipe_of(shop))
    bare = msgspec.structs.replace(found.recipe, features={})
    text = written(replace(found, recipe=bare), tmp_path / "recipe.toml")
    line = next(line for line in text.splitlines() if line.startswith("# genres = "))
    assert tomllib.loads(f"[features]\n{line[2:]}")["features"]["genres"]["kind"] == "category"


def test_what_was_said_is_kept(shop: Path) -> None:
    found = draft(recipe_of(shop, positive_from=2, event_weights={"like": 3}, columns={"rating": "rating"}))
    assert found.recipe.data.positive_from == 2
    assert found.recipe.data.event_weights == {"view": 1, "like": 3, "purchase": 1}


@pytest.mark.parametrize(
    ("ratings", "threshold"),
    [([1, 2, 3, 4, 5], 4), ([0.5, 1.5, 3.0, 3.5, 4, 5], 3.5), (list(range(11)), 6), ([0, 1], None), ([7, 7, 7], None)],
)
def test_interest_begins_three_fifths_up_the_scale(
    tmp_path: Path, ratings: list[float], threshold: float | None
) -> None:
    n = len(ratings)
    frame = pl.DataFrame({"user_id": range(n), "item_id": range(n), "rating": ratings})
    frame.write_parquet(tmp_path / "events.parquet")
    found = draft(read(given={"data": {"events": str(tmp_path / "events.parquet")}}))
    assert found.recipe.data.positive_from == threshold


def test_files_must_be_named() -> None:
    with pytest.raises(RecipeError, match="name the log by --events FILE"):
        draft(read(given={"data": {"source": "demo"}}))


values = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_values_are_written_as_toml_reads_them(value: Any) -> None:
    assert tomllib.loads(f"value = {toml(value)}")["value"] == value
