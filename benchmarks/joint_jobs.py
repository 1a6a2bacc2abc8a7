"""Jobs of one model for retrieval and ratings: the films that somebody rates, and how they are rated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.peers.lists import stay
from benchmarks.rating_jobs import HELD, TEST, log, part, tables

RATING, K = "rating", 100


def figures(scorer: Any, data: Any, ratings: Any, length: int) -> dict[str, float]:
    """Of held-out ratings: the share whose film is among the `K` of all that are named first, those that their user
    rated in training not left out, and the RMSE of the rating, kept within 1 … 5."""
    users, inverse = np.unique(data.user_ids.encode(ratings["user_id"]), return_inverse=True)
    items = data.item_ids.encode(ratings["item_id"])
    queries = data.queries(users, length=length, exclude_seen=False)
    scores = np.nan_to_num(scorer.score(queries), neginf=-np.inf)[inverse]
    own = np.where(items >= 0, scores[np.arange(len(items)), items], -np.inf)
    ahead = (scores > own[:, None]).sum(axis=1)
    each = data.queries(data.user_ids.encode(ratings["user_id"]), length=length)
    told = scorer.foretold(each, items[:, None])[RATING][:, 0]
    middle = float(np.mean(data.events.labels[RATING]))
    kept = np.clip(np.where(np.isfinite(told), told, middle), 1, 5)
    return {
        "top100": float(np.mean((ahead < K) & np.isfinite(own))),
        "rmse": float(np.sqrt(np.mean((kept - ratings[RATING].to_numpy()) ** 2))),
    }


def worth(found: Mapping[str, float]) -> float:
    """What chooses: a hundredth of either figure counts alike."""
    return found["top100"] - found["rmse"]


def fitted(
    data: Any, options: Mapping[str, Any], seed: int, cores: int, ratings: Any = None
) -> tuple[Any, list[dict[str, float]]]:
    """What a fit answers with, and the figures of held-out ratings after each epoch where some are given."""
    from serendip.model import Run, find

    points: list[dict[str, float]] = []

    def look(scorer: Any) -> float:
        points.append(figures(scorer, data, ratings, int(options["length"])))
        return worth(points[-1])

    run = Run(seed=seed, threads=cores, validation=None if ratings is None else look, patience=None)
    return find("joint")(**{**options, "tasks": [RATING]}).fit(data, run).lower(), points


def choose_job(folder: str, seeds: Sequence[int], options: Mapping[str, Any], cores: int) -> dict[str, Any]:
    """The figures after each epoch of some options, on a tenth of what no seed tests."""
    stay(cores)
    ratings, *about = tables(folder)
    kept = ratings.filter(~np.any([part(len(ratings), TEST, seed) for seed in seeds], axis=0))
    held = part(len(kept), HELD, 0)
    _, points = fitted(log(kept.filter(~held), *about), options, 0, cores, kept.filter(held))
    return {"points": points}


def test_job(folder: str, seed: int, options: Mapping[str, Any], cores: int) -> dict[str, Any]:
    """The figures of a seed's test part, after a fit to all of its training part."""
    stay(cores)
    ratings, *about = tables(folder)
    tested = part(len(ratings), TEST, seed)
    data = log(ratings.filter(~tested), *about)
    scorer, _ = fitted(data, options, seed, cores)
    return figures(scorer, data, ratings.filter(tested), int(options["length"]))
