from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from serendip.scorers import PosteriorFactors, dump, restore
from serendip.types import ABSENT, Predictor, Queries, Scorer, SerendipError

DAY = 86_400
DRAWS, USERS, ITEMS, DAYS, D = 4, 3, 5, 2, 2


def sample(ordered: bool = False, **changes: Any) -> PosteriorFactors:
    rng = np.random.default_rng(0)
    content: dict[str, Any] = {
        "mean": 3.0,
        "user_bias": np.array([0.5, np.nan, -1], np.float32),
        "item_bias": np.array([0, np.nan, 1, -0.5, 2], np.float32),
        "low": 1.0,
        "high": 4.0,
        "users": rng.normal(0, 0.5, (DRAWS, USERS + 1, D + 1)).astype(np.float32),
        "items": rng.normal(0, 0.5, (DRAWS, ITEMS + 1, D + 1)).astype(np.float32),
        "dates": rng.normal(0, 0.5, (DRAWS, DAYS + 1, D + 1)).astype(np.float32),
        "days": np.array([100, 103]),
        "offset": rng.normal(0, 0.1, DRAWS).astype(np.float32),
        "cuts": np.sort(rng.normal(0, 1, (DRAWS, 2)), axis=1).astype(np.float32)[:, : 2 if ordered else 0],
        "levels": np.array([1, 3, 4], np.float32)[: 3 if ordered else 0],
        "centre": 3.0,
        "scale": 0.8,
    }
    return PosteriorFactors(**{**content, **changes})


def one_by_one(scorer: PosteriorFactors, user: int, item: int, day: int) -> float:
    """The equation, draw by draw."""
    total = 0.0
    for s in range(DRAWS):
        (cu, *qu), (ci, *qi), (ct, *qt) = scorer.users[s, user], scorer.items[s, item], scorer.dates[s, day]
        eta = scorer.offset[s] + cu + ci + ct + np.dot(qu, qi) + np.dot(qu, qt) + np.dot(qi, qt)
        if len(scorer.levels):
            below = norm.cdf(np.concatenate([[-np.inf], scorer.cuts[s], [np.inf]]) - eta)
            total += float(np.diff(below) @ scorer.levels)
        else:
            total += 3.0 + 0.8 * float(eta)
    return min(max(total / DRAWS, 1.0), 4.0)


def test_one_draw_by_hand() -> None:
    # η = .1 + .2 + .3 + 0 + (1·2) = 2.6; 3 + .5·2.6 = 4.3, cut at 4. With one cut at 2.6: ½·1 + ½·4.
    tables = [np.array([[[0.2, 1]], [[0.3, 2]], [[0, 0]]], np.float32)[[i]] for i in range(3)]
    u, i, t = (np.concatenate([table, table], axis=1) for table in tables)
    common = {
        "user_bias": np.zeros(1, np.float32),
        "item_bias": np.zeros(1, np.float32),
        "users": u,
        "items": i,
        "dates": t[:, :1],
        "days": np.empty(0, np.int64),
        "offset": np.full(1, 0.1, np.float32),
    }
    zero = np.zeros(1, np.int32)
    plain = sample(**common, cuts=np.empty((1, 0), np.float32), levels=np.empty(0, np.float32), scale=0.3)
    np.testing.assert_allclose(plain.predict(zero, zero), [3 + 0.3 * 2.6], rtol=1e-6)
    two = sample(**common, cuts=np.full((1, 1), 2.6, np.float32), levels=np.array([1, 4], np.float32))
    np.testing.assert_allclose(two.predict(zero, zero), [2.5], rtol=1e-6)


@pytest.mark.parametrize("ordered", [False, True])
def test_the_mean_over_draws(ordered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = sample(ordered)
    assert isinstance(scorer, Scorer)
    assert isinstance(scorer, Predictor)
    users, items = np.array([0, 2, 1, ABSENT, 3, 0], np.int32), np.array([0, 4, 2, 3, 77, 1], np.int32)
    time = np.array([100, 103, 101, 99, 104, 103]) * DAY + 5
    rows = [(0, 0, 0), (2, 4, 1), (1, 2, 2), (3, 3, 2), (3, 5, 2), (0, 1, 1)]
    expected = [one_by_one(scorer, *row) for row in rows]
    np.testing.assert_allclose(scorer.predict(users, items, time), expected, rtol=1e-5)
    undated = [one_by_one(scorer, user, item, 2) for user, item, _ in rows]
    np.testing.assert_allclose(scorer.predict(users, items), undated, rtol=1e-5)
    monkeypatch.setattr("serendip.scorers.posterior.BLOCK", 1)
    np.testing.assert_allclose(scorer.predict(users, items, time), expected, rtol=1e-5)


@pytest.mark.parametrize("ordered", [False, True])
def test_scores_are_predictions_at_the_time_of_asking(ordered: bool) -> None:
    scorer = sample(ordered)
    queries = Queries(
        np.array([0, 2, 1, ABSENT], np.int32), np.empty((4, 0), np.int32), time=np.array([100, 101, 100, 100]) * DAY
    )
    scores = scorer.score(queries)
    assert np.isneginf(scores[2:]).all()
    assert np.isneginf(scores[:, 1]).all()
    for row, (user, day) in enumerate([(0, 0), (2, 2)]):
        for item in (0, 2, 3, 4):
            assert scores[row, item] == pytest.approx(one_by_one(scorer, user, item, day), rel=1e-5)
    np.testing.assert_array_equal(scorer.score(queries, np.array([3, 99], np.int32))[:, 0], scores[:, 3])


@pytest.mark.parametrize("ordered", [False, True])
def test_restore_is_the_inverse_of_dump(ordered: bool) -> None:
    scorer = sample(ordered)
    tensors, header = dump(scorer)
    again = restore(tensors, json.loads(json.dumps(header)))
    users, items = np.random.default_rng(0).integers(-2, 7, (2, 50)).astype(np.int32)
    assert isinstance(again, PosteriorFactors)
    np.testing.assert_array_equal(again.predict(users, items), scorer.predict(users, items))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"users": np.zeros((DRAWS, USERS, D + 1), np.float32)}, "users, items and dates must have a row more than"),
        ({"users": np.zeros((DRAWS, USERS + 1), np.float32)}, r"users, items and dates must be \[S, rows, 1 \+ d\]"),
        ({"users": np.zeros((DRAWS, USERS + 1, 9), np.float32)}, r"all must be \[S, rows, 1 \+ d\]"),
        ({"offset": np.zeros(DRAWS + 1, np.float32)}, "all must hold the same number of draws"),
        ({"levels": np.ones(2, np.float32)}, "levels must be one more than cuts, or none"),
        ({"days": np.array([5, 5])}, "days, levels and cuts must ascend"),
        ({"offset": np.full(DRAWS, np.nan, np.float32)}, "all numbers must be finite"),
    ],
)
def test_unsound_scorers_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SerendipError, match=f"the scorer 'posterior_factors' is not sound: {text}"):
        sample(**changes)
