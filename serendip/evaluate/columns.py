"""What measures of rows are given: columns of one length, checked, without the rows whose label is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serendip.types import SerendipError

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


def columns(**given: ArrayLike) -> list[NDArray[Any]]:
    """The columns as arrays, each ``[m]``, in the order given.

    Raises:
        SerendipError: columns of different lengths, or one that is no vector.
    """
    arrays = [np.asarray(value) for value in given.values()]
    if any(array.ndim != 1 for array in arrays) or len({len(array) for array in arrays}) > 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in zip(given, arrays, strict=True))
        raise SerendipError(f"{_listed(given)} must be vectors of one length. Got the shapes {shapes} instead.")
    return arrays


def known(labels: NDArray[Any]) -> Mask:
    """``[m]`` which rows have a label, which must be a finite number or NaN.

    Raises:
        SerendipError: an infinite label.
    """
    if bool(np.isinf(labels).any()):
        raise SerendipError("labels must be finite, or NaN where none is known. Got infinity instead.")
    return np.asarray(~np.isnan(labels))


def binary(labels: NDArray[Any]) -> Mask:
    """``[m]`` which rows have a label; every label must be 0, 1 or NaN (none).

    Raises:
        SerendipError: another label.
    """
    have = known(labels)
    wrong = labels[have & (labels != 0) & (labels != 1)]
    if len(wrong):
        raise SerendipError(
            f"labels must be 0 or 1, or NaN where none is known. Got {wrong[0]} and {len(wrong):,} such rows instead."
        )
    return have


def ordered(scores: NDArray[Any]) -> Values:
    """Scores as float64; ``-inf`` and ``inf`` are scores, NaN is none.

    Raises:
        SerendipError: NaN.
    """
    if bool(np.isnan(scores).any()):
        raise SerendipError(
            f"scores must be numbers. Got NaN in {int(np.isnan(scores).sum()):,} rows instead. "
            "Try -inf for what cannot be scored."
        )
    return scores.astype(np.float64)


def probable(probabilities: NDArray[Any]) -> Values:
    """Probabilities as float64.

    Raises:
        SerendipError: one that is NaN or outside 0 … 1.
    """
    wrong = probabilities[~((probabilities >= 0) & (probabilities <= 1))]
    if len(wrong):
        raise SerendipError(
            f"probabilities must lie in 0 … 1. Got {wrong[0]} and {len(wrong):,} such rows instead. "
            "Try the sigmoid of the scores, or a Calibration of them."
        )
    return probabilities.astype(np.float64)


def amounts(name: str, values: NDArray[Any]) -> Values:
    """Weights or durations as float64.

    Raises:
        SerendipError: one that is negative, infinite or NaN.
    """
    wrong = values[~((values >= 0) & (values < np.inf))]
    if len(wrong):
        raise SerendipError(
            f"{name} must be finite and at least 0. Got {wrong[0]} and {len(wrong):,} such rows instead."
        )
    return values.astype(np.float64)


def _listed(names: Any) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else str(last)
