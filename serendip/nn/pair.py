"""Two towers of ids alone: the softmax of the rows of two tables as one node.

Where each query is a row of a table and each candidate one of another, nothing has to be told to autograd but which
rows were touched and their gradients, which come with the value (`serendip.kernels.softmax_pairs`). A row that several
examples share is multiplied with the candidates once. What comes out is what `retrieval_softmax` of the looked-up rows
gives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from serendip.kernels import rows as kernel
from serendip.nn.embed import Table
from serendip.nn.losses.retrieval import LEAST_PROBABILITY
from serendip.nn.query import QueryTower
from serendip.nn.rows import note
from serendip.types import Floats

Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pair:
    """The two tables of a module that is nothing else.

    Attributes:
        name: of the input with the codes of queries.
        queries, items: the tables.
    """

    name: str
    queries: Table
    items: Table


def pair(net: QueryTower) -> Pair | None:
    """The tables of towers that read one code each, on the processor and by touched rows; None where there is more."""
    rank, features = net.rank, net.features
    read = () if features is None else features.inputs
    more = net.histories or net.asked or net.adapter is not None or len(net.tower.layers) or net.tower.heads > 1
    if more or net.tower.normalise or features is None or len(read) != 1 or read[0].size is None or read[0].width:
        return None
    queries, items = features.table_for(read[0]), rank.ids
    if items is None or rank.features is not None or rank.tower is not None or rank.normalise or rank.id_dropout.rate:
        return None
    apart = queries.sparse and items.sparse and queries.weight.is_cpu and not torch.is_autocast_enabled("cpu")
    return Pair(read[0].name, queries, items) if apart and net.training else None


def pair_softmax(
    tables: Pair,
    inputs: Mapping[str, NDArray[Any]],
    candidates: Codes,
    positives: Codes,
    *,
    temperature: float = 1.0,
    log_q: Floats | None = None,
    weights: Floats | None = None,
    reg: float = 0.0,
) -> Tensor:
    """The cross-entropy of a softmax over candidates, no two of which are the same, and what `held` gives; the mean
    over the rows.

    Args:
        tables: of `pair`.
        inputs: of the query tower, ``[b]`` codes by name.
        candidates: ``[c]`` codes, rising, each once and known.
        positives: ``[b]`` places among them.
        temperature: τ > 0.
        log_q: ``[c]``: as for `retrieval_softmax`.
        weights: ``[b]``; None: 1.
        reg: λ of `held`.
    """
    codes = inputs[tables.name].astype(np.int64)
    rows = (codes + 1) * (codes.view(np.uint64) < tables.queries.size)
    bias = None if log_q is None else -np.clip(log_q, math.log(LEAST_PROBABILITY), 0).astype(np.float32)
    how = positives, temperature, bias, weights, reg
    found: Tensor = _Softmax.apply(tables.queries.weight, tables.items.weight, rows, candidates + 1, how)  # type: ignore[no-untyped-call]
    return found


def held(queries: Tensor, candidates: Tensor, reg: float) -> Tensor:
    """``λ/2 · ( Σ_r |x_r|² + Σ_j |y_j|² ) / b``: what holds the vectors of a step towards 0.

    Args:
        queries: x, ``[b, d]`` or ``[b, heads, d]``.
        candidates: y, ``[c, d]``.
        reg: λ.
    """
    return reg / 2 * (queries.square().sum() + candidates.square().sum()) / max(len(queries), 1)


class _Softmax(torch.autograd.Function):
    """Value and gradients in one pass; the gradients are noted on the tables."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, items: Tensor, rows: Codes, candidates: Codes, how: Any) -> Tensor:
        from serendip.kernels.softmax_pairs import softmax_pairs

        positives, temperature, bias, weights, reg = how
        groups = kernel.grouped(rows)
        b = max(len(rows), 1)
        share = np.full(len(rows), 1 / b, np.float32)
        value, *gradients = softmax_pairs(
            queries.detach().numpy(),
            groups,
            items.detach().numpy(),
            candidates,
            positives,
            temperature=temperature,
            bias=bias,
            weights=share if weights is None else share * weights,
            reg=reg / b,
            threads=torch.get_num_threads(),
        )
        ctx.found = (queries, groups.rows, gradients[0]), (items, candidates, gradients[1])
        return torch.from_numpy(np.array(value, np.float32))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, ...]:
        outer = np.float32(float(gradients[0]))
        for (table, rows, gradient), learns in zip(ctx.found, ctx.needs_input_grad[:2], strict=True):
            if not learns:
                continue
            nobody = int(len(rows) > 0 and rows[0] == 0)  # row 0 stands for nobody, and is never changed
            changes = gradient[nobody:] if outer == 1 else gradient[nobody:] * outer
            note(table, torch.from_numpy(rows[nobody:]), torch.from_numpy(changes), padding=0, once=True)
        return None, None, None, None, None


__all__ = ["Pair", "held", "pair", "pair_softmax"]
