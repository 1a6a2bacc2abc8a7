"""The protocol of neural collaborative filtering on MovieLens-1M: one held-out item per user among 99 that are not.

The published file gives both. 156 of its 597,960 negatives equal the held-out item; they are dropped. Of equal scores
the held-out item is taken to stand last. The hold-out to choose options on is drawn alike from the training part: the
last item of each user by ``time_rank``, and 99 items at random that the user has not (seed 0).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness import THREADS

NEGATIVES = 99
K = 10


@dataclass(frozen=True, eq=False)
class Duel:
    """Who is asked about which items.

    Attributes:
        train: what may be learnt from.
        users: ``[q]`` codes.
        items: ``[q, 1 + 99]`` codes, the held-out one first; `ABSENT` for a negative that was dropped.
    """

    train: Any
    users: Any
    items: Any


def published(folder: str) -> Duel:
    """The training part without the held-out pairs, and the shipped negatives."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.types import ABSENT

    test = pl.read_parquet(f"{folder}/ncf_test.parquet").sort("user_id")
    log = pl.read_parquet(f"{folder}/interactions.parquet").join(test, on=["user_id", "item_id"], how="anti")
    train = Dataset.from_frames(log, columns={"timestamp": "time_rank"}, time_kind="rank")
    wanted = np.column_stack([test["item_id"].to_numpy(), np.array(test["negative_item_ids"].to_list())])
    items = train.item_ids.encode(wanted.reshape(-1)).reshape(wanted.shape)
    items[:, 1:][items[:, 1:] == items[:, :1]] = ABSENT
    return Duel(train, train.user_ids.encode(test["user_id"].to_numpy()), items)


def hold_out(train: Any) -> Duel:
    """The same protocol within the training part."""
    from serendip.evaluate import last_out
    from serendip.types import ABSENT

    split = last_out(train)
    matrix = split.train.matrix().toarray().astype(bool)[split.known]
    truth = split.truth.items[split.truth.indptr[:-1]]
    kept = truth != ABSENT
    matrix[np.flatnonzero(kept), truth[kept]] = True
    drawn = np.random.default_rng(0).random(matrix.shape, np.float32)
    drawn[matrix] = 2
    negatives = np.argpartition(drawn, NEGATIVES, axis=1)[:, :NEGATIVES].astype(np.int32)
    return Duel(split.train, split.known[kept], np.column_stack([truth[kept], negatives[kept]]).astype(np.int32))


def judge(scorer: Any, duel: Duel) -> dict[str, float]:
    """Share of users whose held-out item is among the first ten, and its discounted gain there."""
    from serendip.types import ABSENT

    ranks = []
    for start in range(0, len(duel.users), 512):
        rows = slice(start, start + 512)
        items = duel.items[rows]
        scores = scorer.score(duel.train.queries(duel.users[rows]), items)
        ranks.append(((scores[:, 1:] >= scores[:, :1]) & (items[:, 1:] != ABSENT)).sum(axis=1))
    rank = np.concatenate(ranks)
    return {
        "hit_rate@10": float((rank < K).mean()),
        "ndcg@10": float(np.where(rank < K, 1 / np.log2(rank + 2), 0).mean()),
    }


def fit_and_judge(duel: Duel, model: str, options: dict[str, Any], seed: int = 0) -> dict[str, float]:
    """One model with its figures and seconds."""
    from serendip.kernels.pool import blas_threads
    from serendip.model import Run, find

    begin = time.perf_counter()
    fitted = find(model)(**options).fit(duel.train, Run(seed=seed, threads=THREADS))
    middle = time.perf_counter()
    with blas_threads(THREADS):
        found = judge(fitted, duel)
    return {**found, "fit": middle - begin, "evaluate": time.perf_counter() - middle}


def search_job(
    folder: str,
    model: str,
    space: dict[str, Any],
    fixed: dict[str, Any],
    trials: int,
    seeds: Sequence[int],
) -> dict[str, Any]:
    """Options chosen on the hold-out by the mean of both figures, then fitted on the training part, judged by the test.

    Args:
        folder, model: data and model.
        space, trials: as in `benchmarks.holdout`.
        fixed: options of all trials.
        seeds: of the final fits.
    """
    from benchmarks.holdout import propose

    duel = published(folder)
    inner = hold_out(duel.train)
    rng = np.random.default_rng(0)
    done: list[dict[str, Any]] = []
    for _ in range(trials):
        options = propose(space, rng, done, trials, "both")
        found = fit_and_judge(inner, model, {**fixed, **options})
        done.append({"options": options, **found, "both": (found["hit_rate@10"] + found["ndcg@10"]) / 2})
    done.sort(key=lambda one: -one["both"])
    chosen = {**fixed, **done[0]["options"]}
    return {
        "rule": "last of each training user by time_rank against 99 random items not theirs, best by the mean of both "
        "figures; seed 0",
        "space": space,
        "trials": trials,
        "chosen": chosen,
        "found": done,
        "test": [fit_and_judge(duel, model, chosen, seed) for seed in seeds],
    }
