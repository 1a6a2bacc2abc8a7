import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serendip.kernels.search import Blocks, search
from serendip.kernels.tile import ROWS, WIDTH, packed
from serendip.types import ABSENT, Recs, pack_mask
from tests.kernels.oracle import assert_lists, case

seeds = st.integers(0, 2**32 - 1)


def whole(rng, rows, d):
    """Small whole numbers: their products are exact in float32, so that any order of summing gives the same score."""
    return rng.integers(-3, 4, (rows, d)).astype(np.float32) * rng.choice([0, 1, 4], (rows, 1)).astype(np.float32)


@given(seeds, st.integers(0, 3 * ROWS), st.integers(1, 5 * WIDTH), st.integers(1, 9), st.integers(1, 60))
@settings(deadline=None, max_examples=120)
def test_agrees_with_sorting(seed, q, n, d, k):
    rng = np.random.default_rng(seed)
    queries, vectors = whole(rng, q, d), whole(rng, n, d)
    _, exclude, mask, allow = case(rng, max(q, 1), n)
    exclude = None if exclude is None else exclude[:q]
    chosen = rng.random(n) < rng.choice([0.0, 0.5, 1.0])
    scores = np.where(chosen, queries @ vectors.T, np.float32(-np.inf))
    recs = search(Blocks.of(vectors, chosen), queries, k, exclude, allow, 1)
    assert_lists(recs, scores, k, exclude, mask)


@pytest.mark.parametrize("norms", ["even", "uneven"])
def test_many_chunks_threads_and_pruning(norms):
    """Over several chunks of queries and far enough into the items for queries to be dropped and laid out again."""
    rng = np.random.default_rng(11)
    q, n, d, k = 700, 6000, 16, 12
    queries, vectors = rng.integers(-50, 51, (q, d)), rng.integers(-50, 51, (n, d))
    if norms == "uneven":
        vectors = vectors // rng.integers(1, 40, (n, 1))
        queries = queries // rng.integers(1, 40, (q, 1))
    queries, vectors = queries.astype(np.float32), vectors.astype(np.float32)
    exclude = rng.integers(-1, n, (q, 40)).astype(np.int32)
    blocks = Blocks.of(vectors, np.ones(n, bool))
    one, two = (search(blocks, queries, k, exclude, None, threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.items, two.items)
    np.testing.assert_array_equal(one.scores, two.scores)
    some = rng.choice(q, 40, replace=False)
    assert_lists(Recs(one.items[some], one.scores[some]), queries[some] @ vectors.T, k, exclude[some])


def test_the_score_does_not_depend_on_the_place():
    rng = np.random.default_rng(2)
    vectors = np.repeat(rng.standard_normal((1, 33)), 500, axis=0).astype(np.float32)
    queries = np.repeat(rng.standard_normal((1, 33)), 19, axis=0).astype(np.float32)
    recs = search(Blocks.of(vectors, np.ones(500, bool)), queries, 500, None, None, 1)
    assert (recs.items == np.arange(500)).all()
    assert len(np.unique(recs.scores)) == 1
    np.testing.assert_allclose(recs.scores[0, 0], queries[0] @ vectors[0], rtol=1e-5)


def test_specials():
    vectors = np.array([[1, 0], [np.inf, 1], [-np.inf, 1], [3e38, 3e38], [0, 0], [1e-45, 1e-45]], np.float32)
    queries = np.array([[1, 1], [np.nan, 1], [-1, 0], [0, 0]], np.float32)
    recs = search(Blocks.of(vectors, np.ones(6, bool)), queries, 6, None, None, 1)
    assert recs.items[0].tolist() == [1, 3, 0, 5, 4, ABSENT]
    assert recs.items[1].tolist() == [ABSENT] * 6
    assert recs.items[2].tolist() == [2, 4, 5, 0, 3, ABSENT]
    assert recs.items[3].tolist() == [0, 3, 4, 5, ABSENT, ABSENT]


def test_a_query_of_an_allow_row_of_its_own():
    vectors = np.arange(1, 6, dtype=np.float32)[:, None]
    allow = pack_mask(np.array([[1, 1, 0, 0, 1], [0, 0, 1, 0, 0]], bool))
    recs = search(Blocks.of(vectors, np.ones(5, bool)), np.ones((2, 1), np.float32), 2, None, allow, 1)
    assert recs.items.tolist() == [[4, 1], [2, ABSENT]]


def test_blocks_are_in_order_of_norm():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((2 * WIDTH + 5, 3)).astype(np.float32)
    chosen = np.ones(len(vectors), bool)
    chosen[7] = False
    blocks = Blocks.of(vectors, chosen)
    order = blocks.codes[blocks.codes != ABSENT]
    assert sorted(order) == [code for code in range(len(vectors)) if code != 7]
    norms = np.linalg.norm(vectors[order].astype(float), axis=1)
    assert (np.diff(norms) <= 0).all()
    np.testing.assert_allclose(blocks.norms, norms[::WIDTH], rtol=1e-12)


def test_packed():
    flat = packed(np.arange(6, dtype=np.float32).reshape(3, 2), 2)
    assert flat.tolist() == [0, 2, 1, 3, 4, 0, 5, 0]
