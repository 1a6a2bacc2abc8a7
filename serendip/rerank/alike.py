"""How alike items are: by vectors, or by the values that they have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from serendip.rerank.lists import Doubles, Places
from serendip.rerank.shelf import Shelf
from serendip.types import ABSENT, Floats, Ids

Rows = Callable[[Places], Doubles]
"""Places ``[q]`` of one item of each list to how alike it is to all of its list, ``[q, c]``."""


@dataclass(frozen=True, eq=False)
class Vectors:
    """Alike is the cosine of vectors, −1 … 1.

    Attributes:
        units: ``[n + 1, d]`` of length 1; zeros for what is like nothing, and in the last row.
    """

    units: Floats
    signed = True

    def known(self, items: Ids) -> Doubles:
        """``[q, c]`` 1 where an item is like itself, 0 where nothing is known of it."""
        known: Any = (self.units[held(items, len(self.units))] != 0).any(axis=-1)
        return np.asarray(known, np.float64)

    def among(self, items: Ids) -> Rows:
        """For the items of lists ``[q, c]``."""
        rows = self.units[held(items, len(self.units))]
        each = np.arange(len(rows))
        return lambda at: (rows @ rows[each, np.maximum(at, 0), :, None])[:, :, 0].astype(np.float64)


@dataclass(frozen=True, eq=False)
class Values:
    """Alike is the number of values in common over the root of the product of how many each has, 0 … 1.

    Attributes:
        codes: ``[n + 1, w]`` each value once, `ABSENT`-padded; nothing in the last row.
    """

    codes: Ids
    signed = False

    def known(self, items: Ids) -> Doubles:
        """As `Vectors.known`."""
        known: Doubles = (self.codes[held(items, len(self.codes))] != ABSENT).any(axis=-1).astype(np.float64)
        return known

    def among(self, items: Ids) -> Rows:
        """As `Vectors.among`."""
        codes = self.codes[held(items, len(self.codes))]
        length = np.sqrt((codes != ABSENT).sum(axis=2))
        rows = np.where(codes == ABSENT, ABSENT - 1, codes).transpose(2, 0, 1).copy()  # like no value of what is chosen
        each = np.arange(len(codes))

        def alike(at: Places) -> Doubles:
            to = np.maximum(at, 0)
            common = np.zeros(length.shape)
            for value in codes[each, to].T:  # one of the values that the chosen items have
                for other in rows:
                    common += other == value[:, None]
            product = length * length[each, to][:, None]
            return common / np.where(product > 0, product, 1)

        return alike


Alike = Vectors | Values


def alike(shelf: Shelf, option: str, name: str | None) -> Alike:
    """What an option ``by`` names; nothing is like anything by a scorer that is not fitted yet.

    Raises:
        SerendipError: there is no such column and no scorer with vectors of that name.
    """
    chosen = shelf.likeness(option, name)
    if chosen in shelf.columns:
        return Values(shelf.values(option, chosen)[0])
    units = shelf.units(option, chosen)
    return Vectors(np.zeros((len(shelf.items) + 1, 1), np.float32) if units is None else units)


def held(items: Ids, rows: int) -> Ids:
    """Codes as rows of a table whose last row stands for what is not known."""
    return np.where((items >= 0) & (items < rows - 1), items, rows - 1)


__all__ = ["Alike", "Values", "Vectors", "alike", "held"]
