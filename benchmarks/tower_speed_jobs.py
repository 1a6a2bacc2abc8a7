"""Jobs for the speed of two towers: training epoch by epoch, a step on a table of any size, and the rows of one.

What a step of b events has to compute for d dimensions: three products, ``[b, d] × [d, b]``, ``[b, b] × [b, d]`` and
``[b, b] × [b, d]``, ``6·b²·d`` operations. As each item of a batch is a candidate once, however often it is in it, ours
computes less: ``6·b·c·d`` for c candidates; both shares are told. The rate is the higher of that of bare products with
these shapes and that of large square ones, measured between the epochs.
"""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.harness import THREADS
from benchmarks.peers.lists import stay

METRICS = ("ndcg@20", "recall@20")
HELD = 0.2
"""The share of each user's events that is held out."""
WARM = 4096
"""Events of a first fit that is thrown away, at least, so that whatever happens only once is not timed."""
USERS, EVENTS = 20_000, 400_000
"""Of the made-up log for tables of any size."""
IDS_ALONE: dict[str, Any] = {"length": 0, "hidden": None, "projected": False, "schedule": "constant"}
"""Options by which a user and an item have a vector each, and nothing else is learned."""


def write_job(folder: str, target: str) -> None:
    """The split as files of codes, and under ``held`` that of its training part, to choose options on."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.evaluate import per_user

    data = Dataset.from_frames(pl.read_parquet(f"{folder}/interactions.parquet").select("user_id", "item_id"))
    split = per_user(data, HELD, seed=0)
    for one, where in ((split, Path(target)), (per_user(split.train, HELD, seed=0), Path(target) / "held")):
        where.mkdir(parents=True, exist_ok=True)
        users, inside = np.repeat(one.users, one.truth.counts), one.truth.items >= 0
        events = one.train.events
        parts = {"train": (events.users, events.items), "test": (users[inside], one.truth.items[inside])}
        for name, (user, item) in parts.items():
            pl.DataFrame({"user_id": user, "item_id": item}).write_parquet(where / f"{name}.parquet")


def _read(log: Any, dim: int, items: Any = None) -> Any:
    """A log with an id of each user as a feature."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.features.declared import Category

    users = log.select("user_id").unique(maintain_order=True).with_columns(who=pl.col("user_id").cast(pl.String))
    return Dataset.from_frames(log, users, items, features={"who": Category(side="user", dim=dim)})


def _some(data: Any, most: int) -> Any:
    """The data with the first events only; codes stay."""
    from dataclasses import replace

    return replace(data, events=data.events.where(np.arange(len(data.events)) < most))


def train_job(folder: str, options: dict[str, Any], epochs: int, every: int) -> dict[str, Any]:
    """Train so many epochs.

    Args:
        folder: of `write_job`.
        options: of ``two_tower``, beside `IDS_ALONE`.
        epochs, every: how many, and how many between two judgements, which are not timed; 0: none.

    Returns:
        ``epochs``: of each the ``examples`` and the ``seconds`` of training so far; without judging the processor's
        ``cpu`` seconds and the ``rates`` of bare products (`sequence_jobs.rates`); where judged ``ndcg`` and ``recall``
        at 20. ``candidates``: how many a step had.
    """
    stay(THREADS)
    import polars as pl

    from benchmarks.sequence_jobs import rates
    from serendip.evaluate import evaluate, given
    from serendip.model import Run, find

    data = _read(pl.read_parquet(f"{folder}/train.parquet"), options["factors"])
    split, fixed, kind = given(data, f"{folder}/test.parquet"), {**options, **IDS_ALONE}, find("two_tower")
    kind(**fixed, epochs=1).fit(_some(data, max(WARM, 2 * options["batch_size"])), Run(threads=THREADS))
    points: list[dict[str, Any]] = []
    judged: dict[str, float] = {}
    state = {"cpu": time.process_time()}

    def judge(scorer: Any) -> float:
        found = evaluate(scorer, split, METRICS, threads=THREADS)
        judged.update({name.partition("@")[0]: found.mean(name) for name in METRICS})
        return judged["ndcg"]

    def note(one: Any) -> None:
        spent = time.process_time() - state["cpu"]
        points.append({"epoch": int(one["epoch"]), "examples": len(data.events), "seconds": one["seconds"]})
        if not every:
            points[-1] |= {"cpu": spent, "rates": rates(options["factors"], options["batch_size"])}
        elif "validation" in one:
            points[-1] |= judged
        state["cpu"] = time.process_time()

    run = Run(threads=THREADS, validation=judge if every else None, validate_every=max(every, 1), log=note)
    model: Any = kind(**fixed, epochs=epochs)
    model.fit(data, run)
    some = islice(model.batches(data, np.random.default_rng(0)), 20)
    return {"epochs": points, "candidates": median(len(batch.candidates) for batch in some)}


def table_job(items: int, options: dict[str, Any], epochs: int) -> dict[str, Any]:
    """Seconds of a step of two towers of ids over a catalogue of so many items, all as likely; the median epoch's."""
    stay(THREADS)
    import polars as pl

    from serendip.model import Run, find

    rng = np.random.default_rng(0)
    log = pl.DataFrame({"user_id": rng.integers(0, USERS, EVENTS), "item_id": rng.integers(0, items, EVENTS)}).unique()
    data = _read(log, options["factors"], pl.DataFrame({"item_id": range(items)}))
    times: list[float] = []
    run = Run(threads=THREADS, log=lambda one: times.append(one["seconds"]))
    find("two_tower")(**options, **IDS_ALONE, epochs=epochs + 1).fit(data, run)
    steps = -(-len(data.events) // options["batch_size"])
    return {"seconds": median(np.diff(times).tolist()) / steps, "items": data.n_items, "steps": steps}


def rows_job(items: int, dim: int, touched: int, turns: int) -> dict[str, Any]:
    """Milliseconds of a step of Adagrad on rows drawn at random, which may repeat, and of copying as many rows."""
    stay(THREADS)
    import torch
    from torch import nn

    from serendip.nn.rows import RowAdagrad, gather

    torch.set_num_threads(THREADS)
    rng, weight = np.random.default_rng(0), nn.Parameter(torch.randn(items, dim))
    step, gradient = RowAdagrad([weight], lr=0.1), torch.randn(touched, dim)
    times: dict[str, list[float]] = {"step": [], "copy": []}
    for _ in range(turns + 2):
        rows, others = (torch.from_numpy(rng.integers(0, items, touched)) for _ in range(2))
        gather(weight, rows).backward(gradient)  # type: ignore[no-untyped-call]
        begin = time.perf_counter()
        step.step()
        between = time.perf_counter()
        with torch.no_grad():
            nn.functional.embedding(others, weight)
        times["copy"].append(time.perf_counter() - between)
        times["step"].append(between - begin)
        step.zero_grad()
    return {f"{name}_ms": 1000 * median(own[2:]) for name, own in times.items()} | {"turns": turns}
