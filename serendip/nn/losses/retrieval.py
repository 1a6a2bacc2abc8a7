"""The softmax of queries over candidates they share: in the batch, with further candidates, or over all items.

On the CPU value and gradients come in one pass that never holds the logits as a whole (`serendip.kernels.softmax`; in
mixed precision `serendip.nn.losses.halves`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from serendip.nn.losses.halves import HalvedSoftmax, worth_it
from serendip.nn.losses.pairs import mean
from serendip.types import SerendipError

LEAST_PROBABILITY = 1e-6
"""Candidates that are rarer than this count as if they were not."""


@dataclass(frozen=True, slots=True)
class Hidden:
    """What does not count as a candidate.

    Attributes:
        candidate_ids: ``[c]`` int64; a candidate whose id is that of a row's positive does not count in that row.
        positive_ids: ``[b]`` int64.
        mask: ``[b, c]`` bool, what does count.
        hard_negatives: how many candidates besides the positive count, those with the highest logits.
    """

    candidate_ids: Tensor | None = None
    positive_ids: Tensor | None = None
    mask: Tensor | None = None
    hard_negatives: int | None = None


def retrieval_softmax(
    queries: Tensor,
    candidates: Tensor,
    *,
    positives: Tensor | None = None,
    temperature: float = 1.0,
    log_q: Tensor | None = None,
    candidate_ids: Tensor | None = None,
    positive_ids: Tensor | None = None,
    mask: Tensor | None = None,
    hard_negatives: int | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """The cross-entropy of a softmax over the candidates of a batch, in these steps.

    1. ``s = q·c``, of a query with several heads the highest of theirs.
    2. Each row has one positive; all other candidates, also those that belong to no row, are negatives.
    3. ``s ← s / τ``.
    4. ``s ← s − log Q(c)``: how often a candidate is among the candidates does not count. Q is at least
       `LEAST_PROBABILITY` and at most 1.
    5. A negative that is the same item as the row's positive does not count.
    6. Neither does one that is masked.
    7. Of the others the hardest are kept.
    8. ``log Σ exp s − s⁺``, times the row's weight; the mean over the rows.

    A row's positive counts whatever steps 5 to 7 say. Gradients go to the queries and the candidates alone.

    Args:
        queries: ``[b, d]`` or ``[b, heads, d]``.
        candidates: ``[c, d]``: of the batch, and any number of further ones (mixed negatives: see `mixed_log_q`).
        positives: ``[b]`` int64 places among the candidates; None: row i's is candidate i.
        temperature: τ > 0.
        log_q: ``[c]`` log Q; None: all candidates are as frequent.
        candidate_ids: ``[c]`` int64, for step 5; None: no two candidates are the same.
        positive_ids: ``[b]`` int64; None: those of the positives among ``candidate_ids``.
        mask: ``[b, c]`` bool, True for what may count; None: everything.
        hard_negatives: how many negatives are kept in a row; None: all.
        weights: ``[b]``; None: 1.

    Raises:
        SerendipError: shapes that do not fit, a temperature that is not above 0, a number of hard negatives below 0, or
            a positive that is no candidate.

    Sources: X. Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations", RecSys 2019;
    several heads: C. Li et al., "Multi-interest network with dynamic routing for recommendation at Tmall", CIKM 2019.
    """
    b = len(queries)
    if positives is None:
        positives = torch.arange(b, device=queries.device)
    if candidate_ids is not None and positive_ids is None:
        positive_ids = candidate_ids[positives]
    hidden = Hidden(candidate_ids, positive_ids, mask, hard_negatives)
    _check(queries, candidates, positives, temperature, log_q, hidden, weights)
    bias = None if log_q is None else -log_q.detach().clamp(math.log(LEAST_PROBABILITY), 0.0)
    weights = None if weights is None else weights.detach()
    return _softmax(queries, candidates, positives, temperature, bias, hidden, weights)


def full_softmax(
    queries: Tensor, items: Tensor, positives: Tensor, *, temperature: float = 1.0, weights: Tensor | None = None
) -> Tensor:
    """``log Σ_j exp(q·y_j / τ) − q·y⁺ / τ`` over all items; the mean over the rows.

    Args:
        queries: ``[b, d]`` or ``[b, heads, d]``.
        items: ``[n, d]``, all of them.
        positives: ``[b]`` int64 codes.
        temperature: τ > 0.
        weights: ``[b]``; None: 1.

    Raises:
        SerendipError: as `retrieval_softmax`.
    """
    return retrieval_softmax(queries, items, positives=positives, temperature=temperature, weights=weights)


def mixed_log_q(log_q: Tensor, *, batch: int, uniform: int, n_items: int) -> Tensor:
    """log Q of candidates of which some come with the batch and some are drawn uniformly from all items.

    ``Q = (b·p + k/n) / (b + k)`` for an item that has the probability p in the log.

    Args:
        log_q: log p, of any shape.
        batch: b, how many candidates come with the batch.
        uniform: k, how many are drawn.
        n_items: n.

    Source: J. Yang et al., "Mixed negative sampling for learning two-tower neural networks in recommendations", WWW
    2020.
    """
    drawn = math.log(uniform / n_items) if uniform else -math.inf
    both = torch.logaddexp(log_q + math.log(batch), torch.full_like(log_q, drawn))
    return both - math.log(batch + uniform)


def _softmax(
    queries: Tensor,
    candidates: Tensor,
    positives: Tensor,
    temperature: float,
    bias: Tensor | None,
    hidden: Hidden,
    weights: Tensor | None,
) -> Tensor:
    """As `retrieval_softmax`; a bias for each candidate in place of log Q."""
    if queries.dtype != torch.float64:
        queries, candidates = queries.float(), candidates.float()
    if queries.is_cpu and queries.dtype != torch.float64:
        if queries.ndim == 2 and hidden == Hidden() and worth_it(queries, candidates):
            rough: Tensor = HalvedSoftmax.apply(  # type: ignore[no-untyped-call]
                queries, candidates, positives, temperature, bias, weights
            )
            return rough / len(queries)
        found: Tensor = _Tiled.apply(  # type: ignore[no-untyped-call]
            queries, candidates, positives, temperature, bias, hidden, weights
        )
        return found
    heads = queries if queries.ndim == 3 else queries[:, None]
    return softmax_elsewhere(heads, candidates, positives, temperature, bias, hidden, weights)


class _Tiled(torch.autograd.Function):
    """The mean over the rows, and its gradients in the same pass."""

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        candidates: Tensor,
        positives: Tensor,
        temperature: float,
        bias: Tensor | None,
        hidden: Hidden,
        weights: Tensor | None,
    ) -> Tensor:
        from serendip.kernels import softmax as kernel

        b = len(queries)
        shares = np.full(b, 1 / max(b, 1), np.float32)
        value, *gradients = kernel.softmax(
            (queries if queries.ndim == 3 else queries.unsqueeze(1)).detach().numpy(),
            candidates.detach().numpy(),
            positives.long().contiguous().numpy(),
            temperature=temperature,
            bias=None if bias is None else bias.float().numpy(),
            hidden=_kernel_hidden(hidden, b),
            weights=shares if weights is None else shares * weights.float().numpy(),
            threads=torch.get_num_threads(),
        )
        to_queries, to_candidates = map(torch.from_numpy, gradients)
        ctx.save_for_backward(to_queries.view_as(queries), to_candidates)
        return queries.new_tensor(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (outer,) = gradients
        queries, candidates = ctx.saved_tensors
        if outer != 1:
            queries, candidates = queries * outer, candidates * outer
        return queries, candidates, None, None, None, None, None


def _kernel_hidden(hidden: Hidden, b: int) -> Any:
    from serendip.kernels import softmax as kernel

    found = kernel.nothing(b)
    if hidden.candidate_ids is not None and hidden.positive_ids is not None:
        found = kernel.alike(hidden.candidate_ids.numpy(), hidden.positive_ids.numpy())
    mask = None if hidden.mask is None else np.ascontiguousarray(hidden.mask.numpy())
    return replace(found, mask=mask, hard=hidden.hard_negatives)


def softmax_elsewhere(
    queries: Tensor,
    candidates: Tensor,
    positives: Tensor,
    temperature: float,
    bias: Tensor | None,
    hidden: Hidden,
    weights: Tensor | None,
) -> Tensor:
    """The same by PyTorch's own operations, for other devices and double precision; it holds all logits."""
    with torch.autocast(queries.device.type, enabled=False):  # half precision is too coarse for what is exponentiated
        logits = (queries @ candidates.T).max(dim=1).values / temperature
    if bias is not None:
        logits = logits + bias
    own = positives[:, None]
    counts = torch.ones_like(logits, dtype=torch.bool) if hidden.mask is None else hidden.mask
    if hidden.candidate_ids is not None and hidden.positive_ids is not None:
        counts = counts & (hidden.candidate_ids[None, :] != hidden.positive_ids[:, None])
    if hidden.hard_negatives is not None and hidden.hard_negatives < logits.shape[1]:
        others = logits.detach().masked_fill(~counts, -math.inf).scatter(1, own, -math.inf)
        _, hardest = others.topk(hidden.hard_negatives, dim=1)
        counts = counts & torch.zeros_like(counts).scatter(1, hardest, True)
    logits = logits.masked_fill(~counts.scatter(1, own, True), -math.inf)
    return mean(torch.logsumexp(logits, dim=1) - logits.gather(1, own).squeeze(1), weights)


def _check(
    queries: Tensor,
    candidates: Tensor,
    positives: Tensor,
    temperature: float,
    log_q: Tensor | None,
    hidden: Hidden,
    weights: Tensor | None,
) -> None:
    b, c = len(queries), len(candidates)
    if queries.ndim not in (2, 3) or candidates.ndim != 2 or queries.shape[-1] != candidates.shape[1]:
        raise SerendipError(
            f"queries must be [b, d] or [b, heads, d], and candidates [c, d]. Got {_shape(queries)} and "
            f"{_shape(candidates)} instead."
        )
    given = {
        "positives": (positives, (b,)),
        "log_q": (log_q, (c,)),
        "candidate_ids": (hidden.candidate_ids, (c,)),
        "positive_ids": (hidden.positive_ids, (b,)),
        "mask": (hidden.mask, (b, c)),
        "weights": (weights, (b,)),
    }
    for name, (tensor, shape) in given.items():
        if tensor is not None and tensor.shape != shape:
            raise SerendipError(f"{name} must be of shape {list(shape)}. Got {_shape(tensor)} instead.")
    if not temperature > 0:
        raise SerendipError(f"temperature must be above 0. Got {temperature} instead. Try 0.1.")
    if hidden.hard_negatives is not None and hidden.hard_negatives < 0:
        raise SerendipError(f"hard_negatives must be 0 or more. Got {hidden.hard_negatives} instead. Try None for all.")
    if positives.is_cpu and b:
        least, most = map(int, positives.aminmax())
        if least < 0 or most >= c:
            raise SerendipError(f"positives must be places among the {c} candidates. Got {least} to {most} instead.")


def _shape(tensor: Tensor) -> list[int]:
    return list(tensor.shape)
