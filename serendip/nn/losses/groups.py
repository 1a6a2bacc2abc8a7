"""Losses of lists: pairwise, on whether two items of a list are in the right order, and listwise, on the whole of it.

All of them take q lists of c places. What does not count in a list is masked or has a label that is below 0 or NaN: its
score, label and weight change nothing, and its gradient is 0. The others' scores must be finite.

Each list has one number, and the loss is the mean of those over the lists in which anything counts. A list from which
no order can be learned (all labels alike; for `listwise_softmax`: all of them 0) has 0 and no gradient, and is one of
those lists. Weights multiply an item's terms, and whatever a sum is divided by is a number of terms, not of weights.

Pairs are held as ``[q, c, c]``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from serendip.nn.losses.pairs import only
from serendip.types import SerendipError


def pairwise_hinge(
    scores: Tensor, labels: Tensor, weights: Tensor | None = None, mask: Tensor | None = None, *, margin: float = 1.0
) -> Tensor:
    """``max(0, margin − (s_i − s_j))`` for ``y_i > y_j``: the mean over the pairs of a list, then over the lists.

    Args:
        scores: s, ``[q, c]``.
        labels: y, ``[q, c]``; below 0 or NaN: the item does not count.
        weights: ``[q]`` or ``[q, c]``, where a pair has that of i; None: 1.
        mask: ``[q, c]`` bool, False for what does not count; None: everything does.
        margin: how far ahead i should be.

    Raises:
        SerendipError: shapes that do not fit.

    Source: R. Herbrich, T. Graepel and K. Obermayer, "Large margin rank boundaries for ordinal regression", 2000.
    """
    lists = _lists(scores, labels, weights, mask)
    return _mean(_mean_of_pairs(lists, lambda gap: functional.relu(margin - gap)), lists)


def pairwise_logistic(
    scores: Tensor, labels: Tensor, weights: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """``log(1 + e^−(s_i − s_j))`` for ``y_i > y_j``: the mean over the pairs of a list, then over the lists.

    Args:
        scores: s, ``[q, c]``.
        labels: y, ``[q, c]``; below 0 or NaN: the item does not count.
        weights: ``[q]`` or ``[q, c]``, where a pair has that of i; None: 1.
        mask: ``[q, c]`` bool, False for what does not count; None: everything does.

    Raises:
        SerendipError: shapes that do not fit.

    Source: C. Burges et al., "Learning to rank using gradient descent", ICML 2005.
    """
    lists = _lists(scores, labels, weights, mask)
    return _mean(_mean_of_pairs(lists, lambda gap: functional.softplus(-gap)), lists)


def listwise_softmax(
    scores: Tensor, labels: Tensor, weights: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """``−Σ_i (y_i / Σ_j y_j) log( e^s_i / Σ_j e^s_j )`` of a list; the mean over the lists.

    Args:
        scores: s, ``[q, c]``.
        labels: y, ``[q, c]``; below 0 or NaN: the item does not count.
        weights: ``[q]`` or ``[q, c]``, where each item's multiplies its term; None: 1.
        mask: ``[q, c]`` bool, False for what does not count; None: everything does.

    Raises:
        SerendipError: shapes that do not fit.

    Source: S. Bruch et al., "An analysis of the softmax cost function for learning to rank", ICTIR 2019.
    """
    lists = _lists(scores, labels, weights, mask)
    total = lists.labels.sum(dim=1, keepdim=True)
    target = lists.labels / torch.where(total > 0, total, 1.0)
    logits = lists.scores.masked_fill(~lists.counts, torch.finfo(lists.scores.dtype).min)
    (logs,) = only(lists.counts, logits.log_softmax(dim=1))
    return _mean(-(lists.weights * target * logs).sum(dim=1), lists)


def list_mle(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """``Σ_r [ log Σ_{t≥r} e^s_π(t) − s_π(r) ]`` with π the order by label; the mean over the lists.

    That is minus the log-likelihood of the order in the model of Plackett and Luce: places are filled from the first by
    draws from a softmax over what is left. Where labels are alike, the order is drawn anew in each call if there is a
    generator, and otherwise that of the places in the list.

    Args:
        scores: s, ``[q, c]``.
        labels: y, ``[q, c]``; below 0 or NaN: the item does not count.
        weights: ``[q]`` or ``[q, c]``, where each item's multiplies the term of its place; None: 1.
        mask: ``[q, c]`` bool, False for what does not count; None: everything does.
        generator: what ties are broken by; None: the earlier in the list goes first.

    Raises:
        SerendipError: shapes that do not fit.

    Source: F. Xia et al., "Listwise approach to learning to rank: theory and algorithm", ICML 2008.
    """
    lists = _lists(scores, labels, weights, mask)
    order = _last_first(lists, generator)
    ordered, counts = lists.scores.gather(1, order), lists.counts.gather(1, order)
    (terms,) = only(counts, ordered.logcumsumexp(dim=1) - ordered)
    losses = (lists.weights.gather(1, order) * terms).sum(dim=1)
    least = lists.labels.masked_fill(~lists.counts, math.inf).amin(dim=1)
    (losses,) = only(lists.labels.amax(dim=1) > least, losses)
    return _mean(losses, lists)


def lambda_rank(scores: Tensor, labels: Tensor, weights: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
    """``Σ |ΔNDCG_ij| log(1 + e^−(s_i − s_j))`` over the pairs with ``y_i > y_j`` of a list; the mean over the lists.

    ΔNDCG is what NDCG would change by if i and j swapped places in the order by the current scores (which are not
    differentiated through it; ties by place), with gains ``2^y − 1`` and discounts ``1 / log₂(rank + 1)``.

    Args:
        scores: s, ``[q, c]``.
        labels: y, ``[q, c]``; below 0 or NaN: the item does not count.
        weights: ``[q]`` or ``[q, c]``, where a pair has that of i; None: 1.
        mask: ``[q, c]`` bool, False for what does not count; None: everything does.

    Raises:
        SerendipError: shapes that do not fit.

    Sources: C. Burges, R. Ragno and Q. Le, "Learning to rank with nonsmooth cost functions", NIPS 2006; X. Wang et al.,
    "The LambdaLoss framework for ranking metric optimization", CIKM 2018.
    """
    lists = _lists(scores, labels, weights, mask)
    losses = _of_pairs(lists, _better(lists), lambda gap: functional.softplus(-gap)) * _ndcg_changes(lists)
    return _mean(losses.sum(dim=(1, 2)), lists)


@dataclass(frozen=True, slots=True)
class _Lists:
    """Lists with 0 for what does not count; each ``[q, c]``."""

    scores: Tensor
    labels: Tensor
    weights: Tensor
    counts: Tensor


def _lists(scores: Tensor, labels: Tensor, weights: Tensor | None, mask: Tensor | None) -> _Lists:
    _check(scores, labels, weights, mask)
    if scores.dtype != torch.float64:
        scores = scores.float()
    counts = labels >= 0 if mask is None else (labels >= 0) & mask
    share = torch.ones_like(scores) if weights is None else weights.to(scores)
    if share.ndim == 1:
        share = share[:, None].expand_as(scores)
    scores, labels, share = only(counts, scores, labels.to(scores), share)
    return _Lists(scores, labels, share, counts)


def _check(scores: Tensor, labels: Tensor, weights: Tensor | None, mask: Tensor | None) -> None:
    if scores.ndim != 2 or not scores.shape[1]:
        raise SerendipError(
            f"scores must be of shape [lists, places] with at least one place. Got {list(scores.shape)} instead."
        )
    for name, given in (("labels", labels), ("mask", mask)):
        if given is not None and given.shape != scores.shape:
            raise SerendipError(
                f"{name} must be of shape {list(scores.shape)}, as the scores. Got {list(given.shape)} instead."
            )
    if weights is not None and weights.shape not in (scores.shape, scores.shape[:1]):
        raise SerendipError(
            f"weights must be of shape {list(scores.shape)} or {list(scores.shape[:1])}. Got {list(weights.shape)} "
            "instead."
        )


def _mean(losses: Tensor, lists: _Lists) -> Tensor:
    return losses.sum() / lists.counts.any(dim=1).sum().clamp(min=1)


def _better(lists: _Lists) -> Tensor:
    """``[q, c, c]``: whether the first of two counts, the second does too, and the first has the higher label."""
    both = lists.counts[:, :, None] & lists.counts[:, None, :]
    return both & (lists.labels[:, :, None] > lists.labels[:, None, :])


def _of_pairs(lists: _Lists, better: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """``[q, c, c]``: the loss of how far i is ahead of j, times i's weight; 0 unless i is the better."""
    gaps = lists.scores[:, :, None] - lists.scores[:, None, :]
    return only(better, loss(gaps) * lists.weights[:, :, None])[0]


def _mean_of_pairs(lists: _Lists, loss: Callable[[Tensor], Tensor]) -> Tensor:
    better = _better(lists)
    return _of_pairs(lists, better, loss).sum(dim=(1, 2)) / better.sum(dim=(1, 2)).clamp(min=1)


def _last_first(lists: _Lists, generator: torch.Generator | None) -> Tensor:
    """Places by label, the lowest first, and then those that do not count; ``[q, c]``."""
    shape, device = lists.labels.shape, lists.labels.device
    if generator is None:
        start = torch.arange(shape[1] - 1, -1, -1, device=device).expand(shape)
    else:
        start = torch.rand(shape, generator=generator, device=generator.device).argsort(dim=1).to(device)
    keys = lists.labels.masked_fill(~lists.counts, math.inf).gather(1, start)
    return start.gather(1, keys.argsort(dim=1, stable=True))


@torch.no_grad()
def _ndcg_changes(lists: _Lists) -> Tensor:
    """``[q, c, c]``: |ΔNDCG|, between items that count. Gains are relative to the largest: none overflows."""
    largest = lists.labels.amax(dim=1, keepdim=True)
    gains = torch.exp2(lists.labels - largest) - torch.exp2(-largest)
    order = lists.scores.masked_fill(~lists.counts, -math.inf).argsort(dim=1, descending=True, stable=True)
    discounts = 1 / torch.arange(2, gains.shape[1] + 2, device=gains.device, dtype=gains.dtype).log2()
    own = torch.empty_like(gains).scatter_(1, order, discounts.expand_as(gains))
    ideal = (gains.sort(dim=1, descending=True).values * discounts).sum(dim=1)[:, None, None]
    swapped = (gains[:, :, None] - gains[:, None, :]) * (own[:, :, None] - own[:, None, :])
    return swapped.abs() / torch.where(ideal > 0, ideal, 1.0)
