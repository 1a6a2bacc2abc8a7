"""Jobs for the speed of attention over histories: training epoch by epoch, and how near an epoch is to its operations.

What has to be computed for a history of n places, of d numbers each, in a catalogue of m items: in each block four
products of ``d × d`` for attention and two of ``d × h`` for its layers at each place, and for each of the
``n (n + 1) / 2`` pairs of a place and one not after it two products of d numbers; then the scores of all items at each
place. Learning takes twice that again, as each product has two gradients. Padding does not count, nor does anything
but products. The rate is that of bare float32 products with the shapes of the softmax, which are most of the work:
``[r, d] × [d, m]``, ``[r, m] × [m, d]`` and ``[m, r] × [r, d]``, for the r at which each is fastest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import THREADS
from benchmarks.sequences import METRICS, last_of

BLOCKS = (256, 1024, 4096)
"""Rows of a bare product."""
WARM = 256
"""Users of a first fit that is thrown away, so that whatever happens only once is not timed."""
MOST = 10_000
"""Epochs, where something else ends a fit."""


class Reached(Exception):
    """A fit is good enough."""


def write_job(folder: str, data: dict[str, Any], target: str) -> None:
    """The split as files for a peer: events with their ``place`` in the log's order, and what was held out."""
    import polars as pl

    from serendip.types import ABSENT

    split = last_of(folder, **data)
    events = split.train.events
    known = split.truth.items != ABSENT
    asked = np.repeat(split.known, np.diff(split.truth.indptr))
    parts = {
        "train": {"user_id": events.users, "item_id": events.items, "place": np.arange(len(events))},
        "test": {"user_id": asked[known], "item_id": split.truth.items[known]},
    }
    Path(target).mkdir(parents=True, exist_ok=True)
    for name, columns in parts.items():
        pl.DataFrame(columns).write_parquet(Path(target) / f"{name}.parquet")


def latest(data: Any, most: int, users: int | None = None) -> Any:
    """The data with so many of each user's last events, of so many users; codes stay."""
    events = data.events
    left = events.indptr[events.users + 1] - np.arange(len(events))
    keep = (left <= most) & (events.users < (users or data.n_users))
    return replace(data, events=events.where(keep))


def train_job(
    folder: str,
    data: dict[str, Any],
    options: dict[str, Any],
    epochs: int | None = None,
    seconds: float | None = None,
    until: float | None = None,
    most: int | None = None,
    judged: bool = True,
    seed: int = 0,
) -> dict[str, Any]:
    """Train so many epochs, so many seconds, or until that NDCG@10 is reached; judging is not timed.

    Args:
        folder: of the data set.
        data: arguments of `last_of`.
        options: of the model.
        epochs, seconds, until: whichever comes first.
        most: train on so many of each user's last events; None: on all. What is judged does not depend on it.
        judged: whether to judge after each epoch.
        seed: of the run.

    Returns:
        As ``train`` of `benchmarks.peers.rectools_sasrec`, and how many ``tokens`` an epoch learns from: events that
        have one before them.
    """
    from serendip.evaluate import evaluate
    from serendip.model import Run, find

    split = last_of(folder, **data)
    train = split.train if most is None else latest(split.train, most)
    made = find("sasrec")
    made(**options, epochs=1).fit(latest(split.train, most or len(split.train.events), WARM), Run(threads=THREADS))
    rows: list[dict[str, float]] = []
    figures: dict[str, float] = {}

    def judge(scorer: Any) -> float:
        found = evaluate(scorer, split, METRICS, threads=THREADS)
        figures.update({name: found.mean(metric) for name, metric in zip(("hit_rate", "ndcg"), METRICS, strict=True)})
        return figures["ndcg"]

    def note(one: Mapping[str, float]) -> None:
        nonlocal used
        before, used_before, used = rows[-1]["training"] if rows else 0.0, used, time.process_time()
        cost = {} if judged else {"cpu": used - used_before}
        rows.append({"seconds": one["seconds"] - before, "training": one["seconds"], **cost, **figures})
        if until is not None and figures["ndcg"] >= until:
            raise Reached

    run = Run(
        seed=seed, threads=THREADS, time_budget=seconds, epochs=epochs, log=note, validation=judge if judged else None
    )
    used = time.process_time()
    with suppress(Reached):
        made(**options, epochs=epochs or MOST).fit(train, run)
    counts = np.diff(train.events.indptr)
    return {
        "epochs": rows,
        "users": int((counts > 1).sum()),
        "items": train.n_items,
        "tokens": int(np.maximum(counts - 1, 0).sum()),
    }


def bound_job(folder: str, data: dict[str, Any], options: dict[str, Any], epochs: int) -> dict[str, Any]:
    """The share of an epoch that its products take at the rate of bare ones, which is measured between epochs.

    Histories are cut to the last events that make one window each.
    """
    from serendip.model import Run, find

    train = latest(last_of(folder, **data).train, options["length"] + 1)
    sizes = np.diff(train.events.indptr) - 1
    sizes, d = sizes[sizes > 0], options["factors"]
    config: Any = find("sasrec")(**options).config
    work = operations(sizes, d, config.hidden or d, config.blocks, train.n_items)
    times: list[float] = []
    found: list[dict[str, float]] = []

    def rest(_scorer: Any) -> float:
        found.append(rates(d, train.n_items))
        return 0.0

    run = Run(threads=THREADS, validation=rest, log=lambda one: times.append(one["seconds"]))
    find("sasrec")(**options, epochs=epochs + 1).fit(train, run)
    seconds = median(np.diff(times).tolist())
    rate = median(one["softmax"] for one in found)
    return {
        "operations": work,
        "rates": found,
        "rate": rate,
        "square": median(one["square"] for one in found),
        "seconds": seconds,
        "bound": work / rate,
        "share": work / rate / seconds,
    }


def operations(sizes: NDArray[np.int64], d: int, hidden: int, blocks: int, items: int) -> float:
    """Multiplications and additions of an epoch over histories of these sizes; see the module."""
    n = sizes.astype(np.float64)
    places, pairs = n.sum(), (n * (n + 1) / 2).sum()
    each_block = places * 2 * (4 * d * d + 2 * d * hidden) + pairs * 2 * 2 * d
    return float(3 * (blocks * each_block + places * 2 * d * items))


def rates(d: int, items: int) -> dict[str, float]:
    """Operations a second of the three ``softmax`` products together, and of a large ``square`` one."""
    rng = np.random.default_rng(0)
    slowness: list[list[float]] = [[], [], []]
    for rows in BLOCKS:
        states, vectors, logits = (
            rng.standard_normal(shape, np.float32) for shape in ((rows, d), (items, d), (rows, items))
        )
        out, to_states, to_vectors = (np.empty_like(array) for array in (logits, states, vectors))
        works: list[Callable[[], Any]] = [
            lambda left=states, right=vectors, out=out: np.matmul(left, right.T, out=out),
            lambda left=logits, right=vectors, out=to_states: np.matmul(left, right, out=out),
            lambda left=logits, right=states, out=to_vectors: np.matmul(left.T, right, out=out),
        ]
        for own, work in zip(slowness, works, strict=True):
            own.append(_least(work) / (2.0 * rows * d * items))
    left = rng.standard_normal((2048, 2048), np.float32)
    out = np.empty_like(left)
    square = 2.0 * 2048**3 / _least(lambda: np.matmul(left, left, out=out))
    return {"softmax": 3 / sum(min(own) for own in slowness), "square": square}


def _least(work: Callable[[], Any]) -> float:
    """The least seconds of a few runs on as many threads as training has."""
    from serendip.kernels.pool import blas_threads

    times = []
    with blas_threads(THREADS):
        for _ in range(6):
            begin = time.perf_counter()
            work()
            times.append(time.perf_counter() - begin)
    return min(times[1:])
