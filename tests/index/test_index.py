"""What every index promises: nothing that is not allowed, and always as many items as there can be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serendip.index import Options, VectorIndex, build
from serendip.index.tuning import per_query
from serendip.types import ABSENT, Index, SerendipError, pack_mask
from tests.index.conftest import D, N, approximate, blobs


def ask(seed=1, q=3):
    return blobs(q, seed=seed)


def check(index, table, vectors, k, exclude=None, mask=None):
    """That the lists hold what they may and as much as they can, and are in order; ``table``: NaN where nothing is."""
    allow = None if mask is None else pack_mask(mask)
    recs = index.search(vectors, k, exclude, allow)
    assert recs.items.shape == (len(vectors), k)
    may = np.broadcast_to(np.isfinite(table).all(axis=1), (len(vectors), len(table))).copy()
    if mask is not None:
        may &= mask
    for row in range(len(vectors)):
        if exclude is not None:
            may[row, exclude[row][(exclude[row] >= 0) & (exclude[row] < len(table))]] = False
        if np.isnan(vectors[row]).any():
            may[row] = False
        items = recs.items[row][recs.items[row] != ABSENT]
        assert may[row, items].all()
        assert len(items) == len(set(items.tolist())) == min(k, may[row].sum())
        assert (recs.items[row, len(items) :] == ABSENT).all()
        scores = recs.scores[row]
        np.testing.assert_allclose(scores[: len(items)], table[items] @ vectors[row], rtol=1e-4, atol=1e-5)
        assert (np.diff(scores[: len(items)]) <= 0).all()
        assert (scores[len(items) :] == -np.inf).all()
    return recs


def table_of(index):
    return index.vectors()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    share=st.sampled_from([None, 1.0, 0.9, 0.5, 0.2, 0.06, 0.01, 0.001, 0.0]),
    k=st.sampled_from([1, 7, 50]),
    excluded=st.sampled_from([None, 0, 5, 300]),
    each=st.booleans(),
    changes=st.booleans(),
)
def test_any_filter_is_kept_and_lists_are_full(index, seed, share, k, excluded, each, changes):
    rng = np.random.default_rng(seed)
    vectors = ask(seed)
    if changes:
        codes = np.concatenate([rng.choice(N, 30, replace=False), [N, N + 1]]).astype(np.int32)
        index = index.upsert(codes, blobs(32, seed=seed))
        there = np.flatnonzero(index.holds(np.arange(len(index), dtype=np.int32)))
        index = index.delete(rng.choice(there, 20, replace=False).astype(np.int32))
    n = len(index)
    table = table_of(index)
    mask = None if share is None else rng.random((3 if each else 1, n)) < share
    exclude = None if excluded is None else rng.integers(-1, n + 3, (3, excluded)).astype(np.int32)
    if excluded == 300:  # what would be found first
        best = np.argsort(-np.where(np.isnan(table).any(axis=1), -np.inf, vectors @ np.nan_to_num(table).T), axis=1)
        exclude[:, :60] = best[:, :60]
    vectors[0, 0] = np.nan if seed % 5 == 0 else vectors[0, 0]
    check(index, table, vectors, k, exclude, mask)


def test_finds_most_of_the_best(index):
    vectors, table = ask(q=40), table_of(index)
    rng = np.random.default_rng(3)
    assert isinstance(index, Index)
    for mask in (None, rng.random((1, N)) < 0.5, rng.random((1, N)) < 0.01):
        truth = np.where(np.isnan(table).any(axis=1), -np.inf, vectors @ np.nan_to_num(table).T)
        if mask is not None:
            truth[:, ~mask[0]] = -np.inf
        best = np.argsort(-truth, axis=1, kind="stable")[:, :10].astype(np.int32)
        found = index.search(vectors, 10, None, None if mask is None else pack_mask(mask)).items
        assert per_query(found, best).mean() > 0.9


def test_a_batch_and_its_queries_one_by_one_are_answered_alike(index):
    vectors = ask(q=6)
    together = index.search(vectors, 5)
    for row in range(6):
        alone = index.search(vectors[row : row + 1], 5)
        assert set(alone.items[0]) == set(together.items[row])


def test_a_graph_that_leads_nowhere_is_searched_exactly():
    """Of few allowed items a walk finds too few: the list is filled all the same."""
    vectors = blobs()
    index = approximate("faiss_hnsw", vectors, {"breadth": 20}, lowest=1e-6)
    mask = np.zeros((1, N), bool)
    mask[0, np.argsort(vectors @ ask()[0])[:30]] = True  # the worst for the query
    walked = index.engine.find(ask(), 20, {"breadth": 20}, pack_mask(mask)[0], 0.015)
    assert (walked.items == ABSENT).any()
    check(index, vectors, ask(), 20, None, mask)


def test_no_queries_and_such_beyond_all_bounds(index):
    assert index.search(np.empty((0, D), np.float32), 3).items.shape == (0, 3)
    huge = np.full((2, D), 3e38, np.float32)
    huge[1, 0] = np.nan
    assert index.search(huge, 3).counts[1] == 0


def test_changes_leave_what_was_as_it_was(index):
    query = ask(q=1)
    before = index.search(query, 5)
    first = int(before.items[0, 0])
    without = index.delete(np.array([first]))
    assert first not in without.search(query, 5).items
    assert without.search(query, 4).items.tolist() == before.items[:, 1:].tolist()
    back = without.upsert(np.array([first]), index.exact.vectors[[first]])
    assert set(back.search(query, 5).items[0]) == set(before.items[0])
    moved = index.upsert(np.array([first, N]), np.stack([-100 * query[0], 100 * query[0]]))
    assert moved.search(query, 1).items.tolist() == [[N]]
    assert first not in moved.search(query, 5).items
    assert (len(index), len(moved), moved.changed, without.changed) == (N, N + 1, 3, 1)
    assert index.search(query, 5).items.tolist() == before.items.tolist()
    assert not moved.holds(np.array([0, -1, N + 1, 2**40])).any()
    assert moved.holds(np.array([first, N, 1])).all()


@pytest.mark.parametrize("backend", ["exact", "faiss_ivf"])
def test_after_a_thousand_changes_as_if_built_anew(backend):
    rng = np.random.default_rng(5)
    effort = {"probes": 40, "looked_up": 200}
    index = approximate(backend, blobs(), effort)
    for step in range(200):
        codes = np.sort(rng.choice(len(index), 4, replace=False)).astype(np.int32)
        index = index.upsert(np.append(codes, len(index)).astype(np.int32), blobs(5, seed=step))
        there = np.flatnonzero(index.holds(np.arange(len(index), dtype=np.int32)))
        index = index.delete(rng.choice(there, 2, replace=False).astype(np.int32))
    anew = approximate(backend, index.vectors(), effort)
    assert (anew.changed, index.changed > 1000) == (0, True)
    vectors = ask(q=50)
    assert per_query(index.search(vectors, 10).items, anew.search(vectors, 10).items).mean() > 0.95


def test_says_when_to_build_anew(monkeypatch):
    monkeypatch.setattr("serendip.index.index.LEAST", 100)
    index = build(blobs(), Options(backend="exact"))
    changed = index.upsert(np.arange(100, dtype=np.int32), blobs(100, seed=9))
    assert changed.changed == 200
    assert (index.stale, changed.stale) == (False, True)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda i: i.search(ask(), 0), "k must be a whole number, 1 or more. Got 0"),
        (lambda i: i.search(ask(), -3), "k must be a whole number, 1 or more. Got -3"),
        (lambda i: i.search(ask(), 2.5), "k must be a whole number, 1 or more. Got 2.5"),
        (lambda i: i.search(blobs(2, 4), 3), "must have the 6 dimensions of the index. Got 4"),
        (lambda i: i.search(ask().astype(float), 3), r"must be float32 \[q, 6\]. Got float64 \[3, 6\]"),
        (lambda i: i.search([1.0], 3), r"must be float32 \[q, 6\]. Got list"),
        (lambda i: i.search(ask(), 3, np.zeros((2, 1), np.int32)), r"exclude must be \[3, e\] item codes"),
        (lambda i: i.search(ask(), 3, None, np.zeros((1, 3), np.uint8)), r"allow must be \[1, 250\] or \[3, 250\]"),
        (lambda i: i.upsert(np.array([1, 1]), blobs(2)), r"Every code must be given once. Got \[1\]"),
        (lambda i: i.upsert(np.array([1, 2]), blobs(1)), r"vectors must be float32 \[2, 6\], one for each code"),
        (lambda i: i.upsert(np.array([1]), blobs(1, 5)), r"must be float32 \[1, 6\].* Got float32 \[1, 5\]"),
        (lambda i: i.upsert(np.array([1]), np.full((1, 6), np.nan, np.float32)), r"Got NaN or infinity .* \[1\]"),
        (lambda i: i.upsert(np.array([2001]), blobs(1)), r"New codes must follow 1999 without a gap. Got \[2001\]"),
        (lambda i: i.upsert(np.array([-1]), blobs(1)), "codes must be in 0"),
        (lambda i: i.upsert(np.array(["a"]), blobs(1)), "codes must be a vector of whole numbers"),
        (lambda i: i.delete(np.array([5, 5])), r"Every code must be given once. Got \[5\]"),
        (lambda i: i.delete(np.array([5, 2000])), r"must be in the index to be deleted. Got \[2000\]"),
        (lambda i: i.delete(np.array([5])).delete(np.array([5])), r"must be in the index to be deleted. Got \[5\]"),
    ],
)
def test_refuses(call, said):
    index = approximate("exact", blobs())
    with pytest.raises(SerendipError, match=said):
        call(index)
    assert index.changed == 0


def test_codes_without_a_vector(index):
    grown = index.upsert(np.array([N + 2]), 50 * blobs(1, seed=8), N + 4)
    assert len(grown) == N + 4
    assert grown.holds(np.arange(N, N + 4)).tolist() == [False, False, True, False]
    assert np.isnan(grown.of(np.array([N, 100]))).all()
    np.testing.assert_array_equal(grown.of(np.array([N + 2, 1])), [*(50 * blobs(1, seed=8)), index.exact.vectors[1]])
    check(grown, table_of(grown), ask(), 7, None, np.ones((1, N + 4), bool))
    with pytest.raises(SerendipError, match=r"n must be 2004 or more"):
        grown.upsert(np.array([3]), blobs(1), 2003)


def test_more_than_there_are():
    recs = check(approximate("faiss_ivf", blobs()), blobs(), ask(), N + 10)
    assert recs.counts.tolist() == [N] * 3


@pytest.mark.parametrize(("n", "d"), [(0, 3), (3, 1), (1, D)])
def test_next_to_nothing(n, d):
    index = build(blobs(n, d) if n else np.empty((0, d), np.float32))
    assert isinstance(index, VectorIndex)
    recs = index.search(np.ones((2, d), np.float32), 2)
    assert recs.counts.tolist() == [min(n, 2)] * 2
    grown = index.upsert(np.array([n]), np.full((1, d), 50, np.float32))
    assert grown.search(np.ones((1, d), np.float32), 1).items.tolist() == [[n]]
