from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.scorers import UserNeighbours, dump, restore
from serendip.types import Queries, SerendipError


def scorer(**changes: Any) -> UserNeighbours:
    rows = csr_array(np.array([[1, 1, 0], [1, 0, 1], [0, 0, 1]], np.float32))
    return UserNeighbours(**({"rows": rows, "emphasis": np.array([1, 2, 1], np.float32), "neighbours": 2} | changes))


def test_emphasis_counts_twice_by_hand() -> None:
    # History 1: only user 0 has it; 2·2 / (2 · √5). History 0: 1/√5 with user 0, 1/√2 with user 1.
    scores = scorer().score(Queries.of([[1], [0], []]))
    a, b, none = 1 / np.sqrt(5), 1 / np.sqrt(2), -np.inf
    np.testing.assert_allclose(scores, [[2 * a, 2 * a, none], [a + b, a, b], [none] * 3], rtol=1e-6)


def test_nobody_is_their_own_neighbour() -> None:
    scores = scorer().score(Queries.of([[1]], users=[0]))
    assert np.isneginf(scores).all()


def test_it_survives_a_dump() -> None:
    tensors, header = dump(scorer(similarity="dice", shrink=0.5))
    again = restore(tensors, json.loads(json.dumps(header)))
    queries = Queries.of([[0, 1], [2]])
    np.testing.assert_array_equal(again.score(queries), scorer(similarity="dice", shrink=0.5).score(queries))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"emphasis": np.ones(2, np.float32)}, r"emphasis must be \[n\]"),
        ({"emphasis": np.array([1, -1, 0], np.float32)}, "emphasis must be 0 or more"),
        ({"rows": csr_array(np.array([[-1, 0, 0]], np.float32))}, "rows must hold values above 0"),
        ({"neighbours": 0}, "neighbours must be above 0"),
        ({"alpha": 1.5}, "alpha must be in 0 … 1"),
        ({"shrink": -1.0}, "shrink must be 0 or more"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SerendipError, match=f"the scorer 'user_neighbours' is not sound: {text}"):
        scorer(**changes)
