"""Items that nobody has had, known by what they are: options chosen within the training part, then three seeds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.harness import THREADS
from benchmarks.holdout import sample
from benchmarks.hybrid import Among
from benchmarks.tower_jobs import films, products

METRICS = ("recall@20", "ndcg@20")
RULE = (
    "all events of a random 10% of the items held out, by the seed; lists of such items alone; options of hybrid_mf "
    "chosen once, on what is left of seed 0 split in the same way, by recall@20 + NDCG@20 of some users"
)


def toys(folder: str) -> Any:
    """Amazon Toys in its order, with the attributes of products: in the form of Beauty."""
    return products(folder)


def tweets(folder: str) -> Any:
    """MovieTweetings with the genres of films."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.schema import Schema

    log = pl.read_parquet(f"{folder}/ratings.parquet").select("user_id", "item_id", "timestamp")
    items = pl.read_parquet(f"{folder}/movies.parquet").select("item_id", about="genres")
    schema = Schema(timestamp="timestamp", time_kind="unix", categories=("about",))
    return Dataset.from_frames(log, None, items, schema=schema)


SETS: dict[str, Callable[[str], Any]] = {
    "ml_1m": films,
    "s3rec_beauty": products,
    "s3rec_toys": toys,
    "movietweetings_100k": tweets,
}


def items_job(
    folder: str, name: str, grid: Sequence[Mapping[str, Any]], users: int, seeds: Sequence[int]
) -> dict[str, Any]:
    """Items that nobody has had, among themselves.

    Args:
        folder: of the data.
        name: of it.
        grid: options to try of `hybrid_mf`.
        users: how many a trial asks.
        seeds: of splits and fits.

    Returns:
        By model the figures of each seed and by user; the options and how they were found.
    """
    from serendip.evaluate import cold_items, evaluate
    from serendip.model import Run, find

    data = SETS[name](folder)
    outer = cold_items(data, 0.1, seeds[0])
    inner = sample(cold_items(outer.train, 0.1, 0), users)
    found: list[dict[str, Any]] = []
    for one in grid:
        fitted = find("hybrid_mf")(**one).fit(inner.train, Run(seed=0, threads=THREADS))
        hidden = np.bincount(inner.train.events.items, minlength=inner.train.n_items) > 0
        judged = evaluate(Among(fitted.lower(), hidden), inner, METRICS, threads=THREADS)
        found.append({"options": one, **{metric: judged.mean(metric) for metric in METRICS}})
    chosen = max(found, key=lambda one: sum(one[metric] for metric in METRICS))["options"]
    options: dict[str, Mapping[str, Any]] = {"popular": {}, "content": {"min_items": 1}, "hybrid_mf": chosen}
    out: dict[str, Any] = {"rule": RULE, "chosen": chosen, "found": found, "by_seed": []}
    for seed in seeds:
        split = cold_items(data, 0.1, seed)
        hidden = np.bincount(split.train.events.items, minlength=split.train.n_items) > 0
        asked = split.train.user_ids.ids.gather(split.known).to_list()
        figures: dict[str, Any] = {}
        for model, given in options.items():
            begin = time.perf_counter()
            fitted = find(model)(**given).fit(split.train, Run(seed=seed, threads=THREADS))
            seconds = time.perf_counter() - begin
            judged = evaluate(Among(fitted.lower(), hidden), split, METRICS, threads=THREADS)
            figures[model] = {
                "seconds": seconds,
                **{metric: judged.mean(metric) for metric in METRICS},
                "by_user": {metric: dict(zip(asked, judged.of(metric).tolist(), strict=True)) for metric in METRICS},
            }
        out["by_seed"].append(figures)
    return out
