"""What is popular in groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.scorers import GroupedScores, dump, restore
from serendip.scorers.feeds import Feed
from serendip.types import ABSENT, Queries, SerendipError

COUNTS = np.array([[3, 1, 0], [1, 3, 0], [4, 0, 0]], np.float32)


def sample(**changes: Any) -> GroupedScores:
    """Of 8 events of 3 items, by two groups of one feature, and by one value of another."""
    parts: dict[str, Any] = {
        "scores": np.array([4, 4, 0], np.float32),
        "counts": csr_array(COUNTS),
        "feeds": (Feed("country", "feature", 0, 2), Feed("device", "feature", 2, 1)),
        "shrink": 4.0,
    }
    return GroupedScores(**{**parts, **changes})


def asked(country: list[int], device: list[list[int]] | None = None) -> Queries:
    queries = Queries.of([[]] * len(country))
    features: dict[str, Any] = {"country": np.array(country, np.int32)}
    if device is not None:
        features["device"] = np.array(device, np.int32)
    return replace(queries, features=features)


def test_a_group_counts_against_all_by_hand() -> None:
    # Item 0 has a share of 1/2: (3 / ½ + 4) / (4 + 4) = 1.25 of 4; item 1: (1 / ½ + 4) / 8 = 0.75 of 4.
    scorer = restore(*dump(sample()))
    expected = [[5, 3, 0], [3, 5, 0], [4, 4, 0], [4, 4, 0]]
    np.testing.assert_allclose(scorer.score(asked([0, 1, ABSENT, 7])), expected, rtol=1e-6)
    # The device: (4 / ½ + 4) / 8 = 1.5 and (0 + 4) / 8 = 0.5, beside the country.
    both = scorer.score(asked([0, ABSENT], [[0, ABSENT], [ABSENT, ABSENT]]))
    np.testing.assert_allclose(both, [[7.5, 1.5, 0], [4, 4, 0]], rtol=1e-6)
    np.testing.assert_allclose(scorer.score(asked([0]), np.array([1, ABSENT], np.int32)), [[3, -np.inf]])


def test_a_small_group_is_like_all() -> None:
    strong = sample(shrink=1e6).score(asked([0, 1]))
    np.testing.assert_allclose(strong, [[4, 4, 0]] * 2, rtol=1e-4)
    assert sample(shrink=0.0).score(asked([0]))[0, 0] > 5
    assert sample().score(Queries.of([])).shape == (0, 3)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scores": np.array([np.nan, 1, 1], np.float32)}, "scores must be 0 or more"),
        ({"counts": csr_array(-COUNTS)}, "counts must be 0 or more"),
        ({"counts": csr_array(COUNTS[:2])}, r"counts must be \[s, n\]"),
        ({"feeds": ()}, "features that are codes"),
        ({"shrink": -1.0}, "shrink must be 0 or more"),
    ],
)
def test_what_is_not_sound_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SerendipError, match=said):
        sample(**changes)
