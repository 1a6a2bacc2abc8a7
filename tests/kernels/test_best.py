import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serendip.kernels.best import decode, keep, key_of, room, score_of
from serendip.types import ABSENT

floats = st.floats(width=32, allow_nan=False)
codes = st.integers(0, 2**31 - 1)


def key(score, code):
    return np.uint64(key_of(np.float32(score), code))


@given(floats, codes, floats, codes)
@settings(deadline=None)
def test_keys_are_ordered_as_lists_are(score, code, other, other_code):
    assert score_of(key(score, code)) == np.float32(score)
    expected = (-score, code) < (-other, other_code)
    assert (key(score, code) > key(other, other_code)) == expected


def test_the_empty_key_is_below_all():
    assert key(-np.inf, 2**31 - 1) > 0
    assert score_of(np.uint64(0)) == -np.inf


@given(st.lists(st.integers(1, 2**64 - 1), min_size=2, max_size=80, unique=True), st.data())
@settings(deadline=None)
def test_keep_is_a_partition(values, data):
    k = data.draw(st.integers(1, len(values) - 1))
    keys = np.array(values, np.uint64)
    least = keep(keys, len(keys), k)
    expected = sorted(values, reverse=True)
    assert sorted(keys[:k].tolist(), reverse=True) == expected[:k]
    assert least == expected[k - 1]
    assert sorted(keys.tolist()) == sorted(values)


def test_decode():
    full, short = [key(1.5, 4), key(1.5, 2), key(-2, 9), key(np.inf, 7)], [0, key(-np.inf, 3), 0, key(9, 1)]
    keys = np.array([full, short], np.uint64)
    items, scores = np.empty((2, 3), np.int32), np.empty((2, 3), np.float32)
    decode(keys, items, scores)
    assert items.tolist() == [[2, 4, 9], [3, ABSENT, ABSENT]]
    assert scores.tolist() == [[1.5, 1.5, -2], [-np.inf, -np.inf, -np.inf]]


def test_there_is_room_for_more_than_k():
    assert all(room(k) > k for k in (1, 2, 20, 1000))
