"""Weights against the bias of logs: what was shown high up, or shown at all, was not chosen by chance.

They are NumPy arrays made once for a whole log, as a loss takes them in its ``weights``: normalised batch by batch they
would depend on how rows are dealt out.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serendip.types import SerendipError


def inverse_propensity(
    propensities: ArrayLike, *, floor: float = 0.01, most: float = math.inf, normalise: bool = False
) -> NDArray[np.float32]:
    """``min(1 / max(p, floor), most)``: a row counts for all those like it that were not shown.

    Without floor and most what is learned has no bias, but its variance has no bound.

    Args:
        propensities: p, of any shape, from 0 to 1: how probable it was that the row was logged, or looked at.
        floor: above 0; what is less probable counts as if it were so probable.
        most: above 0; the largest weight.
        normalise: whether the weights are divided by their mean at the end, so that they leave the learning rate and
            the share of regularisation as they were.

    Raises:
        SerendipError: a propensity that is not from 0 to 1, or a floor or most that is not above 0.

    Sources: T. Schnabel et al., "Recommendations as treatments: debiasing learning and evaluation", ICML 2016;
    normalised: A. Swaminathan and T. Joachims, "The self-normalized estimator for counterfactual learning", NIPS 2015.
    """
    for name, bound in (("floor", floor), ("most", most)):
        if not bound > 0:
            raise SerendipError(f"{name} must be above 0. Got {bound} instead. Try {0.01 if name == 'floor' else 100}.")
    given = np.asarray(propensities, np.float64)
    wrong = ~((given >= 0) & (given <= 1))
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise SerendipError(
            f"propensities must be from 0 to 1. Got {given.flat[place]} at place {place} instead, and {wrong.sum()} "
            "such in all. Try to leave out rows whose propensity is not known."
        )
    weights = np.minimum(1 / np.maximum(given, floor), most)
    if normalise and weights.size:
        weights = weights / weights.mean()
    return weights.astype(np.float32)


def position_propensity(positions: ArrayLike, *, power: float = 1.0) -> NDArray[np.float32]:
    """``(1 / position)^power``: how probable it is that a place in a list is looked at, relative to the first.

    Args:
        positions: of any shape, 1 for the first place.
        power: 0: all places alike; at least 0.

    Raises:
        SerendipError: a position below 1, or a power that is not 0 or more.

    Source: T. Joachims, A. Swaminathan and T. Schnabel, "Unbiased learning-to-rank with biased feedback", WSDM 2017.
    """
    if not power >= 0:
        raise SerendipError(f"power must be 0 or more. Got {power} instead. Try 1.")
    given = np.asarray(positions, np.float64)
    wrong = ~(given >= 1)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        raise SerendipError(
            f"positions must be 1 or more. Got {given.flat[place]} at place {place} instead, and {wrong.sum()} such in "
            "all. Try to add 1 where they are counted from 0."
        )
    return (given**-power).astype(np.float32)
