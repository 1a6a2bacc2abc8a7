"""BPR and WARP against implicit and lightfm: seconds of training until the peer's best NDCG@20 is reached.

Ours is fitted once for each number of epochs, as its step size depends on that; a peer goes on epoch by epoch and is
judged after every few. Judging is not timed, nor is reading; compiling is over before the first fit that counts.

To be called with `benchmarks.harness.run_job`, ours in our environment and a peer's with
``python=peer_python("implicit" | "lightfm")``:

- ``benchmarks.pairwise_jobs:ours_job`` (folder, model, options, epochs: list of numbers)
- ``benchmarks.peers.implicit_bpr:fit`` (folder, options, epochs, every, cores)
- ``benchmarks.peers.lightfm_pairs:fit`` (folder, options, epochs, every, cores)

Each returns a list of points ``{"epoch", "seconds", "ndcg", "recall"}``. `compared` makes a row's figure of two lists:
the rows ``bpr/implicit``, ``warp/lightfm`` and ``bpr/lightfm``, metric ``ratio``. Options of both sides are chosen on
the hold-out of `benchmarks.holdout`, which `hold_out_job` writes as a folder that all of them read: `GRIDS` are the
peers' options to try, `CHOSEN` those that were best there, with the number of epochs.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.harness import THREADS

Point = dict[str, float]

METRICS = ("ndcg@20", "recall@20")


def ours_job(folder: str, model: str, options: dict[str, Any], epochs: list[int]) -> list[Point]:
    """A point per number of epochs: seconds of the whole fit, NDCG@20 and Recall@20 of every test user."""
    from benchmarks.holdout import published
    from serendip.evaluate import evaluate
    from serendip.model import Run, find

    split = published(folder)
    run = Run(seed=0, threads=THREADS)
    kind = find(model)
    kind(**options, epochs=1).fit(split.train, run)
    points = []
    for count in epochs:
        begin = time.perf_counter()
        fitted = kind(**options, epochs=count).fit(split.train, run)
        seconds = time.perf_counter() - begin
        found = evaluate(fitted, split, METRICS, threads=THREADS)
        ndcg, recall = (found.mean(metric) for metric in METRICS)
        points.append({"epoch": count, "seconds": seconds, "ndcg": ndcg, "recall": recall})
    return points


def compared(peer: list[Point], ours: list[Point]) -> dict[str, float]:
    """How many times sooner ours is where the peer gets at best: ``ratio``, with both times and the NDCG.

    Where ours never gets there, its seconds are infinite and the ratio 0.
    """
    best = max(peer, key=lambda point: point["ndcg"])
    reached = [point["seconds"] for point in ours if point["ndcg"] >= best["ndcg"]]
    seconds = min(reached, default=float("inf"))
    return {
        "ratio": best["seconds"] / seconds,
        "peer_seconds": best["seconds"],
        "peer_ndcg": best["ndcg"],
        "seconds": seconds,
        "ndcg": max(point["ndcg"] for point in ours),
    }


def hold_out_job(folder: str, target: str) -> dict[str, int]:
    """Write the hold-out of a training part as ``train.parquet`` and ``test.parquet``, for all sides to choose on."""
    import numpy as np
    import polars as pl

    from benchmarks.holdout import hold_out, published

    split = hold_out(published(folder).train)
    events, truth = split.train.events, split.truth
    users = np.repeat(split.users, truth.counts)
    inside = truth.items >= 0
    Path(target).mkdir(parents=True, exist_ok=True)
    parts = {"train": (events.users, events.items), "test": (users[inside], truth.items[inside])}
    for name, (user, item) in parts.items():
        pl.DataFrame({"user_id": user, "item_id": item}).write_parquet(f"{target}/{name}.parquet")
    return {name: len(user) for name, (user, _) in parts.items()}
