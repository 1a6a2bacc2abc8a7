"""BPR and WARP against implicit and lightfm: seconds of training until the peer's best NDCG@20 is reached.

Ours is fitted once for each number of epochs, as its step size depends on that; a peer goes on epoch by epoch and is
judged after every few. Judging is not timed, nor is reading; compiling is over before the first fit that counts. The
options of both sides are the best of a grid of like size on a hold-out of the training part (`benchmarks.holdout`), by
their highest NDCG@20 there.

`measure` adds the rows ``bpr/implicit``, ``warp/lightfm`` and ``bpr/lightfm``, metric ``ratio``. The jobs, to be called
with `benchmarks.harness.run_job`, return lists of points ``{"epoch", "seconds", "ndcg", "recall"}``:

- ours: ``benchmarks.pairwise_jobs:ours_job`` (folder, model, options, epochs: list of numbers)
- with ``python=peer_python("implicit")``: ``benchmarks.peers.implicit_bpr:fit`` (folder, options, epochs, every, cores)
- with ``python=peer_python("lightfm")``: ``benchmarks.peers.lightfm_pairs:fit`` (folder, options, epochs, every, cores)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, THREADS, Row, Topic, data_dir, in_turn, median, peer_python, run_job, spread

Point = dict[str, float]
Options = dict[str, Any]

DATA = "gowalla_lightgcn"
METRICS = ("ndcg@20", "recall@20")
TURNS = 2
PARTS = ("types.py", "data", "evaluate", "kernels/strata.py", "kernels/pairwise.py", "scorers/summed.py")
MODELS = ("models/_pairwise.py", "models/_history.py", "models/bpr.py", "models/warp.py")
SCRIPTS = ("implicit.txt", "implicit_bpr.py", "lightfm.txt", "lightfm_pairs.py", "lists.py")
DEPENDS = [*(ROOT / "serendip" / name for name in PARTS + MODELS), ROOT / "benchmarks/holdout.py", Path(__file__)]
DEPENDS += [ROOT / "benchmarks/peers" / name for name in SCRIPTS]


@dataclass(frozen=True)
class Contest:
    """One model against one peer.

    Attributes:
        model, peer, version: who.
        script: the peer's job.
        fixed, grid: the peer's options: what is the same throughout, and what is tried.
        epochs, every: how long the peer may train, and how often it is judged.
        ours, counts: our options to try, and the numbers of epochs.
    """

    model: str
    peer: str
    version: str
    script: str
    fixed: Options
    grid: list[Options]
    epochs: int
    every: int
    ours: list[Options]
    counts: list[int]


def _every(**values: list[float]) -> list[Options]:
    out: list[Options] = [{}]
    for name, choices in values.items():
        out = [{**one, name: choice} for one in out for choice in choices]
    return out


def _lightfm(loss: str) -> dict[str, Any]:
    return {
        "peer": "lightfm",
        "version": "lightfm-next 1.19.0",
        "script": "benchmarks.peers.lightfm_pairs:fit",
        "fixed": {"loss": loss, "no_components": 64},
        "grid": [
            {"learning_rate": rate, "user_alpha": alpha, "item_alpha": alpha}
            for rate in (0.025, 0.05)
            for alpha in (0.0, 1e-6)
        ],
        "epochs": 40,
        "every": 4,
    }


BPR: dict[str, Any] = {
    "model": "bpr",
    "ours": _every(learning_rate=[0.1, 0.15, 0.2], reg=[0.005, 0.01]),
    "counts": [5, 8, 12, 20, 30],
}
WARP: dict[str, Any] = {
    "model": "warp",
    "ours": _every(learning_rate=[0.1, 0.15], reg=[0.01, 0.03]),
    "counts": [2, 3, 5, 7, 10],
}
CONTESTS = {
    "bpr/implicit": Contest(
        **BPR,
        peer="implicit",
        version="implicit 0.7.3",
        script="benchmarks.peers.implicit_bpr:fit",
        fixed={"factors": 64},
        grid=_every(learning_rate=[0.005, 0.01, 0.03], regularization=[0.001, 0.003]),
        epochs=120,
        every=10,
    ),
    "warp/lightfm": Contest(**WARP, **_lightfm("warp")),
    "bpr/lightfm": Contest(**BPR, **_lightfm("bpr")),
}


def ours_job(folder: str, model: str, options: Options, epochs: list[int]) -> list[Point]:
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


def hold_out_job(folder: str, out: str) -> dict[str, int]:
    """Write the hold-out of a training part as ``train.parquet`` and ``test.parquet``, for all sides to choose on."""
    import numpy as np
    import polars as pl

    from benchmarks.holdout import hold_out, published

    split = hold_out(published(folder).train)
    events, truth = split.train.events, split.truth
    users = np.repeat(split.users, truth.counts)
    inside = truth.items >= 0
    Path(out).mkdir(parents=True, exist_ok=True)
    parts = {"train": (events.users, events.items), "test": (users[inside], truth.items[inside])}
    for name, (user, item) in parts.items():
        pl.DataFrame({"user_id": user, "item_id": item}).write_parquet(f"{out}/{name}.parquet")
    return {name: len(user) for name, (user, _) in parts.items()}


def compared(peer: list[Point], ours: list[Point]) -> dict[str, float]:
    """How many times sooner ours is where the peer gets at best: ``ratio``, with both times and NDCGs.

    Where ours never gets there its seconds are infinite and the ratio is 0.
    """
    best = max(peer, key=lambda point: point["ndcg"])
    seconds = min((point["seconds"] for point in ours if point["ndcg"] >= best["ndcg"]), default=float("inf"))
    return {
        "ratio": best["seconds"] / seconds,
        "peer_seconds": best["seconds"],
        "peer_ndcg": best["ndcg"],
        "seconds": seconds,
        "ndcg": max(point["ndcg"] for point in ours),
    }


def measure(topic: Topic) -> None:
    """The three rows."""
    for name in CONTESTS:
        topic.row([(name, "ratio")], partial(row, name), depends=DEPENDS, data=[DATA], seeds=[0])


def row(name: str) -> Row:
    """Choose options on the hold-out, then train both sides on the whole training part in turn."""
    contest = CONTESTS[name]
    folder, held = str(data_dir(DATA)), str(ROOT / ".cache" / "benchmarks" / f"pairs-{DATA}")
    python = peer_python(contest.peer)
    run_job("benchmarks.pairwise_jobs:hold_out_job", folder=folder, out=held)

    def theirs(where: str, options: Options) -> list[Point]:
        points: list[Point] = run_job(
            contest.script,
            python=python,
            folder=where,
            options={**contest.fixed, **options},
            epochs=contest.epochs,
            every=contest.every,
            cores=THREADS,
        )
        return points

    def ours(where: str, options: Options, counts: list[int]) -> list[Point]:
        points: list[Point] = run_job(
            "benchmarks.pairwise_jobs:ours_job", folder=where, model=contest.model, options=options, epochs=counts
        )
        return points

    tried = {
        "theirs": [(options, theirs(held, options)) for options in contest.grid],
        "ours": [(options, ours(held, options, contest.counts[-1:])) for options in contest.ours],
    }
    best = {who: max(trials, key=_height)[0] for who, trials in tried.items()}
    turns = in_turn(
        {
            "theirs": lambda: theirs(folder, best["theirs"]),
            "ours": lambda: ours(folder, best["ours"], contest.counts),
        },
        TURNS,
    )
    found = [compared(peer, own) for peer, own in zip(turns["theirs"], turns["ours"], strict=True)]
    ratios = [one["ratio"] for one in found]
    return Row(
        name,
        "ratio",
        median(ratios),
        "",
        spread(ratios),
        len(ratios),
        contest.version,
        median(ratios),
        "ratio >= 2",
        note=f"{DATA}, 64 factors: the peer's seconds to its best NDCG@20 in {contest.epochs} epochs, over ours to the "
        "same; options of both chosen on a hold-out",
        details={"found": found, "chosen": best, "tried": tried, "points": turns},
    )


def _height(trial: tuple[Options, list[Point]]) -> float:
    return max(point["ndcg"] for point in trial[1])
