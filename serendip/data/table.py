"""`Table`: rows together with the files and lines they came from, so that a message can name them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

FIRST_ROWS = 5


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One file (or frame) of a table.

    Attributes:
        name: the file as the user named it, or what the frame is.
        frame: its rows.
        notes: how it was understood.
        ragged: data rows (1-based) with more or fewer fields than the header; they are not in ``frame``.
        lines: the text of those rows.
        fields: how many fields the header has.
    """

    name: str
    frame: pl.DataFrame
    notes: tuple[str, ...] = ()
    ragged: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    lines: tuple[str, ...] = ()
    fields: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Rows, and the files and lines they came from.

    Attributes:
        role: what the table is to the data set: ``events``, ``users``, ``items`` or the name of a relation.
        frame: all rows, the parts one after the other.
        parts: where the rows came from, in that order.
    """

    role: str
    frame: pl.DataFrame
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """The file, or the role where there are several files or none."""
        return self.parts[0].name if len(self.parts) == 1 else self.role

    def origin(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For rows of ``frame`` (from 0): the part of each, and its data row in that part (from 1)."""
        sizes = [len(part.frame) for part in self.parts]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        part = np.searchsorted(starts, rows, side="right") - 1
        inside = rows - starts[part] + 1
        for number, one in enumerate(self.parts):
            if len(one.ragged):
                here = part == number
                before = one.ragged - np.arange(len(one.ragged))
                inside[here] += np.searchsorted(before, inside[here], side="right")
        return part, inside

    def where(self, rows: NDArray[np.int64], column: str | None = None) -> str:
        """File, column and the first of these rows, for a message."""
        part, inside = self.origin(rows[:FIRST_ROWS])
        named = "" if column is None else f': column "{column}"'
        numbers = dict.fromkeys(part.tolist())
        places = [self.parts[number].name + named + rows_text(inside[part == number]) for number in numbers]
        more = len(rows) - FIRST_ROWS
        return "; ".join(places) + (f" and {more:,} more" if more > 0 else "")


def rows_text(rows: NDArray[np.int64]) -> str:
    """``, row 3`` or ``, rows 3, 5 and 7 more``."""
    more = len(rows) - FIRST_ROWS
    numbers = ", ".join(str(row) for row in rows[:FIRST_ROWS])
    return f", row{'s' if len(rows) > 1 else ''} {numbers}" + (f" and {more:,} more" if more > 0 else "")
