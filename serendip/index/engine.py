"""What an approximate index must be able to do, and what the adapters to libraries share."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from serendip.index.chosen import Bits, best_of, listed
from serendip.index.options import Chosen
from serendip.kernels import pool
from serendip.types import Floats, Ids, Recs, SerendipError

Effort = Mapping[str, int]
"""How hard to look, in the words of the library: such as how many lists to probe and how many finds to look up."""

_ROOM = 1 << 22  # numbers of vectors looked up at a time for a batch


class Engine(Protocol):
    """Finds most of the vectors with the highest inner product; immutable, so that any number of threads may ask."""

    @property
    def backend(self) -> Chosen:
        """Its name."""
        ...

    def find(self, vectors: Floats, k: int, effort: Effort, bits: Bits | None, share: float) -> Recs:
        """Lists ``[q, k]`` of allowed items with their inner products, perhaps too short; ordered as by `top_k`.

        Args:
            vectors: ``[q, d]`` without NaN.
            k: how many items are wanted.
            effort: how hard to look.
            bits: of the allowed items, ``[bytes]``; None: all are.
            share: how many of all items those are.
        """
        ...

    def ladder(self, k: int) -> tuple[str, list[int], str | None, list[int]]:
        """What to try when effort is tuned: a name with its values, ascending, and perhaps another with its own."""
        ...

    def pack(self) -> dict[str, NDArray[Any]]:
        """All but the vectors, as arrays: what the adapter's ``unpack`` takes."""
        ...


@cache
def library(module: str) -> Any:
    """A library that is an optional extra, imported when it is first needed.

    Raises:
        SerendipError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # generated bindings warn of themselves
            return import_module(module)
    except ImportError as error:
        raise SerendipError(
            f"This index needs the library {module}, which is not installed. Try: pip install 'serendip[index]'"
        ) from error


def installed(module: str) -> bool:
    """Whether a library can be imported."""
    return find_spec(module) is not None


def threads_for(q: int, threads: int | None) -> int:
    """How many threads a library may use for q queries: one for a request."""
    return 1 if q == 1 else pool.count(threads)


def looked_up(table: Floats, vectors: Floats, found: NDArray[np.int64], k: int) -> Recs:
    """The k best of what was found for each query ``[q, m]`` (-1: nothing), by their inner products in full."""
    q, m = found.shape
    if q == 1:
        return _looked_up_once(table, vectors[0], found[0], k)
    recs = Recs.empty(q, k)
    step = max(1, _ROOM // max(m * table.shape[1], 1))
    for start in range(0, q, step):
        part = found[start : start + step]
        block = table.take(np.maximum(part, 0).ravel(), axis=0).reshape(*part.shape, -1)
        with np.errstate(over="ignore", invalid="ignore"):
            scores = (block @ vectors[start : start + step, :, None])[:, :, 0]
        row, at = np.nonzero((part >= 0) & (scores > -np.inf))
        some = listed(len(part), k, *best_of(row, part[row, at].astype(np.int32), scores[row, at], k))
        recs.items[start : start + step], recs.scores[start : start + step] = some.items, some.scores
    return recs


def _looked_up_once(table: Floats, vector: Floats, codes: NDArray[np.int64], k: int) -> Recs:
    if len(codes) and codes[-1] < 0:
        codes = codes[codes >= 0]
    with np.errstate(over="ignore", invalid="ignore"):
        scores = np.dot(table.take(codes, axis=0), vector)
    if len(codes) > k:
        best = np.argpartition(scores, len(codes) - k)[len(codes) - k :]  # a NaN counts as the largest
        top, held = scores[best], codes[best]
    else:
        top, held = scores, codes
    order = np.lexsort((held, -top))
    items: Ids = held[order].astype(np.int32)
    top = top[order]
    if len(items) == k and top[-1] > -np.inf:
        return Recs(items[None], top[None])
    known = scores > -np.inf
    return listed(1, k, *best_of(np.zeros(known.sum(), np.int64), codes[known].astype(np.int32), scores[known], k))


def require(holds: bool, what: str) -> None:
    """That the arrays of an index are what they must be.

    Raises:
        SerendipError: they are not.
    """
    if not holds:
        raise SerendipError(f"The arrays of an index {what}. Try: build it again.")


def expect(arrays: Mapping[str, NDArray[Any]], kinds: Mapping[str, tuple[Any, int]]) -> None:
    """That the arrays are those of these names, types and numbers of dimensions.

    Raises:
        SerendipError: they are not.
    """
    require(set(arrays) == set(kinds), f"must be {', '.join(sorted(kinds))}. Got {', '.join(sorted(arrays)) or 'none'}")
    for name, (dtype, dimensions) in kinds.items():
        fits = arrays[name].dtype == dtype and arrays[name].ndim == dimensions
        require(fits, f"must hold {name} as {dimensions} dimensions of {np.dtype(dtype)}")


def within(codes: Ids, low: int, high: int) -> bool:
    """Whether all of the codes are in ``low … high - 1``."""
    return len(codes) == 0 or (int(codes.min()) >= low and int(codes.max()) < high)
