"""New events folded into a model without a refit: what that costs, and what it is worth beside a refit and nothing.

The log is cut three ways. The test is a tenth of the events, the new ones are a tenth, and the model is fitted on the
rest. Where events have a date, the new ones follow the known, and the test follows both. Where they have none, the test
is drawn at random, and so are 3% of the other users and 3% of the items, whose events are all new; further events drawn
at random make the tenth. Judged by NDCG@10 of the items of the test that a user has not had before, given the user's
events before the test:

- refit: a model fitted on everything but the test;
- updated: the fitted model after `Model.update` with the new events;
- stale: the fitted model as it is, though it too is asked with all histories.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.harness import THREADS

SHARE = 0.1
NEWCOMERS = 0.03
METRIC = "ndcg@10"


def parts(folder: str, share: float, seed: int) -> tuple[Any, Any, Any]:
    """The log as three tables of events: known, new and test. The training part of a published split is its log."""
    from pathlib import Path

    import polars as pl

    names = ("train", "interactions", "ratings")
    log = pl.read_parquet(next(path for name in names if (path := Path(folder) / f"{name}.parquet").exists()))
    columns = ["user_id", "item_id", *(["timestamp"] if "timestamp" in log.columns else [])]
    log = log.rename({log.columns[1]: "item_id"}).select(columns)
    held, wanted = round(SHARE * len(log)), round(share * len(log))
    if "timestamp" in columns:
        order = log["timestamp"].arg_sort().to_numpy()
    else:
        rng = np.random.default_rng(seed)
        late = [column.is_in(drawn(column.unique().sort(), rng)) for column in (log["user_id"], log["item_id"])]
        when = rng.random(len(log)) + 2 * (late[0] | late[1]).to_numpy()
        chosen = rng.permutation(len(log))[:held]
        when[chosen] = 4
        order = np.argsort(when)
    rows = np.split(order, [len(log) - held - wanted, len(log) - held])
    known, new, test = (log[np.sort(part)] for part in rows)
    return known, new, test


def drawn(ids: Any, rng: np.random.Generator) -> Any:
    """A few of the ids."""
    return ids.sample(round(NEWCOMERS * len(ids)), seed=int(rng.integers(1 << 31)))


def update_job(
    folder: str, model: str, options: dict[str, Any] | None = None, share: float = SHARE, seed: int = 0
) -> dict[str, Any]:
    """NDCG@10 of ``refit``, ``updated`` and ``stale``, the seconds of the first two, and what was new."""
    import polars as pl

    from serendip.data.change import Change
    from serendip.data.dataset import Dataset
    from serendip.evaluate import evaluate, given
    from serendip.model import Run, find
    from serendip.scorers.grown import grown

    known, new, test = parts(folder, share, seed)
    run = Run(seed=seed, threads=THREADS)
    before = Dataset.from_frames(known)
    change = Change.read(before, new)
    split = given(change.after, test.join(pl.concat([known, new]), on=test.columns[:2], how="anti"))
    make = find(model)
    fitted = make(**(options or {})).fit(before, run)
    fitted.update(change, run)  # compiled before it is timed
    seconds: dict[str, float] = {}
    begin = time.perf_counter()
    updated = fitted.update(change, run)
    seconds["update"] = time.perf_counter() - begin
    begin = time.perf_counter()
    refit = make(**(options or {})).fit(change.after, run)
    seconds["refit"] = time.perf_counter() - begin
    stale = grown(fitted.lower(), change.after.n_users, change.after.n_items)
    judged = {"refit": refit, "updated": updated, "stale": stale}
    found = {name: evaluate(scorer, split, (METRIC,), threads=THREADS).mean(METRIC) for name, scorer in judged.items()}
    return {
        **found,
        "of_refit": found["updated"] / found["refit"],
        "seconds": seconds,
        "faster": seconds["refit"] / seconds["update"],
        "new": {
            "events": change.events,
            "users": change.after.n_users - before.n_users,
            "items": change.after.n_items - before.n_items,
        },
        "tested_users": len(split),
    }
