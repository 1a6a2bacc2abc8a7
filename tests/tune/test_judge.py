from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.synthetic import planted_factors
from serendip.evaluate import at_random, evaluate, evaluate_ratings, evaluate_rows, last_out
from serendip.model import find
from serendip.tune import judge, tune
from serendip.tune.judge import RankJudge, behind, by_rows, judge_of
from serendip.tune.search import metric_of
from serendip.types import SerendipError
from tests.recipe.toys import Odds
from tests.tune.toys import Planted, log


def test_behind_is_below_the_median_or_above_it_where_lower_is_better() -> None:
    others = [1.0, 2.0, 3.0, 4.0, 10.0]
    assert behind(2.9, others, False, 5) and not behind(3.0, others, False, 5)
    assert behind(3.1, others, True, 5) and not behind(3.0, others, True, 5)
    assert not behind(0.0, others, False, 6)


def test_looks_take_ever_more_queries_and_end_with_the_figure_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "FIRST", 5)
    split = last_out(log())
    scorer = Planted(how="well").fit(split.train).lower()
    found = judge_of("ndcg@5", split, Planted(), seed=3, threads=1)
    assert found.sizes == (8, 32, 120)
    looks = list(found.looks(scorer))
    order = np.random.default_rng(3).permutation(120)
    values = evaluate(scorer, split, ("ndcg@5",)).of("ndcg@5")
    assert looks == pytest.approx([values[order[:size]].mean() for size in found.sizes], rel=1e-12)


def test_sizes_grow_with_the_number_of_queries() -> None:
    split = last_out(log())
    sizes = {q: RankJudge("ndcg@5", split, np.arange(q), 1).sizes for q in (1, 2047, 2048, 8191, 8192, 160_000)}
    assert sizes[1] == (1,) and sizes[2047] == (2047,)
    assert sizes[2048] == (1024, 2048) and sizes[8191] == (1024, 8191) and sizes[8192] == (1024, 4096, 8192)
    assert sizes[160_000] == (10_000, 40_000, 160_000)


def test_a_query_without_a_figure_counts_for_nothing() -> None:
    split = last_out(log())
    scorer = Planted(how="well").fit(split.train).lower()
    found = judge_of("auc", split, Planted(), seed=0, threads=1)
    values = evaluate(scorer, split, ("auc",)).of("auc")
    assert list(found.looks(scorer))[-1] == pytest.approx(np.nanmean(values))


def test_ratings_are_judged_at_once_by_their_error() -> None:
    split = at_random(planted_factors().data, 0.1)
    scorer = find("baseline")().fit(split.train).lower()
    for metric in ("rmse", "mae"):
        found = judge_of(metric, split, find("baseline")(), seed=0, threads=1)
        assert found.minimise and found.sizes == (len(split.test),)
        assert list(found.looks(scorer)) == [evaluate_ratings(scorer, split).figure(metric)]


def meals() -> Dataset:
    """Eight dishes, the better liked the higher their number; also how much salt is in them."""
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(60), 8), rng.integers(0, 8, 480)
    liked = (rng.random(480) < 0.1 + 0.1 * item).astype(int)
    frame = pl.DataFrame({"user_id": user, "item_id": item, "liked": liked, "salt": item / 2 + rng.random(480)})
    return Dataset.from_frames(frame, labels={"liked": "binary", "salt": "rating"})


def test_models_of_labels_are_judged_event_by_event() -> None:
    split = at_random(meals(), repeats=True)
    model = Odds(label="liked", boldness=2.0)
    scorer = model.fit(split.train).lower()
    expected = evaluate_rows(model, split, ("auc", "gauc", "logloss"))["liked"]
    for metric, minimise in (("auc", False), ("gauc", False), ("logloss", True)):
        found = judge_of(metric, split, model, seed=0, threads=1)
        assert found.minimise == minimise and found.sizes == (len(split.test),)
        assert list(found.looks(scorer)) == [expected.figure(metric)]
    assert by_rows("rmse", Odds(label="salt")) and not by_rows("rmse", find("baseline")())
    assert not by_rows("auc", Planted())


def test_of_several_labels_it_is_the_mean_of_those_that_have_the_figure() -> None:
    split = at_random(meals(), repeats=True)
    model = find("shared_bottom")(factors=4, hidden=8, epochs=1, length=4).fit(split.train)
    own = evaluate_rows(model, split, ("rmse", "auc"))
    for metric, label in (("rmse", "salt"), ("auc", "liked")):
        found = judge_of(metric, split, model, seed=0, threads=1)
        assert list(found.looks(model.lower())) == [own[label].figure(metric)]


def test_a_search_over_a_model_of_a_label_finds_the_right_odds() -> None:
    data = meals()
    space = {"boldness": {"low": 0.2, "high": 8.0, "log": True}}
    found = tune(Odds, data, options={"label": "liked", "boldness": 8.0}, space=space, metric="logloss", trials=8)
    assert found.minimise and 0.5 < found.options["boldness"] < 2
    assert "Judged by logloss" in found.rule and found.value < (found.start or 0)


def test_what_is_chosen_by_where_nothing_is_said() -> None:
    data = meals()
    assert metric_of(Odds(label="liked"), data) == "auc" and metric_of(Odds(label="salt"), data) == "rmse"
    assert metric_of(find("mmoe")(), data) == "auc" and metric_of(Planted(), data) == "ndcg@10"
    assert metric_of(find("mmoe")(), log()) == "ndcg@10"


def test_figures_of_labels_need_a_model_that_learns_some() -> None:
    with pytest.raises(SerendipError, match=r"logloss judges what a model foretells of labels, and this one learns"):
        judge_of("logloss", last_out(log()), Planted(), seed=0, threads=1)
