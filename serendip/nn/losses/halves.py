"""The softmax over many candidates by products of bfloat16, where the processor has tiles for them (AMX).

Logits are rounded to 8 bits, the sums over candidates and dimensions are not; a block of queries at a time is held.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

_ROWS = 512
"""Queries in a block: their logits stay in the second cache or near it."""
_WIDTH = 64
"""What the number of candidates is filled up to a multiple of."""
_FEWEST = 512
"""Candidates and queries below which a block is not worth its products."""


def worth_it(queries: Tensor, candidates: Tensor) -> bool:
    """Whether mixed precision is asked for (`torch.autocast`), the processor has tiles, and there is enough to do."""
    asked = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    return asked and _tiles() and min(len(queries), len(candidates)) >= _FEWEST


@cache
def _tiles() -> bool:
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


class HalvedSoftmax(torch.autograd.Function):
    """``Σ_q w_q [ log Σ_j exp( x_q·y_j / τ + b_j ) − x_q·y_p(q) / τ − b_p(q) ]``, with both gradients in one pass."""

    @staticmethod
    def forward(
        ctx: Any,
        queries: Tensor,
        candidates: Tensor,
        positives: Tensor,
        temperature: float,
        bias: Tensor | None,
        weights: Tensor | None,
    ) -> Tensor:
        """A number.

        Args:
            ctx: keeps the gradients.
            queries: x, ``[q, d]`` float32.
            candidates: y, ``[c, d]`` float32.
            positives: p, ``[q]`` int64 places among them.
            temperature: τ > 0.
            bias: b, ``[c]``; None: 0.
            weights: w, ``[q]``; None: 1.
        """
        value, to_queries, to_candidates = _passed(
            queries.detach(), candidates.detach(), positives, temperature, bias, weights
        )
        ctx.save_for_backward(to_queries, to_candidates)
        return queries.new_tensor(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Of the queries and the candidates."""
        (outer,) = gradients
        queries, candidates = ctx.saved_tensors
        return queries * outer, candidates * outer, None, None, None, None


def _passed(
    queries: Tensor,
    candidates: Tensor,
    positives: Tensor,
    temperature: float,
    bias: Tensor | None,
    weights: Tensor | None,
) -> tuple[float, Tensor, Tensor]:
    from serendip.kernels.softmax_halves import powers

    n, threads, log2e = len(candidates), torch.get_num_threads(), float(np.log2(np.e))
    filled = functional.pad(candidates, (0, 0, 0, -n % _WIDTH)).bfloat16()
    across = filled.T.contiguous()
    shift = np.full(len(filled), -np.inf, np.float32)
    shift[:n] = 0 if bias is None else bias.float().numpy() * np.float32(log2e)
    own = torch.from_numpy(shift)[positives]
    share = torch.ones(len(queries)) if weights is None else weights.float()
    value, to_queries, to_candidates = 0.0, torch.empty_like(queries), torch.zeros(len(filled), queries.shape[1])
    for start in range(0, len(queries), _ROWS):
        at = slice(start, start + _ROWS)
        some = queries[at].bfloat16()
        logits = some @ across
        near = logits.gather(1, positives[at, None]).squeeze(1).float() * (log2e / temperature) + own[at]
        most, total = map(
            torch.from_numpy, powers(logits.view(torch.uint16).numpy(), shift, log2e / temperature, threads=threads)
        )
        value += float(((most + total.log2() - near) * share[at]).double().sum())
        scale = (share[at] / total / temperature).unsqueeze(1)
        to_queries[at] = (logits @ filled).float() * scale
        to_candidates += logits.T @ (queries[at] * scale).bfloat16()
    pull = (share / temperature).unsqueeze(1)
    to_queries -= candidates[positives] * pull
    to_candidates.index_add_(0, positives, queries * -pull)
    return value / log2e, to_queries, to_candidates[:n]
