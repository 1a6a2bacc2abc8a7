from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from serendip.scorers import Biases, RatingFactors, dump, restore
from serendip.types import ABSENT, Predictor, Queries, Scorer, SerendipError

INF = -np.inf
NAN = np.nan
COMMON: dict[str, Any] = {
    "mean": 3.0,
    "user_bias": np.array([0.5, NAN, -1], np.float32),
    "item_bias": np.array([0, NAN, 1, -0.5, 2], np.float32),
    "low": 1.0,
    "high": 5.0,
}
USERS = np.array([[1, 0], [7, 7], [0.5, -1]], np.float32)
ITEMS = np.array([[1, 2], [7, 7], [0, 1], [-1, 0], [2, 2]], np.float32)


def biases(**changes: Any) -> Biases:
    return Biases(**{**COMMON, **changes})


def factors(**changes: Any) -> RatingFactors:
    return RatingFactors(**{**COMMON, "users": USERS, "items": ITEMS, **changes})


SAMPLES: list[Any] = [biases(), factors(), factors(biased=False)]


def codes(*values: int) -> Any:
    return np.array(values, np.int32)


def test_deviations_by_hand() -> None:
    # 3 + .5 + 1; 3 + .5 + 2 is cut at 5; 3 − 1 − .5; an unknown user: 3 + 2; an unknown item: 3 − 1; neither: 3.
    found = biases().predict(codes(0, 0, 2, 1, 2, ABSENT), codes(2, 4, 3, 4, 1, 99))
    np.testing.assert_allclose(found, [4.5, 5, 1.5, 5, 2, 3])
    scores = biases().score(Queries.of([[], []], users=[0, ABSENT]))
    np.testing.assert_allclose(scores, [[3.5, 3.5, 4.5, 3, 5], [3, 3, 4, 2.5, 5]])


def test_factors_by_hand() -> None:
    # 3 + .5 + 0 + 1·1; 3 − 1 + 1 − 1; unknown sides take no product.
    found = factors().predict(codes(0, 2, 1, 0, ABSENT), codes(0, 2, 2, 1, -5))
    np.testing.assert_allclose(found, [4.5, 2, 4, 3.5, 3])
    alone = factors(biased=False).predict(codes(0, 0, 0, 1), codes(0, 4, 1, 2))
    np.testing.assert_allclose(alone, [1, 2, 3.5, 4])
    scores = factors().score(Queries.of([[], [0]], users=[2, 1]))
    np.testing.assert_allclose(scores, [[1, INF, 2, 1, 3], [INF] * 5])


@pytest.mark.parametrize("scorer", SAMPLES)
def test_blocks_change_nothing(scorer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(scorer, Scorer)
    assert isinstance(scorer, Predictor)
    users, items = np.random.default_rng(0).integers(-2, 7, (2, 50)).astype(np.int32)
    queries = Queries.of([[]] * 5, users=[0, 1, 2, ABSENT, 9])
    whole, scores = scorer.predict(users, items), scorer.score(queries)
    for module in ("common", "ratings"):
        monkeypatch.setattr(f"serendip.scorers.{module}.BLOCK", 1, raising=False)
    np.testing.assert_array_equal(scorer.predict(users, items), whole)
    np.testing.assert_array_equal(scorer.score(queries), scores)
    chosen = codes(3, ABSENT, 0, 77)
    expected = np.stack([scores[:, 3], [INF] * 5, scores[:, 0], [INF] * 5], axis=1)
    np.testing.assert_array_equal(scorer.score(queries, chosen), expected)


@pytest.mark.parametrize("scorer", SAMPLES)
def test_restore_is_the_inverse_of_dump(scorer: Any) -> None:
    tensors, header = dump(scorer)
    again = restore(tensors, json.loads(json.dumps(header)))
    assert type(again) is type(scorer)
    users, items = np.random.default_rng(0).integers(-2, 7, (2, 50)).astype(np.int32)
    np.testing.assert_array_equal(again.predict(users, items), scorer.predict(users, items))


def test_an_empty_vocabulary_is_answered() -> None:
    nothing = np.empty(0, np.float32)
    for scorer in (
        biases(user_bias=nothing, item_bias=nothing),
        factors(user_bias=nothing, item_bias=nothing, users=USERS[:0], items=ITEMS[:0]),
    ):
        assert scorer.score(Queries.of([[]])).shape == (1, 0)
        np.testing.assert_array_equal(scorer.predict(codes(0), codes(0)), [3])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"mean": 6.0}, "mean must lie in low … high"),
        ({"low": float("nan")}, "mean must lie in low … high"),
        ({"item_bias": np.full(5, np.inf, np.float32)}, "user_bias and item_bias must be finite, or NaN"),
        ({"user_bias": np.zeros((3, 1), np.float32)}, "user_bias and item_bias must be vectors"),
        ({"users": USERS[:2]}, "users must have one row per bias"),
        ({"items": np.full((5, 2), np.inf, np.float32)}, "known items must have finite factors"),
        ({"items": ITEMS[:, :1]}, "users and items must have as many factors"),
    ],
)
def test_unsound_scorers_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SerendipError, match=f"the scorer 'rating_factors' is not sound: {text}"):
        factors(**changes)
