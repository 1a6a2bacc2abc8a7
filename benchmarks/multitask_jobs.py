"""Jobs of models with several tasks: short videos, a census, and purchases that views and carts may help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.lists import stay

VIDEOS = ("is_click", "long_view", "is_like", "is_follow", "is_comment", "is_forward")
PLAYED = "play"
DAY = "day"
FREQUENT = ("is_click", "long_view", "is_like")
"""Of which users have enough to be judged one by one, and by which the number of epochs is chosen."""
VALIDATED = 20220501
FIELDS = ("user_active_degree", "follow_user_num_range", "fans_user_num_range", "friend_user_num_range")
ONE_HOT = tuple(f"onehot_feat{number}" for number in range(18))


def videos(folder: str) -> dict[str, Any]:
    """KuaiRand's late part: ``train`` to 30 April, ``validate`` 1 May, ``test`` 2 to 8 May, and how many rows repeated
    another one and were left out."""
    import polars as pl

    parts = [pl.read_parquet(Path(folder) / f"log_{name}.parquet") for name in ("0425_0430", "0501_0508")]
    rows = pl.concat(parts)
    once = rows.unique(maintain_order=True)
    log = once.select(
        "user_id",
        "item_id",
        "date",
        (pl.col("time_ms") // 1000).alias("timestamp"),
        pl.col("tab").cast(pl.String),
        (pl.col("hourmin") // 100).cast(pl.String).alias("hour"),
        *VIDEOS,
        (pl.col("play_time_ms") / 1000).alias(PLAYED),
        (pl.col("date") % 100).alias(DAY),
    )
    day = pl.col("date")
    return {
        "train": log.filter(day < VALIDATED),
        "validate": log.filter(day == VALIDATED),
        "test": log.filter(day > VALIDATED),
        "repeated": len(rows) - len(once),
    }


def log_of(folder: str, rows: Any) -> Any:
    """Rows as a log with labels, and what is known of users and videos."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.features.declared import Bucket, Category

    text = pl.col(*FIELDS, *ONE_HOT).cast(pl.String)
    users = pl.read_parquet(Path(folder) / "users.parquet").select("user_id", text)
    users = users.with_columns(pl.col("user_id").cast(pl.String).alias("who"))
    items = pl.read_parquet(Path(folder) / "items.parquet").select(
        "item_id",
        pl.col("author_id", "music_id", "video_type", "upload_type").cast(pl.String),
        pl.col("tag").fill_null("").str.split(",").alias("tags"),
        pl.col("video_duration") / 1000,
    )
    features: dict[str, Any] = {name: Category(side="user") for name in (*FIELDS, *ONE_HOT)}
    features["who"] = Category(side="user", min_count=2)
    features |= {name: Category(side="item", min_count=2) for name in ("author_id", "music_id")}
    features |= {name: Category(side="item") for name in ("video_type", "upload_type")}
    features |= {"tags": Category(side="item", multivalent=True), "video_duration": Bucket(side="item", buckets=20)}
    features |= {name: Category(side="context") for name in ("tab", "hour")}
    labels: Any = {**dict.fromkeys(VIDEOS, "binary"), PLAYED: "duration", DAY: "count"}
    known = (
        rows.select("user_id").unique(maintain_order=True).join(users, on="user_id", how="left", maintain_order="left")
    )
    return Dataset.from_frames(rows.drop("date"), known, items, labels=labels, features=features)


def videos_job(
    folder: str,
    model: str,
    options: Mapping[str, Any],
    seeds: Sequence[int],
    cores: int = 1,
    paired: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Train to 30 April, as many epochs as are best on 1 May by the mean AUC (or XAUC) of what is learned, and judge on
    2 to 8 May.

    Args:
        folder: of the data.
        model: its name.
        options: of the model.
        seeds: of the fits.
        cores: threads.
        paired: for each seed a file to write what was foretold to, for differences between models; None: the test is
            not looked at.

    Returns:
        For each seed: ``epochs``, how good they were on 1 May, and by task the figures of the test; with the first seed
        those that have one also with an interval over users.
    """
    stay(cores)
    from serendip.data.rows import EventRows
    from serendip.evaluate.judging import evaluate_rows
    from serendip.model import Run, find

    parts = videos(folder)
    data = log_of(folder, parts["train"])
    validate, test = (EventRows.held(data, log_of(folder, parts[name])) for name in ("validate", "test"))
    tasks = tasks_of(options)
    chosen_by = [name for name in tasks if name in FREQUENT] or tasks
    metric = "xauc" if tasks == [PLAYED] else "auc"

    def judge(scorer: Any) -> float:
        found = evaluate_rows(scorer, validate, (metric,), label=chosen_by, learned=tasks)
        return float(np.mean([one.figure(metric) for one in found.values()]))

    results = []
    for at, seed in enumerate(seeds):
        fitted = find(model)(**options).fit(data, Run(seed=seed, threads=cores, validation=judge, patience=1))
        found = {} if paired is None else evaluate_rows(fitted, test, (), label=tasks, learned=tasks, threads=cores)
        if paired is not None:
            np.savez(paired[at], **{name: one.predicted for name, one in found.items()})
        training = fitted.training
        results.append(
            {
                "seed": seed,
                "epochs": None if training is None else training.best_epoch,
                "validated": None if training is None else training.best,
                "tasks": {name: _figures(name, one, test, sure=at == 0) for name, one in found.items()},
            }
        )
    return results


def differences_job(
    folder: str, ones: Sequence[str], others: Mapping[str, Sequence[str]], metric: str, cores: int = 1
) -> dict[str, Any]:
    """How much better what some files foretell is than what others do, seed by seed, with an interval over users for
    the first.

    Args:
        folder: of the data.
        ones: a file for each seed.
        others: by task, a file for each seed.
        metric: by which.
        cores: threads.
    """
    stay(cores)
    from serendip.data.rows import EventRows
    from serendip.evaluate.clustered import Rows, clustered_difference

    parts = videos(folder)
    test = EventRows.held(log_of(folder, parts["train"]), log_of(folder, parts["test"]))
    who, made = test.who.astype(np.int64), {}
    for task, files in others.items():
        labels = test.labels[task].astype(np.float64)
        rows = Rows(who, labels)
        pairs = [(np.load(one)[task], np.load(other)[task]) for one, other in zip(ones, files, strict=True)]
        found = [
            clustered_difference(metric, rows, *pair, 0.95, 1000 if at == 0 else 2, 0) for at, pair in enumerate(pairs)
        ]
        made[task] = {
            "values": [one.value for one in found],
            "low": found[0].low,
            "high": found[0].high,
            "standard_error": found[0].standard_error,
        }
    return made


def _tasks(model: Any) -> list[str]:
    """The labels that a model learns."""
    return tasks_of({name: getattr(model.config, name, None) for name in ("tasks", "click", "conversion", "label")})


def tasks_of(options: Mapping[str, Any]) -> list[str]:
    """The labels that a model with these options learns."""
    named = [options.get(name) for name in ("click", "conversion", "label")]
    return list(options.get("tasks") or [name for name in named if name])


def ahead(one: Sequence[Any], other: Sequence[Any], metric: str) -> Any:
    """How much better one way is than another for the same users, means over seeds."""
    from serendip.evaluate.significance import paired

    a, b = (np.mean([found["by_user"][metric] for found in way], axis=0) for way in (one, other))
    return paired(a, b)


def _figures(task: str, found: Any, test: Any, *, sure: bool) -> dict[str, Any]:
    """What is told of a task. The loss of play time is over pairs of a clicked and an unclicked video that a user was
    shown on one day of the log's own calendar."""
    from serendip.evaluate.clustered import minimum_detectable_effect
    from serendip.evaluate.rows import weighted_per_user_loss

    if task == PLAYED:
        days = test.who.astype(np.int64) * 100 + test.labels[DAY].astype(np.int64)
        loss = weighted_per_user_loss(test.labels[PLAYED], test.labels["is_click"], found.predicted, days)
        return {**{name: found.figure(name) for name in ("xauc", "mae")}, "weighted_per_user_loss": loss}
    named = ("auc", "logloss", "ece", *(("gauc",) if task in FREQUENT else ()))
    figures: dict[str, Any] = {name: found.figure(name) for name in named}
    if sure:
        interval = found.interval("auc")
        figures |= {"low": interval.low, "high": interval.high, "mean": found.mean}
        figures["detectable"] = minimum_detectable_effect(interval.standard_error)
    return figures


def shop(folder: str, kinds: Sequence[str], *, held: bool) -> tuple[Any, Any]:
    """RetailRocket's log of these kinds of events, purchases the target, and one purchase a user to be foretold.

    Args:
        folder: of the data.
        kinds: of ``view``, ``cart`` and ``buy``.
        held: whether what is to be foretold is the last known purchase of users with two or more, in place of the
            published one; it is then left out of the log, with all other events of that user and item.
    """
    import polars as pl

    from serendip.data.dataset import Dataset

    tables = {kind: pl.read_parquet(Path(folder) / f"train_{kind}.parquet") for kind in ("view", "cart", "buy")}
    asked = pl.read_parquet(Path(folder) / "test_buy.parquet").select("user_id", "item_id")
    catalogue = pl.concat([*(one.select("item_id") for one in tables.values()), asked.select("item_id")]).unique()
    if held:
        last = tables["buy"].sort("timestamp").group_by("user_id", maintain_order=True).agg(
            pl.col("item_id").last(), pl.len()
        )  # fmt: skip
        asked = last.filter(pl.col("len") > 1).select("user_id", "item_id")
        tables = {kind: one.join(asked, on=["user_id", "item_id"], how="anti") for kind, one in tables.items()}
    rows = pl.concat([tables[kind].with_columns(pl.lit(kind).alias("event_type")) for kind in kinds])
    users = pl.concat([one.select("user_id") for one in tables.values()]).unique().sort("user_id")
    rows = rows.sort("timestamp", maintain_order=True)
    target = ["buy"] if len(kinds) > 1 else None
    return Dataset.from_frames(rows, users, catalogue.sort("item_id"), target=target), asked


def shop_job(
    folder: str, how: str, options: Mapping[str, Any], seed: int, held: bool, cores: int = 1
) -> dict[str, Any]:
    """Purchases recommended, learned from purchases alone (``buy``), from all kinds of events (``joint``), or from all
    as if they were alike and then from purchases (``transfer``).

    Returns:
        The recall and NDCG at 10 of each user, the published pairs or those held out, and their means.
    """
    stay(cores)
    from serendip.model import Run, find
    from serendip.run import Start

    model, run = "two_tower", Run(seed=seed, threads=cores)
    data, asked = shop(folder, ("buy",) if how == "buy" else ("view", "cart", "buy"), held=held)
    start = None
    if how == "transfer":
        whole, _ = shop(folder, ("view", "cart", "buy"), held=held)
        alike = find(model)(**{**options["first"], "bags": False}).fit(_alike(whole), run)
        data, asked = shop(folder, ("buy",), held=held)
        learned = alike.learned()
        assert learned is not None
        start = Start(model, learned, np.arange(data.n_users, dtype=np.int32), np.arange(data.n_items, dtype=np.int32))
    fitted = find(model)(**options["last"]).fit(data, Run(seed=seed, threads=cores, start=start))
    users, items = data.user_ids.encode(asked["user_id"]), data.item_ids.encode(asked["item_id"])
    queries = data.queries(users, k=10)
    found = []
    for start_row in range(0, len(users), 256):
        part = slice(start_row, start_row + 256)
        recs = _top(fitted, queries.take(part))
        found.append(recs == items[part, None])
    hits = np.concatenate(found)
    gain = (hits / np.log2(np.arange(2, 12))).sum(axis=1)
    return {
        "recall@10": float(hits.any(axis=1).mean()),
        "ndcg@10": float(gain.mean()),
        "by_user": {"recall@10": hits.any(axis=1).astype(float).tolist(), "ndcg@10": gain.tolist()},
    }


def _alike(data: Any) -> Any:
    """The log with every event as strong as any other."""
    from dataclasses import replace

    import msgspec

    events = replace(data.events, weight=np.ones(len(data.events), np.float32), kind=None)
    return replace(data, events=events, schema=msgspec.structs.replace(data.schema, target=(), event_types=()))


def _top(fitted: Any, queries: Any) -> Any:
    """``[q, 10]`` the items that score highest, purchases that are known left out."""
    from serendip.pipeline import retrieve

    return retrieve(fitted.lower(), name="two_tower")(queries).items[:, :10]


CENSUS = ("income", "never_married")
TELLING = ("income_50k", "marital_stat")
"""The columns that say a label: none of them is a feature."""


def census(folder: str) -> dict[str, Any]:
    """The census as examples of three parts, drawn once: 3/5 to learn from, 1/5 each to choose and to judge by."""
    import polars as pl

    from serendip.data.examples import Examples

    table = pl.read_parquet(Path(folder) / "test.parquet").with_columns(
        pl.col("income_50k").cast(pl.Int8).alias(CENSUS[0]),
        (pl.col("marital_stat").str.strip_chars() == "Never married").cast(pl.Int8).alias(CENSUS[1]),
    )
    place = np.random.default_rng(0).permutation(len(table)) / len(table)
    labels: Any = dict.fromkeys(CENSUS, "binary")
    parts = {"train": place < 0.6, "validate": (place >= 0.6) & (place < 0.8), "test": place >= 0.8}
    dropped = [*TELLING, "instance_weight"]
    return {name: Examples.read(table.filter(rows).drop(dropped), labels).dataset() for name, rows in parts.items()}


def census_job(
    folder: str, model: str, options: Mapping[str, Any], seed: int, cores: int = 1, paired: str | None = None
) -> dict[str, Any]:
    """Train on three fifths, as many epochs as are best by the mean AUC on a fifth, and judge on the last.

    Args and returns: as of `videos_job`; intervals are over rows.
    """
    stay(cores)
    from serendip.data.rows import EventRows
    from serendip.evaluate.judging import evaluate_rows
    from serendip.evaluate.rows import auc, logloss
    from serendip.model import Run, find

    parts = census(folder)
    data = parts["train"]
    validate, test = (EventRows.held(data, parts[name]) for name in ("validate", "test"))
    made = find(model)(**options)
    tasks = _tasks(made)

    def judge(scorer: Any) -> float:
        found = evaluate_rows(scorer, validate, ("auc",), label=tasks, learned=tasks)
        return float(np.mean([one.figure("auc") for one in found.values()]))

    fitted = made.fit(data, Run(seed=seed, threads=cores, validation=judge, patience=2))
    found = {name: one.predicted for name, one in evaluate_rows(fitted, test, ("auc",), label=tasks).items()}
    if paired is not None:
        np.savez(paired, **found)
    training = fitted.training
    return {
        "epochs": None if training is None else training.best_epoch,
        "tasks": {
            name: {"auc": auc(test.labels[name], values), "logloss": logloss(test.labels[name], values)}
            for name, values in found.items()
        },
    }


def census_difference_job(folder: str, task: str, one: str, other: str, cores: int = 1) -> dict[str, float]:
    """How much higher the AUC of what one file foretells is than that of another, with an interval over rows."""
    stay(cores)
    from serendip.evaluate.clustered import Rows, clustered_difference

    labels = census(folder)["test"].events.labels[task].astype(np.float64)
    a, b = (np.load(file)[task] for file in (one, other))
    found = clustered_difference("auc", Rows(np.arange(len(labels)), labels), a, b, 0.95, 1000, 0)
    return {"value": found.value, "low": found.low, "high": found.high}
