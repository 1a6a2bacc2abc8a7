"""Our item-kNN and implicit's, fitted in turn to the same matrix, with lists that must be as good as each other's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, THREADS, Row, Topic, data_dir, in_turn, median, peer_python, run_job, same, spread

LOGS: dict[str, tuple[str, dict[str, Any]]] = {
    "gowalla_lightgcn": ("train.parquet", {}),
    "ml_1m": ("interactions.parquet", {"columns": {"timestamp": "time_rank"}, "time_kind": "rank"}),
}
"""The file of each data set, and how it is read."""
PARTS = ("types.py", "data", "kernels", "models/item_knn.py", "models/_weighting.py")
DEPENDS = [*(ROOT / "serendip" / name for name in PARTS), Path(__file__)]
DEPENDS += [ROOT / "benchmarks/peers" / name for name in ("implicit.txt", "implicit_knn.py")]
REPEATS = 3
TURNS = 3
SHORT = (
    "; tried: bytes for counts, marks from a sample, histories in the order of items, sorted in registers, rows asked "
    "for ahead; each pair counted once, with the K-th similarity raised as pairs come in (a quarter slower), or "
    "estimated from the items more popular than one, pairs logged and grouped at the end (level at K = 20, 5% slower "
    "at K = 50). Counting is under a third of the kernel's time, the rest is finding and selecting what was counted; "
    "an item's neighbours lie about evenly among more and less popular ones, so nearly every list needs pairs of both "
    "halves, and handing those over costs what counting half of them saves. Were every K-th similarity known "
    "beforehand, the whole fit would be 1.4 times as fast"
)
"""What was tried where lists are short, and what bounds it."""


def fit(data: str, path: str, neighbours: int, repeats: int) -> dict[str, Any]:
    """Fit times, the data read before, and the sum of all similarities but each item's last.

    The last is left out because implicit counts the item itself among its neighbours.
    """
    import numpy as np

    from serendip.data.dataset import Dataset
    from serendip.model import Run, find

    train = Dataset.from_frames(path, **LOGS[data][1])
    model = find("item_knn")(neighbours=neighbours, user_power=0, weight="binary")
    times, processor = [], []
    for _ in range(repeats + 1):
        begin, used = time.perf_counter(), time.process_time()
        fitted = model.fit(train, Run(threads=THREADS))
        times.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
    weights = fitted.lower().weights
    place = np.arange(weights.nnz) - np.repeat(weights.indptr[:-1], np.diff(weights.indptr))
    total = weights.data[place < neighbours - 1].sum(dtype=np.float64)
    return {"seconds": times[1:], "cpu": processor[1:], "similarity": float(total)}


def measure(topic: Topic, name: str, data: str, neighbours: int, target: float) -> None:
    """One row: our seconds, and implicit's over ours."""
    topic.row(
        [(name, "seconds")],
        lambda: row(name, data, neighbours, target),
        depends=[*DEPENDS, data, neighbours],
        data=[data],
    )


def row(name: str, data: str, neighbours: int, target: float) -> Row:
    """Both fitted in turn, in processes of their own."""
    arguments = {"path": str(data_dir(data) / LOGS[data][0]), "neighbours": neighbours, "repeats": REPEATS}
    python = peer_python("implicit")
    env = {"OPENBLAS_NUM_THREADS": "1"}
    done = in_turn(
        {
            "ours": lambda: run_job("benchmarks.knn:fit", data=data, **arguments),
            "implicit": lambda: run_job(
                "benchmarks.peers.implicit_knn:fit", python=python, env=env, cores=THREADS, **arguments
            ),
        },
        TURNS,
    )
    similarity = {name: jobs[0]["similarity"] for name, jobs in done.items()}
    same("sum of similarities", *similarity.values(), 1e-4)
    ours, theirs = ([value for job in done[name] for value in job["seconds"]] for name in ("ours", "implicit"))
    tried = SHORT if data == "gowalla_lightgcn" and neighbours < 100 else ""
    return Row(
        name,
        "seconds",
        median(ours),
        "s",
        spread(ours),
        len(ours),
        "implicit 0.7.3 CosineRecommender",
        median(theirs) / median(ours),
        f"ratio >= {target:g}",
        note=f"{data}, cosine, K = {neighbours}: fit; the same neighbours{tried}",
        details={
            "ours": ours,
            "implicit": theirs,
            "cpu": {name: [value for job in jobs for value in job["cpu"]] for name, jobs in done.items()},
            "similarity": similarity,
        },
    )
