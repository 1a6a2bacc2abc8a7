"""Re-rankers by a recipe: read, checked before the fit, judged, stored and asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serendip.bundle import Bundle
from serendip.data.dataset import Dataset
from serendip.data.synthetic import World
from serendip.pipeline import Guard, Reranked, rerankers
from serendip.recipe import Recipe, RecipeError, evaluate_recipe, json_schema, read, run_recipe
from serendip.recipe.drafting import toml
from serendip.recipe.reranking import check_rerankers
from serendip.rerank import KINDS, Boost, Cap, Explore, Mmr, Pin

CAP = {"name": "cap", "by": "kind", "most": 1}


@pytest.fixture(scope="module")
def data(world: World) -> Dataset:
    return world.dataset()


def recipe(*rerankers: Any, model: str = "popular", **pipeline: Any) -> Recipe:
    given = {"pipeline": {"fallback": [], "rerank": list(rerankers), **pipeline}}
    return read(None, ("run.threads=1",), given=given, model=model)


def refused(*options: Any, **pipeline: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe(*options, **pipeline)
    return str(caught.value)


def test_tables_of_the_recipe_become_re_rankers_in_order(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(
        '[[pipeline.rerank]]\nname = "mmr"\nby = "genres"\nweight = 0.6\n\n[[pipeline.rerank]]\nname = "explore"\n'
    )
    found = read(file)
    assert found.pipeline.rerank == (Mmr(by="genres", weight=0.6), Explore())
    plain = found.plain()["pipeline"]
    assert plain == {"rerank": [{"name": "mmr", "weight": 0.6, "by": "genres"}, {"name": "explore"}]}
    assert read(found.plain()) == found
    assert toml(found.pipeline.rerank) == '[{ name = "mmr", weight = 0.6, by = "genres" }, { name = "explore" }]'
    assert recipe("mmr").pipeline.rerank == (Mmr(),)


def test_what_is_wrong_is_said_where_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text(
        '[[pipeline.rerank]]\nname = "mmr"\nweight = 0.5\n\n[[pipeline.rerank]]\nname = "mmr"\nweight = 2\n'
    )
    with pytest.raises(
        RecipeError, match=r"line 7: pipeline.rerank\[1\].weight must be a number ≥ 0 and ≤ 1. Got 2 inst"
    ):
        read(file)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"name": "mmd"},
            'must be a table with its name, one of mmr, dpp, cap, .* Got "mmd" instead. Did you mean "mmr"',
        ),
        ({"weight": 1}, "pipeline.rerank.0. must be a table with its name"),
        ({"name": "mmr", "wait": 1}, r"unknown key 'pipeline.rerank\[0\].wait'"),
        ({"name": "cap"}, r"pipeline.rerank\[0\].by must be text. Got None instead"),
        (
            {"name": "boost"},
            r"pipeline.rerank\[0\]: boost must have either by, a column of the items, or fits, a filter",
        ),
        ({"name": "pin", "items": []}, r"pipeline.rerank\[0\].items must be a list with at least one entry"),
        ({"name": "explore", "policy": "thomson"}, 'policy must be one of .* Did you mean "thompson"'),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    import re

    assert re.search(said, refused(options)), refused(options)


def test_what_does_not_go_together() -> None:
    assert "explore must be the last re-ranker" in refused("explore", CAP)
    assert "must be a list of tables" in refused(rerank=CAP)
    with pytest.raises(RecipeError, match=r"pipeline\.budget\.rerank must come with pipeline\.rerank"):
        run_recipe(recipe(budget={"rerank": 5}), data=None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"name": "cap", "by": "sort"},
            r"pipeline.rerank\[0\]: cap.by must be a column of the items: title, .*Got 'sort'",
        ),
        ({"name": "mmr", "by": "ease"}, r"mmr.by must be a column of the items or a model of the pipeline: .*popular"),
        ({"name": "pin", "items": ["nothing"]}, r"pin.items must be items of the data. Got 'nothing'"),
        ({"name": "boost", "by": "title"}, "boost.by must be a column of numbers or dates"),
        ({"name": "boost", "fits": "prize < 3"}, "Did you mean 'price'"),
    ],
)
def test_what_does_not_fit_the_data_is_said_before_a_fit(data: Dataset, options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        check_rerankers(recipe(options), data)


def test_a_model_without_vectors_is_seen_when_it_is_fitted(data: Dataset) -> None:
    check_rerankers(recipe({"name": "mmr"}), data)
    with pytest.raises(Exception, match=r"mmr\.by must be given where no model of the pipeline has vectors"):
        run_recipe(recipe({"name": "mmr"}), data=data)


def test_the_bundle_re_ranks_as_the_recipe_says(data: Dataset, tmp_path: Path) -> None:
    run_recipe(recipe(CAP, {"name": "explore", "epsilon": 0.3}, budget={"rerank": 500}), data=data).save(tmp_path / "b")
    made = Bundle.load(tmp_path / "b")
    assert isinstance(made.pipeline, Reranked) and all(isinstance(one, Guard) for one in made.pipeline.stages)
    assert [one.options for one in rerankers(made.pipeline)] == [Cap(by="kind", most=1), Explore(epsilon=0.3)]
    assert made.manifest.recipe["pipeline"]["rerank"] == [
        {"name": "cap", "most": 1, "by": "kind"}, {"name": "explore", "epsilon": 0.3}
    ]  # fmt: skip
    kinds = made.items["kind"].n_unique()
    found = made.recommend(data.user_ids.ids[0], k=kinds)
    assert found.join(made.items, on="item_id")["kind"].n_unique() == kinds
    assert "propensity" in made.recommend(data.user_ids.ids[0], k=3, explore=True).columns


def test_an_evaluation_compares_with_the_model_alone(data: Dataset) -> None:
    said = msgspec.structs.replace(recipe({"name": "boost", "fits": "price > 0", "weight": 0.0}))
    given = msgspec.structs.replace(said.evaluate, metrics=("recall@5", "diversity@5"), compare=())
    found = evaluate_recipe(msgspec.structs.replace(said, evaluate=given), data=data)
    assert list(found.evaluations) == ["popular → boost", "popular"]
    whole, alone = (one.of("recall@5") for one in found.evaluations.values())
    assert (whole == alone).all()
    mixed = msgspec.structs.replace(said.pipeline, rerank=(Mmr(by="categories", weight=0.2),))
    found = evaluate_recipe(msgspec.structs.replace(said, pipeline=mixed, evaluate=given), data=data)
    assert found.main.mean("diversity@5") > found.evaluations["popular"].mean("diversity@5") + 0.02


def test_the_schema_describes_every_option() -> None:
    schema = json_schema()["$defs"]
    for kind in KINDS.values():
        for name, said in schema[kind.__name__]["properties"].items():
            assert said.get("description"), f"{kind.__name__}.{name}"
    assert schema["Mmr"]["properties"]["weight"]["maximum"] == 1
    text = json.dumps(schema["PipelineSection"]["properties"]["rerank"])
    assert all(f"#/$defs/{kind.__name__}" in text for kind in KINDS.values())


def test_options_that_hold_their_default_are_left_out() -> None:
    said = recipe({"name": "pin", "items": [3, "a"]}, {"name": "boost", "by": "price", "weight": 0.1})
    assert said.pipeline.rerank == (Pin(items=(3, "a")), Boost(by="price"))
    assert said.plain()["pipeline"]["rerank"] == [{"name": "pin", "items": [3, "a"]}, {"name": "boost", "by": "price"}]
