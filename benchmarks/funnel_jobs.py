"""Jobs of retrieval and ranking: the best simple retriever alone, and with a ranker of what it names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.lists import stay

Found = Sequence[Any]
"""A model's name and options."""
METRIC = "ndcg@10"
CANDIDATES = 200
WEIGHTS = (0.0, 0.5, 0.8, 0.95)
"""Of the order of the retriever, beside the ranker's, of which one is chosen."""
POSITIVE = {"ml_100k": 4.0, "ml_latest_small": 4.0, "movietweetings_100k": 7.0}
"""From which rating an event is of interest; the others count as seen."""


def log_of(folder: str) -> Any:
    """The log with features of users (where the set has some), of films and of the moment."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.features.declared import Age, Bucket, Category

    place = Path(folder)
    events = pl.read_parquet(place / "ratings.parquet")
    films = pl.read_parquet(place / "movies.parquet").select(
        "item_id",
        pl.col("genres").fill_null("").str.split("|"),
        pl.col("title").str.extract(r"\((\d{4})\)", 1).cast(pl.Float32).alias("year"),
    )
    films = events.select("item_id").unique(maintain_order=True).join(films, on="item_id", how="left")
    features: dict[str, Any] = {
        "genres": Category(side="item", multivalent=True),
        "year": Bucket(side="item", buckets=10),
        "item_age": Age(),
    }
    users = None
    if (place / "users.parquet").exists():
        users = pl.read_parquet(place / "users.parquet").select(
            "user_id", pl.col("age").cast(pl.Float32).alias("years"), "gender", "occupation"
        )
        features["years"] = Bucket(side="user", buckets=6)
        features |= {name: Category(side="user") for name in ("gender", "occupation")}
    known = None if users is None else users.join(events.select("user_id").unique(), on="user_id", how="semi")
    return Dataset.from_frames(
        events, known, films, time_kind="unix", positive_from=POSITIVE[place.name], features=features
    )


def retrieval(data: Any, found: Sequence[Found]) -> Any:
    """Models, by name and options, fitted on the data: each fills the lists that those before it leave short, until
    there are as many candidates as a ranker is given."""
    from serendip.model import Run, find
    from serendip.pipeline import first_of, retrieve

    run = Run(seed=0, threads=1)
    stages = [retrieve(find(name)(**options).fit(data, run).lower(), name=name) for name, options in found]
    return first_of(*stages, least=CANDIDATES)


def retrieval_job(folder: str, found: list[Found], cores: int = 1) -> float:
    """How good retrieval is on the last part of the training part."""
    stay(cores)
    from serendip.evaluate import evaluate
    from serendip.evaluate.protocols import global_time

    split = global_time(global_time(log_of(folder)).train)
    return float(evaluate(retrieval(split.train, found), split, (METRIC,), threads=1).mean(METRIC))


def funnel_job(
    folder: str,
    found: list[Found],
    model: str,
    options: dict[str, Any],
    seed: int,
    *,
    epochs: int | None = None,
    named: float | None = None,
    cores: int = 1,
) -> dict[str, Any]:
    """Retrieval alone, and the same with a ranker.

    Args:
        folder: of the data set.
        found: as of `retrieval`.
        model: the ranker's name.
        options: of the ranker.
        seed: of the ranker.
        epochs, named: chosen before, the test is asked; None: both are chosen by the last part of the training part,
            which is asked in place of the test.
        cores: how many it may use.
    """
    stay(cores)
    from serendip.evaluate import evaluate
    from serendip.evaluate.comparison import compare
    from serendip.evaluate.protocols import global_time
    from serendip.model import Run, find
    from serendip.pipeline import chain, rank
    from serendip.recipe.nominating import cuts_of, nominated

    split = global_time(log_of(folder))
    if epochs is None:
        split = global_time(split.train)
    source = retrieval(split.train, found)
    shown = nominated(split.train, lambda part: retrieval(part, found), cuts_of(split.train), CANDIDATES)

    def judge(scorer: Any, weight: float) -> Any:
        stage = chain(source, rank(scorer, name="ranker", named=weight))
        return evaluate(stage, split, (METRIC,), threads=1, name="ranked")

    run = Run(seed=seed, threads=cores, shown=shown, epochs=epochs)
    if epochs is None:
        run = Run(
            seed=seed, threads=cores, shown=shown, validation=lambda scorer: judge(scorer, 0.5).mean(METRIC), patience=2
        )
    fitted = find(model)(**options).fit(split.train, run)
    by_weight = {each: judge(fitted.lower(), each) for each in (WEIGHTS if named is None else (named,))}
    best = max(by_weight, key=lambda each: by_weight[each].mean(METRIC))
    ranked, plain = by_weight[best], evaluate(source, split, (METRIC,), threads=1, name="alone")
    assert fitted.training is not None
    return {
        "ranked": ranked.mean(METRIC),
        "alone": plain.mean(METRIC),
        "by_query": (ranked.of(METRIC) - plain.of(METRIC)).tolist(),
        "difference": compare(ranked, plain, METRIC).paired.difference,
        "named": best,
        "by_weight": [[each, one.mean(METRIC)] for each, one in by_weight.items()],
        "epochs": fitted.training.best_epoch,
        "queries": len(split),
        "shown": float(np.mean(shown.at >= 0)),
    }
