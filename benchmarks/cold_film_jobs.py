"""Films that nobody has rated, by more than one way of knowing them: options chosen within the training part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.harness import THREADS
from benchmarks.holdout import sample
from benchmarks.hybrid import Among

METRICS = ("recall@20", "ndcg@20")
INNER = (0, 1)
"""Seeds of the splits on which options are chosen: with so few films of weight, one split says little."""
RULE = (
    "all events of a random 10% of the films held out, by the seed; lists of such films alone; options chosen once, on "
    "what is left of seed 0 split in the same way, twice, by the mean recall@20 + NDCG@20 of some users"
)
COLUMNS = {"genres": ("genres",), "years": ("genres", "decade", "year")}
"""By name, what of a film its categories are; the year stands in its title."""


def described(folder: str, by: str) -> Any:
    """MovieTweetings with such categories of films."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.schema import Schema

    log = pl.read_parquet(f"{folder}/ratings.parquet").select("user_id", "item_id", "timestamp")
    year = pl.col("title").str.extract(r"\((\d{4})\)")
    films = pl.read_parquet(f"{folder}/movies.parquet").with_columns(year=year, decade=year.str.head(3))
    schema = Schema(timestamp="timestamp", time_kind="unix", categories=COLUMNS[by])
    return Dataset.from_frames(log, None, films.select("item_id", *COLUMNS[by]), schema=schema)


def films_job(
    folder: str, by: str, model: str, grid: Sequence[Mapping[str, Any]], users: int, seeds: Sequence[int]
) -> dict[str, Any]:
    """Films that nobody has rated, among themselves.

    Args:
        folder: of the data.
        by: what films are known by, see `COLUMNS`.
        model: judged beside popular and content.
        grid: options of it to try.
        users: how many a trial asks.
        seeds: of splits and fits.

    Returns:
        By model the figures of each seed and by user; the options and how they were found.
    """
    from serendip.evaluate import cold_items

    data = described(folder, by)
    outer = cold_items(data, 0.1, seeds[0])
    inner = [sample(cold_items(outer.train, 0.1, seed), users) for seed in INNER]
    found: list[dict[str, Any]] = []
    for one in grid:
        told = [_judged(split, model, one, 0) for split in inner]
        found.append({"options": one, **{name: float(np.mean([each.mean(name) for each in told])) for name in METRICS}})
    chosen = max(found, key=lambda one: sum(one[metric] for metric in METRICS))["options"]
    options: dict[str, Mapping[str, Any]] = {"popular": {}, "content": {"min_items": 1}, model: chosen}
    by_seed = []
    for seed in seeds:
        split = cold_items(data, 0.1, seed)
        asked = split.train.user_ids.ids.gather(split.known).to_list()
        figures: dict[str, Any] = {}
        for name, given in options.items():
            judged = _judged(split, name, given, seed)
            figures[name] = {
                **{metric: judged.mean(metric) for metric in METRICS},
                "by_user": {metric: dict(zip(asked, judged.of(metric).tolist(), strict=True)) for metric in METRICS},
            }
        by_seed.append(figures)
    return {"rule": RULE, "chosen": chosen, "found": found, "by_seed": by_seed}


def _judged(split: Any, model: str, options: Mapping[str, Any], seed: int) -> Any:
    from serendip.evaluate import evaluate
    from serendip.model import Run, find

    hidden = np.bincount(split.train.events.items, minlength=split.train.n_items) > 0
    fitted = find(model)(**options).fit(split.train, Run(seed=seed, threads=THREADS))
    return evaluate(Among(fitted.lower(), hidden), split, METRICS, threads=THREADS)
