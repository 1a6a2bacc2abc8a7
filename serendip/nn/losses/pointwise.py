"""Losses of rows with a label of their own: yes or no, counts, ratings and durations.

Each is a mean over the rows whose label is known. A row that is masked counts for nothing, whatever stands there: its
label, its weight and what was predicted may be NaN, and its gradient is 0. Without a known label the loss is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from serendip.nn.losses.pairs import mean, only
from serendip.types import SerendipError

LARGEST_LOG_RATE = 20.0
"""Above it a rate goes on as its tangent, so that no exponential overflows: e²⁰ is half a billion."""
LARGEST_LOG_DURATION = 80.0
"""Durations that are served are at most e⁸⁰, which float32 still holds."""


def known(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The labels with 0 in place of NaN, and the mask of those that are known; both of the labels' shape."""
    mask = ~torch.isnan(labels)
    return only(mask, labels)[0], mask


def binary_cross_entropy(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """``−y log σ(s) − (1 − y) log(1 − σ(s))``.

    Args:
        logits: s, of any shape, which is that of all others.
        labels: y, from 0 to 1.
        weights: None: 1.
        mask: bool, False where the label is not known; None: all are.

    Raises:
        SerendipError: shapes that differ.
    """
    logits, labels = known_rows(logits, labels, mask)
    return mean(functional.binary_cross_entropy_with_logits(logits, labels, reduction="none"), weights, mask)


def poisson(log_rates: Tensor, labels: Tensor, weights: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """``e^η − y η + log y!``: minus the log-likelihood of counts. It is never below 0.

    Above `LARGEST_LOG_RATE` ``e^η`` is continued as a straight line.

    Args:
        log_rates: η, ``[m]``.
        labels: y, ``[m]`` counts, at least 0.
        weights: ``[m]``; None: 1.
        mask: ``[m]`` bool, False where the label is not known; None: all are.

    Raises:
        SerendipError: shapes that differ.
    """
    log_rates, labels = known_rows(log_rates, labels, mask)
    held = log_rates.clamp(max=LARGEST_LOG_RATE)
    rates = held.exp() * (1 + log_rates - held)
    return mean(rates - labels * log_rates + torch.lgamma(labels + 1), weights, mask)


def squared_error(
    predictions: Tensor, labels: Tensor, weights: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """``(ŷ − y)²`` of ratings.

    Args:
        predictions: ŷ, ``[m]``.
        labels: y, ``[m]``.
        weights: ``[m]``; None: 1.
        mask: ``[m]`` bool, False where the label is not known; None: all are.

    Raises:
        SerendipError: shapes that differ.
    """
    predictions, labels = known_rows(predictions, labels, mask)
    return mean((predictions - labels).square(), weights, mask)


def weighted_logistic(
    logits: Tensor,
    durations: Tensor,
    weights: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    all_negative: bool = False,
) -> Tensor:
    """``−T log σ(s)`` of rows with a duration T > 0 and ``−log(1 − σ(s))`` of the others: odds that foretell durations.

    What is learned has the odds ``e^s = Σ T / N₀`` over rows that are alike, N₀ of them without a duration. If a share
    P has one these are ``E[T] / (1 − P)``, near E[T] only while P is small. With ``all_negative`` each row is a
    negative besides, N₀ is the number of all rows, and the odds are E[T] whatever P is.

    Args:
        logits: s, ``[m]``.
        durations: T, ``[m]``, at least 0 and 0 for what was shown but not played. Their unit is that of the odds; what
            they weigh against negatives depends on it.
        weights: ``[m]``; None: 1. They multiply T as well.
        mask: ``[m]`` bool, False where the duration is not known; None: all are.
        all_negative: whether rows with a duration are negatives, too.

    Raises:
        SerendipError: shapes that differ.

    Source: P. Covington, J. Adams and E. Sargin, "Deep neural networks for YouTube recommendations", RecSys 2016;
    ``all_negative`` is ours.
    """
    logits, durations = known_rows(logits, durations, mask)
    negatives = torch.ones_like(durations) if all_negative else (durations == 0).to(durations)
    loss = durations * functional.softplus(-logits) + negatives * functional.softplus(logits)
    return mean(loss, weights, mask)


def duration_of_odds(logits: Tensor) -> Tensor:
    """``e^s``, the duration that `weighted_logistic` expects, in its unit; at most e to `LARGEST_LOG_DURATION`."""
    return logits.clamp(max=LARGEST_LOG_DURATION).exp()


def log_duration_error(
    predictions: Tensor, durations: Tensor, weights: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """``(ẑ − log(1 + T))²``: a regression on durations, over rows that were not played as well.

    By `duration_of_log` it foretells something near the geometric mean of durations, which is below their mean.

    Args:
        predictions: ẑ, ``[m]``.
        durations: T, ``[m]``, at least 0.
        weights: ``[m]``; None: 1.
        mask: ``[m]`` bool, False where the duration is not known; None: all are.

    Raises:
        SerendipError: shapes that differ.
    """
    predictions, durations = known_rows(predictions, durations, mask)
    return squared_error(predictions, durations.log1p(), weights, mask)


def duration_of_log(predictions: Tensor) -> Tensor:
    """``e^ẑ − 1``, the inverse of log(1 + T); at least 0 and at most e to `LARGEST_LOG_DURATION`."""
    return predictions.clamp(0.0, LARGEST_LOG_DURATION).expm1()


def known_rows(predictions: Tensor, labels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both with 0 where the mask is False, at least in single precision.

    Raises:
        SerendipError: labels or a mask of another shape than the predictions.
    """
    for name, given in (("labels", labels), ("mask", mask)):
        if given is not None and given.shape != predictions.shape:
            raise SerendipError(
                f"{name} must be of shape {list(predictions.shape)}, as what is predicted. Got {list(given.shape)} "
                "instead."
            )
    if predictions.dtype != torch.float64:
        predictions = predictions.float()
    predictions, labels = only(mask, predictions, labels.to(predictions))
    return predictions, labels
