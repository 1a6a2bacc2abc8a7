import numpy as np
import pytest

from serendip.kernels import coarse
from serendip.kernels.coarse import Coarse
from serendip.kernels.search import Blocks, search
from serendip.kernels.topk import top_k
from serendip.types import ABSENT, pack_mask

pytestmark = pytest.mark.skipif(not coarse.AVAILABLE, reason="this processor does not multiply bytes")


def both(items, queries, k, exclude=None, allow=None, threads=2):
    """The lists from rounded vectors, and by sorting all exact scores."""
    blocks = Blocks.of(items, np.ones(len(items), bool))
    assert blocks.coarse is not None
    with np.errstate(all="ignore"):
        scores = (queries.astype(np.float64) @ items.T.astype(np.float64)).astype(np.float32)
    return search(blocks, queries, k, exclude, allow, threads), top_k(scores, k, exclude, allow)


def whole(rng, n, d, most=9):
    """Vectors of whole numbers, whose products float32 holds exactly, of very uneven length."""
    return (rng.integers(-most, most + 1, (n, d)) * (rng.random((n, 1)) ** 3 * 20).astype(int)).astype(np.float32)


@pytest.mark.parametrize("d", [64, 67, 200])
@pytest.mark.parametrize("k", [1, 20])
def test_lists_are_exact(d, k):
    rng = np.random.default_rng(d + k)
    items, queries = whole(rng, 1500, d), whole(rng, 300, d)
    found, expected = both(items, queries, k)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(found.items, expected.items)


def test_masks():
    rng = np.random.default_rng(1)
    items, queries = whole(rng, 900, 64), whole(rng, 70, 64)
    exclude = np.where(rng.random((70, 300)) < 0.3, ABSENT, rng.integers(0, 900, (70, 300))).astype(np.int32)
    for rows in (1, 70):
        found, expected = both(items, queries, 15, exclude, pack_mask(rng.random((rows, 900)) < 0.5))
        np.testing.assert_array_equal(found.items, expected.items)


def test_one_number_that_outweighs_the_rest():
    """Rounding to 8 bits leaves nothing of what tells the items apart; the lists must be right all the same."""
    rng = np.random.default_rng(2)
    items, queries = (rng.integers(-3, 4, (n, 64)).astype(np.float32) for n in (800, 60))
    items[:, 0], queries[:, 0] = 2000, 1500
    assert (np.rint(items[:, 1:] / (2000 / 127)) == 0).all()
    found, expected = both(items, queries, 10)
    np.testing.assert_array_equal(found.items, expected.items)


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_queries_beyond_the_range_of_scales(scale):
    rng = np.random.default_rng(3)
    items, queries = whole(rng, 400, 64), whole(rng, 40, 64)
    small = both(items, queries, 5)[1]
    found, _ = both(items, (queries * np.float32(scale)).astype(np.float32), 5)
    longest = np.abs(queries).max(axis=1) > 0
    expected = small.items[longest]
    assert (found.items[longest] == expected).mean() > 0.99  # a scale that is no power of 2 rounds


def test_queries_of_zero_nan_and_infinity():
    rng = np.random.default_rng(4)
    items, queries = whole(rng, 300, 64) + 1, whole(rng, 4, 64)
    queries[0], queries[1, 5], queries[2, 7] = 0, np.nan, np.inf
    found, expected = both(items, queries, 3)
    assert found.items[0].tolist() == [0, 1, 2]
    assert (found.items[1] == ABSENT).all()
    np.testing.assert_array_equal(found.items[[0, 1, 3]], expected.items[[0, 1, 3]])
    assert not np.isnan(found.scores).any()


def test_threads_change_nothing():
    rng = np.random.default_rng(5)
    items, queries = (rng.standard_normal((n, 96), np.float32) for n in (2000, 700))
    one, three = (both(items, queries, 12, threads=threads)[0] for threads in (1, 3))
    np.testing.assert_array_equal(one.items, three.items)
    np.testing.assert_array_equal(one.scores, three.scores)


def test_vectors_that_are_left_to_the_other_search():
    ones = np.ones((5, 64), np.float32)
    assert Coarse.of(ones) is not None
    assert Coarse.of(ones[:, :63]) is None
    assert Coarse.of(ones * np.float32(1e20)) is None
    infinite = ones.copy()
    infinite[2, 2] = np.inf
    assert Coarse.of(infinite) is None
