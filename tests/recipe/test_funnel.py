"""Retrieval and a ranker behind it, by a recipe."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle
from serendip.data.dataset import Dataset
from serendip.data.synthetic import World
from serendip.pipeline import Quota, first_of, lines, merge, retrieve, retrievers, scoring
from serendip.recipe import RecipeError, evaluate_recipe, read, run_recipe
from serendip.recipe.fitting import Fitter
from serendip.recipe.funnel import Funnel, outline, title
from serendip.recipe.learning import check_learning
from serendip.run import Run
from serendip.types import ABSENT

from .watching import Watching

FUNNEL: dict[str, Any] = {"fallback": [], "rank": "item_knn", "candidates": 20}


@pytest.fixture(scope="module")
def data(world: World) -> Dataset:
    return world.dataset()


def recipe(*overrides: str, model: str = "popular", **pipeline: Any) -> Any:
    return read(None, ("run.threads=1", *overrides), given={"pipeline": {**FUNNEL, **pipeline}}, model=model)


def test_what_is_named_comes_in_the_order_of_the_ranker_and_the_bundle_keeps_both(
    data: Dataset, tmp_path: Path
) -> None:
    run_recipe(recipe(), data=data).save(tmp_path / "b")
    made = Bundle.load(tmp_path / "b")
    assert [part.name for part in scoring(made.pipeline)] == ["popular", "item_knn"]
    assert made.manifest.recipe["pipeline"]["rank"] == {"name": "item_knn"}
    fitter = Fitter(data, Run(threads=1))
    queries = data.queries(np.arange(3, dtype=np.int32), k=20)
    named = retrieve(fitter.scorer(recipe().model), name="popular")(queries).items
    scores = fitter.scorer(recipe().pipeline.rank).score(queries, named)
    best = np.take_along_axis(named, np.argsort(-scores, axis=1, kind="stable"), axis=1)[:, :5]
    found = made.recommend(data.user_ids.ids[:3].to_list(), k=5)
    assert found["item_id"].to_list() == data.item_ids.decode(best.ravel()).to_list()
    assert set(found["source"]) == {"popular"}
    assert len(made.recommend(data.user_ids.ids[0], k=40)) == 40


def test_the_ranker_changes_with_new_events(data: Dataset, world: World) -> None:
    new = world.events.head(2).with_columns(item_id=pl.lit("fresh"))
    after = run_recipe(recipe(), data=data).update(new)
    assert [part.name for part in scoring(after.pipeline)] == ["popular", "item_knn"]
    assert all(part.scorer.n_items == data.n_items + 1 for part in scoring(after.pipeline))


def test_why_an_item_was_named_is_said_by_what_named_it(data: Dataset) -> None:
    made = run_recipe(recipe(model="ease", rank={"name": "popular"}), data=data)
    user = data.user_ids.ids[0]
    item = made.recommend(user, k=1)["item_id"][0]
    assert set(made.explain(user, item)["source"]) == {"ease"}


def test_an_evaluation_compares_the_whole_with_retrieval_alone(data: Dataset) -> None:
    said = recipe("evaluate.metrics=['recall@20']", "evaluate.compare=['popular']", model="ease")
    found = evaluate_recipe(said, data=data)
    assert list(found.evaluations) == ["ease → item_knn", "ease", "popular"]
    assert [one.b for one in found.comparisons] == ["ease", "popular"]
    whole, alone = (found.evaluations[name].of("recall@20") for name in ("ease → item_knn", "ease"))
    np.testing.assert_array_equal(whole, alone)  # the ranker has 20 items to order
    wide = evaluate_recipe(recipe("evaluate.metrics=['recall@20']", model="ease", candidates=60), data=data)
    assert (wide.main.of("recall@20") != alone).any()


def test_a_ranker_learns_from_what_would_have_been_shown(data: Dataset) -> None:
    def shown(*overrides: str, log: Dataset = data) -> Any:
        Watching.runs.clear()
        run_recipe(recipe(*overrides, rank="tests.recipe.watching"), data=log)
        return Watching.runs[-1].shown

    lists = shown("pipeline.moments=2", "pipeline.candidates=7")
    assert lists.lists.shape[1] == 7 and len(lists.at) == len(data.events)
    assert data.events.time is not None
    late = data.events.time >= np.sort(data.events.time)[len(data.events) // 2]
    np.testing.assert_array_equal(lists.at >= 0, late)
    assert shown("pipeline.moments=0") is None
    untimed = Dataset.from_frames(pl.DataFrame({"user_id": [0, 0, 1, 1, 2], "item_id": [0, 1, 1, 2, 0]}))
    assert shown(log=untimed) is None


def test_the_epochs_of_a_ranker_are_chosen_by_the_lists_of_the_whole(data: Dataset, tmp_path: Path) -> None:
    told: list[str] = []

    def watch(what: str) -> Any:
        told.append(what)
        return nullcontext()

    said = recipe(
        *("fit.validate=ndcg@10", "pipeline.moments=1", "evaluate.split=global_time"),
        rank={"name": "lr", "epochs": 2, "batch_size": 512},
    )
    file = tmp_path / "fit.ckpt"
    made = run_recipe(said, data=data, watch=watch, run=Run(threads=1, checkpoint=file))
    steps = [step for step in told if "lr" in step or "shown" in step]
    asked = "Finding what would have been shown"
    assert steps[:3] == [asked, "Looking for the best epoch of lr by ndcg@10", asked]
    assert steps[3].startswith("Fitting lr for") and steps[3].endswith("epochs (ndcg@10 was best then)")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["fit.ckpt.rank", "fit.ckpt.rank.validation"]
    assert made.learned == ("lr",)
    again = run_recipe(recipe("pipeline.moments=1", rank={"name": "lr", "epochs": 1}), data=data, start=made)
    assert again.manifest.start == made.manifest.version


@pytest.mark.parametrize(
    ("pipeline", "words"),
    [
        ({"rank": "popular"}, r"must be another model than those that name the items \(popular\)\. Got 'popular'"),
        ({"fallback": ["item_knn"]}, r"those that name the items \(popular, item_knn\)\. Got 'item_knn'"),
        ({"rank": {"name": "deepfn"}}, r"pipeline\.rank: there is no model 'deepfn'\. Did you mean 'deepfm'\?"),
        ({"rank": {"name": "fm", "epoch": 1}}, r"pipeline\.rank: fm has no option 'epoch'\. Did you mean 'epochs'\?"),
        ({"rank": 3}, r"pipeline\.rank must be a model's name, or a table of its name and options"),
        ({"named": 2}, r"pipeline\.named must be a number ≥ 0 and ≤ 1\. Got 2 instead"),
        ({"candidates": 0}, r"pipeline\.candidates must be a whole number ≥ 1"),
    ],
)
def test_a_ranker_that_cannot_be_one_is_refused(pipeline: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        check_learning(recipe(**pipeline))


def test_a_ranker_needs_items_and_its_keys_need_a_ranker() -> None:
    with pytest.raises(RecipeError, match=r"pipeline\.named must come with pipeline\.rank"):
        check_learning(read({"pipeline": {"named": 0.5}}))
    with pytest.raises(RecipeError, match=r"pipeline\.rank needs items to rank\. data\.examples has none"):
        check_learning(read({"data": {"examples": "x.parquet"}, "pipeline": {"rank": "fm"}}))
    with pytest.raises(RecipeError, match=r"ials → item_knn does not: leave it out"):
        check_learning(recipe("fit.validate=ndcg@10", model="ials"))


def several(*overrides: str, **pipeline: Any) -> Any:
    """Three sources."""
    sources = ["ease", {"model": "popular", "k": 30, "quota": {"most": 4}}]
    given = {"fallback": ["popular"], "sources": sources, "merge": "fused", "candidates": 30, **pipeline}
    return read(None, ("run.threads=1", *overrides), given={"pipeline": given}, model="item_knn")


def test_several_sources_become_one_list_as_the_recipe_says(data: Dataset, tmp_path: Path) -> None:
    said = several(budget={"whole": 60_000, "source": 5_000})
    run_recipe(said, data=data).save(tmp_path / "b")
    made = Bundle.load(tmp_path / "b")
    made.check()
    assert made.manifest.recipe["pipeline"]["sources"][1]["quota"] == {"most": 4}
    assert (
        made.summary()["stages"]
        == list(lines(outline(said, data)))
        == [
            "name: item_knn (5000 ms), ease (5000 ms), popular (30, at most 4, 5000 ms); merged by reciprocal places",
            "fill: popular",
            "limit: 60000 ms for all of them",
        ]
    )
    fitter = Fitter(data, Run(threads=1))
    parts = [
        retrieve(fitter.scorer(one), name=one.name)
        for one in (said.model, *(one.model for one in said.pipeline.sources))
    ]
    queries = data.queries(np.arange(20, dtype=np.int32), k=12)
    wanted = first_of(merge(*parts, how="fused", quotas=(None, None, Quota(most=4)), least=30), parts[2])(queries)
    found = made.pipeline(queries)
    np.testing.assert_array_equal(found.items, wanted.items)
    assert found.notes == wanted.notes
    assert made.recommend(data.user_ids.ids[0], k=50).height == 50  # more than there are candidates


def test_the_model_of_the_recipe_counts_among_the_sources_as_they_say(data: Dataset) -> None:
    ease = {"model": "ease", "k": 7, "quota": {"most": 3}}
    said = several(sources=[ease, {"model": "item_knn", "k": 9, "weight": 4, "quota": {"least": 2}}], budget={})
    check_learning(said)
    fitter = Fitter(data, Run(threads=1))
    section = said.pipeline
    found = fitter._named(said.model, section)
    parts = [
        retrieve(fitter.scorer(said.model), name="item_knn", k=9),
        retrieve(fitter.scorer(section.sources[0].model), name="ease", k=7),
    ]
    quotas = (Quota(2), Quota(most=3))
    by_hand = merge(*parts, how=section.merge, weights=(4, 1), quotas=quotas, least=section.candidates)
    queries = data.queries(np.arange(5, dtype=np.int32), k=10)
    filled = first_of(by_hand, retrieve(fitter.scorer(section.fallback[0]), name="popular"))
    np.testing.assert_array_equal(found(queries).items, filled(queries).items)
    assert title(said) == "item_knn + ease"


def test_sources_take_in_new_events_with_their_own_options(data: Dataset, world: World) -> None:
    source = {"name": "popular", "half_life": 0.5}
    made = run_recipe(read({"model": {"name": "item_knn"}, "pipeline": {"sources": [{"model": source}]}}), data=data)
    after = made.update(world.events.tail(40).with_columns(timestamp=pl.col("timestamp") + 10**7))
    popular: Any = next(part.scorer for part in retrievers(after.pipeline) if part.name == "popular")
    assert popular.scores.max() <= 40 < np.bincount(data.events.items).max()  # what is old has decayed


def test_a_source_that_fails_is_skipped_where_it_is_served_and_not_where_it_is_judged(
    data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = run_recipe(several(), data=data)
    kind = type(retrievers(made.pipeline)[1].scorer)
    user, before = data.user_ids.ids[0], made.recommend(data.user_ids.ids[0], 5)

    def failing(*_: object) -> Any:
        raise MemoryError

    monkeypatch.setattr(kind, "score", failing)
    answer = made.answer(user, 5, reasons=True)
    assert answer.notes == ("ease was skipped: it failed (MemoryError)",) and answer.frame.height == 5
    assert answer.frame["score.ease"].null_count() == 5 and not answer.frame["item_id"].equals(before["item_id"])
    with pytest.raises(MemoryError):
        made.check()
    with pytest.raises(MemoryError):
        evaluate_recipe(several("evaluate.compare=[]", "evaluate.metrics=['recall@20']"), data=data)


def test_a_ranker_learns_of_all_sources(data: Dataset) -> None:
    """What would have been shown says of an item how high it stands in each list that names it."""
    section = several(rank={"name": "fm"}, moments=2).pipeline
    found = Fitter(data, Run(threads=1))
    stage = found.pipeline(several().model, section, ranked=False)
    assert [part.name for part in retrievers(stage)] == ["item_knn", "popular"]
    shown = Funnel(section, lambda part: Fitter(part, Run(threads=1))._named(several().model, section)).shown(
        data, None
    )
    assert shown.names == ("ease", "item_knn", "popular") and shown.scores is not None
    named = ~np.isnan(shown.scores)
    assert (named.any(axis=2) == (shown.lists != ABSENT)).all() and (named.sum(axis=2) > 1).any()


def test_what_is_compared_is_not_filled_by_its_own_kind_with_other_options(data: Dataset) -> None:
    """`popular` of the whole log, beside lists that a recent `popular` fills."""
    recent, given = {"name": "popular", "half_life": 0.5}, ("run.threads=1", "evaluate.metrics=['recall@5']")
    said = read(
        None, (*given, "evaluate.compare=['popular']"), given={"pipeline": {"fallback": [recent]}}, model="item_knn"
    )
    alone = read(None, (*given, "evaluate.compare=[]"), given={"pipeline": {"fallback": []}}, model="popular")
    found, plain = evaluate_recipe(said, data=data), evaluate_recipe(alone, data=data)
    np.testing.assert_array_equal(found.evaluations["popular"].of("recall@5"), plain.main.of("recall@5"))


def test_the_model_is_not_filled_by_its_own_kind_with_other_options() -> None:
    said = read(None, given={"pipeline": {"fallback": [{"name": "popular", "half_life": 2}]}}, model="popular")
    with pytest.raises(RecipeError, match=r"fallback must have the options that 'popular' has where it names items"):
        check_learning(said)


def test_an_evaluation_compares_the_sources_with_the_first_alone(data: Dataset) -> None:
    found = evaluate_recipe(several("evaluate.metrics=['recall@20']", "evaluate.compare=['popular']"), data=data)
    assert list(found.evaluations) == ["item_knn + ease + popular", "item_knn", "popular"]
    first = read(
        None,
        ("run.threads=1", "evaluate.metrics=['recall@20']", "evaluate.compare=[]"),
        given={"pipeline": {"fallback": ["popular"]}},
        model="item_knn",
    )
    plain = evaluate_recipe(first, data=data)
    alone = found.evaluations["item_knn"].of("recall@20")
    np.testing.assert_array_equal(alone, plain.main.of("recall@20"))
    assert (found.main.of("recall@20") != alone).any()


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (
            {"sources": ["item_knn"]},
            r"must be other models than item_knn, each named once; .* Got 'item_knn' again in pip",
        ),
        (
            {"sources": ["ease", {"model": {"name": "item_knn", "neighbours": 3}, "weight": 2}]},
            r"sources\[1\]\.model must be 'item_knn' without options, for they stand in \[model\]",
        ),
        ({"sources": [{"model": "item_knn", "k": 3}, {"model": "item_knn", "k": 4}]}, r"Got 'item_knn' again in .*\[1"),
        ({"sources": ["ease", "ease"]}, r"Got 'ease' again in pipeline\.sources\[1\]"),
        ({"sources": []}, r"pipeline\.candidates must come with pipeline\.rank, .* pipeline\.sources or pipeline\.rer"),
        ({"sources": [], "candidates": 200}, r"pipeline\.merge must come with pipeline\.sources"),
        (
            {"sources": [{"model": "ease", "quota": {"least": 31}}]},
            r"must sum to at most pipeline\.candidates = 30\. Got 31",
        ),
        (
            {"sources": [{"model": "ease", "quota": {"least": 3, "most": 2}}]},
            r"must have most ≥ least\. Got most = 2, le",
        ),
        ({"sources": [{"model": "ease", "k": 2, "quota": {"least": 3}}]}, r"least must be at most k = 2\. Got 3"),
        ({"merge": "round_robin", "sources": [{"model": "ease", "weight": 2}]}, r"weight must go with pipeline\.merge"),
        (
            {"fallback": [{"name": "popular", "half_life": 2}]},
            r"must have the options that 'popular' has where it nam",
        ),
        ({"rank": "ease"}, r"pipeline\.rank must be another model than those that name the items"),
        ({"budget": {"rank": 2}}, r"pipeline\.budget\.rank must come with pipeline\.rank"),
        ({"budget": {"whole": -1}}, r"pipeline\.budget\.whole must be a number > 0\. Got -1"),
    ],
)
def test_sources_that_do_not_go_together(pipeline: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check_learning(several(**pipeline))
