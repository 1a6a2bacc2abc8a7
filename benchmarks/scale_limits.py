"""What the machine allows as a log grows: fits that do nothing but fetch what their algorithm must.

- ials: each entry's vector of the other side, in the order of the rows, added up; both sides, once an iteration.
- item_knn: each column's rows, each place counted in an array of all columns, which is then set back to 0.

Nothing is solved, chosen or kept. Where these take longer by event as the log grows, it is because what they read lies
further from the processor, and no fit that reads the same can grow more slowly.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from benchmarks.harness import THREADS
from serendip.kernels import pool
from serendip.kernels.jit import compiled, summed

REPEATS = 3
PARTS = 192


def fetch(path: str, model: str, options: dict[str, Any]) -> dict[str, Any]:
    """Seconds and the processor's seconds of the fetches alone, the fastest of a few times."""
    from serendip.data.dataset import Dataset

    matrix = Dataset.from_frames(path).matrix()
    run = of_vectors(matrix, **options) if model == "ials" else of_counts(matrix)
    run()  # compiled
    times = []
    for _ in range(REPEATS):
        begin, used = time.perf_counter(), time.process_time()
        run()
        times.append((time.perf_counter() - begin, time.process_time() - used))
    return {
        "events": matrix.nnz,
        "seconds": min(seconds for seconds, _ in times),
        "cpu": min(processor for _, processor in times),
    }


def of_vectors(matrix: csr_array, factors: int, iterations: int) -> Any:
    """The fetches of iALS: for each side, a vector per entry."""
    sides = [(part.indptr.astype(np.int64), part.indices) for part in (matrix, csr_array(matrix.T.tocsr()))]
    vectors = [np.ones((n, factors), np.float32) for n in matrix.shape]

    def run() -> None:
        for _ in range(iterations):
            for side, (starts, places) in enumerate(sides):
                own, other = vectors[side], vectors[1 - side]
                each(len(own), lambda a, b, s=starts, p=places, o=other, w=own: _added(s, p, o, a, w[a:b]))

    return run


def of_counts(matrix: csr_array) -> Any:
    """The fetches of item-kNN: for each column, the places of its rows."""
    n = matrix.shape[1]
    turned = matrix.tocsc()
    columns = matrix.indices.astype(np.uint16 if n <= 1 << 16 else np.uint32)
    sides = matrix.indptr.astype(np.int64), columns, turned.indptr.astype(np.int64), turned.indices.astype(np.uint32)
    return lambda: each(n, lambda a, b: _counted(*sides, a, b, np.zeros(n, np.uint8)))


def each(n: int, task: Any) -> None:
    """On the threads of a measurement."""
    pool.rows(task, n, chunk=max(16, n // PARTS), threads=THREADS, blas=False)


@summed
def _added(starts: Any, places: Any, vectors: Any, first: int, out: Any) -> None:
    d = out.shape[1]
    for at in range(len(out)):
        line = out[at]
        line[:] = 0
        for entry in range(starts[first + at], starts[first + at + 1]):
            vector = vectors[places[entry]]
            for place in range(d):
                line[place] += vector[place]
        line[:] = np.float32(1)


@compiled
def _counted(
    row_starts: Any, columns: Any, column_starts: Any, rows: Any, first: int, last: int, counts: Any
) -> None:  # fmt: skip
    one = np.uint8(1)
    for own in range(first, last):
        for row in rows[column_starts[own] : column_starts[own + 1]]:
            for entry in range(np.uint64(row_starts[row]), np.uint64(row_starts[row + np.uint32(1)])):
                counts[columns[entry]] += one
        counts[:] = 0
