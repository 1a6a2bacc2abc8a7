"""iALS beside implicit's: quality over time, and how near the half steps come to what the machine can do.

Options of either side are chosen on the hold-out of the training part (`write_hold_out`, drawn as `benchmarks.holdout`
says) by the best NDCG@20 over the iterations, on `USERS` users, among those of `ours_grid` (by `search_job`) and
`peer_grid` (by ``search`` of `benchmarks.peers.implicit_als`).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from benchmarks.harness import THREADS

FACTORS = (64, 256, 512, 1024)
USERS = 3000
ITERATIONS = {"ours": 6, "peer": 10}
"""How far options are followed: both are best earlier than that."""


def ours_grid(factors: int) -> list[dict[str, Any]]:
    """The options to choose ours among."""
    values = itertools.product((0.01, 0.02), (0.002, 0.004, 0.008), (0, 1))
    return [{"factors": factors, "alpha0": alpha0, "reg": reg, "init_passes": n} for alpha0, reg, n in values]


def peer_grid(factors: int) -> list[dict[str, Any]]:
    """The options to choose implicit's among; with few factors more of them are worth a try."""
    alphas, regs = ((20.0, 40.0, 80.0), (10.0, 30.0, 100.0)) if factors < 128 else ((20.0, 40.0), (50.0, 100.0))
    return [
        {"factors": factors, "alpha": alpha, "regularization": reg, "random_state": 0}
        for alpha, reg in itertools.product(alphas, regs)
    ]


def ours_job(
    folder: str, options: dict[str, Any], iterations: int, seed: int = 0, users: int | None = None
) -> list[dict[str, float]]:
    """Seconds so far and quality after every iteration; the evaluation is not timed.

    What comes before the first iteration counts, and so does one more half step, which makes the users' vectors that
    the lists are judged with follow from the items' last. Compiling does not count.

    Args:
        folder: a split as `benchmarks.peers.lists.read` takes it; every item of it has an event in the training part.
        options: of `serendip.models.ials`.
        iterations: how many.
        seed: of the first vectors.
        users: judge by so many users at most, drawn at random.
    """
    from benchmarks.peers.lists import quality, read, some
    from serendip.kernels.als import step
    from serendip.models.ials import IALS, begin

    train, test = read(folder)
    test = some(test, users)
    settings = IALS(**options).config
    warm_up(settings)
    since = time.perf_counter()
    active = np.flatnonzero(np.diff(train.indptr))
    sides = begin(csr_array(train[active]), settings, seed, THREADS)
    spent, out = time.perf_counter() - since, []
    for done in range(iterations):
        since = time.perf_counter()
        sides.solve_users(THREADS)
        sides.solve_items(THREADS)
        spent += time.perf_counter() - since
        asking, items = sides.users.copy(), sides.items.copy()
        since = time.perf_counter()
        step(sides.of_users, asking, items, sides.d, sides.method, THREADS)
        last = time.perf_counter() - since
        every = np.zeros((train.shape[0], asking.shape[1]), np.float32)
        every[active] = asking
        figures = quality(every, items, train, test)
        out.append({"iteration": done + 1, "seconds": spent + last, "iterating": spent, **figures})
    return out


def warm_up(settings: Any) -> None:
    """Compile what these options need."""
    from serendip.models.ials import begin

    sides = begin(csr_array(np.ones((2, 2), np.float32)), settings, 0)
    sides.solve_users(1)
    sides.solve_items(1)


def write_hold_out(folder: str, target: str) -> None:
    """The hold-out of a published split's training part, as files in the same form."""
    import polars as pl

    from benchmarks.holdout import hold_out, published
    from serendip.types import ABSENT

    split = hold_out(published(folder).train)
    matrix = split.train.matrix().tocoo()
    rows = np.repeat(split.known, np.diff(split.truth.indptr))
    known = split.truth.items != ABSENT
    for name, users, items in (
        ("train", *matrix.coords),
        ("test", rows[known], split.truth.items[known]),
    ):
        frame = pl.DataFrame({"user_id": users.astype(np.int32), "item_id": items.astype(np.int32)})
        frame.write_parquet(Path(target) / f"{name}.parquet")


def search_job(
    folder: str, grid: Sequence[dict[str, Any]], iterations: int, users: int = USERS
) -> list[dict[str, Any]]:
    """The best figures that each of our options reaches, and after how many iterations; the best first."""
    tried = [
        {"options": options, **max(ours_job(folder, options, iterations, users=users), key=lambda one: one["ndcg"])}
        for options in grid
    ]
    return sorted(tried, key=lambda one: -float(one["ndcg"]))


def seconds_to(trace: Sequence[dict[str, float]], ndcg: float) -> float | None:
    """Seconds until that NDCG was first reached; None if it never was."""
    return next((one["seconds"] for one in trace if one["ndcg"] >= ndcg), None)


def per_iteration(trace: Sequence[dict[str, float]]) -> float:
    """The median of the seconds an iteration took, the first left out."""
    times = [one.get("iterating", one["seconds"]) for one in trace]
    return float(np.median(np.diff(times)))


def bound_job(folder: str, options: dict[str, Any], repeats: int = 3) -> dict[str, float]:
    """Flops of an iteration, its rate, and the share of the rate of a bare float32 product of the same width.

    Returns:
        ``seconds`` an iteration takes (median), ``gflop`` of it in all and ``dense_gflop`` of those beside the rows',
        ``gflops`` (the rate), ``product_gflops`` (the rate of a product ``[n, d] · [d, d]``), ``share`` of it, and
        ``gathered_gb``, what is read of vectors at least.
    """
    from benchmarks.peers.lists import read
    from serendip.kernels.als import dense_work, row_work
    from serendip.models.ials import IALS, begin

    train, _ = read(folder)
    settings = IALS(**options).config
    sides = begin(csr_array(train[np.diff(train.indptr) > 0]), settings, 0, THREADS)
    both, d = (sides.of_users, sides.of_items), sides.d
    times = []
    for _ in range(repeats + 1):
        since = time.perf_counter()
        sides.solve_users(THREADS)
        sides.solve_items(THREADS)
        times.append(time.perf_counter() - since)
    rows = sum(row_work(np.diff(side.starts), d, sides.method) for side in both)
    dense = sum(dense_work(len(one), len(other), d, sides.method) for one, other in (both, tuple(reversed(both))))
    seconds, rate = float(np.median(times[1:])), product_rate(len(sides.items), d)
    gflops = 2e-9 * (rows + dense) / seconds
    return {
        "seconds": seconds,
        "gflop": 2e-9 * (rows + dense),
        "dense_gflop": 2e-9 * dense,
        "gflops": gflops,
        "product_gflops": rate,
        "share": gflops / rate,
        "gathered_gb": 1e-9 * sum(4 * d * len(side.places) for side in both),
    }


def product_rate(n: int, d: int, repeats: int = 5) -> float:
    """Gflop/s of ``[n, d] · [d, d]`` in float32 on all threads: the best of so many."""
    from serendip.kernels.pool import blas_threads

    left, right = np.ones((n, d), np.float32), np.ones((d, d), np.float32)
    out = np.empty((n, d), np.float32)
    times = []
    with blas_threads(THREADS):
        for _ in range(repeats):
            since = time.perf_counter()
            np.matmul(left, right, out=out)
            times.append(time.perf_counter() - since)
    return 2e-9 * n * d * d / min(times)
