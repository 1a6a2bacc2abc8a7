import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serendip.kernels.select import select
from serendip.kernels.topk import is_batch, masked, top_k
from serendip.types import ABSENT, pack_mask
from tests.kernels.oracle import assert_lists, case

seeds = st.integers(0, 2**32 - 1)


@given(seeds, st.integers(0, 4), st.integers(0, 140), st.integers(0, 150))
@settings(deadline=None, max_examples=150)
def test_agrees_with_sorting(seed, q, n, k):
    scores, exclude, mask, allow = case(np.random.default_rng(seed), q, n)
    if mask is not None and len(mask) not in (1, q):
        mask, allow = None, None
    before = scores.copy()
    assert_lists(top_k(scores, k, exclude, allow), scores, k, exclude, mask)
    if k:
        assert_lists(select(scores, k, exclude, allow, threads=1), scores, k, exclude, mask)
    np.testing.assert_array_equal(scores, before)


def test_worked_by_hand():
    recs = top_k(np.array([[0.5, 2, 2, np.nan, -np.inf, 3]], np.float32), 3, exclude=np.array([[ABSENT, 5]], np.int32))
    assert recs.items.tolist() == [[1, 2, 0]]
    assert recs.scores.tolist() == [[2, 2, 0.5]]


def test_large_batch_takes_the_compiled_path_and_agrees_bit_for_bit():
    rng = np.random.default_rng(5)
    q, n, k = 160, 110_000, 7
    assert is_batch(q, n)
    scores = rng.integers(0, 5000, (q, n)).astype(np.float32)
    exclude = rng.integers(-1, n, (q, 30)).astype(np.int32)
    allow = pack_mask(rng.random((q, n)) < 0.7)
    one, two = (top_k(scores, k, exclude, allow, threads=threads) for threads in (1, 2))
    plain = [top_k(scores[r : r + 1], k, exclude[r : r + 1], allow[r : r + 1]) for r in range(q)]
    np.testing.assert_array_equal(one.items, two.items)
    np.testing.assert_array_equal(one.scores, two.scores)
    np.testing.assert_array_equal(one.items, np.concatenate([recs.items for recs in plain]))
    np.testing.assert_array_equal(one.scores, np.concatenate([recs.scores for recs in plain]))


@pytest.mark.parametrize("order", [1, -1])
def test_sorted_rows_and_long_lists(order):
    line = np.arange(5000, dtype=np.float32)[::order]
    scores = np.stack([line, line // 7])
    assert_lists(select(scores, 700, None, None, threads=1), scores, 700)


def test_nothing_left():
    scores = np.ones((2, 3), np.float32)
    everything = np.array([[2, 0, 1], [0, 1, 2]], np.int32)
    none = np.zeros((1, 1), np.uint8)
    for recs in (top_k(scores, 2, everything), top_k(scores, 2, allow=none), select(scores, 2, everything, none)):
        assert (recs.items == ABSENT).all()
        assert (recs.scores == -np.inf).all()


def test_masked_leaves_the_original():
    scores = np.array([[1, np.nan, 3]], np.float32)
    out = masked(scores, np.array([[0, ABSENT, 9]], np.int32), None)
    assert out.tolist() == [[-np.inf, -np.inf, 3]]
    assert scores[0, 0] == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((np.zeros(3, np.float32), 1), r"scores must be \[q, n\]. Got an array of shape \(3,\) instead."),
        ((np.zeros((2, 3), np.float32), -1), r"k must be 0 or more. Got -1 instead."),
        ((np.zeros((2, 3), np.float32), 1, np.zeros((1, 3), np.int32)), r"exclude must be \[2, e\] item codes"),
        ((np.zeros((2, 9), np.float32), 1, None, np.zeros((2, 1), np.uint8)), r"allow must be \[1, 2\] or \[2, 2\]"),
        ((np.zeros((2, 9), np.float32), 1, None, np.zeros((3, 2), np.uint8)), r"for 9 items .*\(3, 2\) instead"),
    ],
)
def test_errors_say_what_does_not_fit(arguments, text):
    with pytest.raises(ValueError, match=text):
        top_k(*arguments)


def test_a_request_compiles_nothing():
    code = (
        "import sys, numpy as np\n"
        "from serendip.index.exact import Exact\n"
        "asked = np.ones((3, 4), np.float32)\n"
        "Exact(np.ones((60_000, 4), np.float32)).search(asked, 5)\n"
        "assert 'numba' not in sys.modules and 'scipy' not in sys.modules\n"
        "many = Exact(np.ones((200_000, 4), np.float32))\n"  # what it needs is compiled before anybody asks
        "from serendip.kernels.dots import dots, dots_at\n"
        "made = len(dots.signatures), len(dots_at.signatures)\n"
        "many.search(asked, 5), many.search(asked, 5, None, np.eye(1, 25_000, dtype=np.uint8))\n"
        "assert made == (len(dots.signatures), len(dots_at.signatures)) == (1, 1)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
