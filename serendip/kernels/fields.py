"""Rows of several tables side by side, and their gradients added up again in the tables.

Bound: what is read and written once, ``8·f·d`` bytes a row there and as much back, for f fields of d numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.kernels import pool
from serendip.types import Floats

_CHUNK = 1024
"""Rows that a thread takes at a time."""
_FEW = 4096
"""Numbers that are copied before another thread has begun."""


@dataclass(frozen=True, slots=True)
class Read:
    """Rows of a table that stand in a field.

    Attributes:
        table: ``[n + 1, d]`` float32, C-contiguous; row 0 is that of no code.
        codes: ``[m / repeat]``; those that are not ``0 … n-1`` are none.
        place: the field.
        repeat: how many rows one after the other have the same code.
    """

    table: Floats
    codes: NDArray[np.integer[Any]]
    place: int
    repeat: int = 1


def gather(reads: Sequence[Read], out: Floats, *, threads: int | None = None) -> None:
    """Write rows ``table[code + 1]`` into their fields.

    Args:
        reads: whose tables are all of ``d`` numbers a row.
        out: ``[m, f, d]`` float32, C-contiguous; fields that nobody reads stay as they are.
        threads: see `pool.count`.
    """
    from serendip.kernels.fields_compiled import fill

    m, fields, d = out.shape
    flat = out.reshape(-1)
    tables = [(one.table.reshape(-1), one.codes, len(one.table) - 1, one.repeat, one.place * d) for one in reads]

    def task(start: int, stop: int) -> None:
        for table, codes, size, repeat, offset in tables:
            fill(table, codes, size, repeat, flat, offset, fields * d, d, start, stop)

    if out.size <= _FEW:
        task(0, m)
    else:
        pool.rows(task, m, chunk=_CHUNK, threads=threads, blas=False)


def scatter(reads: Sequence[Read], gradients: Floats, *, threads: int | None = None) -> None:
    """Add the gradients of fields to the rows they were read from, in the order of the rows.

    Args:
        reads: whose tables hold the sums, changed in place; those of one table stand one after the other.
        gradients: ``[m, f, d]`` float32, C-contiguous.
        threads: see `pool.count`; a table is one thread's.
    """
    from serendip.kernels.fields_compiled import add

    m, fields, d = gradients.shape
    flat = gradients.reshape(-1)
    owners: dict[int, list[Read]] = {}
    for one in reads:
        owners.setdefault(one.table.ctypes.data, []).append(one)
    tables = list(owners.values())

    def task(start: int, stop: int) -> None:
        for some in tables[start:stop]:
            for one in some:
                size = len(one.table) - 1
                add(flat, one.place * d, fields * d, one.codes, size, one.repeat, one.table.reshape(-1), d, m)

    if gradients.size <= _FEW:
        task(0, len(tables))
    else:
        pool.rows(task, len(tables), chunk=1, threads=threads, blas=False)


__all__ = ["Read", "gather", "scatter"]
