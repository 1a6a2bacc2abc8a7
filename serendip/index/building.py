"""From vectors to an index: which kind, how hard it must look, and what became of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.index.engine import Engine, installed
from serendip.index.exact import Exact
from serendip.index.faiss_hnsw import FaissHnsw
from serendip.index.faiss_ivf import FaissIvf
from serendip.index.index import VectorIndex, fresh_index
from serendip.index.options import Backend, Chosen, Options
from serendip.index.scann_tree import ScannTree
from serendip.index.stats import Stats
from serendip.index.tuning import SHARES, timed, tune
from serendip.types import Floats, SerendipError

SMALL = 20_000
"""Vectors below which ``auto`` does not look for anything faster than exact search."""
LEAST = 1_000
"""Vectors that an approximate index can be learned from."""
HELD_OUT = 200
"""Queries that effort is tuned on, where the caller gives none: vectors of items, moved a little."""
MOVED = 0.3
"""How far, against the spread of each dimension."""
ENGINES: Mapping[str, type[FaissIvf] | type[FaissHnsw] | type[ScannTree]] = {
    "faiss_ivf": FaissIvf,
    "faiss_hnsw": FaissHnsw,
    "scann": ScannTree,
}
LIBRARIES = {"faiss_ivf": "faiss", "faiss_hnsw": "faiss", "scann": "scann"}


def build(
    vectors: Floats,
    options: Options | None = None,
    *,
    queries: Floats | None = None,
    threads: int | None = None,
    seed: int = 0,
) -> VectorIndex:
    """An index over item vectors, tuned to the recall that is asked for.

    ``auto`` is exact search below `SMALL` vectors; above, inverted lists of faiss where it is installed, else ScaNN,
    where that is. A library that is missing, a recall that is not reached, or an approximate search that is no faster
    gives exact search, and ``stats.note`` says so in a line.

    Args:
        vectors: ``[n, d]`` float32; a row with a NaN marks an item that cannot be recommended.
        options: what is asked for; None: `Options` as they are.
        queries: ``[q, d]`` float32 held out to tune on, as they will be asked; None: made up of the vectors.
        threads: of building and of batches; None: all cores this process may run on.
        seed: of everything that is drawn.

    Raises:
        SerendipError: options out of their bounds; vectors or queries that are not float32 ``[rows, d]``, or infinite.
    """
    asked = options or Options()
    _check_options(asked)
    _check("vectors", vectors)
    if queries is not None:
        _check("queries", queries, vectors.shape[1])
        queries = queries[~np.isnan(queries).any(axis=1)]
    began = time.perf_counter()
    exact = Exact(vectors, threads, precision="int8" if asked.backend == "exact_int8" else "float32")
    if np.isinf(exact.vectors).any():
        raise SerendipError("vectors must be finite, or NaN for items that cannot be recommended. Got infinity.")
    held_out = queries if queries is not None and len(queries) else _made_up(exact, seed)
    backend, note = _choose(asked.backend, int(exact.known.sum()))
    found: VectorIndex | None = None
    if backend in ENGINES:
        engine = ENGINES[backend].build(exact.vectors, seed=seed, threads=threads)
        found = _tuned(exact, engine, asked, held_out[:HELD_OUT], seed, began)
        if found is None:
            note = (
                f"{backend} does not find {asked.recall:.0%} of the {asked.k} best faster than exact search finds all: "
                "searching exactly"
            )
    if found is not None:
        return found
    ms = timed(lambda one: exact.search(one, min(asked.k, max(len(exact), 1))), held_out) if len(held_out) else 0.0
    chosen: Chosen = "exact_int8" if exact.precision == "int8" else "exact"
    size = exact.vectors.nbytes // 4 if chosen == "exact_int8" else 0
    seconds = time.perf_counter() - began
    n, d = vectors.shape
    return fresh_index(exact, None, Stats(chosen, asked, n, d, 1.0, ms, ms, seconds, size, note))


def unpack(
    vectors: Floats, arrays: Mapping[str, NDArray[Any]], header: Any, *, threads: int | None = None
) -> VectorIndex:
    """The inverse of `VectorIndex.pack`, over the same vectors; arrays and header need not be trusted.

    Where the library of the index is not installed, the index searches exactly, and `VectorIndex.lacking` says so.

    Raises:
        SerendipError: arrays or a header that are not of an index over such vectors.
    """
    try:
        stats = msgspec.convert(header, Stats)
    except (msgspec.ValidationError, RecursionError) as error:
        raise SerendipError(f"The description of an index is not valid: {error}") from error
    if (stats.items, stats.dimensions) != vectors.shape:
        raise SerendipError(
            f"An index must be over the vectors it was built from, [{stats.items}, {stats.dimensions}]. "
            f"Got {list(vectors.shape)} instead."
        )
    exact = Exact(vectors, threads, precision="int8" if stats.backend == "exact_int8" else "float32")
    if stats.backend not in ENGINES:
        if arrays:
            raise SerendipError(f"An index of the kind {stats.backend} must have no arrays. Got {', '.join(arrays)}.")
        return fresh_index(exact, None, stats)
    if not _can(stats.backend):
        return replace(fresh_index(exact, None, stats), lacking=_missing(stats.backend), kept=dict(arrays))
    _check_curve(stats)
    engine = ENGINES[stats.backend].unpack(exact.vectors, arrays, threads)
    first, _, second, _ = engine.ladder(stats.asked.k)
    if any(set(point.effort) != {first, *([second] if second else [])} for point in stats.curve):
        raise SerendipError(f"The description of an index must say how hard {stats.backend} looks.")
    return fresh_index(exact, engine, stats)


def _check_options(asked: Options) -> None:
    try:
        msgspec.convert(msgspec.to_builtins(asked), Options)
    except msgspec.ValidationError as error:
        kinds = ", ".join(get_args(Backend))
        raise SerendipError(f"index options: {error}. Got {asked!r}. The backends are {kinds}.") from None


def _check_curve(stats: Stats) -> None:
    for point in stats.curve:
        if not point.effort or not all(1 <= value <= 1 << 24 for value in point.effort.values()):
            raise SerendipError("The description of an index must have efforts of 1 or more.")


def _tuned(
    exact: Exact, engine: Engine, asked: Options, queries: Floats, seed: int, began: float
) -> VectorIndex | None:
    """The index with the engine, if that reaches the recall in less time than exact search takes."""
    curve = tune(engine, exact, queries, exact.known, asked.k, asked.recall, shares=SHARES, seed=seed)
    if not curve:
        return None
    size = sum(part.nbytes for part in engine.pack().values())
    seconds, first = time.perf_counter() - began, curve[0]
    stats = Stats(
        backend=engine.backend,
        asked=asked,
        items=len(exact),
        dimensions=exact.dimensions,
        recall=first.recall,
        ms=first.ms,
        exact_ms=first.exact_ms,
        build_seconds=seconds,
        bytes=size,
        curve=tuple(curve),
    )
    return fresh_index(exact, engine, stats)


def _choose(asked: Backend, known: int) -> tuple[Chosen, str]:
    """The backend to try, and why it is not the one asked for."""
    if asked == "auto":
        if known < SMALL:
            return "exact", ""
        order: tuple[Chosen, ...] = ("faiss_ivf", "scann")
        return next(((one, "") for one in order if _can(one)), ("exact", _missing("faiss_ivf")))
    if asked not in ENGINES:
        return asked, ""
    if not _can(asked):
        return "exact", _missing(asked)
    if known < LEAST:
        return "exact", f"{asked} needs at least {LEAST:,} vectors, there are {known:,}: searching exactly"
    return asked, ""


def _can(backend: str) -> bool:
    return installed(LIBRARIES[backend]) and (backend != "scann" or sys.platform.startswith("linux"))


def _missing(backend: str) -> str:
    if backend == "scann" and not sys.platform.startswith("linux"):
        return "scann runs on Linux only: searching exactly. Try: faiss_ivf"
    return f"{LIBRARIES[backend]} is not installed: searching exactly. Try: pip install 'serendip[index]'"


def _made_up(exact: Exact, seed: int) -> Floats:
    """Queries where none are given: vectors of items, each dimension moved by a part of its spread."""
    rng, known = np.random.default_rng(seed), np.flatnonzero(exact.known)
    if not len(known):
        return np.empty((0, exact.dimensions), np.float32)
    chosen = exact.vectors[np.sort(rng.choice(known, min(HELD_OUT, len(known)), replace=False))]
    spread = exact.vectors[known[:: max(1, len(known) // 10_000)]].std(axis=0)
    return np.asarray(chosen + MOVED * spread * rng.standard_normal(chosen.shape), np.float32)


def _check(name: str, vectors: Floats, dimensions: int | None = None) -> None:
    fits = isinstance(vectors, np.ndarray) and vectors.dtype == np.float32 and vectors.ndim == 2
    if not fits or dimensions not in (None, vectors.shape[1]):
        came = f"{vectors.dtype} {list(vectors.shape)}" if isinstance(vectors, np.ndarray) else type(vectors).__name__
        wide = "d" if dimensions is None else dimensions
        raise SerendipError(f"{name} must be float32 [rows, {wide}]. Got {came} instead.")


__all__ = ["build", "unpack"]
