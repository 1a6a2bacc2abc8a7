"""One step of an optimiser on the rows of a table that a batch touched, compiled.

Gradients of one row are added up in the order they came in; rows are dealt out to threads whole, so that the outcome
does not depend on how many there are. The table's other rows are neither read nor written.

Bound: a row's gradients are read, the row and its moments are read and written: ``4·d·(m + 4·u)`` bytes for Adagrad and
``4·d·(m + 6·u)`` for Adam with m gradients of u rows, from places that no processor guesses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serendip.kernels import pool
from serendip.types import Floats

_CHUNKS = 2  # a thread: enough for even work, few enough that dealing them out does not count
_FEW = 1024  # rows that are changed before another thread has begun
_POSITION = 32  # bits of a key that say where a gradient stands


@dataclass(frozen=True, slots=True)
class Groups:
    """Which gradients belong to which row of a table.

    Attributes:
        rows: ``[u]`` int64, ascending, each once.
        order: ``[m]`` int64, positions of gradients, those of a row together and in the order they came in.
        begins, ends: ``[u]`` int64, where a row's positions stand in ``order``.
    """

    rows: NDArray[np.int64]
    order: NDArray[np.int64]
    begins: NDArray[np.int64]
    ends: NDArray[np.int64]


def grouped(rows: NDArray[np.int64], padding: int | None = None) -> Groups:
    """The gradients of each row; those of the row ``padding`` belong to none.

    Args:
        rows: ``[m]``, from 0 and below 2³¹, which may repeat.
        padding: a row that is never changed.
    """
    from serendip.kernels.rows_compiled import split

    keys = rows << _POSITION
    keys |= np.arange(len(rows))
    keys.sort()
    order, *each = np.empty((4, len(rows)), np.int64)
    u = split(keys, _POSITION, -1 if padding is None else padding, order, *each)
    found, begins, ends = (one[:u] for one in each)
    return Groups(found, order, begins, ends)


def apart(rows: NDArray[np.int64]) -> Groups:
    """The gradients of rows that ascend, each once: one for each, in their order."""
    order = np.arange(len(rows) + 1)
    return Groups(rows, order[:-1], order[:-1], order[1:])


def merged(groups: Groups, gradients: Floats, *, threads: int | None = None) -> Floats:
    """The sum of each row's gradients, ``[u, d]``.

    Args:
        groups: of `grouped`.
        gradients: ``[m, d]`` float32, C-contiguous.
        threads: see `pool.count`.
    """
    from serendip.kernels.rows_compiled import merge

    out = np.empty((len(groups.rows), gradients.shape[1]), np.float32)
    flat = gradients.reshape(-1)

    def task(start: int, stop: int) -> None:
        merge(groups.order, groups.begins[start:stop], groups.ends[start:stop], flat, out[start:stop])

    _deal(task, groups, threads)
    return out


def adagrad(
    weight: Floats,
    squares: Floats,
    groups: Groups,
    gradients: Floats,
    *,
    rate: float,
    eps: float,
    threads: int | None = None,
) -> None:
    """``s += g²`` and ``w −= rate · g / (√s + eps)`` in the rows of ``groups``.

    Args:
        weight: w, ``[n, d]`` float32, C-contiguous, changed in place.
        squares: s, as ``weight``.
        groups: of `grouped`.
        gradients: ``[m, d]`` float32, C-contiguous.
        rate: size of the steps.
        eps: keeps the quotient finite.
        threads: see `pool.count`.

    Source: J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods", JMLR 12, 2011.
    """
    from serendip.kernels.rows_compiled import adagrad as step

    tables = weight.reshape(-1), squares.reshape(-1)
    rest = gradients.reshape(-1), weight.shape[1]

    def task(start: int, stop: int) -> None:
        part = slice(start, stop)
        args = groups.rows[part], groups.order, groups.begins[part], groups.ends[part], *rest
        step(*tables, *args, np.float32(rate), np.float32(eps))

    _deal(task, groups, threads)


def adam(
    weight: Floats,
    means: Floats,
    squares: Floats,
    groups: Groups,
    gradients: Floats,
    *,
    rate: float,
    betas: tuple[float, float],
    eps: float,
    step: int,
    threads: int | None = None,
) -> None:
    """``m ← β₁m + (1 − β₁)g``, ``v ← β₂v + (1 − β₂)g²`` and ``w −= rate · m̂ / (√v̂ + eps)`` in the rows of ``groups``.

    The moments of other rows stay as they are (they do not fade); ``m̂ = m / (1 − β₁ᵗ)`` and ``v̂ = v / (1 − β₂ᵗ)`` count
    the steps t of the whole table.

    Args:
        weight: w, ``[n, d]`` float32, C-contiguous, changed in place.
        means: m, as ``weight``.
        squares: v, as ``weight``.
        groups: of `grouped`.
        gradients: ``[m, d]`` float32, C-contiguous.
        rate: size of the steps.
        betas: β₁ and β₂.
        eps: keeps the quotient finite.
        step: t, the first being 1.
        threads: see `pool.count`.

    Source: D. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """
    from serendip.kernels.rows_compiled import adam as compiled_step

    first, second = betas
    scale = np.float32(rate / (1 - first**step))
    root = np.float32(1 / np.sqrt(1 - second**step))
    tables = weight.reshape(-1), means.reshape(-1), squares.reshape(-1)
    rest = gradients.reshape(-1), weight.shape[1]
    factors = np.float32(first), np.float32(1 - first), np.float32(second), np.float32(1 - second)

    def task(start: int, stop: int) -> None:
        part = slice(start, stop)
        args = groups.rows[part], groups.order, groups.begins[part], groups.ends[part], *rest
        compiled_step(*tables, *args, factors, scale, root, np.float32(eps))

    _deal(task, groups, threads)


def _deal(task: Callable[[int, int], None], groups: Groups, threads: int | None) -> None:
    u = len(groups.rows)
    if u <= _FEW:
        task(0, u)
    else:
        pool.rows(task, u, chunk=-(-u // (_CHUNKS * pool.count(threads))), threads=threads, blas=False)
