from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from serendip.evaluate import columns
from serendip.types import SerendipError

NAN, INF = np.nan, np.inf


def test_columns_come_back_in_order() -> None:
    first, second = columns.columns(labels=[1, 0], groups=["a", "b"])
    assert first.tolist() == [1, 0]
    assert second.tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            {"labels": [1, 0], "scores": [1.0]},
            r"labels and scores must be vectors of one length\. Got .* scores \(1,\)",
        ),
        ({"a": [1], "b": [2], "c": [[3]]}, r"a, b and c must be vectors .* c \(1, 1\)"),
        ({"labels": 1.0}, r"labels must be vectors .* labels \(\)"),
    ],
)
def test_columns_must_have_one_length(given: dict[str, Any], text: str) -> None:
    with pytest.raises(SerendipError, match=text):
        columns.columns(**given)


def test_unknown_labels_are_found() -> None:
    assert columns.binary(np.array([1, NAN, 0])).tolist() == [True, False, True]
    assert columns.binary(np.array([True, False])).all()
    assert columns.known(np.array([-3.5, NAN])).tolist() == [True, False]


@pytest.mark.parametrize(
    ("check", "values", "text"),
    [
        (columns.binary, [0, 2, 1, -1], r"labels must be 0 or 1, .* Got 2\.0 and 2 such rows"),
        (columns.binary, [0, INF], "labels must be finite"),
        (columns.known, [-INF], "labels must be finite"),
        (columns.ordered, [1, NAN], r"scores must be numbers\. Got NaN in 1 rows instead\. Try -inf"),
        (columns.probable, [0.5, 1.5], r"probabilities must lie in 0 … 1\. Got 1\.5 .* Try the sigmoid"),
        (columns.probable, [NAN], "probabilities must lie in 0 … 1. Got nan"),
    ],
)
def test_what_is_out_of_range_is_refused(check: Callable[[Any], Any], values: list[float], text: str) -> None:
    with pytest.raises(SerendipError, match=text):
        check(np.array(values, np.float64))


@pytest.mark.parametrize("wrong", [-1.0, INF, NAN])
def test_amounts_are_finite_and_not_negative(wrong: float) -> None:
    with pytest.raises(SerendipError, match=f"weights must be finite and at least 0. Got {wrong} and 1"):
        columns.amounts("weights", np.array([0, wrong]))
