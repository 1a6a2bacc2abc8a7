"""Two towers on published data: items known by ids, by features, or by both; known ones and new ones."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.harness import THREADS
from benchmarks.hybrid import Among

ITEMS_RULE = (
    "the test of each seed: all events of a random 10% of the items, then of what is left the last event of each user; "
    "options and the number of epochs are chosen once, on what is left if the tests of all seeds are taken away, split "
    "in the same way, by hit_rate@10 of known items + recall@20 of new ones among themselves"
)
WARM, COLD = ("hit_rate@10", "ndcg@10"), ("recall@20", "ndcg@20")


def train(model: Any, data: Any, seed: int, judge: Any = None, every: int = 1, patience: int = 1) -> tuple[Any, Any]:
    """The fitted model and how that went; with ``judge``, a figure of a scorer, as good as it gets."""
    from serendip.model import Run

    trace: list[Any] = []
    run = Run(
        seed=seed,
        threads=THREADS,
        validation=judge,
        validate_every=every,
        patience=patience if judge else None,
        log=lambda one: trace.append(dict(one)),
    )
    begin = time.perf_counter()
    fitted = model.fit(data, run)
    figures = [(one["epoch"], round(one["validation"], 5)) for one in trace if "validation" in one]
    found: Any = fitted.training
    how = {"best": found.best, "epochs": found.best_epoch, "seconds": time.perf_counter() - begin, "trace": figures}
    return fitted, how


def films(folder: str) -> Any:
    """MovieLens-1M in its order, with the genres of films."""
    import polars as pl

    log = pl.read_parquet(f"{folder}/interactions.parquet").select("user_id", "item_id", timestamp="time_rank")
    items = pl.read_parquet(f"{folder}/movies.parquet").select("item_id", about="genres")
    return _described(log, items)


def products(folder: str) -> Any:
    """Amazon Beauty in its order, with the attributes of products."""
    import polars as pl

    log = pl.read_parquet(f"{folder}/interactions.parquet").with_row_index("timestamp")
    items = pl.read_parquet(f"{folder}/item_attributes.parquet").select(
        "item_id", about=pl.col("attribute_ids").cast(pl.List(pl.String))
    )
    return _described(log.with_columns(pl.col("timestamp").cast(pl.Int64)), items)


def _described(log: Any, items: Any) -> Any:
    from serendip.data.dataset import Dataset
    from serendip.data.features.declared import Category
    from serendip.data.schema import Schema

    schema = Schema(timestamp="timestamp", time_kind="rank", categories=("about",))
    features = {"about": Category(side="item", multivalent=True, pooling="sqrtn", dim=96)}
    return Dataset.from_frames(log, None, items, schema=schema, features=features)


SETS = {"ml_1m": films, "s3rec_beauty": products}


def known_and_new(data: Any, seed: int) -> tuple[Any, Any, Any]:
    """The last events of users with known items held out, then all those with items that nobody has had; and ``[m]``
    which events of the data training has."""
    from serendip.evaluate import cold_items, given, last_out

    cold = cold_items(data, 0.1, seed)
    met = np.zeros(data.n_items, bool)
    met[data.item_ids.encode(cold.train.item_ids.ids.gather(np.unique(cold.train.events.items)))] = True
    new = ~met[data.events.items]
    warm = last_out(cold.train)
    kept = np.zeros(len(data.events), bool)
    kept[np.flatnonzero(~new)[_left(cold.train, warm)]] = True
    return warm, given(warm.train, data.where(new), name="new items"), kept


def _left(data: Any, split: Any) -> Any:
    """``[m]`` which events of the data the split left in training: of each user the first ones."""
    counts = np.zeros(data.n_users, np.int64)
    codes = data.user_ids.encode(split.train.user_ids.ids)
    counts[codes[codes >= 0]] = np.diff(split.train.events.indptr)[codes >= 0]
    place = np.arange(len(data.events)) - data.events.indptr[data.events.users]
    return place < counts[data.events.users]


def only_new(scorer: Any, split: Any) -> Any:
    """The scorer, showing items without an event alone."""
    return Among(scorer, np.bincount(split.train.events.items, minlength=split.train.n_items) > 0)


def search_items_job(
    folder: str, name: str, seeds: Sequence[int], grids: Mapping[str, Sequence[Mapping[str, Any]]], users: int
) -> dict[str, Any]:
    """Options by kind of items, see `ITEMS_RULE`.

    Args:
        folder: of the data.
        name: of it.
        seeds: whose tests are taken away.
        grids: by kind the options of `two_tower` to try.
        users: how many are asked after an epoch.
    """
    from benchmarks.holdout import sample
    from serendip.evaluate import evaluate
    from serendip.model import find

    data = SETS[name](folder)
    kept = np.all([known_and_new(data, seed)[2] for seed in seeds], axis=0)
    warm, cold, _ = known_and_new(data.where(kept), 0)
    some_warm, some_cold = sample(warm, users), sample(cold, users)

    def judge(scorer: Any, new: bool) -> float:
        found = evaluate(scorer, some_warm, WARM[:1], threads=THREADS).mean(WARM[0])
        if new:
            found += evaluate(only_new(scorer, cold), some_cold, COLD[:1], threads=THREADS).mean(COLD[0])
        return found

    out: dict[str, Any] = {"rule": ITEMS_RULE}
    for kind, grid in grids.items():
        trials = []
        for options in grid:
            model = find("two_tower")(**options)
            _, how = train(model, warm.train, 0, lambda scorer, new=kind != "ids": judge(scorer, new))
            trials.append({"options": options, **how})
        best = max(trials, key=lambda one: one["best"])
        out[kind] = {"trials": trials, "chosen": {**best["options"], "epochs": best["epochs"]}}
    return out


def items_job(folder: str, name: str, seed: int, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of known items and of new ones among themselves, and of these the values of each user, to be paired.

    Args:
        folder: of the data.
        name: of it.
        seed: of the split and the fits.
        options: by kind those of `two_tower`.
    """
    from serendip.evaluate import evaluate
    from serendip.model import find

    warm, cold, _ = known_and_new(SETS[name](folder), seed)
    models = {kind: find("two_tower")(**own) for kind, own in options.items()}
    models |= {"popular": find("popular")(), "content": find("content")(min_items=1)}
    users = cold.train.user_ids.ids.gather(cold.known).to_list()
    out: dict[str, Any] = {}
    for kind, model in models.items():
        begin = time.perf_counter()
        fitted = train(model, warm.train, seed)[0] if kind in options else model.fit(warm.train)
        seconds = time.perf_counter() - begin
        old, new = (
            evaluate(fitted, warm, WARM, threads=THREADS),
            evaluate(only_new(fitted, cold), cold, COLD, threads=THREADS),
        )
        out[kind] = {
            "seconds": seconds,
            "warm": {metric: old.mean(metric) for metric in WARM},
            "cold": {metric: new.mean(metric) for metric in COLD},
            "by_user": dict(zip(users, new.of(COLD[0]).tolist(), strict=True)),
        }
    return out


def ahead(a: Sequence[Mapping[str, float]], b: Sequence[Mapping[str, float]]) -> Any:
    """What ``a`` finds beyond ``b``, paired over users, each with the mean over the seeds that ask them."""
    from serendip.evaluate import paired

    users = sorted({user for one in a for user in one})
    ours, theirs = (
        np.array([np.mean([one[user] for one in side if user in one]) for user in users]) for side in (a, b)
    )
    return paired(ours, theirs)
