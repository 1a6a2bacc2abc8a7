from __future__ import annotations

import numpy as np
import pytest

from serendip.data.synthetic import planted_factors
from serendip.evaluate import at_random, evaluate, evaluate_ratings, last_out
from serendip.model import find
from serendip.tune import judge
from serendip.tune.judge import RankJudge, behind, judge_of
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
    found = judge_of("ndcg@5", split, ratings=False, seed=3, threads=1)
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
    found = judge_of("auc", split, ratings=False, seed=0, threads=1)
    values = evaluate(scorer, split, ("auc",)).of("auc")
    assert list(found.looks(scorer))[-1] == pytest.approx(np.nanmean(values))


def test_ratings_are_judged_at_once_by_their_error() -> None:
    split = at_random(planted_factors().data, 0.1)
    scorer = find("baseline")().fit(split.train).lower()
    for metric in ("rmse", "mae"):
        found = judge_of(metric, split, ratings=True, seed=0, threads=1)
        assert found.minimise and found.sizes == (len(split.test),)
        assert list(found.looks(scorer)) == [evaluate_ratings(scorer, split).figure(metric)]
