"""Jobs of re-ranking: what diversity costs on a public log, and what exploring is worth where the truth is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.lists import stay

RELEVANT, VARIED = "ndcg@10", "diversity@10"
CANDIDATES = 100
POSITIVE = 7.0
"""From which rating an event of movietweetings_100k is of interest."""
K = 10
ROUNDS = 30
HOME = 0.75
"""Share of the period after which the log ends that exploring begins with; the last items come later."""


def tweets(folder: str) -> Any:
    """The log, the films with a list of genres."""
    import polars as pl

    from serendip.data.dataset import Dataset

    place = Path(folder)
    events = pl.read_parquet(place / "ratings.parquet")
    films = pl.read_parquet(place / "movies.parquet").select("item_id", pl.col("genres").fill_null("").str.split("|"))
    films = films.with_columns(pl.col("genres").list.eval(pl.element().filter(pl.element() != "")))
    films = events.select("item_id").unique(maintain_order=True).join(films, on="item_id", how="left")
    return Dataset.from_frames(
        events, items=films, time_kind="unix", positive_from=POSITIVE, columns={"categories": ["genres"]}
    )


def source_of(data: Any, factors: int, reg: float, seed: int) -> Any:
    """What is re-ranked: iALS, filled up by what is popular."""
    from serendip.model import Run, find
    from serendip.pipeline import first_of, retrieve

    run = Run(seed=seed, threads=1)
    ials = find("ials")(factors=factors, reg=reg).fit(data, run).lower()
    return first_of(retrieve(ials, name="ials"), retrieve(find("popular")().fit(data, run).lower(), name="popular"))


def split_of(folder: str, chosen: bool) -> Any:
    """A fifth of the events of each user held out; where nothing is chosen yet, a fifth of what is left instead."""
    from serendip.evaluate.protocols import per_user

    split = per_user(tweets(folder), seed=0)
    return split if chosen else per_user(split.train, seed=0)


def source_job(folder: str, factors: int, reg: float, cores: int = 1) -> float:
    """How good lists are on a part of training."""
    stay(cores)
    from serendip.evaluate import evaluate

    split = split_of(folder, False)
    return float(evaluate(source_of(split.train, factors, reg, 0), split, (RELEVANT,), threads=1).mean(RELEVANT))


def curve_job(
    folder: str, factors: int, reg: float, tried: Sequence[dict[str, Any]], seed: int, chosen: bool, cores: int = 1
) -> list[dict[str, Any]]:
    """Relevance and diversity of lists as they are and by each re-ranker.

    Args:
        folder: of the data set.
        factors, reg: of iALS.
        tried: re-rankers as recipes write them.
        seed: of iALS.
        chosen: whether the test is asked, not a part of training.
        cores: how many it may use.
    """
    stay(cores)
    import msgspec

    from serendip.bundle.content import titled
    from serendip.bundle.shelving import shelved
    from serendip.evaluate import evaluate
    from serendip.pipeline import in_turn, reranked
    from serendip.rerank import Reranker

    split = split_of(folder, chosen)
    train, source = split.train, _remembered(source_of(split.train, factors, reg, seed))
    out = []
    for one in (None, *tried):
        stage = source
        if one is not None:
            steps = in_turn([msgspec.convert(one, Reranker)])
            stage = shelved(reranked(source, *steps, candidates=CANDIDATES), titled(train), train.histories)
        found = evaluate(stage, split, (RELEVANT, VARIED, "popularity@10", "coverage@10"), threads=1)
        said = {name: found.mean(name) for name in found.metrics}
        out.append({"by": one, **said, "of": {name: found.of(name).tolist() for name in (RELEVANT, VARIED)}})
    return out


def _remembered(source: Any) -> Any:
    """The same stage, which names items to the same people once."""
    known: dict[Any, Any] = {}

    def named(queries: Any, recs: Any = None) -> Any:
        key = (queries.users.tobytes(), queries.k)
        if key not in known:
            known[key] = source(queries)
        return known[key]

    return named


def regret_job(
    policy: dict[str, Any] | None, model: dict[str, Any], seed: int, users: int, items: int, cores: int = 1
) -> dict[str, Any]:
    """Rounds of lists shown to everybody, whose clicks are learned from before the next.

    An item is clicked with the probability ``σ(s − q)``, s being its true score at the end of the period and q the
    score that a tenth of all items exceed for this user. Regret: by how many clicks the best list is expected to have
    more than the one shown, of what has not been clicked yet.

    Args:
        policy: options of `serendip.rerank.Explore`; None: nothing is left to chance.
        model: that names and scores the items, with its options.
        seed: of the world, the model and all chance.
        users, items: how many.
        cores: how many it may use.
    """
    stay(cores)
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.shop import DAY, DAYS, EPOCH
    from serendip.data.synthetic import catalogue

    world = catalogue(seed=seed, users=users, items=items)
    whole = world.dataset()
    views = world.events.filter(pl.col("event_type") == "view").select("user_id", "item_id", "timestamp")
    log = views.filter(pl.col("timestamp") < EPOCH + HOME * DAYS * DAY)
    people, goods = pl.DataFrame({"user_id": whole.user_ids.ids}), pl.DataFrame({"item_id": whole.item_ids.ids})

    def learned(log: pl.DataFrame) -> Dataset:
        return Dataset.from_frames(log, people, goods, time_kind="unix")

    data, rng = learned(log), np.random.default_rng(seed)
    likely, fresh = _truth(world, data), np.bincount(data.events.items, minlength=data.n_items) == 0
    regret, new = [], []
    for turn in range(ROUNDS):
        shown = _shown(data, policy, model, seed, rng)
        left = likely.copy()
        left[data.events.users, data.events.items] = 0  # what was clicked is not shown again
        best = -np.sort(-left, axis=1)[:, :K].sum(axis=1)
        chance = np.take_along_axis(likely, shown, axis=1)
        regret.append(float((best - chance.sum(axis=1)).mean()))
        new.append(float(fresh[shown].mean()))
        row, place = np.nonzero(rng.random(chance.shape) < chance)
        clicks = {
            "user_id": data.user_ids.ids.gather(row),
            "item_id": data.item_ids.ids.gather(shown[row, place]),
            "timestamp": np.full(len(row), EPOCH + DAYS * DAY + turn),
        }
        log = pl.concat([log, pl.DataFrame(clicks).cast(dict(log.schema))])  # type: ignore[arg-type]
        data = learned(log)
    return {"regret": regret, "new": new, "new_items": int(fresh.sum())}


def _truth(world: Any, data: Any) -> Any:
    """``[users, items]`` how likely each item is clicked."""
    queries = data.queries(exclude_seen=False)
    scores = world.oracle(data).score(queries).astype(np.float64)
    return 1 / (1 + np.exp(np.quantile(scores, 0.9, axis=1, keepdims=True) - scores))


def _shown(data: Any, policy: dict[str, Any] | None, model: dict[str, Any], seed: int, rng: Any) -> Any:
    """``[users, K]`` the items shown to everybody."""
    from dataclasses import replace

    from serendip.bundle.content import titled
    from serendip.bundle.shelving import shelved
    from serendip.model import Run, find
    from serendip.pipeline import first_of, in_turn, reranked, retrieve
    from serendip.rerank import Explore

    run = Run(seed=seed, threads=1)
    options = {name: value for name, value in model.items() if name != "name"}
    names = {model["name"]: options, "popular": {}}
    parts = [retrieve(find(name)(**one).fit(data, run).lower(), name=name) for name, one in names.items()]
    stage = first_of(*parts)
    queries = data.queries(k=K)
    if policy is not None:
        steps = in_turn([Explore(**policy)])
        stage = shelved(reranked(stage, *steps, candidates=data.n_items), titled(data), data.histories)
        queries = replace(queries, draw=rng.integers(0, 1 << 64, len(queries), dtype=np.uint64))
    return stage(queries).items
