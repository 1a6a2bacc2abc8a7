from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serendip.space import OneOf, Range, declare, parse, plain
from serendip.types import SerendipError


def test_a_logarithmic_range_makes_orders_of_magnitude_equally_likely() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([Range(1, 10_000, log=True).draw(rng) for _ in range(4000)])
    assert drawn.min() >= 1 and drawn.max() <= 10_000
    shares = np.histogram(np.log10(drawn), bins=4, range=(0, 4))[0] / len(drawn)
    assert np.abs(shares - 0.25).max() < 0.03


def test_whole_numbers_are_whole_and_others_have_few_digits() -> None:
    rng = np.random.default_rng(1)
    whole = [Range(2, 5, whole=True).draw(rng) for _ in range(200)]
    assert {type(value) for value in whole} == {int}
    assert set(whole) == {2, 3, 4, 5}
    assert Range(0, 1).exact(0.123456) == 0.1235
    assert Range(0.12342, 1).exact(0.12343) == 0.12342  # rounding does not lead out of the range


def test_what_a_part_holds() -> None:
    assert 1 in Range(1, 3, whole=True) and 1.5 not in Range(1, 3, whole=True) and 1.5 in Range(1, 3)
    assert 4 not in Range(1, 3) and True not in Range(0, 3) and "1" not in Range(0, 3)
    assert None in OneOf((None, 7)) and 8 not in OneOf((None, 7))
    assert 1 not in OneOf((True, False))


def test_a_space_survives_being_written() -> None:
    space = declare(reg=Range(0.1, 10.0, log=True), k=Range(1, 9, whole=True), how=OneOf(("a", "b")))
    written = plain(space)
    assert written == {"reg": {"low": 0.1, "high": 10.0, "log": True}, "k": {"low": 1, "high": 9}, "how": ["a", "b"]}
    assert parse(written, whole=("k",)) == dict(space)


def test_parts_are_readable() -> None:
    assert str(Range(0.001, 10, log=True)) == "0.001 … 10, log" and str(Range(1, 9, whole=True)) == "1 … 9"
    assert str(OneOf((None, 7, "a"))) == "none | 7 | a"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"low": 2, "high": 1}, "the search space of x: a range must go from a finite number up to a larger one."),
        ({"low": 0, "high": 1, "log": True}, "a logarithmic range must begin above 0. Got 0 … 1 instead"),
        ({"low": 0.5, "high": 2, "whole": True}, "a range of whole numbers must have whole ends"),
        ([1], r"a choice must be of two different values or more. Got \[1\] instead"),
        ({"low": 1}, "the search space of x must be a range, such as {low = 1, high = 100, log = true}"),
        ({"low": 1, "high": 2, "base": 3}, "the search space of x must be a range"),
        ({"low": "a", "high": "b"}, "the search space of x must be a range"),
        (3, "or a list of values. Got 3 instead"),
    ],
)
def test_what_is_no_space_is_refused(given: Any, message: str) -> None:
    with pytest.raises(SerendipError, match=message):
        parse({"x": given})
