"""Jobs of rankers that foretell ratings: users and films by their ids and what the tables say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.peers.lists import stay

TEST, HELD = 0.2, 0.1
"""The share of the ratings that is the test part, and of training that chooses."""
RULE = (
    "random 80/20 of all ratings by seed; a tenth of the ratings that no seed tests, drawn with seed 0, chooses the "
    "options; a tenth of each training part chooses the number of epochs, and the fit is then made on all of it"
)


def part(n: int, share: float, seed: int) -> Any:
    """``[n]`` which rows a random part has."""
    return np.random.default_rng(seed).permutation(n) < round(share * n)


def tables(folder: str) -> tuple[Any, Any, Any]:
    """Ratings, users with an id and intervals of age, and films with their genres and decade."""
    import polars as pl

    ratings = pl.read_parquet(f"{folder}/ratings.parquet").select("user_id", "item_id", "rating")
    users = pl.read_parquet(f"{folder}/users.parquet").select(
        "user_id",
        "gender",
        "occupation",
        who=pl.col("user_id").cast(pl.String),
        age=(pl.col("age") // 10).cast(pl.String),
        zip=pl.col("zip_code").str.slice(0, 1),
    )
    year = pl.col("release_date").str.slice(-4).cast(pl.Int32, strict=False)
    films = pl.read_parquet(f"{folder}/movies.parquet").select("item_id", "genres", decade=(year // 10).cast(pl.String))
    return ratings, users, films


def log(ratings: Any, users: Any, films: Any) -> Any:
    """Ratings as a log whose events have the label ``rating``."""
    from serendip.data.dataset import Dataset
    from serendip.data.features.declared import Category
    from serendip.data.schema import Schema

    own: dict[str, Any] = {name: Category(side="user") for name in ("who", "gender", "occupation", "age", "zip")}
    about = {"genres": Category(side="item", multivalent=True), "decade": Category(side="item")}
    schema = Schema(rating="rating", title=None)
    return Dataset.from_frames(ratings, users, films, schema=schema, features={**own, **about})


def error(scorer: Any, data: Any, ratings: Any) -> float:
    """RMSE of ratings, those foretold being kept within 1 … 5."""
    queries = data.queries(data.user_ids.encode(ratings["user_id"]), length=0)
    found = scorer.score(queries, data.item_ids.encode(ratings["item_id"])[:, None])[:, 0]
    middle = float(np.mean(data.events.labels["rating"]))
    kept = np.clip(np.where(np.isfinite(found), found, middle), 1, 5)
    return float(np.sqrt(np.mean((kept - ratings["rating"].to_numpy()) ** 2)))


def fitted(
    data: Any, options: Mapping[str, Any], seed: int, cores: int, ratings: Any = None
) -> tuple[Any, list[float]]:
    """What a fit of ``dcn_v2`` answers with, and the RMSE of ratings after each epoch where some are given."""
    from serendip.model import Run, find

    errors: list[float] = []

    def look(scorer: Any) -> float:
        errors.append(error(scorer, data, ratings))
        return -errors[-1]

    run = Run(seed=seed, threads=cores, validation=None if ratings is None else look, patience=None)
    return find("dcn_v2")(**{**options, "label": "rating"}).fit(data, run), errors


def choose_job(folder: str, seeds: Sequence[int], options: Mapping[str, Any], cores: int) -> dict[str, Any]:
    """The RMSE after each epoch of some options, on a tenth of what no seed tests."""
    stay(cores)
    ratings, *about = tables(folder)
    kept = ratings.filter(~np.any([part(len(ratings), TEST, seed) for seed in seeds], axis=0))
    held = part(len(kept), HELD, 0)
    _, errors = fitted(log(kept.filter(~held), *about), options, 0, cores, kept.filter(held))
    return {"errors": errors}


def test_job(folder: str, seed: int, options: Mapping[str, Any], cores: int) -> dict[str, Any]:
    """The RMSE of a seed's test part, see `RULE`."""
    stay(cores)
    ratings, *about = tables(folder)
    tested = part(len(ratings), TEST, seed)
    train = ratings.filter(~tested)
    held = part(len(train), HELD, seed)
    _, errors = fitted(log(train.filter(~held), *about), options, seed, cores, train.filter(held))
    epochs = int(np.argmin(errors)) + 1
    data = log(train, *about)
    scorer, _ = fitted(data, {**options, "epochs": epochs}, seed, cores)
    return {"rmse": error(scorer, data, ratings.filter(tested)), "epochs": epochs, "held": errors}
