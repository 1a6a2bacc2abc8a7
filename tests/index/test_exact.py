import numpy as np
import pytest

from serendip.index.exact import Exact
from serendip.kernels.topk import is_batch
from serendip.types import ABSENT, Index, pack_mask
from tests.kernels.oracle import assert_lists


def whole(rng, rows, d):
    return rng.integers(-9, 10, (rows, d)).astype(np.float32)


def test_worked_by_hand():
    index = Exact(np.array([[1, 0], [0, 2], [1, 1]], np.float32))
    assert isinstance(index, Index)
    assert (len(index), index.dimensions) == (3, 2)
    recs = index.search(np.array([[3, 1], [0, 1]], np.float32), 2)
    assert recs.items.tolist() == [[2, 0], [1, 2]]
    assert recs.scores.tolist() == [[4, 3], [2, 1]]


@pytest.mark.parametrize("share", [None, 1.0, 0.5, 0.02])
@pytest.mark.parametrize("rows", [1, 0])
def test_batches_and_requests_give_the_same_lists(share, rows):
    """A batch (compiled), its parts (NumPy) and sorting agree; rows: 1 mask for all, or 0 for one a query."""
    rng = np.random.default_rng(4)
    q, n, d, k = 140, 120_000, 4, 9
    assert is_batch(q, n)
    assert not is_batch(3, n)
    vectors, queries = whole(rng, n, d), whole(rng, q, d)
    vectors[rng.integers(0, n, 500)] = np.nan
    queries[5] = np.nan
    exclude = rng.integers(-1, n, (q, 20)).astype(np.int32)
    mask = None if share is None else rng.random((rows or q, n)) < share
    allow = None if mask is None else pack_mask(mask)
    index = Exact(vectors, threads=2)
    batch = index.search(queries, k, exclude, allow)
    for row in range(0, q, 35):
        part = slice(row, row + 3)
        some = allow if allow is None or rows else allow[part]
        recs = index.search(queries[part], k, exclude[part], some)
        np.testing.assert_array_equal(recs.items, batch.items[part])
        np.testing.assert_array_equal(recs.scores, batch.scores[part])
    few = slice(4, 7)
    picked = mask if mask is None or rows else mask[few]
    assert_lists(index.search(queries[few], k, exclude[few], None if mask is None else pack_mask(picked)),
                 queries[few] @ vectors.T, k, exclude[few], picked)  # fmt: skip
    assert (batch.items[5] == ABSENT).all()


def test_nan_rows_are_left_out_and_the_vectors_unchanged():
    vectors = np.array([[1, 1], [np.nan, 9], [2, 2]], np.float32)
    before = vectors.copy()
    recs = Exact(vectors).search(np.array([[1, 1], [np.nan, 0]], np.float32), 3)
    assert recs.items.tolist() == [[2, 0, ABSENT], [ABSENT] * 3]
    np.testing.assert_array_equal(vectors, before)


@pytest.mark.parametrize(("q", "n", "d", "k"), [(0, 3, 2, 2), (2, 0, 2, 2), (2, 3, 0, 2), (2, 3, 2, 0)])
def test_nothing_to_do(q, n, d, k):
    recs = Exact(np.zeros((n, d), np.float32)).search(np.zeros((q, d), np.float32), k)
    assert recs.items.shape == (q, k)
    assert (recs.items == (np.arange(k) if n else ABSENT)).all()


def test_overflow_is_no_error():
    vectors = np.array([[3e38, 3e38], [np.inf, 0], [1, 1]], np.float32)
    recs = Exact(vectors).search(np.array([[9, 9], [0, 1]], np.float32), 3)
    assert recs.items.tolist() == [[0, 1, 2], [0, 2, ABSENT]]  # 0·inf is NaN


def test_requests_in_blocks():
    rng = np.random.default_rng(1)
    n = 1_500_000
    vectors, queries = whole(rng, n, 2), whole(rng, 25, 2)
    recs = Exact(vectors).search(queries, 4)
    one = [Exact(vectors).search(queries[row : row + 1], 4).items[0] for row in (0, 11, 24)]
    np.testing.assert_array_equal(recs.items[[0, 11, 24]], one)


@pytest.mark.parametrize(
    ("vectors", "error", "text"),
    [
        (np.zeros((2, 2)), TypeError, r"vectors must be float32. Got float64 instead. Try vectors.astype"),
        (np.zeros(2, np.float32), ValueError, r"vectors must be a matrix \[rows, d\]. Got an array of shape \(2,\)"),
    ],
)
def test_refuses_other_vectors(vectors, error, text):
    with pytest.raises(error, match="^" + text):
        Exact(vectors)
    with pytest.raises(error, match="^query " + text):
        Exact(np.zeros((3, 2), np.float32)).search(vectors, 1)


def test_refuses_other_dimensions():
    with pytest.raises(ValueError, match=r"query vectors must be \[q, 2\]. Got shape \(1, 3\) instead."):
        Exact(np.zeros((3, 2), np.float32)).search(np.zeros((1, 3), np.float32), 1)


@pytest.mark.parametrize("share", [None, 0.9, 0.01, 1e-4])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_request_over_many_items_is_answered_in_blocks(share, precision):
    """Ties, unknown items, exclusions and masks as in sorting."""
    rng = np.random.default_rng(7)
    n, k = 150_000, 20
    vectors, queries = whole(rng, n, 5), whole(rng, 2, 5)
    vectors[rng.integers(0, n, 300)] = np.nan
    mask = None if share is None else rng.random((1, n)) < share
    index = Exact(vectors, 1, precision=precision)
    scores = queries @ vectors.T
    exclude = np.argsort(-np.nan_to_num(scores, nan=-np.inf), axis=1)[:, :30].astype(np.int32)
    recs = index.search(queries, k, exclude, None if mask is None else pack_mask(mask))
    assert_lists(recs, scores, k, exclude, mask)
    queries[1] = np.nan
    assert index.search(queries, 3).counts.tolist() == [3, 0]


def test_refuses_another_precision():
    with pytest.raises(ValueError, match=r"precision must be float32 or int8\. Got 'int4' instead\."):
        Exact(np.zeros((3, 2), np.float32), precision="int4")
