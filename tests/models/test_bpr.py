from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.checks.cases import NOTHING, odd_log
from serendip.data.dataset import Dataset
from serendip.data.synthetic import checkerboard, planted_factors
from serendip.evaluate import evaluate, last_out
from serendip.kernels.strata import block_count
from serendip.model import Model, Run, find
from serendip.models.bpr import BPR
from serendip.types import Queries, SerendipError

EVERY = ["bpr", "warp"]


def planted(items: int = 120) -> Any:
    return planted_factors(users=400, items=items, dims=4, events=40, sharpness=3)


@pytest.mark.parametrize(
    "options", [{}, {"optimizer": "adagrad"}, {"schedule": "constant"}, {"item_bias": True}], ids=str
)
def test_the_planted_order_is_recovered(options: dict[str, Any]) -> None:
    world = planted()
    scores = BPR(factors=8, **options).fit(world.data).score(world.data.queries())
    unseen = world.data.matrix().toarray() == 0
    better = [
        np.corrcoef(row[free], truth[free])[0, 1] for row, truth, free in zip(scores, world.scores, unseen, strict=True)
    ]
    assert np.median(better) > 0.5


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("make", ["planted_factors", "checkerboard"])
def test_lists_are_better_than_popularity(name: str, make: str) -> None:
    split = last_out(planted().data if make == "planted_factors" else checkerboard())
    scores = [
        evaluate(find(model)().fit(split.train, Run(seed=1)), split, ("ndcg@10",)).mean("ndcg@10")
        for model in (name, "popular")
    ]
    assert scores[0] > 1.2 * scores[1]


@pytest.mark.parametrize("name", EVERY)
def test_any_number_of_threads_gives_the_same_to_the_last_bit(name: str) -> None:
    data = planted(items=1100).data
    assert block_count(data.n_items, 4 * 6) > 1
    one, three = (find(name)(factors=6, epochs=3).fit(data, Run(seed=5, threads=threads)).lower() for threads in (1, 3))
    for table in ("items", "history"):
        np.testing.assert_array_equal(getattr(one, table), getattr(three, table))


@pytest.mark.parametrize("name", EVERY)
def test_seeds_and_progress(name: str) -> None:
    seen: list[tuple[int, int]] = []
    data = checkerboard()
    kind: type[Model] = find(name)
    first = kind(epochs=3).fit(data, Run(seed=1, progress=lambda done, total: seen.append((done, total)))).lower()
    assert seen == [(1, 3), (2, 3), (3, 3)]
    other = kind(epochs=3).fit(data, Run(seed=2)).lower()
    assert not np.array_equal(first.score(data.queries()), other.score(data.queries()))


@pytest.mark.parametrize("name", EVERY)
def test_the_answer_follows_new_events_of_new_users(name: str) -> None:
    # 200 users with 5 of the 20 items of their side each.
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(20)[:5] * 2 + user % 2 for user in range(200)])
    data = Dataset.from_frames(pl.DataFrame({"user_id": np.repeat(np.arange(200), 5), "item_id": items}))
    even, odd = find(name)(factors=4).fit(data, Run(threads=1)).score(Queries.of([[0, 2, 4], [1, 3, 5]]))
    assert (even[6::2, None] > even[None, 7::2]).mean() > 0.9
    assert (odd[7::2, None] > odd[None, 6::2]).mean() > 0.9


@pytest.mark.parametrize("name", EVERY)
def test_more_factors_than_items_or_users(name: str) -> None:
    scores = find(name)(factors=100).fit(odd_log()).score(Queries.of([[0]]))
    assert np.isfinite(scores[0, : NOTHING - 1]).all()
    assert scores[0, NOTHING] == -np.inf


@pytest.mark.parametrize("name", EVERY)
def test_one_user_who_has_the_whole_catalogue(name: str) -> None:
    data = Dataset.from_frames(pl.DataFrame({"user_id": [1, 1, 1], "item_id": [1, 2, 3]}), part=True)
    scores = find(name)(factors=3).fit(data, Run(threads=1)).score(data.queries())
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", EVERY)
def test_a_pair_counts_once_whatever_it_weighs(name: str) -> None:
    log = pl.DataFrame({"user_id": [0, 0, 1, 1, 2, 2], "item_id": [0, 1, 1, 2, 2, 3]})
    plain = Dataset.from_frames(log)
    often = Dataset.from_frames(pl.concat([log, log[:1], log[:1]]))
    weighed = Dataset.from_frames(log.with_columns(weight=pl.Series([5.0, 1, 1, 1, 2, 1])))
    asked = plain.queries()
    first, *others = (find(name)(factors=2).fit(data, Run(threads=1)).score(asked) for data in (plain, often, weighed))
    for other in others:
        np.testing.assert_array_equal(first, other)


def test_popular_negatives_hold_popular_items_back() -> None:
    rng = np.random.default_rng(0)
    share = 1 / np.arange(1, 61)
    items = np.concatenate([rng.choice(60, 6, replace=False, p=share / share.sum()) for _ in range(300)])
    data = Dataset.from_frames(pl.DataFrame({"user_id": np.repeat(np.arange(300), 6), "item_id": items}))
    count = np.asarray(data.matrix().sum(axis=0)).ravel()
    slopes = []
    for negatives in ("uniform", "popularity"):
        scores = BPR(factors=2, item_bias=True, negatives=negatives).fit(data, Run(threads=1)).score(data.queries())
        slopes.append(np.polyfit(np.log(count), scores.mean(axis=0), 1)[0])
    assert slopes[0] > 0.1
    assert slopes[1] < slopes[0] / 2


@pytest.mark.parametrize("name", EVERY)
def test_without_a_bias_there_is_none(name: str) -> None:
    # The vectors begin so near to 0 that one epoch leaves them there: only a bias tells popular items from others.
    log = pl.DataFrame({"user_id": [*range(50), 50, 51], "item_id": [*([0] * 50), 1, 2]})
    data = Dataset.from_frames(log)
    gaps = []
    for biased in (True, False):
        model = find(name)(factors=1, epochs=1, stddev=1e-6, item_bias=biased).fit(data, Run(threads=1))
        scores = model.score(Queries.of([[2]]))[0]
        gaps.append(float(scores[0] - scores[1]))
    assert gaps[0] > 0.3
    assert abs(gaps[1]) < 1e-3


@pytest.mark.parametrize(
    ("name", "options"), [("bpr", {"learning_rate": 1e6}), ("warp", {"learning_rate": 1e30})], ids=str
)
def test_steps_that_run_away_are_refused(name: str, options: dict[str, Any]) -> None:
    expected = rf"{name}: learning_rate must be small enough .* Got 1e\+\d\d, with which .* Try a tenth of it\."
    with pytest.raises(SerendipError, match=expected):
        find(name)(reg=1.0, **options).fit(checkerboard(), Run(threads=1))


def test_options_out_of_bounds_are_refused() -> None:
    with pytest.raises(SerendipError, match=r"bpr: negatives must be popularity \| uniform. Got 'hard' instead"):
        BPR(negatives="hard")
    with pytest.raises(SerendipError, match=r"warp: max_sampled must be int ≥ 1, ≤ 10000. Got 0 instead"):
        find("warp")(max_sampled=0)
