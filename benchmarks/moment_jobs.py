"""Which film is rated at a moment: TFRS's own protocol, with the moment as context and without.

The protocol: 80,000 of the 100,000 ratings of MovieLens-100K at random are what training has, all of them being
positive; of each of the others, is its film among the 100 best of the whole catalogue? Films that the user has rated
are not left out. A user is known by all of their ratings in training, those that come after the one asked about, too:
TFRS knows them by an id that learns from the same.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.harness import THREADS

TOP = "hit_rate@100"
ASKED = 4000
"""Events of the hold-out that a trial is judged on."""
MOMENTS_RULE = (
    "one split, a random fifth of the ratings being the test; options and the number of epochs by hand on a random "
    "fifth of the training part; then on all of it, once a seed"
)


def ratings(folder: str, moments: bool) -> Any:
    """All ratings of MovieLens-100K as events, with features of the moment or without."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.features.declared import Bucket, Cycle, Feature, Number

    log = pl.read_parquet(f"{folder}/ratings.parquet").select("user_id", "item_id", "timestamp")
    features: dict[str, Feature] = {
        "interval": Bucket(side="context", column="moment", buckets=200, dim=16),
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


def divided(folder: str, moments: bool) -> Any:
    """The split, the same for all."""
    from serendip.evaluate import at_random

    return at_random(ratings(folder, moments), 0.2, 0)


def moments_job(folder: str, seed: int, options: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """How often an item is among the 100 best of the whole catalogue, those not left out that its user has had.

    Args:
        folder: of MovieLens-100K.
        seed: of the fits; the split is the same for all.
        options: of `two_tower`, ``without`` and ``with`` features of the moment.

    Returns:
        By kind: ``top_100``, the seconds of the fit, and of each user the number of the events held out and of those
        found.
    """
    from serendip.evaluate import evaluate
    from serendip.model import Run, find

    out: dict[str, Any] = {}
    for kind, own in options.items():
        split = divided(folder, kind == "with")
        begin = time.perf_counter()
        fitted = find("two_tower")(**own).fit(split.train, Run(seed=seed, threads=THREADS))
        seconds = time.perf_counter() - begin
        hits = evaluate(fitted, by_event(split), [TOP], exclude_seen=False, threads=THREADS).of(TOP)
        users = split.train.user_ids.ids.gather(split.test.users).cast(int).to_numpy()
        out[kind] = {
            "seconds": seconds,
            "top_100": float(hits.mean()),
            "events": np.bincount(users).tolist(),
            "found": np.bincount(users, hits).tolist(),
        }
    return out


def trial_job(folder: str, moments: bool, options: Mapping[str, Any], every: int, patience: int) -> dict[str, Any]:
    """Options of `two_tower` on a hold-out of the training part: `top_100` there by epochs.

    Args:
        folder: of MovieLens-100K.
        moments: whether with features of the moment.
        options: ``epochs`` being the most.
        every: how many epochs lie between two looks at the hold-out.
        patience: how many of these may bring nothing.
    """
    from serendip.evaluate import at_random, evaluate
    from serendip.model import Run, find

    inner = at_random(divided(folder, moments).train, 0.2, 1)
    asked = by_event(inner)
    asked = asked.take(np.random.default_rng(0).permutation(len(asked))[:ASKED])
    run = Run(
        threads=THREADS,
        validation=lambda one: evaluate(one, asked, [TOP], exclude_seen=False, threads=THREADS).mean(TOP),
        validate_every=every,
        patience=patience,
    )
    found: Any = find("two_tower")(**options).fit(inner.train, run).training
    return {"top_100": found.best, "epochs": found.best_epoch}


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
