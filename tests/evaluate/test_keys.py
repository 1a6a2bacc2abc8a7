from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serendip.evaluate.keys import among, distinct, starts

KEYS = st.lists(st.integers(0, 60) | st.integers(2**40, 2**40 + 60), max_size=50)


@given(KEYS)
def test_distinct_and_starts(keys: list[int]) -> None:
    array = np.array(keys, np.int64)
    assert distinct(array).tolist() == sorted(set(keys))
    assert np.sort(array)[starts(np.sort(array))].tolist() == sorted(set(keys))


@given(st.lists(st.integers(-3, 60) | st.integers(2**40, 2**40 + 60), max_size=50), KEYS)
def test_among(keys: list[int], wanted: list[int]) -> None:
    found = among(np.array(keys, np.int64), np.sort(np.array(wanted, np.int64)))
    assert found.tolist() == [key in wanted for key in keys]
