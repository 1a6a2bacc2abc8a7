import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from serendip.kernels.neighbours import Denominator, nearest

seeds = st.integers(0, 2**32 - 1)


def lists(matrix, k, similarity):
    """By sorting each row of the whole similarity matrix, given as a function of its products."""
    dense = matrix.toarray().astype(np.float32)
    values = similarity(dense.T @ dense)
    np.fill_diagonal(values, 0)
    out = []
    for row in values:
        kept = np.flatnonzero((row > 0) & (row < np.inf))
        out.append(kept[np.lexsort((kept, -row[kept]))][:k].tolist())
    return out, values


def assert_lists(found, matrix, k, similarity):
    expected, values = lists(matrix, k, similarity)
    assert found.shape == (matrix.shape[1],) * 2
    assert found.dtype == np.float32
    assert found.indices.dtype == np.int32
    for row, places in enumerate(expected):
        part = slice(found.indptr[row], found.indptr[row + 1])
        assert found.indices[part].tolist() == places
        np.testing.assert_array_equal(found.data[part], values[row, places].astype(np.float32))


def matrix_of(rng, m, n, share, *, binary):
    dense = (rng.random((m, n)) < share) * (1 if binary else rng.integers(1, 5, (m, n)))
    return csr_array(dense.astype(np.float32))


@given(seeds, st.integers(1, 12), st.integers(1, 30), st.integers(1, 40), st.booleans(), st.floats(0, 1))
@settings(deadline=None, max_examples=80)
def test_cosine_agrees_with_sorting(seed, m, n, k, binary, share):
    rng = np.random.default_rng(seed)
    matrix = matrix_of(rng, m, n, share, binary=binary)
    left, right = (rng.integers(0, 4, n).astype(np.float32) for _ in range(2))
    shrink = float(rng.choice([0.0, 2.0]))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = nearest(matrix, k, Denominator(left, right, shrink), threads=1)
        assert_lists(found, matrix, k, lambda c: c / (left[:, None] * right + np.float32(shrink)))


@pytest.mark.parametrize("overlap", [0.0, 1.0])
def test_jaccard_and_dice(overlap):
    rng = np.random.default_rng(3)
    matrix = matrix_of(rng, 30, 25, 0.3, binary=True)
    count = matrix.sum(axis=0).astype(np.float32) / np.float32(2 - overlap)
    found = nearest(matrix, 6, Denominator(count, count, overlap=overlap), threads=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        assert_lists(found, matrix, 6, lambda c: c / (count[:, None] + count - np.float32(overlap) * c))


def test_worked_by_hand():
    matrix = csr_array(np.array([[1, 1, 0], [1, 1, 0], [1, 0, 1]], np.float32))
    norm = np.sqrt([3, 2, 1])
    found = nearest(matrix, 2, Denominator(norm, norm))
    assert found.indices.tolist() == [1, 2, 0, 0]
    np.testing.assert_allclose(found.data, [2 / 6**0.5, 1 / 3**0.5, 2 / 6**0.5, 1 / 3**0.5], rtol=1e-6)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("k", [3, 40, 400])
def test_long_rows_chunks_and_threads(binary, k):
    """Enough columns for samples, chunks and both ways of adding up: some columns are full, most are sparse."""
    rng = np.random.default_rng(8)
    share = np.where(np.arange(1200) % 40 == 0, 0.9, 0.02)
    matrix = matrix_of(rng, 150, 1200, share, binary=binary)
    norm = np.sqrt(matrix.power(2).sum(axis=0)).astype(np.float32) + np.float32(1)
    one, two = (nearest(matrix, k, Denominator(norm, norm), threads=threads) for threads in (1, 2))
    for name in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert_lists(one, matrix, k, lambda c: c / (norm[:, None] * norm))


@pytest.mark.parametrize("binary", [True, False])
def test_wide_and_sparse(binary):
    """So many columns that only those touched are looked at, and that their numbers need more than 16 bits."""
    rng = np.random.default_rng(9)
    n = 70_000
    rows, columns = rng.integers(0, 3000, 12_000), rng.integers(0, n, 12_000)
    columns[:600] = 69_999
    values = np.ones(12_000) if binary else rng.integers(1, 5, 12_000)
    matrix = csr_array((values.astype(np.float32), (rows, columns)), shape=(3000, n))
    matrix.sum_duplicates()
    if binary:
        matrix.data[:] = 1
    side = rng.integers(1, 4, n).astype(np.float32)
    found = nearest(matrix, 3, Denominator(side, side, shrink=1.0), threads=2)
    some = np.unique(np.concatenate([columns[::400], [0, 69_999]]))
    products = (matrix[:, some].T @ matrix).toarray()
    products[np.arange(len(some)), some] = 0
    values = products / (side[some][:, None] * side + np.float32(1))
    for at, column in enumerate(some):
        kept = np.flatnonzero(values[at] > 0)
        places = kept[np.lexsort((kept, -values[at, kept]))][:3]
        part = slice(found.indptr[column], found.indptr[column + 1])
        assert found.indices[part].tolist() == places.tolist()
        np.testing.assert_array_equal(found.data[part], values[at, places])


def test_counts_beyond_a_byte():
    """Columns with more entries than a byte counts, of which some differ by few."""
    rng = np.random.default_rng(4)
    matrix = matrix_of(rng, 700, 90, np.linspace(0.05, 1, 90), binary=True)
    count = np.asarray(matrix.sum(axis=0), np.float32)
    assert (count > 255).any()
    assert (count < 255).any()
    norm = np.sqrt(count)
    found = nearest(matrix, 10, Denominator(norm, norm))
    assert_lists(found, matrix, 10, lambda c: c / (norm[:, None] * norm))


def test_many_alike():
    """All similarities are equal: the lowest columns win, however the sample falls."""
    matrix = csr_array(np.ones((2, 700), np.float32))
    found = nearest(matrix, 5, Denominator(np.ones(700), np.ones(700)))
    assert found.indices.reshape(700, 5)[100].tolist() == [0, 1, 2, 3, 4]
    assert found.indices.reshape(700, 5)[2].tolist() == [0, 1, 3, 4, 5]
    assert (found.data == 2).all()


def test_entries_that_add_nothing():
    """Stored zeros, values that vanish in float32 and such that cancel out are touched again and again."""
    dense = np.tile(np.array([[1e-30, 1, 1e-30, 2]], np.float32), (9, 1))
    matrix = csr_array(dense)
    matrix.data[2::8] = 0
    dense = matrix.toarray()
    dense[::2, 3] *= -1
    matrix.data[3::8] *= -1
    found = nearest(matrix, 3, Denominator(np.ones(4), np.ones(4)), threads=1)
    assert_lists(found, matrix, 3, lambda c: c)
    assert (found.data > 0).all()


@pytest.mark.parametrize("shape", [(0, 0), (3, 0), (0, 3), (3, 3)])
def test_nothing_in_common(shape):
    matrix = csr_array(np.eye(*shape, dtype=np.float32))
    found = nearest(matrix, 4, Denominator(np.ones(shape[1]), np.ones(shape[1])))
    assert found.shape == (shape[1], shape[1])
    assert found.nnz == 0


def test_errors_say_what_does_not_fit():
    matrix = csr_array(np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"k must be 1 or more\. Got 0 instead\."):
        nearest(matrix, 0, Denominator(np.ones(3), np.ones(3)))
    with pytest.raises(ValueError, match=r"right must have one number per column \(3\)\. Got shape \(2,\) instead\."):
        nearest(matrix, 1, Denominator(np.ones(3), np.ones(2)))
    for wrong in (-1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=rf"left must be finite and 0 or more .*\. Got {wrong} instead\."):
            nearest(matrix, 1, Denominator(np.array([1, wrong, 1]), np.ones(3)))


def test_columns_without_entries_may_have_any_denominator():
    matrix = csr_array(np.array([[1, 0, 1]], np.float32))
    sides = np.array([1, np.inf, 1])
    assert nearest(matrix, 2, Denominator(sides, sides)).toarray().tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


@pytest.mark.parametrize("only", [[], [4], [0, 7, 19], list(range(20))])
def test_only_the_rows_that_are_wanted(only):
    matrix = matrix_of(np.random.default_rng(3), 12, 20, 0.3, binary=False)
    ones = Denominator(np.ones(20), np.ones(20))
    every, some = nearest(matrix, 5, ones), nearest(matrix, 5, ones, only=np.array(only, np.int64))
    assert some.shape == (len(only), 20)
    for row, column in enumerate(only):
        part, whole = (slice(*one.indptr[at : at + 2]) for one, at in ((some, row), (every, column)))
        assert some.indices[part].tolist() == every.indices[whole].tolist()
        assert some.data[part].tolist() == every.data[whole].tolist()
