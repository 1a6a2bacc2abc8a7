"""Events dealt into parts that threads can learn from at the same time without touching each other's rows.

Users and items are cut into B blocks each; the part (b, k) holds the events of user block b with item block k. In round
r of an epoch part (b, b + r) is learned from for every b, so that no two parts of a round share a row (R. Gemulla,
E. Nijkamp, P. Haas and Y. Sismanis, "Large-scale matrix factorization with distributed stochastic gradient descent",
KDD 2011). A part starts when the two parts before it in its user and in its item block are done. What is learned
depends on the seed alone, not on the number of threads or on their timing.

The items are dealt anew each epoch and their rows moved so that a block's lie together: a block is a random sample of
the catalogue, from which negatives may be drawn, and stays in the second-level cache while a part is learned from.
Each epoch reads and writes the item rows once more for that.

Bound: of dealing, ``16`` bytes read and written an event and ``8·d`` an item, each once an epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels import pool
from serendip.types import Ids

BYTES = 1 << 20  # of an item block's rows: about half of a second-level cache
LEAST = 256  # items of a block: enough to draw negatives from
AT_LEAST, AT_MOST = 8, 64  # blocks, where there are items enough


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Events of one user block with one item block, each user's together.

    Attributes:
        users, items: ``[m]`` rows of the events' users and items; the part is ``first … last-1``.
        first, last: where the part lies.
        low, high: the item block's rows.
        seed: of the draws in this part.
    """

    users: Ids
    items: Ids
    first: int
    last: int
    low: int
    high: int
    seed: np.uint64


class Strata:
    """The events of a binary matrix, with arrays of one row per user and of one row per item that are learned.

    Attributes:
        users: arrays ``[users, …]`` in the order of the matrix, as given and learned in place.
        items: arrays ``[n, …]``, in an order that changes each epoch; `by_item` puts them back.
    """

    def __init__(
        self,
        matrix: csr_array,
        items: list[NDArray[np.float32]],
        *,
        rng: np.random.Generator,
        threads: int | None = None,
        blocks: int | None = None,
    ) -> None:
        """Prepare.

        Args:
            matrix: ``[users, n]``, each pair at most once.
            items: arrays of one row per item; they are copied.
            rng: of every order and seed.
            threads: as in `pool.count`.
            blocks: B; None: by the size of the rows.
        """
        self._starts = matrix.indptr.astype(np.int64)
        self._columns = matrix.indices.astype(np.int32)
        self._rng, self._threads = rng, threads
        n = matrix.shape[1]
        row_bytes = sum(array.nbytes for array in items) // max(n, 1)
        count = blocks or block_count(n, row_bytes)
        cuts = np.searchsorted(self._starts, np.arange(count + 1) * matrix.nnz / count)
        cuts[0], cuts[-1] = 0, matrix.shape[0]
        self._user_cuts = np.maximum.accumulate(cuts)
        self._item_cuts = np.arange(count + 1) * n // count
        self._place = np.arange(n, dtype=np.int32)
        self._event_users, self._event_items = np.empty((2, matrix.nnz), np.int32)
        self.items = [array.copy() for array in items]

    def by_item(self, array: NDArray[np.float32]) -> NDArray[np.float32]:
        """One of ``items`` in the order of the matrix."""
        return array[self._place]

    def epoch(self, learn: Callable[[Part], Any]) -> None:
        """Deal, and call ``learn`` for each part, on several threads. It may change the rows of its blocks only."""
        bounds = self._deal()
        count = len(bounds)
        seeds = self._rng.integers(0, 1 << 63, (count, count), dtype=np.uint64)
        done = [[Event() for _ in range(count)] for _ in range(count)]  # by round and user block

        def one(at: int, _: int) -> None:
            turn, block = divmod(at, count)
            other = (block + turn) % count
            try:
                if turn:
                    done[turn - 1][block].wait()
                    done[turn - 1][(block + 1) % count].wait()
                learn(
                    Part(
                        self._event_users, self._event_items, int(bounds[block, other]), int(bounds[block, other + 1]),
                        int(self._item_cuts[other]), int(self._item_cuts[other + 1]), seeds[block, other],
                    )
                )  # fmt: skip
            finally:
                done[turn][block].set()

        pool.rows(one, count * count, chunk=1, threads=self._threads)

    def _deal(self) -> NDArray[np.int64]:
        """Move the items, sort the events into parts, and say where these begin: ``[B, B + 1]``."""
        from serendip.kernels.pairwise import deal

        order = self._rng.permutation(len(self._place))
        moved = np.empty_like(self._place)
        moved[order] = np.arange(len(order), dtype=np.int32)
        self._place = moved[self._place]
        count = len(self._user_cuts) - 1
        before, self.items = self.items, [np.empty_like(array) for array in self.items]
        bounds = np.empty((count, count + 1), np.int64)
        block_of = np.repeat(np.arange(count, dtype=np.uint8), np.diff(self._item_cuts))

        def one(block: int, _: int) -> None:
            rows = slice(self._item_cuts[block], self._item_cuts[block + 1])
            for source, target in zip(before, self.items, strict=True):
                np.take(source, order[rows], axis=0, out=target[rows], mode="clip")
            first, last = self._user_cuts[block], self._user_cuts[block + 1]
            deal(
                self._starts, self._columns, self._place, block_of, first, last, self._event_users, self._event_items,
                bounds[block],
            )  # fmt: skip

        pool.rows(one, count, chunk=1, threads=self._threads)
        return bounds


def block_count(n: int, row_bytes: int) -> int:
    """How many blocks n items with rows of so many bytes are cut into."""
    return int(np.clip(max(AT_LEAST, -(-n * row_bytes // BYTES)), 1, max(1, min(AT_MOST, n // LEAST))))
