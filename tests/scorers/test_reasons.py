"""What the items of a history add sums to the score, and each is what an oracle says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.data.synthetic import checkerboard
from serendip.model import Run, find
from serendip.scorers import (
    DenseItemToItem,
    Factors,
    ItemToItem,
    Profiles,
    SparsePlusLowRank,
    StaticScores,
    UserNeighbours,
)
from serendip.scorers import reasons as module
from serendip.types import ABSENT, Explainer, Queries, Recs, Scorer

N = 9
EMPTY = 3


def drawn(seed: int = 0) -> Any:
    return np.random.default_rng(seed)


def sparse(density: float, seed: int, *, positive: bool = False) -> csr_array:
    values = drawn(seed).normal(0, 1, (N, N)) * (drawn(seed + 1).random((N, N)) < density)
    np.fill_diagonal(values, 0)
    return csr_array((np.abs(values) if positive else values).astype(np.float32))


def explainers() -> dict[str, Any]:
    known = np.arange(N) != 5
    vectors = drawn(3).normal(0, 1, (N, 4)).astype(np.float32)
    vectors[5] = np.nan
    left, right = (drawn(seed).normal(0, 1, (N, 3)).astype(np.float32) for seed in (4, 5))
    features = np.abs(drawn(6).normal(0, 1, (N, 6))) * (drawn(7).random((N, 6)) < 0.6)
    features[5] = 0
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = csr_array((features / np.where(length > 0, length, 1)).astype(np.float32))
    rows = csr_array((drawn(8).random((20, N)) * (drawn(9).random((20, N)) < 0.4)).astype(np.float32))
    emphasis = drawn(10).random(N).astype(np.float32)
    dense = drawn(2).normal(0, 1, (N, N)).astype(np.float32)
    return {
        "item_to_item": ItemToItem(sparse(0.5, 0), "weight", 4),
        "dense_item_to_item": DenseItemToItem(dense, known, "count"),
        "factors": Factors(vectors, 0.3, 0.2, 1.0, "weight"),
        "sparse_plus_low_rank": SparsePlusLowRank(sparse(0.4, 12), left, right, known, "weight"),
        "profiles": Profiles(unit, "weight"),
        **{
            f"user_neighbours_{kind}": UserNeighbours(rows, emphasis, 6, kind, 0.4, 0.5, "weight")
            for kind in ("cosine", "jaccard", "dice")
        },
    }


def queries(q: int = 40) -> Queries:
    """Histories with repeats, blanks, codes that do not exist and weights of 0; one is empty."""
    rng = drawn(20)
    history = rng.integers(-2, N + 2, (q, 6)).astype(np.int32)
    history[EMPTY] = ABSENT
    users = rng.permutation(q).astype(np.int32) % 20
    return Queries(users, history, {"weight": rng.integers(0, 4, (q, 6)).astype(np.float32)})


@pytest.mark.parametrize("kind", sorted(explainers()))
def test_what_all_items_add_sums_to_the_score(kind: str) -> None:
    scorer, asked = explainers()[kind], queries()
    assert isinstance(scorer, Explainer) and isinstance(scorer, Scorer)
    before = asked.history.copy()
    for target in range(N):
        items = np.full(len(asked), target, np.int32)
        recs = scorer.explain(asked, items, k=N)
        scores = scorer.score(asked, items[:, None])[:, 0]
        scored = np.isfinite(scores)
        total = np.where(recs.items != ABSENT, recs.scores, 0).sum(axis=1)
        np.testing.assert_allclose(total[scored], scores[scored], rtol=1e-4, atol=1e-5)
        assert (recs.counts[~scored] == 0).all()
        for row, count in enumerate(recs.counts):
            named = recs.items[row, :count]
            assert (recs.items[row, count:] == ABSENT).all()
            assert set(named) <= set(asked.history[row])
            assert len(set(named)) == count
            assert (np.diff(recs.scores[row, :count]) <= 0).all()
        assert recs.counts[EMPTY] == 0
    np.testing.assert_array_equal(asked.history, before)


@pytest.mark.parametrize("kind", sorted(explainers()))
def test_the_k_strongest_are_the_first_of_all_however_many_are_asked_at_once(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer, asked = explainers()[kind], queries()
    items = (np.arange(len(asked)) % N).astype(np.int32)
    every = scorer.explain(asked, items, k=N)
    assert every.counts.max() > 1
    monkeypatch.setattr(module, "BLOCK", 7)
    few = scorer.explain(asked, items, k=2)
    np.testing.assert_array_equal(few.items, every.items[:, :2])
    np.testing.assert_array_equal(few.scores, every.scores[:, :2])


@pytest.mark.parametrize("kind", sorted(explainers()))
def test_an_item_outside_the_catalogue_is_explained_by_nothing(kind: str) -> None:
    scorer, asked = explainers()[kind], queries(4)
    recs = scorer.explain(asked, np.array([ABSENT, N, 1000, 5], np.int32), k=3)
    assert recs.counts[:3].tolist() == [0, 0, 0]
    assert recs.items.shape == recs.scores.shape == (4, 3)
    assert not np.isnan(recs.scores).any()


def test_one_worked_by_hand() -> None:
    """Item 1 is spoken for by 0 twice (2 · 3), by 2 against (−1), and not by 3."""
    weights = np.zeros((4, 4), np.float32)
    weights[0, 1] = 3
    weights[2, 1] = -1
    weights[3, 0] = 9
    recs = ItemToItem(csr_array(weights), "count").explain(Queries.of([[0, 3, 0, 2]]), np.array([1], np.int32), k=3)
    np.testing.assert_array_equal(recs.items, [[0, 2, ABSENT]])
    np.testing.assert_array_equal(recs.scores, np.array([[6, -1, -np.inf]], np.float32))


def test_factors_split_by_the_askers_own_inverse() -> None:
    """Each share is the score that the one event would have alone with the matrix of all (Hu et al., section 5)."""
    vectors = drawn(1).normal(0, 1, (6, 3)).astype(np.float32)
    scorer = Factors(vectors, 0.2, 0.5, 0.0)
    wide = vectors.astype(np.float64)
    history, target = [0, 2, 5], 4
    matrix = 0.2 * wide.T @ wide + sum(np.outer(wide[i], wide[i]) for i in history) + 0.5 * np.eye(3)
    shares = {item: wide[target] @ np.linalg.inv(matrix) @ wide[item] for item in history}
    recs = scorer.explain(Queries.of([history]), np.array([target], np.int32), k=3)
    assert dict(zip(recs.items[0].tolist(), recs.scores[0].tolist(), strict=True)) == pytest.approx(shares, rel=1e-5)
    assert recs.items[0].tolist() == sorted(shares, key=lambda item: -shares[item])


def test_what_is_the_same_for_everybody_explains_nothing() -> None:
    assert not isinstance(StaticScores(np.ones(3, np.float32)), Explainer)


@pytest.mark.parametrize("model", ["item_knn", "user_knn", "ease", "slim", "ials", "spectral", "rp3beta"])
def test_fitted_models_name_items_of_the_same_taste(model: str) -> None:
    data = checkerboard(users=24, items=20)
    scorer = find(model)().fit(data, Run(threads=1)).lower()
    assert isinstance(scorer, Explainer)
    asked = data.queries(np.arange(4, dtype=np.int32))
    best = scorer.score(asked)
    best[np.arange(4)[:, None], np.maximum(asked.history, 0)] = -np.inf
    items = best.argmax(axis=1).astype(np.int32)
    recs: Recs = scorer.explain(asked, items, 3)
    parity = data.item_ids.ids.to_numpy() % 2
    assert (recs.counts > 0).all()
    for row, item in enumerate(items):
        assert parity[recs.items[row, 0]] == parity[item]
