"""Jobs of rankers that put the films of a list into order: by ratings one by one, or by lists of a user's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.peers.lists import stay
from benchmarks.rating_jobs import HELD, TEST, log, part, tables

PLACES = 5
"""Films of a list that is judged."""


def drawn(ratings: Any, places: int, seed: int, most: int | None = 1) -> Any:
    """Lists of so many ratings of a user's, drawn by seed: the ratings, list after list.

    ``most`` lists of each user at most; None: as many as there may be.
    """
    import polars as pl

    mixed = ratings[np.random.default_rng(seed).permutation(len(ratings)).tolist()]
    numbered = mixed.sort("user_id", maintain_order=True).with_columns(
        at=pl.int_range(pl.len()).over("user_id"), many=pl.len().over("user_id")
    )
    full = pl.col("many") // places * places
    return numbered.filter(pl.col("at") < (full if most is None else pl.min_horizontal(full, most * places)))


def ndcg(scores: Any, labels: Any) -> float:
    """Mean NDCG of lists ``[q, c]``, with gains ``2^y − 1`` and discounts ``1 / log₂(rank + 1)``; ties by place."""
    gains = 2.0**labels - 1
    discounts = 1 / np.log2(np.arange(2, labels.shape[1] + 2))
    found = np.take_along_axis(gains, np.argsort(-scores, axis=1, kind="stable"), axis=1) @ discounts
    return float(np.mean(found / (-np.sort(-gains, axis=1) @ discounts)))


def judged(scorer: Any, data: Any, lists: Any) -> float:
    """NDCG of lists as `drawn` gives them."""
    queries = data.queries(data.user_ids.encode(lists["user_id"]), length=0)
    scores = scorer.score(queries, data.item_ids.encode(lists["item_id"])[:, None])[:, 0].astype(np.float64)
    scores[~np.isfinite(scores)] = np.mean(scores[np.isfinite(scores)])
    labels = lists["rating"].to_numpy().astype(np.float64)
    return ndcg(scores.reshape(-1, PLACES), labels.reshape(-1, PLACES))


def fitted(data: Any, options: Mapping[str, Any], seed: int, cores: int, lists: Any = None) -> tuple[Any, list[float]]:
    """What a fit of ``dcn_v2`` answers with, and the NDCG of lists after each epoch where some are given."""
    from serendip.model import Run, find

    figures: list[float] = []

    def look(scorer: Any) -> float:
        figures.append(judged(scorer, data, lists))
        return figures[-1]

    run = Run(seed=seed, threads=cores, validation=None if lists is None else look, patience=None)
    return find("dcn_v2")(**{**options, "label": "rating"}).fit(data, run).lower(), figures


def choose_job(folder: str, seeds: Sequence[int], options: Mapping[str, Any], cores: int) -> dict[str, Any]:
    """The NDCG after each epoch of some options, on a tenth of what no seed tests."""
    stay(cores)
    ratings, *about = tables(folder)
    kept = ratings.filter(~np.any([part(len(ratings), TEST, seed) for seed in seeds], axis=0))
    held = part(len(kept), HELD, 0)
    _, figures = fitted(log(kept.filter(~held), *about), options, 0, cores, drawn(kept.filter(held), PLACES, 0, None))
    return {"ndcg": figures}


def test_job(folder: str, seed: int, options: Mapping[str, Any], cores: int) -> dict[str, Any]:
    """The NDCG of a list of each user's test part, after a fit to all of the training part."""
    stay(cores)
    ratings, *about = tables(folder)
    tested = part(len(ratings), TEST, seed)
    data, lists = log(ratings.filter(~tested), *about), drawn(ratings.filter(tested), PLACES, seed)
    scorer, _ = fitted(data, options, seed, cores)
    return {"ndcg": judged(scorer, data, lists), "lists": len(lists) // PLACES}


def rater_job(folder: str, seed: int, model: str, options: Mapping[str, Any], cores: int) -> dict[str, Any]:
    """As `test_job`, by a model of ratings that is told users and films alone."""
    stay(cores)
    from serendip.data.dataset import Dataset
    from serendip.data.schema import Schema
    from serendip.model import Run, find

    ratings, *_ = tables(folder)
    tested = part(len(ratings), TEST, seed)
    data = Dataset.from_frames(ratings.filter(~tested), schema=Schema(rating="rating", title=None))
    lists = drawn(ratings.filter(tested), PLACES, seed)
    fitted = find(model)(**options).fit(data, Run(seed=seed, threads=cores))
    scores = fitted.predict(data.user_ids.encode(lists["user_id"]), data.item_ids.encode(lists["item_id"]))
    labels = lists["rating"].to_numpy().astype(np.float64)
    return {"ndcg": ndcg(scores.reshape(-1, PLACES), labels.reshape(-1, PLACES)), "lists": len(lists) // PLACES}
