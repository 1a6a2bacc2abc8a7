"""Two towers on published data: which item a rating at a moment is of, and items known by ids, features or both."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.harness import THREADS
from benchmarks.hybrid import Among

TOP = "hit_rate@100"
ASKED = 2000
"""Events of the hold-out that a trial is judged on."""
MOMENTS_RULE = (
    "a random fifth of the ratings is the test, by the seed; of the training part a random fifth is held out, on "
    f"{ASKED:,} events of which options and the number of epochs are chosen; then on the whole training part"
)
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


# --- which item is rated at a moment


def ratings(folder: str, moments: bool) -> Any:
    """All ratings of MovieLens-100K as events, with features of the moment or without."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.features.declared import Bucket, Cycle, Feature, Number

    log = pl.read_parquet(f"{folder}/ratings.parquet").select("user_id", "item_id", "timestamp")
    features: dict[str, Feature] = {
        "interval": Bucket(side="context", column="moment", buckets=1000, dim=16),
        "place": Number(side="context", column="moment"),
        "hour": Cycle(period="day"),
        "weekday": Cycle(period="week"),
    }
    log = log.with_columns(pl.col("timestamp").alias("moment")) if moments else log
    return Dataset.from_frames(log, time_kind="unix", features=features if moments else None)


def by_event(split: Any) -> Any:
    """The split with one query for each held-out event, asked at its moment."""
    from serendip.types import Truth

    test = split.test
    context = {"moment": test.time} if split.train.schema.features else {}
    truth = Truth(np.arange(len(test) + 1, dtype=np.int64), test.items)
    return replace(split, users=test.users, known=test.users, truth=truth, time=test.time, context=context, segments={})


def moments_job(folder: str, seed: int, grids: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """How often an item is among the 100 best of the whole catalogue, those not left out that its user has had.

    Args:
        folder: of MovieLens-100K.
        seed: of the split and the fits.
        grids: options of `two_tower` to try, of ``without`` and ``with`` features of the moment.

    Returns:
        By kind: the trials, the options chosen, ``top_100``, and of each user the number of the events held out and of
        those found.
    """
    from serendip.evaluate import at_random, evaluate
    from serendip.model import find

    out: dict[str, Any] = {}
    for kind, grid in grids.items():
        split = at_random(ratings(folder, kind == "with"), 0.2, seed)
        inner = at_random(split.train, 0.2, seed)
        asked = by_event(inner)
        asked = asked.take(np.random.default_rng(seed).permutation(len(asked))[:ASKED])

        def judge(scorer: Any, asked: Any = asked) -> float:
            return evaluate(scorer, asked, [TOP], exclude_seen=False, threads=THREADS).mean(TOP)

        trials = [
            {"options": options, **train(find("two_tower")(**options), inner.train, seed, judge, 3, 2)[1]}
            for options in grid
        ]
        best = max(trials, key=lambda one: one["best"])
        chosen = {**best["options"], "epochs": best["epochs"]}
        fitted, how = train(find("two_tower")(**chosen), split.train, seed)
        hits = evaluate(fitted, by_event(split), [TOP], exclude_seen=False, threads=THREADS).of(TOP)
        users = split.train.user_ids.ids.gather(split.test.users).cast(int).to_numpy()
        out[kind] = {
            "trials": trials,
            "chosen": chosen,
            "seconds": how["seconds"],
            "top_100": float(hits.mean()),
            "events": np.bincount(users).tolist(),
            "found": np.bincount(users, hits).tolist(),
        }
    return out


def gain(events: Sequence[Sequence[float]], a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> Any:
    """What ``a`` finds beyond ``b``, of all events: paired over users, whose events are not independent.

    Args:
        events: by seed, how many of each user there are.
        a, b: by seed, how many of each user's were found.
    """
    from serendip.evaluate import paired

    total = np.sum(events, axis=0)
    some = total > 0
    share = some.sum() / total.sum()
    return paired(np.sum(a, axis=0)[some] * share, np.sum(b, axis=0)[some] * share)


# --- items by ids, by features, or both


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
