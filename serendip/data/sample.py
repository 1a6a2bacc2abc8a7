"""What an epoch learns from: which examples, in which order, beside which negatives. The source of chance is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.data.events import starts
from serendip.types import ABSENT

Codes = NDArray[np.int64]

TRIES = 20
"""After which a negative that the user did take up stays: somebody may have taken up everything."""


def capped(users: NDArray[np.integer], most: int, rng: np.random.Generator) -> Codes:
    """Which examples count when no user may have more than so many: a choice at random, all equally likely.

    Args:
        users: ``[m]`` whose example each is.
        most: how many a user may have, 1 or more.
        rng: the source of chance.

    Returns:
        Rows that are kept, rising.

    Source: P. Covington, J. Adams and E. Sargin, "Deep neural networks for YouTube recommendations", RecSys 2016, which
    takes a fixed number of examples of each user, so that few busy ones do not decide.
    """
    if most < 1:
        raise ValueError(f"most must be at least 1. Got {most} instead.")
    order = np.lexsort((rng.random(len(users)), users))
    begin = starts(np.unique(users[order], return_counts=True)[1])
    place = np.arange(len(users)) - np.repeat(begin[:-1], np.diff(begin))
    return np.sort(order[place < most])


def shuffled(rows: int | Codes, size: int, rng: np.random.Generator) -> Iterator[Codes]:
    """All rows (or ``0 … rows-1``) once, in random order, ``size`` at a time."""
    order = rng.permutation(rows)
    for start in range(0, len(order), size):
        yield order[start : start + size]


@dataclass(frozen=True, eq=False)
class Taken:
    """Who took up what, to be looked up many pairs at a time.

    Attributes:
        pairs: ``user · n + item``, rising.
        n: how many items there are.
    """

    pairs: Codes
    n: int

    @classmethod
    def of(cls, matrix: csr_array) -> Taken:
        """From users × items with sorted columns; its values do not count, only where they are."""
        users = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
        return cls(users * matrix.shape[1] + matrix.indices, matrix.shape[1])

    def holds(self, users: NDArray[np.integer], items: NDArray[np.integer]) -> NDArray[np.bool_]:
        """``[m]`` for each pair."""
        if not len(self.pairs):
            return np.zeros(len(users), bool)
        keys = np.asarray(users, np.int64) * self.n + items
        found: NDArray[np.bool_] = (
            self.pairs[np.minimum(np.searchsorted(self.pairs, keys), len(self.pairs) - 1)] == keys
        )
        return found


def hard(
    rng: np.random.Generator, users: NDArray[np.integer], lists: NDArray[np.integer], number: int, taken: Taken
) -> Codes:
    """``[m, number]`` items of each row's list that its user did not take up, none twice, `ABSENT` where too few.

    All items of a list are equally likely.

    Args:
        rng: the source of chance.
        users: ``[m]`` codes.
        lists: ``[m, c]`` item codes, `ABSENT` where there is none.
        number: how many for each.
        taken: who took up what.
    """
    number = min(number, lists.shape[1])
    rows = np.repeat(users, lists.shape[1])
    fit = (lists != ABSENT) & ~taken.holds(rows, lists.ravel()).reshape(lists.shape)
    order = np.argsort(np.where(fit, rng.random(lists.shape), 2.0), axis=1)[:, :number]
    found = np.where(fit, lists, ABSENT)
    return np.take_along_axis(found, order, axis=1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Negatives:
    """Draws items that stand for all others, with probabilities that are known.

    Attributes:
        totals: ``[n]`` the sum of the weights of the items up to each one.
    """

    totals: NDArray[np.float64]

    @classmethod
    def of(cls, counts: NDArray[np.number], power: float = 0.0) -> Negatives:
        """Items in proportion to how often they occur to a power: 0 all alike, 1 as they occur.

        Items that never occur are never drawn.

        Args:
            counts: ``[n]`` how often, 0 or more, one of them above 0.
            power: between 0 and 1 as a rule; 0.75 after T. Mikolov et al., NeurIPS 2013.
        """
        if not (counts > 0).any():
            raise ValueError("counts must have an item that occurs. Got none.")
        return cls(np.cumsum(np.where(counts > 0, np.maximum(counts, 1e-300) ** power, 0.0)))

    @property
    def probability(self) -> NDArray[np.float64]:
        """``[n]`` of each item to be drawn; they add up to 1."""
        found: NDArray[np.float64] = np.diff(self.totals, prepend=0.0) / self.totals[-1]
        return found

    def draw(self, rng: np.random.Generator, shape: int | tuple[int, ...]) -> Codes:
        """Items drawn independently of each other."""
        found: Codes = np.searchsorted(self.totals, rng.random(shape) * self.totals[-1], side="right")
        return found

    def apart(self, rng: np.random.Generator, users: NDArray[np.integer], number: int, taken: Taken) -> Codes:
        """``[m, number]`` items for each row's user, none of which that user took up.

        One that a user did take up is drawn again, up to `TRIES` times.

        Args:
            rng: the source of chance.
            users: ``[m]`` codes.
            number: how many for each.
            taken: who took up what.
        """
        rows = np.repeat(users, number)
        found = self.draw(rng, len(rows))
        wrong = np.arange(len(rows))
        for _ in range(TRIES):
            wrong = wrong[taken.holds(rows[wrong], found[wrong])]
            if len(wrong) == 0:
                break
            found[wrong] = self.draw(rng, len(wrong))
        return found.reshape(-1, number)
