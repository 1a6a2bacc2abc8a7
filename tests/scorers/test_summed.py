from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serendip.scorers import Summed, dump, restore
from serendip.types import ABSENT, Queries, SerendipError

NAN, INF = np.nan, np.inf


def floats(values: Any) -> Any:
    return np.array(values, np.float32)


def sample(**changes: Any) -> Summed:
    """Items 0 to 2, of which nothing is known of 1; of users 0 and 1 only 0 is known by more than a history."""
    parts: dict[str, Any] = {
        "items": floats([[1, 0, 0.5], [NAN] * 3, [2, 1, -1]]),
        "history": floats([[1, 2], [NAN] * 2, [3, 0]]),
        "users": floats([[10, 20], [NAN] * 2]),
        "power": 1.0,
    }
    return Summed(**{**parts, **changes})


def test_user_history_and_bias_add_up_by_hand() -> None:
    # The mean of y_0 and y_2 is (2, 1); user 0 adds (10, 20). Scores are z·v and the bias.
    queries = Queries.of([[0, 2], [0, 2], [], [], [1]], users=[ABSENT, 0, 0, 1, ABSENT])
    expected = [[2.5, -INF, 4], [12.5, -INF, 44], [10.5, -INF, 39], [-INF] * 3, [-INF] * 3]
    np.testing.assert_allclose(sample().score(queries), floats(expected))


def test_only_the_distinct_known_items_of_a_history_count() -> None:
    plain = Queries.of([[0, 2]])
    strange = Queries.of([[0, ABSENT, 1, 0, 7, 2, -5, 2]])
    np.testing.assert_array_equal(sample().query_vectors(plain), sample().query_vectors(strange))


@pytest.mark.parametrize(("power", "first"), [(0.0, 4.0), (0.5, 4 / 2**0.5), (1.0, 2.0)])
def test_the_power_is_between_sum_and_mean(power: float, first: float) -> None:
    assert sample(power=power).query_vectors(Queries.of([[0, 2]]))[0, 0] == pytest.approx(first)


def test_chosen_items_score_as_among_all() -> None:
    queries = Queries.of([[0], [2]], users=[0, 1])
    full = sample().score(queries)
    items = np.array([[2, 5, 0], [ABSENT, 1, 2]], np.int32)
    expected = floats([[full[0, 2], -INF, full[0, 0]], [-INF, -INF, full[1, 2]]])
    np.testing.assert_allclose(sample().score(queries, items), expected)


def test_similar_items_leave_biases_out() -> None:
    recs = sample().similar_items(np.array([0, 1, 9], np.int32), 2)
    np.testing.assert_array_equal(recs.items, [[2, ABSENT], [ABSENT] * 2, [ABSENT] * 2])
    assert recs.scores[0, 0] == pytest.approx(2 / 5**0.5)


def test_it_survives_a_dump() -> None:
    queries = Queries.of([[0, 2], []], users=[0, 1])
    np.testing.assert_array_equal(restore(*dump(sample())).score(queries), sample().score(queries))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"items": floats([[1], [2], [3]])}, r"items must be \[n, d \+ 1\]"),
        ({"history": floats([[1, 2]])}, r"history must be \[n, d\]"),
        ({"users": floats([[1, 2, 3]])}, r"users must be \[m, d\]"),
        ({"items": floats([[1, 0, NAN], [NAN] * 3, [2, 1, -1]])}, "a row of items must be finite, or all NaN"),
        ({"users": floats([[INF, 2]])}, "a row of users must be finite, or all NaN"),
        ({"history": floats([[1, 2], [1, 1], [3, 0]])}, "history must be NaN in the rows in which items is"),
        ({"power": 1.5}, "power must be in 0 … 1"),
    ],
)
def test_what_is_not_sound_is_refused(changes: dict[str, Any], what: str) -> None:
    with pytest.raises(SerendipError, match=what):
        sample(**changes)
