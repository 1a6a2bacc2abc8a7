"""People as sums over what they took up: numbers worked by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serendip.scorers import GraphLayers, NeighbourSums
from serendip.types import Queries, SerendipError

NAN = [np.nan, np.nan]


def floats(values: Any) -> np.ndarray:
    return np.array(values, np.float32)


def sums(**changes: Any) -> NeighbourSums:
    parts = {
        "own": floats([[1, 0], [0, 0]]),
        "left": floats([[2, 0], [0, 4], NAN]),
        "right": floats([[1, 1], [0, 2], NAN]),
        "bias": floats([0, 0, 0]),
    }
    return NeighbourSums(**{**parts, **changes})


def test_neighbour_sums_by_hand() -> None:
    # user 0 with items 0 and 1: (1, 0) + ((2, 0) + (0, 4)) / √2 = (2.414214, 2.828427)
    queries = Queries.of([[0, 1], [0, 1], [1]], users=[0, -1, 5])
    scores = sums().score(queries)
    root = 2**0.5
    expected = [[2.414214 + 2.828427, 2 * 2.828427], [root + 2 * root, 4 * root], [4, 8]]
    np.testing.assert_allclose(scores[:, :2], expected, rtol=1e-6)
    assert np.isneginf(scores[:, 2]).all()


def test_scaled_vectors_and_bias_by_hand() -> None:
    # user 0 with item 1: (1, 0) + (0, 4), at length 1 (1, 4)/√17, so 5/√17 + ½ and 8/√17 − 1
    scorer = sums(scaled=True, bias=floats([0.5, -1, 0]))
    found = scorer.score(Queries.of([[1]], users=[0]))
    np.testing.assert_allclose(found[0, :2], [5 / 17**0.5 + 0.5, 8 / 17**0.5 - 1], rtol=1e-6)
    # the layers of the case below have the length √(1 + 4 + 1)
    layered = layers(scaled=True, bias=floats([0.5, -1, 0])).score(Queries.of([[1]], users=[0]))
    np.testing.assert_allclose(layered[0, :2], [1 / 6**0.5 + 0.5, 3 / 60**0.5 - 1], rtol=1e-6)


def test_who_has_neither_history_nor_vector_has_no_scores() -> None:
    queries = Queries.of([[], [], [2], [9]], users=[0, 1, -1, -1])
    scores = sums().score(queries)
    np.testing.assert_allclose(scores[0, :2], [1, 0])
    assert np.isneginf(scores[1:]).all()


def test_a_repeated_item_counts_once() -> None:
    both = sums().score(Queries.of([[0, 0, 1], [0, 1]]))
    np.testing.assert_allclose(both[0], both[1])


def layers(**changes: Any) -> GraphLayers:
    parts = {
        "own": floats([[1, 2], [0, 0]]),
        "left": floats([[[1, 0], [0, 1], NAN]]),
        "right": floats([[1, 0, 0, 0], [0, 0, 1, 0], [np.nan] * 4]),
        "sums": floats([[[1, 0], [0, 1]]]),
        "products": floats([[[0, 1], [0, 0]]]),
        "shifts": floats([[0, -8]]),
        "bias": floats([0, 0, 0]),
    }
    return GraphLayers(**{**parts, **changes})


def test_graph_layers_by_hand() -> None:
    # one item: s = (0, 1); A(u + s) = (1, 3); B(s ⊙ u) = B(0, 2) = (2, 0); c = (0, −8):
    # (3, −5) → LeakyReLU (3, −1) → length √10
    found = layers().query_vectors(Queries.of([[1]], users=[0]))
    np.testing.assert_allclose(found, [[1, 2, 3 / 10**0.5, -1 / 10**0.5, 1]], rtol=1e-6)
    scores = layers().score(Queries.of([[1]], users=[0]))
    np.testing.assert_allclose(scores[0, :2], [1, 3 / 10**0.5], rtol=1e-6)
    assert np.isneginf(scores[0, 2])


def test_graph_layers_know_nothing_of_nobody() -> None:
    scores = layers().score(Queries.of([[], [2], []], users=[1, -1, 7]))
    assert np.isneginf(scores).all()


@pytest.mark.parametrize(
    ("make", "changes", "why"),
    [
        (sums, {"own": np.zeros((1, 3), np.float32)}, r"own must be \[users, 2\]"),
        (sums, {"left": np.zeros((3, 3), np.float32)}, "left and right must have one shape"),
        (sums, {"left": np.zeros((3, 2), np.float32)}, "finite, or all NaN in both"),
        (sums, {"own": floats([NAN])}, "own must be finite"),
        (layers, {"left": np.zeros((3, 2), np.float32)}, r"left must be \[L, n, d\]"),
        (layers, {"right": np.zeros((3, 2), np.float32)}, r"right must be \[3, 4\]"),
        (layers, {"shifts": np.zeros((2, 2), np.float32)}, r"shifts must be \[1, 2\]"),
        (layers, {"bias": np.zeros(2, np.float32)}, r"bias must be \[3\]"),
        (sums, {"bias": np.zeros(2, np.float32)}, r"bias must be \[n\]"),
        (sums, {"bias": floats([0, np.inf, 0])}, "bias must be finite"),
        (layers, {"own": floats([NAN])}, "what is known must be finite"),
        (layers, {"left": np.zeros((1, 3, 2), np.float32)}, "NaN for one item"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, changes: dict[str, Any], why: str) -> None:
    with pytest.raises(SerendipError, match=why):
        make(**changes)
