"""Losses of positives and their own negatives: each row's negatives count for that row alone."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from serendip.types import SerendipError


def bpr(positive: Tensor, negative: Tensor, weights: Tensor | None = None) -> Tensor:
    """``−log σ(s⁺ − s⁻)``: a positive should score above its negatives.

    Args:
        positive: ``[m]`` scores.
        negative: ``[m]`` or ``[m, k]`` scores; the mean over the k counts.
        weights: ``[m]``; None: 1.

    Source: S. Rendle et al., "BPR: Bayesian personalized ranking from implicit feedback", UAI 2009.
    """
    gap = positive - negative if negative.ndim == 1 else positive[:, None] - negative
    loss = functional.softplus(-gap)
    return mean(loss if loss.ndim == 1 else loss.mean(dim=1), weights)


def sampled_softmax(
    positive: Tensor, negative: Tensor, correction: Tensor | None = None, weights: Tensor | None = None
) -> Tensor:
    """``log(1 + Σ_j exp(s_j⁻ − s⁺))``: the cross-entropy of a softmax over a positive and its negatives.

    Args:
        positive: ``[m]`` logits.
        negative: ``[m, k]`` logits, ``-inf`` for one that must not count.
        correction: ``[m, k]`` or ``[k]`` the logarithm of how often each negative is expected among the k, to be taken
            off its logit, so that the sum stands for all items; None: the negatives stand for themselves.
        weights: ``[m]``; None: 1.

    Source: Y. Bengio and J.-S. Senécal, "Quick training of probabilistic neural nets by importance sampling", AISTATS
    2003.
    """
    logits = negative if correction is None else negative - correction
    partition = torch.logsumexp(torch.cat([positive[:, None], logits], dim=1), dim=1)
    return mean(partition - positive, weights)


def gbce(
    positive: Tensor, negative: Tensor, *, n_items: int, calibration: float = 0.75, weights: Tensor | None = None
) -> Tensor:
    """``−1/(k+1) [ log σ(s⁺)^β + Σ_j log(1 − σ(s_j⁻)) ]`` with ``β = α (t (1 − 1/α) + 1/α)`` and ``α = k / (n − 1)``.

    The power makes up for there being k negatives instead of all: without it the model is too sure of positives.

    Args:
        positive: ``[m]`` logits.
        negative: ``[m, k]`` logits of items drawn uniformly, ``-inf`` for one that must not count.
        n_items: n, at least 2.
        calibration: t from 0, which is binary cross-entropy, to 1, where σ is as sure as all negatives would make it.
        weights: ``[m]``; None: 1.

    Raises:
        SerendipError: t is not within 0 and 1, or there is just one item.

    Source: A. Petrov and C. Macdonald, "gSASRec: reducing overconfidence in sequential recommendation trained with
    negative sampling", RecSys 2023.
    """
    if not 0 <= calibration <= 1:
        raise SerendipError(f"calibration must be from 0 to 1. Got {calibration} instead. Try 0.75.")
    if n_items < 2:
        raise SerendipError(f"n_items must be 2 or more for there to be negatives. Got {n_items} instead.")
    k = negative.shape[1]
    alpha = min(1.0, k / (n_items - 1))
    beta = calibration * (alpha - 1) + 1
    loss = beta * functional.softplus(-positive) + functional.softplus(negative).sum(dim=1)
    return mean(loss / (k + 1), weights)


def cosine_contrastive(
    positive: Tensor,
    negative: Tensor,
    *,
    margin: float = 0.5,
    negative_weight: float = 1.0,
    weights: Tensor | None = None,
) -> Tensor:
    """``1 − c⁺ + μ/k Σ_j max(0, c_j⁻ − θ)``: positives as near as can be, negatives no nearer than the margin.

    Args:
        positive: ``[m]`` cosines.
        negative: ``[m, k]`` cosines, ``-inf`` for one that must not count.
        margin: θ.
        negative_weight: μ, of all negatives of a row together.
        weights: ``[m]``; None: 1.

    Source: K. Mao et al., "SimpleX: a simple and strong baseline for collaborative filtering", CIKM 2021.
    """
    return mean(1 - positive + negative_weight * functional.relu(negative - margin).mean(dim=1), weights)


def mean(losses: Tensor, weights: Tensor | None, mask: Tensor | None = None) -> Tensor:
    """The mean of the rows' losses times their weights, over the number of rows that the mask lets count; 0 if none.

    Raises:
        SerendipError: weights or a mask of another shape than the losses.
    """
    for name, given in (("weights", weights), ("mask", mask)):
        if given is not None and given.shape != losses.shape:
            raise SerendipError(
                f"{name} must be of shape {list(losses.shape)}, as the losses. Got {list(given.shape)} instead."
            )
    if weights is not None:
        losses = losses * weights
    if mask is None:
        return losses.mean()
    (losses,) = only(mask, losses)
    return losses.sum() / mask.sum().clamp(min=1)


def only(mask: Tensor | None, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The tensors with 0 where the mask is False, whatever was there: neither value nor gradient gets past it."""
    return tensors if mask is None else tuple(torch.where(mask, tensor, 0.0) for tensor in tensors)
