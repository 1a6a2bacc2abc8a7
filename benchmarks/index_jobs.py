"""What an index takes to build and to ask, a query at a time on one core, beside exact search and the bare library."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.index import Options, VectorIndex, build
from serendip.index.engine import library
from serendip.index.tuning import per_query
from serendip.kernels import pool
from serendip.types import Floats, pack_mask

K, DIMENSIONS = 100, 64
TUNED, ASKED, TURNS = 200, 100, 3
SHARES = (0.5, 0.2, 0.1, 0.01, 1e-4)
BLOCK = 1 << 17


def mixture(n: int, seed: int = 0, d: int = DIMENSIONS) -> tuple[Floats, Floats]:
    """Items and queries around √n centres, the variance between them as large as within; queries are not items."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((round(n**0.5), d), np.float32)
    items = np.empty((n, d), np.float32)
    for start in range(0, n, BLOCK):
        part = items[start : start + BLOCK]
        part[:] = centres[rng.integers(0, len(centres), len(part))] + rng.standard_normal(part.shape, np.float32)
    count = TUNED + ASKED
    return items, centres[rng.integers(0, len(centres), count)] + rng.standard_normal((count, d), np.float32)


def make_ials(path: str, items: int, users: int) -> None:
    """Items and users of iALS with 64 factors on the invented shop, into a file."""
    from serendip.data.synthetic import catalogue
    from serendip.model import Run, find

    world = catalogue(0, users, items, choices=30)
    data = world.dataset()
    scorer = find("ials")(factors=DIMENSIONS, iterations=8).fit(data, Run(threads=2)).lower()
    asked = np.random.default_rng(0).permutation(data.n_users)[: TUNED + ASKED].astype(np.int32)
    vectors = np.asarray(scorer.item_vectors(), np.float32)  # type: ignore[attr-defined]
    queries = np.asarray(scorer.query_vectors(data.queries(np.sort(asked))), np.float32)  # type: ignore[attr-defined]
    fresh = Path(path).with_suffix(".part.npz")
    np.savez(fresh, vectors=vectors[~np.isnan(vectors).any(axis=1)], queries=queries)
    fresh.replace(path)


def read(source: str, n: int) -> tuple[Floats, Floats]:
    """The vectors and queries of a row: a mixture, or a file that `make_ials` wrote."""
    if source == "mixture":
        return mixture(n)
    with np.load(source, allow_pickle=False) as found:
        return found["vectors"], found["queries"]


def search(source: str, n: int, backend: str, recall: float) -> dict[str, Any]:
    """All that is told of one backend over one set of vectors."""
    vectors, queries = read(source, n)
    tuned, asked = queries[:-ASKED], queries[-ASKED:]
    before = peak()
    options = Options(backend, recall, K)  # type: ignore[arg-type]
    index = build(vectors, options, queries=tuned, threads=1)
    grown = peak() - before
    exact = index.exact
    with pool.one_blas_thread():
        truth = exact.search(asked, K).items
        ways: dict[str, Callable[[Floats], Any]] = {
            "exact": lambda one: exact.search(one, K),
            "index": lambda one: index.search(one, K),
        }
        raw = bare(index)
        if raw is not None:
            ways["raw"] = raw
        told: dict[str, Any] = {
            "ms": in_turns(ways, asked),
            "recall": float(per_query(index.search(asked, K).items, truth).mean()),
            "chosen": index.stats.backend,
            "note": index.stats.note,
            "effort": index.stats.curve[0].effort if index.stats.curve else {},
            "items": len(vectors),
            "seconds": index.stats.build_seconds,
            "index_mb": index.stats.bytes / 1e6,
            "grown_mb": grown,
            "reads_ms": reading(vectors),
        }
        if raw is not None:
            rows = np.concatenate([np.asarray(raw(one[None])) for one in asked]).reshape(len(asked), -1)
            told["raw_recall"] = float(per_query(rows.astype(np.int32), truth).mean())
        told["filters"] = {str(share): filtered(index, asked, share) for share in SHARES}
    return told


def filtered(index: VectorIndex, asked: Floats, share: float) -> dict[str, Any]:
    """A filter that allows that share of the items, inside the index and exactly among the allowed."""
    mask = np.random.default_rng(7).random((1, len(index))) < share
    allow = pack_mask(mask)
    held = index.exact
    ways = {
        "index": lambda one: index.search(one, K, None, allow),
        "among": lambda one: held.search(one, K, None, allow),
        "open": lambda one: index.search(one, K),
    }
    truth = held.search(asked, K, None, allow).items
    found = index.search(asked, K, None, allow)
    return {
        "ms": in_turns(ways, asked[:30]),
        "recall": float(per_query(found.items, truth).mean()),
        "full": bool((found.counts == min(K, mask.sum())).all()),
    }


def in_turns(ways: dict[str, Callable[[Floats], Any]], asked: Floats) -> dict[str, float]:
    """Median milliseconds of a query: each way is asked all queries, then the next, over again."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TURNS):
        for name, ask in ways.items():
            ask(asked[:1])
            for row in range(len(asked)):
                began = time.perf_counter()
                ask(asked[row : row + 1])
                taken[name].append(1000 * (time.perf_counter() - began))
    return {name: median(times) for name, times in taken.items()}


def bare(index: VectorIndex) -> Callable[[Floats], NDArray[Any]] | None:
    """The library by itself, with the same effort; None where there is none."""
    if index.engine is None:
        return None
    effort, engine = index.stats.curve[0].effort, index.engine
    if engine.backend == "scann":
        searcher = engine.searcher  # type: ignore[attr-defined]
        finds, leaves = effort["looked_up"], effort.get("leaves", -1)
        return lambda one: np.asarray(searcher.search(one[0], K, finds, leaves)[0])
    faiss: Any = library("faiss")
    base = engine.index  # type: ignore[attr-defined]
    if engine.backend == "faiss_hnsw":
        how = faiss.SearchParametersHNSW(efSearch=effort["breadth"])
        return lambda one: np.asarray(base.search(one, K, params=how)[1])
    refined = faiss.IndexRefineFlat(base, faiss.swig_ptr(np.ascontiguousarray(index.exact.vectors)))
    how = faiss.IndexRefineSearchParameters(
        k_factor=effort["looked_up"] / K, base_index_params=faiss.SearchParametersIVF(nprobe=effort["probes"])
    )
    return lambda one: np.asarray(refined.search(one, K, params=how)[1])


def reading(vectors: Floats) -> dict[str, float]:
    """Milliseconds that it takes to read the vectors once as floats, and as many bytes as they have numbers."""
    flat = vectors.reshape(-1)
    whole = [_taken(flat.max) for _ in range(7)]
    part = flat[: len(flat) // 4]
    return {"float32": min(whole), "int8": min(_taken(part.max) for _ in range(7))}


def _taken(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


def peak() -> float:
    """Megabytes of resident memory at its highest."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
