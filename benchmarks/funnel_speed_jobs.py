"""The job of the whole funnel: three sources, a ranker of their candidates and diversity, one query at a time.

The sources are fitted to a made-up log: people with a few tastes each, items of one taste, some of them known to many.
The ranker is that of `made_up_ranker`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import median
from typing import Any

import numpy as np

from benchmarks.made_up_ranker import QUERY_FIELDS, VALUES, made_up
from benchmarks.peers.lists import stay
from serendip.pipeline import Composite, guarded
from serendip.pipeline.composite import Lawful
from serendip.types import Queries, Recs, Stage

TOGETHER, BATCHES = 64, 20
TASTES, EVENTS = 3, 40
FACTORS, CANDIDATES, SHOWN = 64, 500, 20


@dataclass(frozen=True, eq=False)
class Timed(Lawful):
    """A stage whose time is added up by its name."""

    name: str
    stage: Stage
    seconds: dict[str, float]

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """As the stage."""
        begin = time.perf_counter()
        found = self.stage(queries, recs)
        self.seconds[self.name] = self.seconds.get(self.name, 0.0) + time.perf_counter() - begin
        return found


def funnel_job(
    items: int, users: int, crosses: int, rank: int, dim: int, hidden: list[int], turns: int
) -> dict[str, Any]:
    """Milliseconds of a query on one core, and queries a second where many come together.

    Returns:
        ``ms``, ``p99`` and ``mean_ms`` over the turns, each of another user; ``stages``: the mean milliseconds of each
        stage, and of what stands around them; ``batch``: queries a second, `TOGETHER` at a time; ``candidates``: how
        many were ranked; ``index`` of the vectors.
    """
    stay(1)
    import torch

    torch.set_num_threads(1)
    data, pipeline, queries_of, backend = made(items, users, crosses, rank, dim, hidden)
    people = np.random.default_rng(1).permutation(data.n_users)[: turns + TOGETHER * BATCHES].astype(np.int32)
    asked = [queries_of(people[at : at + 1]) for at in range(turns)]
    for query in asked[:20]:
        pipeline(query)
    seconds = [timed(partial(pipeline, query)) for query in asked]
    shares: dict[str, float] = {}
    watched = watching(pipeline, shares)
    whole = sum(timed(partial(watched, query)) for query in asked)
    blocks = [queries_of(people[turns + at * TOGETHER :][:TOGETHER]) for at in range(BATCHES)]
    pipeline(blocks[0])
    together = median(timed(partial(pipeline, block)) for block in blocks)
    lists = pipeline(asked[0])
    if lists.counts.tolist() != [SHOWN]:
        raise RuntimeError(f"a list must hold {SHOWN} items, and holds {lists.counts.tolist()}")
    stages = {name: 1000 * value / turns for name, value in shares.items()}
    return {
        "ms": 1000 * median(seconds),
        "p99": 1000 * float(np.quantile(seconds, 0.99)),
        "mean_ms": 1000 * sum(seconds) / turns,
        "stages": {**stages, "around": 1000 * whole / turns - sum(stages.values())},
        "batch": TOGETHER / together,
        "candidates": CANDIDATES,
        "index": backend,
    }


def made(
    items: int, users: int, crosses: int, rank: int, dim: int, hidden: list[int]
) -> tuple[Any, Stage, Callable[[Any], Queries], str]:
    """The shop, the funnel as a recipe would make it, how users ask, and what searches the vectors."""
    from serendip.bundle.shelving import shelved
    from serendip.index import Options, build
    from serendip.model import Run, find
    from serendip.pipeline import chain, first_of, merge, reranked, retrieve
    from serendip.pipeline import rank as ranked
    from serendip.pipeline import rerank as turned
    from serendip.rerank import Mmr

    data, run = log_of(items, users), Run(threads=1)
    options: dict[str, dict[str, Any]] = {"ials": {"factors": FACTORS, "iterations": 4}, "item_knn": {}, "popular": {}}
    scorers = {name: find(name)(**own).fit(data, run).lower() for name, own in options.items()}
    vectors = np.asarray(scorers["ials"].item_vectors(), np.float32)  # type: ignore[attr-defined]
    known = data.queries(np.arange(0, data.n_users, data.n_users // 400, dtype=np.int32), exclude_seen=False)
    tuned = np.asarray(scorers["ials"].query_vectors(known), np.float32)  # type: ignore[attr-defined]
    index = build(vectors, Options("auto", 0.95, CANDIDATES), queries=tuned, threads=1)
    sources = [
        guarded(retrieve(scorer, name=name, index=index if name == "ials" else None))
        for name, scorer in scorers.items()
    ]
    features = {f"q{at}": np.random.default_rng(at).integers(0, VALUES, data.n_users) for at in range(QUERY_FIELDS)}
    ranker = ranked(made_up(data.n_items, crosses, rank, dim, hidden).scorer, name="dcn_v2")
    fill = retrieve(scorers["popular"], name="popular")
    named = first_of(merge(*sources, how="fused", least=CANDIDATES), fill, least=CANDIDATES)
    mmr = guarded(turned(Mmr(by="ials")))
    whole = reranked(chain(named, guarded(ranker)), mmr, candidates=CANDIDATES)

    def queries_of(chosen: Any) -> Queries:
        said = {name: values[chosen].astype(np.int32) for name, values in features.items()}
        queries: Queries = data.queries(chosen, k=SHOWN)
        return replace(queries, features=said)

    return data, shelved(whole, data.items, data.histories), queries_of, index.stats.backend


def log_of(items: int, users: int, seed: int = 0) -> Any:
    """Who had what: `EVENTS` items each, of `TASTES` of √items tastes; the r-th item of a taste is had as 1/r."""
    import polars as pl

    from serendip.data.dataset import Dataset

    rng = np.random.default_rng(seed)
    number = round(items**0.5)
    size = items // number
    taste = rng.integers(0, number, (users, TASTES))[
        np.arange(users)[:, None], rng.integers(0, TASTES, (users, EVENTS))
    ]
    place = np.minimum(size ** rng.random((users, EVENTS)), size - 1).astype(np.int64)
    events = pl.DataFrame({"user_id": np.repeat(np.arange(users), EVENTS), "item_id": (taste * size + place).ravel()})
    return Dataset.from_frames(events.unique(maintain_order=True), items=pl.DataFrame({"item_id": np.arange(items)}))


def watching(stage: Stage, seconds: dict[str, float]) -> Stage:
    """The stage with the time of each part that asks no others taken."""
    if isinstance(stage, Composite):
        return replace(stage, stages=tuple(watching(part, seconds) for part in stage.stages))
    return Timed(str(getattr(stage, "name", type(stage).__name__)), stage, seconds)


def timed(work: Callable[[], Any]) -> float:
    """Seconds that it takes."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


__all__ = ["funnel_job"]
