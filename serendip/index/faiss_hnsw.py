"""faiss: a graph of near vectors in layers, walked from the top towards the query.

Source: Yu. A. Malkov, D. A. Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
Navigable Small World graphs", TPAMI 42(4), 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from serendip.index.chosen import Bits
from serendip.index.engine import Effort, expect, library, looked_up, require, threads_for, within
from serendip.index.options import Chosen
from serendip.kernels import pool
from serendip.types import Floats, Recs

LINKS = 32  # of a vector in each layer; twice as many in the lowest
BREADTH = 80  # vectors looked at when one is linked
_ARRAYS = {"levels": (np.int32, 1), "neighbours": (np.int32, 1), "entry": (np.int32, 1)}


@dataclass(frozen=True, eq=False)
class FaissHnsw:
    """An index of faiss over a table of vectors, of which it holds a copy.

    Attributes:
        table: ``[n, d]`` the vectors.
        arrays: ``levels`` ``[n]`` how many layers each is in; ``neighbours``, -1 for none, vector after vector, layer
            after layer from the lowest; ``entry``, where to begin.
        threads: of batches.
    """

    table: Floats
    arrays: Mapping[str, NDArray[Any]]
    index: Any
    threads: int | None = None
    backend: ClassVar[Chosen] = "faiss_hnsw"

    @classmethod
    def build(cls, table: Floats, *, seed: int = 0, threads: int | None = None) -> Self:
        """Link the vectors; the table has no NaN."""
        faiss = library("faiss")
        faiss.omp_set_num_threads(pool.count(threads))
        index = faiss.IndexHNSWFlat(table.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = BREADTH
        index.hnsw.rng = faiss.RandomGenerator(seed + 1)
        index.add(np.ascontiguousarray(table))
        arrays = {
            "levels": faiss.vector_to_array(index.hnsw.levels).copy(),
            "neighbours": faiss.vector_to_array(index.hnsw.neighbors).copy(),
            "entry": np.array([index.hnsw.entry_point], np.int32),
        }
        return cls(table, arrays, index, threads)

    @classmethod
    def unpack(cls, table: Floats, arrays: Mapping[str, NDArray[Any]], threads: int | None = None) -> Self:
        """The inverse of `pack`; the arrays need not be trusted.

        Raises:
            SerendipError: arrays that do not fit together or not with the table; faiss is not installed.
        """
        n = len(table)
        expect(arrays, _ARRAYS)
        levels, neighbours, entry = (arrays[name] for name in _ARRAYS)
        faiss = library("faiss")
        index = faiss.IndexHNSWFlat(table.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        room = faiss.vector_to_array(index.hnsw.cum_nneighbor_per_level).astype(np.int64)
        require(len(levels) == n and within(levels, 1, len(room)), "must have a level for each vector")
        ends = np.cumsum(room[levels])
        require(len(neighbours) == int(ends[-1]) and within(neighbours, -1, n), "must have neighbours among them")
        require(len(entry) == 1 and within(entry, 0, n) and levels[entry[0]] == levels.max(), "must begin at the top")
        offsets = np.concatenate([[0], ends]).astype(np.uint64)
        _check_layers(levels, neighbours, offsets.astype(np.int64), room)
        faiss.downcast_index(index.storage).add(np.ascontiguousarray(table))
        index.ntotal = n
        faiss.copy_array_to_vector(np.ascontiguousarray(levels), index.hnsw.levels)
        faiss.copy_array_to_vector(offsets, index.hnsw.offsets)
        faiss.copy_array_to_vector(np.ascontiguousarray(neighbours), index.hnsw.neighbors)
        index.hnsw.entry_point, index.hnsw.max_level = int(entry[0]), int(levels.max()) - 1
        return cls(table, arrays, index, threads)

    def find(self, vectors: Floats, k: int, effort: Effort, bits: Bits | None, share: float) -> Recs:
        """See `Engine.find`; the walk goes over what is not allowed, too."""
        faiss = library("faiss")
        faiss.omp_set_num_threads(threads_for(len(vectors), self.threads))
        how = faiss.SearchParametersHNSW(
            efSearch=max(effort["breadth"], k), sel=None if bits is None else faiss.IDSelectorBitmap(bits)
        )
        found = self.index.search(np.ascontiguousarray(vectors), min(k, len(self.table)), params=how)[1]
        return looked_up(self.table, vectors, found, k)

    def ladder(self, k: int) -> tuple[str, list[int], str | None, list[int]]:
        """See `Engine.ladder`."""
        return "breadth", [round(k * 2 ** (half / 2)) for half in range(15)], None, []

    def pack(self) -> dict[str, NDArray[Any]]:
        """See `Engine.pack`."""
        return dict(self.arrays)


def _check_layers(
    levels: NDArray[np.int32], neighbours: NDArray[np.int32], offsets: NDArray[np.int64], room: NDArray[np.int64]
) -> None:
    """That no link of a layer leads to a vector that is not in it.

    Raises:
        SerendipError: one does.
    """
    for layer in range(1, int(levels.max())):
        inside = np.flatnonzero(levels > layer)
        width = int(room[layer + 1] - room[layer])
        places = offsets[inside, None] + room[layer] + np.arange(width)
        linked = neighbours[places]
        require(bool((levels[linked[linked >= 0]] > layer).all()), "must have links within each layer")
