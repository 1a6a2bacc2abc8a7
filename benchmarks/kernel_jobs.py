"""How much of its bound each kernel reaches: the bound from rates that are measured in the same process.

Every job gives the seconds that the kernel took and those of its bound, both the best of a few turns A B A B.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.harness import THREADS

TURNS = 3


def best(*works: Callable[[], Any]) -> list[float]:
    """The least seconds of each, run in turn; the first time does not count."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(TURNS + 1):
        for place, work in enumerate(works):
            begin = time.perf_counter()
            work()
            times[place].append(time.perf_counter() - begin)
    return [min(own[1:]) for own in times]


def outcome(kernel: float, bound: float, **details: Any) -> dict[str, Any]:
    """What a job returns."""
    return {"seconds": kernel, "bound": bound, **details}


# --- the rates of the machine: each returns what to run, and how much that is


def product() -> tuple[Callable[[], Any], float]:
    """A float32 matrix product, and its operations."""
    import numpy as np

    from serendip.kernels.pool import blas_threads

    left, right = np.ones((4096, 2048), np.float32), np.ones((2048, 4096), np.float32)
    out = np.zeros((4096, 4096), np.float32)

    def run() -> None:
        with blas_threads(THREADS):
            np.matmul(left, right, out=out)

    return run, 2.0 * left.size * right.shape[1]


def reading(threads: int) -> tuple[Callable[[], Any], float]:
    """One pass over memory that no cache holds, and its bytes."""
    import numpy as np

    from serendip.kernels import pool

    data = np.ones(1 << 28, np.float32)
    chunk = 1 << 22
    work = lambda start, stop: np.dot(data[start:stop], data[start:stop])  # noqa: E731, one vector: read once
    return lambda: pool.rows(work, len(data), chunk=chunk, threads=threads), 4.0 * len(data)


def gathering(threads: int) -> tuple[Callable[[], Any], float]:
    """Random rows of 256 bytes out of 512 MB, and their bytes."""
    import numpy as np

    from serendip.kernels import pool

    data = np.ones((1 << 21, 64), np.float32)
    chosen = np.random.default_rng(0).integers(0, len(data), 1 << 20)

    def work(start: int, stop: int) -> None:
        np.take(data, chosen[start:stop], axis=0)

    return lambda: pool.rows(work, len(chosen), chunk=2048, threads=threads), 256.0 * len(chosen)


def counting(size: int, kind: Any) -> tuple[Callable[[], Any], float]:
    """Additions to random places of an array that a thread has to itself, and how many: `_counted` on all threads."""
    import numpy as np

    from serendip.kernels import pool
    from serendip.kernels.jit import compiled

    places = np.random.default_rng(0).integers(0, size, 1 << 14).astype(np.uint32)
    rounds, counted = 1 << 10, compiled(_counted)

    def work(start: int, stop: int) -> None:
        counted(places, np.zeros(size, kind), kind(1), (stop - start))

    return lambda: pool.rows(work, THREADS * rounds, chunk=rounds, threads=THREADS), 1.0 * THREADS * rounds * len(
        places
    )


def _counted(places: Any, sums: Any, one: Any, rounds: int) -> None:
    for _ in range(rounds):
        for place in places:
            sums[place] += one


# --- kernels


def topk() -> dict[str, Any]:
    """The 20 best of 40,000 scores for 4,096 rows: one pass over the scores."""
    import numpy as np

    from serendip.kernels.topk import top_k

    scores = np.random.default_rng(0).standard_normal((4096, 40_000), np.float32)
    read, size = reading(THREADS)
    kernel, bare = best(lambda: top_k(scores, 20, threads=THREADS), read)
    return outcome(kernel, scores.nbytes * bare / size, gbytes_s=size / bare / 1e9)


def search(d: int) -> dict[str, Any]:
    """The 20 best of 40,000 vectors for 8,192: the whole product, as no vector is long or short."""
    import numpy as np

    from serendip.index.exact import Exact

    rng = np.random.default_rng(0)
    items, queries = (rng.standard_normal((n, d), np.float32) for n in (40_000, 8192))
    for vectors in (items, queries):
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = Exact(items, threads=THREADS)
    multiply, operations = product()
    kernel, bare = best(lambda: index.search(queries, 20), multiply)
    return outcome(kernel, 2.0 * queries.size * len(items) * bare / operations, gflops=operations / bare / 1e9)


def log_of(path: str) -> Any:
    """A log's matrix of ones, users × items."""
    from serendip.data.dataset import Dataset

    return Dataset.from_frames(path).matrix()


def neighbours(path: str) -> dict[str, Any]:
    """The 50 nearest of each item: an addition for each pair of a user's items, and the bytes looked through."""
    import numpy as np

    from serendip.kernels.neighbours import Denominator, nearest

    matrix = log_of(path)
    n = matrix.shape[1]
    norms = np.sqrt(np.bincount(matrix.indices, minlength=n))
    below = Denominator(norms, norms)
    add, many = counting(n, np.uint8)
    read, size = reading(THREADS)
    kernel, bare, pass_ = best(lambda: nearest(matrix, 50, below, threads=THREADS), add, read)
    additions = float((np.diff(matrix.indptr).astype(float) ** 2).sum())
    return outcome(kernel, additions * bare / many + n**2 * pass_ / size, gadditions_s=many / bare / 1e9)


def gram(path: str) -> dict[str, Any]:
    """``XᵀX`` up to the diagonal: half an addition for each pair of a user's items."""
    import numpy as np

    from serendip.kernels import gram as kernels

    matrix = log_of(path)
    out = np.zeros((matrix.shape[1],) * 2, np.float32)
    add, many = counting(matrix.shape[1], np.float32)
    kernel, bare = best(lambda: kernels.gram(matrix, out, threads=THREADS), add)
    additions = float((np.diff(matrix.indptr).astype(float) ** 2).sum()) / 2
    return outcome(kernel, additions * bare / many, gadditions_s=many / bare / 1e9)


def half_step(path: str, d: int) -> dict[str, Any]:
    """The vectors of all users from those of the items, exactly: the operations of its systems, and their gathers."""
    import numpy as np

    from serendip.kernels import als

    matrix = log_of(path)
    other = np.random.default_rng(0).normal(0, 0.1, (matrix.shape[1], d)).astype(np.float32)
    multiply, operations = product()
    take, size = gathering(THREADS)
    solve = lambda: als.half_step(matrix, other, alpha0=0.1, reg=0.01, nu=1.0, threads=THREADS)  # noqa: E731
    kernel, bare, gathered = best(solve, multiply, take)
    own = np.diff(matrix.indptr).astype(float)
    low, high = np.minimum(own, d), np.maximum(own, d)
    flops = float((low**2 * high + low**3 / 3).sum()) + 2.0 * matrix.shape[0] * d**2
    bound = flops * bare / operations + 4.0 * d * matrix.nnz * gathered / size
    return outcome(kernel, bound, gflops=operations / bare / 1e9, gather_gbytes_s=size / gathered / 1e9)


def inverse(n: int) -> dict[str, Any]:
    """EASE's inverse of n items in place: n³ operations of a matrix product."""
    import numpy as np

    from serendip.kernels.pool import blas_threads
    from serendip.models.ease import negative_inverse

    vectors = np.random.default_rng(0).standard_normal((n, 256), np.float32)
    start = vectors @ vectors.T + 100 * np.eye(n, dtype=np.float32)
    multiply, operations = product()

    def solve() -> None:
        with blas_threads(THREADS):
            if not negative_inverse(start.copy(), lambda done, of: None):
                raise ValueError("not positive definite")

    kernel, bare = best(solve, multiply)
    return outcome(kernel, float(n) ** 3 * bare / operations, gflops=operations / bare / 1e9)


def gibbs() -> dict[str, Any]:
    """One factor of a block of a million rows over four million cases: two passes over the cases, on one thread."""
    import numpy as np

    from serendip.kernels.gibbs import factor

    rng = np.random.default_rng(0)
    cases, n = 4_000_000, 20_000
    case = np.sort(rng.integers(0, n, cases)).astype(np.int32)
    counts = np.bincount(case, minlength=n).astype(float)
    starts, rows, values = np.arange(n + 1), np.arange(n), np.ones(n)
    noise, precision, centre, v = rng.standard_normal(n), np.ones(n), np.zeros(n), np.zeros(n)
    sums, whole, error = np.zeros(n), rng.standard_normal(cases), rng.standard_normal(cases)
    read, size = reading(1)
    kernel, bare = best(
        lambda: factor(case, starts, rows, values, noise, precision, centre, 1.0, v, sums, whole, error, counts), read
    )
    return outcome(kernel, 2 * 32.0 * cases * bare / size, gbytes_s=size / bare / 1e9)


def descent(path: str, d: int) -> dict[str, Any]:
    """A pass of SVD++: the vectors of both sides of each rating read and written once, on one thread."""
    import numpy as np

    from serendip.kernels.descent import implicit_factors

    matrix = log_of(path)
    (m, n), rng = matrix.shape, np.random.default_rng(0)
    p, q, y = (rng.normal(0, 0.1, (size, d)).astype(np.float32) for size in (m, n, n))
    user, item = np.zeros(m, np.float32), np.zeros(n, np.float32)
    starts, items = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    values = rng.normal(3.5, 1, matrix.nnz).astype(np.float32)
    order, drawn = rng.permutation(m), rng.random(matrix.nnz)
    one = np.float32(0.005)
    take, size = gathering(1)

    def learn() -> None:
        implicit_factors(
            order, drawn, starts, items, values, starts, items, np.float32(3.5), user, item, p, q, y, one, one, one, one
        )

    kernel, bare = best(learn, take)
    return outcome(kernel, 16.0 * d * matrix.nnz * bare / size, gather_gbytes_s=size / bare / 1e9)
