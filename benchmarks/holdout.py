"""How options are chosen without a look at the test: on a hold-out of the training part that is drawn as the test was.

The rule, the same for every data set, looks at the training part alone:

1. A user with n events has floor(0.8 n) of them in training. The least number of events of a user there tells the k of
   the k-core that the whole data set was: the least n with that many in training.
2. The training part is made that k-core, and a random fifth of each user's items, rounded up, is held out of it.
3. So many trials are judged by NDCG@20 there: the first quarter drawn from the whole space, the others ever closer
   around one of the best so far. The ten best are judged again on all users of the hold-out, and the best of those is
   chosen.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.harness import THREADS

RULE = (
    "k-core of the training part (k by its least active user), random 20% of each user's items (rounded up); trials: "
    "a quarter at random, the others ever closer around one of the 6 best, by NDCG@20 on some users; the 10 best again "
    "on all; seed 0"
)
METRICS = ("recall@20", "ndcg@20")
NEAR = (0.15, 0.03)
"""Deviation of a trial around a leader, as a share of the range: at first and at last."""
AGAIN = 0.2
"""How often a choice is drawn anew around a leader."""
EXPLORE = 0.25
"""The share of the trials that are drawn from the whole space."""
LEADERS = 6
FINALISTS = 10


def published(folder: str) -> Any:
    """The published split, as it is given."""
    from serendip.data.dataset import Dataset
    from serendip.evaluate import given

    return given(Dataset.from_frames(f"{folder}/train.parquet"), f"{folder}/test.parquet")


def core_of(train: Any) -> int:
    """The k of the k-core that the whole data set was, told by the least active user of its training part."""
    least = int(np.diff(train.matrix().indptr).min())
    return next(n for n in range(least, 2 * least + 3) if n * 4 // 5 == least)


def hold_out(train: Any) -> Any:
    """The rule applied to a training part."""
    from serendip.evaluate import core, per_user

    return per_user(core(train, core_of(train)), 0.2, seed=0)


def sample(split: Any, users: int) -> Any:
    """The split with a random part of its queries, so that a trial is cheap."""
    if users >= len(split):
        return split
    rows = np.sort(np.random.default_rng(0).choice(len(split), users, replace=False))
    return replace(
        split,
        users=split.users[rows],
        known=split.known[rows],
        truth=split.truth.take(rows),
        time=None if split.time is None else split.time[rows],
        segments={},
    )


def propose(
    space: Mapping[str, Any], rng: np.random.Generator, done: Sequence[Mapping[str, Any]], trials: int, metric: str
) -> dict[str, Any]:
    """The options of the next trial, given those done (with ``options`` and the metric), of so many in all."""
    progress = (len(done) / trials - EXPLORE) / (1 - EXPLORE)
    if progress < 0 or not done:
        return draw(space, rng, None, 0.0)
    leaders = sorted(done, key=lambda one: -one[metric])[:LEADERS]
    near = leaders[int(rng.integers(len(leaders)))]["options"]
    return draw(space, rng, near, NEAR[0] ** (1 - progress) * NEAR[1] ** progress)


def draw(
    space: Mapping[str, Any], rng: np.random.Generator, near: Mapping[str, Any] | None, deviation: float
) -> dict[str, Any]:
    """Options from the space, or, given some, from around them.

    Args:
        space: a list of choices, or ``{"low", "high"}`` and ``"log": true`` for a range of orders of magnitude, and
            ``"whole": true`` for whole numbers.
        rng: the source of randomness.
        near: options to stay near to.
        deviation: how near, as a share of each range.
    """
    out: dict[str, Any] = {}
    for name, values in space.items():
        if isinstance(values, list):
            stay = near is not None and rng.random() > AGAIN
            out[name] = near[name] if near is not None and stay else values[int(rng.integers(len(values)))]
            continue
        bend, back = (np.log, np.exp) if values.get("log") else (float, float)
        low, high = bend(values["low"]), bend(values["high"])
        at = rng.uniform(low, high) if near is None else rng.normal(bend(near[name]), deviation * (high - low))
        value = float(back(np.clip(at, low, high)))
        out[name] = round(value) if values.get("whole") else float(f"{value:.4g}")
    return out


def search_job(
    folder: str, model: str, space: dict[str, Any], fixed: dict[str, Any], trials: int, users: int
) -> dict[str, Any]:
    """Try so many options of a model on the hold-out; every trial with its figures, the chosen one first."""
    begin = time.perf_counter()
    train = published(folder).train
    every = hold_out(train)
    split = sample(every, users)
    rng = np.random.default_rng(0)
    done: list[dict[str, Any]] = []
    for trial in range(trials):
        options = propose(space, rng, done, trials, "ndcg@20")
        done.append({"options": options, **judged(model, {**fixed, **options}, split)})
        print(f"{trial} {done[-1]}", file=sys.stderr, flush=True)
    done.sort(key=lambda one: -one["ndcg@20"])
    finals = [{**one, "all": judged(model, {**fixed, **one["options"]}, every)} for one in done[:FINALISTS]]
    finals.sort(key=lambda one: -one["all"]["ndcg@20"])
    return {
        "rule": RULE,
        "core": core_of(train),
        "trials": trials,
        "users": [len(split), len(every)],
        "space": space,
        "fixed": fixed,
        "chosen": {**fixed, **finals[0]["options"]},
        "found": [*finals, *done[FINALISTS:]],
        "seconds": time.perf_counter() - begin,
    }


def judged(model: str, options: dict[str, Any], split: Any) -> dict[str, float]:
    """The figures of one model on one split."""
    from serendip.evaluate import evaluate
    from serendip.model import Run, find

    fitted = find(model)(**options).fit(split.train, Run(seed=0, threads=THREADS))
    found = evaluate(fitted, split, METRICS, threads=THREADS)
    return {metric: found.mean(metric) for metric in METRICS}


def test_job(folder: str, model: str, options: dict[str, Any], seed: int = 0) -> dict[str, Any]:
    """Fit on the full training part and judge by the test, with the seconds of both; data read before."""
    from serendip.evaluate import evaluate
    from serendip.model import Run, find

    split = published(folder)
    begin = time.perf_counter()
    fitted = find(model)(**options).fit(split.train, Run(seed=seed, threads=THREADS))
    middle = time.perf_counter()
    found = evaluate(fitted, split, METRICS, threads=THREADS)
    end = time.perf_counter()
    return {"fit": middle - begin, "evaluate": end - middle, **{metric: found.mean(metric) for metric in METRICS}}
