"""faiss: inverted lists of vectors in 4-bit product codes, scanned in registers; what is found is looked up in full.

Sources: H. Jégou, M. Douze, C. Schmid, "Product quantization for nearest neighbor search", TPAMI 33(1), 2011; F. André,
A.-M. Kermarrec, N. Le Scouarnec, "Accelerated nearest neighbor search with Quick ADC", ICMR 2017.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from serendip.index.chosen import Bits
from serendip.index.engine import Effort, expect, library, looked_up, require, threads_for, within
from serendip.index.options import Chosen
from serendip.kernels import pool
from serendip.types import Floats, Recs

BITS = 4  # a code, as the scan in registers needs it
WIDTH = 2  # dimensions that share a code
ROUNDS = 10  # of k-means
SAMPLE = 128  # vectors per list, at most, that lists and codes are learned from
_ARRAYS = {
    "centres": (np.float32, 2),
    "codebook": (np.float32, 1),
    "sizes": (np.int32, 1),
    "ids": (np.int64, 1),
    "codes": (np.uint8, 2),
}


@dataclass(frozen=True, eq=False)
class FaissIvf:
    """An index of faiss over a table of vectors.

    Attributes:
        table: ``[n, d]`` the vectors.
        arrays: ``centres`` ``[lists, d']`` and the ``codebook`` (16 centres for each pair of dimensions), flat; the
            ``sizes`` of the lists; their items' ``ids`` and ``codes``, list after list. d' is d, or d + 1 where d is
            odd.
        threads: of batches.
    """

    table: Floats
    arrays: Mapping[str, NDArray[Any]]
    index: Any
    threads: int | None = None
    backend: ClassVar[Chosen] = "faiss_ivf"
    _parameters: dict[int, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def build(cls, table: Floats, *, seed: int = 0, threads: int | None = None) -> Self:
        """Learn about √n lists and the codes; the table has no NaN."""
        faiss = library("faiss")
        faiss.omp_set_num_threads(pool.count(threads))
        n, wide = len(table), table.shape[1] + table.shape[1] % WIDTH
        vectors = _widened(table, wide)
        lists = max(1, min(round(n**0.5), n // 39))  # below 39 vectors a list, k-means of faiss complains
        index = faiss.IndexIVFPQ(faiss.IndexFlatIP(wide), wide, lists, wide // WIDTH, BITS, faiss.METRIC_INNER_PRODUCT)
        index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = seed + 1, ROUNDS, SAMPLE
        index.pq.cp.seed = seed + 1
        chosen = np.random.default_rng(seed).permutation(n)[: SAMPLE * max(lists, 1 << BITS)]
        index.train(vectors[np.sort(chosen)])
        for start in range(0, n, 1 << 17):
            index.add(vectors[start : start + (1 << 17)])
        parts = [_list(faiss, index, number) for number in range(lists)]
        arrays = {
            "centres": faiss.rev_swig_ptr(faiss.downcast_index(index.quantizer).get_xb(), lists * wide)
            .reshape(lists, wide)
            .copy(),
            "codebook": faiss.vector_to_array(index.pq.centroids).copy(),
            "sizes": np.array([len(ids) for ids, _ in parts], np.int32),
            "ids": np.concatenate([ids for ids, _ in parts]),
            "codes": np.concatenate([codes for _, codes in parts]),
        }
        return cls(table, arrays, faiss.IndexIVFPQFastScan(index), threads)

    @classmethod
    def unpack(cls, table: Floats, arrays: Mapping[str, NDArray[Any]], threads: int | None = None) -> Self:
        """The inverse of `pack`; the arrays need not be trusted.

        Raises:
            SerendipError: arrays that do not fit together or not with the table; faiss is not installed.
        """
        n, wide = len(table), table.shape[1] + table.shape[1] % WIDTH
        expect(arrays, _ARRAYS)
        centres, codebook, sizes, ids, codes = (arrays[name] for name in _ARRAYS)
        lists = len(centres)
        require(1 <= lists <= n and centres.shape[1] == wide, "must have centres as wide as the vectors")
        require(len(codebook) == wide << BITS, "must have a codebook for the vectors")
        require(bool(np.isfinite(centres).all() and np.isfinite(codebook).all()), "must be finite")
        require(len(sizes) == lists and int(sizes.min()) >= 0 and int(sizes.sum(dtype=np.int64)) == n, "must fit")
        require(len(ids) == n and within(ids, 0, n), f"must have ids in 0 … {n - 1}")
        require(codes.shape == (n, -(-(wide // WIDTH) * BITS // 8)), "must have a code for each vector")
        faiss = library("faiss")
        coarse = faiss.IndexFlatIP(wide)
        coarse.add(np.ascontiguousarray(centres))
        index = faiss.IndexIVFPQ(coarse, wide, lists, wide // WIDTH, BITS, faiss.METRIC_INNER_PRODUCT)
        faiss.copy_array_to_vector(np.ascontiguousarray(codebook), index.pq.centroids)
        index.is_trained = True
        at = 0
        for number, size in enumerate(sizes.tolist()):
            some, part = np.ascontiguousarray(ids[at : at + size]), np.ascontiguousarray(codes[at : at + size])
            index.invlists.add_entries(number, size, faiss.swig_ptr(some), faiss.swig_ptr(part))
            at += size
        index.ntotal = n
        return cls(table, arrays, faiss.IndexIVFPQFastScan(index), threads)

    def find(self, vectors: Floats, k: int, effort: Effort, bits: Bits | None, share: float) -> Recs:
        """See `Engine.find`; what is not allowed is left out while the lists are scanned."""
        faiss = library("faiss")
        faiss.omp_set_num_threads(threads_for(len(vectors), self.threads))
        probes = min(effort["probes"], len(self.arrays["centres"]))
        if bits is None:
            how = self._open(probes)
        else:
            how = faiss.SearchParametersIVF(nprobe=probes, sel=faiss.IDSelectorBitmap(bits))
        queries = _widened(vectors, self.arrays["centres"].shape[1])
        found = self.index.search(queries, min(max(effort["looked_up"], k), len(self.table)), params=how)[1]
        return looked_up(self.table, vectors, found, k)

    def _open(self, probes: int) -> Any:
        """Parameters of a search without a filter, which are made once."""
        how = self._parameters.get(probes)
        if how is None:
            how = self._parameters[probes] = library("faiss").SearchParametersIVF(nprobe=probes)
        return how

    def ladder(self, k: int) -> tuple[str, list[int], str | None, list[int]]:
        """See `Engine.ladder`."""
        lists = len(self.arrays["centres"])
        probes = sorted({min(lists, round(2**half)) for half in np.arange(0, np.log2(lists) + 0.5, 0.5)})
        return "probes", probes, "looked_up", [round(k * times) for times in (1.5, 2, 3, 4, 6, 10, 20)]

    def pack(self) -> dict[str, NDArray[Any]]:
        """See `Engine.pack`."""
        return dict(self.arrays)


def _widened(vectors: Floats, wide: int) -> Floats:
    if vectors.shape[1] == wide:
        return np.ascontiguousarray(vectors)
    return np.pad(vectors, ((0, 0), (0, wide - vectors.shape[1])))


def _list(faiss: Any, index: Any, number: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    size, wide = index.invlists.list_size(number), index.code_size
    if size == 0:
        return np.empty(0, np.int64), np.empty((0, wide), np.uint8)
    ids = faiss.rev_swig_ptr(index.invlists.get_ids(number), size).copy()
    codes = faiss.rev_swig_ptr(index.invlists.get_codes(number), size * wide).reshape(size, wide).copy()
    return ids, codes
