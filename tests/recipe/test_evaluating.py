from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.synthetic import World, checkerboard
from serendip.evaluate import evaluate, last_out
from serendip.evaluate.evaluation import Evaluation
from serendip.recipe import Choice, evaluate_recipe, read
from serendip.recipe.evaluating import joined, named
from serendip.recipe.splitting import splits_of
from serendip.types import SerendipError


def recipe(*overrides: str, **kwargs: Any) -> Any:
    return read(overrides=['evaluate.metrics=["recall@2", "coverage@2"]', *overrides], **kwargs)


def test_the_model_stands_first_and_is_compared_with_the_others() -> None:
    found = evaluate_recipe(recipe("evaluate.split=per_user", model="ease"), data=checkerboard())
    assert list(found.evaluations) == ["ease", "popular", "item_knn"]
    assert found.main.name == "ease"
    assert [(one.a, one.b, one.metric) for one in found.comparisons] == [
        ("ease", "popular", "recall@2"),
        ("ease", "item_knn", "recall@2"),
    ]
    assert found.evaluations["ease"].mean("recall@2") > found.evaluations["popular"].mean("recall@2")
    assert found.comparisons[0].paired.verdict == "better"


def test_each_model_answers_from_the_recipes_pipeline(world: World) -> None:
    """Users held out without history can be answered by the fallback alone, so both models give the same figures."""
    found = evaluate_recipe(
        recipe("evaluate.split=cold_users", "evaluate.test=0.3", 'evaluate.compare=["item_knn"]', model="ease"),
        data=world.dataset(),
    )
    ease, knn = found.evaluations.values()
    assert np.array_equal(ease.of("recall@2"), knn.of("recall@2"))
    assert ease.of("recall@2").max() > 0


def test_the_figures_are_those_of_the_training_part_alone() -> None:
    from serendip.model import find
    from serendip.pipeline import first_of, retrieve

    data = checkerboard()
    found = evaluate_recipe(recipe("evaluate.split=last_out", 'pipeline.fallback=["popular"]', model="ease"), data=data)
    split = last_out(data)
    stages = [retrieve(find(name)().fit(split.train).lower(), name=name) for name in ("ease", "popular")]
    direct = evaluate(first_of(*stages), split, ["recall@2"])
    assert np.array_equal(found.main.of("recall@2"), direct.of("recall@2"))


def test_the_split_suits_the_time(world: World) -> None:
    timed, untimed = world.dataset(), checkerboard()
    assert splits_of(recipe().evaluate, timed, 0)[0].name == "last_out"
    expected = "per_user" if untimed.schema.time_kind == "none" else "last_out"
    assert splits_of(recipe().evaluate, untimed, 0)[0].name == expected


def test_the_seed_of_the_run_is_that_of_the_split_unless_it_has_its_own() -> None:
    data = checkerboard()
    truths = {}
    for name, overrides in {
        "run": ["run.seed=5"],
        "own": ["run.seed=0", "evaluate.seed=5"],
        "other": ["run.seed=6"],
    }.items():
        found = recipe("evaluate.split=per_user", 'evaluate.compare=["popular"]', *overrides, model="popular")
        truths[name] = evaluate_recipe(found, data=data).main.questions
    assert truths["run"] == truths["own"] != truths["other"]


def test_an_option_of_another_split_is_refused() -> None:
    with pytest.raises(SerendipError, match="last_out must have no options but"):
        splits_of(recipe("evaluate.split=last_out", "evaluate.test=0.2").evaluate, checkerboard(), 0)


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"Did you mean 'recall'"):
        evaluate_recipe(read(overrides=["evaluate.metrics=['recal@2']"], model="popular"), data=checkerboard())


def test_folds_are_joined_query_by_query() -> None:
    data = checkerboard()
    asked = recipe(
        "evaluate.split=k_fold", "evaluate.folds=3", "evaluate.seed=2", 'evaluate.compare=["popular"]', model="ease"
    )
    found = evaluate_recipe(asked, data=data)
    splits = splits_of(asked.evaluate, data, 2)
    assert len(splits) == 3
    assert found.main.n == sum(len(split) for split in splits) == len(found.main.of("recall@2"))
    assert sum(bucket.truth for bucket in found.main.buckets) == sum(len(split.truth.items) for split in splits)
    assert sum(split.truth.counts.sum() for split in splits) <= len(data.events)
    assert found.main.interval("recall@2").n == found.main.n
    assert found.comparisons[0].paired.n == found.main.n


def test_joining_averages_totals_and_keeps_shared_segments() -> None:
    def one(coverage: float, values: list[float], groups: tuple[str, ...]) -> Evaluation:
        masks = {name: np.arange(len(values)) == 0 for name in groups if name != "all"}
        return Evaluation(
            name="m",
            split="k_fold 1/2",
            description="",
            questions=str(coverage),
            metrics=("recall@1", "coverage@1"),
            k=1,
            n=len(values),
            seconds=1.0,
            seed=0,
            totals={"coverage@1": coverage},
            buckets=(),
            groups=groups,
            notes=("a",),
            values={"recall@1": np.array(values)},
            segments=masks,
        )

    both = joined([one(0.2, [1.0, 0.0], ("all", "light")), one(0.4, [0.5], ("all", "light", "cold"))])
    assert both.mean("coverage@1") == pytest.approx(0.3)
    assert both.mean("recall@1") == pytest.approx(0.5)
    assert both.groups == ("all", "light")
    assert both.mean("recall@1", "light") == pytest.approx(0.75)
    assert both.n == 3
    assert both.notes[0] == "a"


def test_models_of_one_name_are_told_apart_by_their_options() -> None:
    found = named(Choice("ials", {"factors": 8}), [Choice("popular"), Choice("ials"), Choice("popular")])
    assert found == {
        "ials (factors=8)": Choice("ials", {"factors": 8}),
        "popular": Choice("popular"),
        "ials": Choice("ials"),
    }


def test_the_result_is_plain(world: World, shop: Path) -> None:
    import json

    found = evaluate_recipe(recipe("evaluate.compare=['popular']", model="ease"), data=world.dataset())
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["split"] == "last_out"
    assert list(plain["models"]) == ["ease", "popular"]
    assert plain["comparisons"][0]["metric"] == "recall@2"
    assert Evaluation.from_dict(plain["models"]["ease"]).mean("recall@2") == found.main.mean("recall@2")


def test_what_is_looked_at_and_bought_then_counts_where_repeats_do() -> None:
    done = [(1, 0, "view"), (1, 1, "buy"), (2, 2, "view"), (2, 3, "buy")]  # item, when, how
    rows = [(user, *what) for user in (1, 2) for what in done]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "event_type"], orient="row")
    data = Dataset.from_frames(log, target=["buy"], time_kind="rank")
    with pytest.raises(SerendipError, match=r"did not have before\. Got none .* or repeats = true"):
        splits_of(recipe().evaluate, data, 0)
    (split,) = splits_of(recipe("evaluate.repeats=true").evaluate, data, 0)
    assert split.queries().exclude is None
    assert split.train.item_ids.decode(split.truth.items).to_list() == [2, 2]
    with pytest.raises(SerendipError, match="cold_items must have no options but"):
        splits_of(recipe("evaluate.repeats=true", "evaluate.split=cold_items").evaluate, data, 0)
