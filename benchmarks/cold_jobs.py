"""People who are new, and what to ask them: options chosen within the training part, then three seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.harness import THREADS

METRICS = ("ndcg@20",)
K = 20
QUESTIONS = 5
COLD_USERS_RULE = (
    "a random 10% of the users held out whole, by the seed, who ask with their first events; the second model of the "
    "ensemble and its weight are chosen once, on what is left of seed 0 split in the same way, by the mean NDCG@20 "
    "over the numbers of events above 0"
)
ONBOARDING_RULE = (
    "users held out as for cold users answer from their log: who has an item likes it, who has it not does not know "
    "it; then NDCG@20 of ials, by the answers, on the rest of the log, without the items that either way of asking "
    "asked about; how much recognisability counts is chosen on what is left of seed 0 split in the same way"
)
ALIKE = "gender,age_code"
"""Columns of users in whose groups items are popular."""
ASKING_GRID: tuple[dict[str, Any], ...] = tuple({"recognisability": power} for power in (0.0, 0.5, 1.0, 2.0))
SECOND: dict[str, dict[str, Any]] = {"item_knn": {}, "ials": {"factors": 64, "alpha0": 0.1, "reg": 0.003}}
WEIGHTS = (0.25, 0.5, 1.0, 2.0)


def people(folder: str) -> Any:
    """MovieLens-1M in its order, with what is known of people."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.features.declared import Category
    from serendip.data.schema import Schema

    log = pl.read_parquet(f"{folder}/interactions.parquet").select("user_id", "item_id", timestamp="time_rank")
    users = pl.read_parquet(f"{folder}/users.parquet").select("user_id", *ALIKE.split(","))
    features = {name: Category(side="user") for name in ALIKE.split(",")}
    return Dataset.from_frames(log, users, schema=Schema(timestamp="timestamp", time_kind="rank"), features=features)


def fit(train: Any, name: str, options: Mapping[str, Any], seed: int) -> Any:
    """What a model answers with."""
    from serendip.model import Run, find

    return find(name)(**options).fit(train, Run(seed=seed, threads=THREADS)).lower()


def blended(train: Any, chosen: Mapping[str, Any], seed: int) -> Any:
    """What is popular among those who are alike, and a model of tastes, heard together."""
    names = ["popular", chosen["second"]]
    options = {"popular": {"by": ALIKE}, chosen["second"]: SECOND[chosen["second"]]}
    return fit(train, "ensemble", {"models": names, "weights": [1.0, chosen["weight"]], "options": options}, seed)


def second_chosen(splits: Mapping[int, Any], counts: Sequence[int]) -> list[dict[str, Any]]:
    """The second models and weights with their figures, the best first."""
    from serendip.evaluate import evaluate
    from serendip.scorers import Blend

    train = splits[counts[0]].train
    popular = fit(train, "popular", {"by": ALIKE}, 0)
    trials = []
    for second, options in SECOND.items():
        part = fit(train, second, options, 0)
        for weight in WEIGHTS:
            blend = Blend((popular, part), (1.0, weight))
            found = [evaluate(blend, splits[one], METRICS, threads=THREADS).mean("ndcg@20") for one in counts if one]
            trials.append({"second": second, "weight": weight, "ndcg@20": float(np.mean(found))})
    return sorted(trials, key=lambda one: -one["ndcg@20"])


def users_job(folder: str, counts: Sequence[int], seeds: Sequence[int]) -> dict[str, Any]:
    """People who are new, after so many events each.

    Returns:
        By number of events and way of answering (`ways_of`) the figure of each seed, and by user; how the second model
        was found.
    """
    from serendip.evaluate import cold_users, evaluate

    data = people(folder)
    outer = cold_users(data, 0.1, 0, seeds[0])
    trials = second_chosen({count: cold_users(outer.train, 0.1, count, 0) for count in counts}, counts)
    out: dict[str, Any] = {"rule": COLD_USERS_RULE, "chosen": trials[0], "trials": trials, "by_seed": []}
    for seed in seeds:
        splits = {count: cold_users(data, 0.1, count, seed) for count in counts}
        ways = ways_of(splits[counts[0]].train, trials[0], seed)
        figures: dict[str, Any] = {}
        for count, split in splits.items():
            for way, what in ways.items():
                judged = evaluate(what, split, ("ndcg@20",), threads=THREADS)
                figures.setdefault(str(count), {})[way] = {
                    "ndcg@20": judged.mean("ndcg@20"),
                    "by_user": {f"{seed}/{row}": value for row, value in enumerate(judged.of("ndcg@20").tolist())},
                }
        out["by_seed"].append(figures)
    return out


def ways_of(train: Any, chosen: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """By name, ways of answering: what is popular, of all and among those who are alike; ials alone, filled from the
    latter; and both heard together."""
    from serendip.pipeline import first_of, retrieve

    alike = fit(train, "popular", {"by": ALIKE}, seed)
    taste = fit(train, "ials", SECOND["ials"], seed)
    return {
        "personalised": blended(train, chosen, seed),
        "ials": first_of(retrieve(taste, name="ials"), retrieve(alike, name="popular")),
        "popular_alike": alike,
        "popular": fit(train, "popular", {}, seed),
    }


Paths = dict[tuple[tuple[int, ...], tuple[int, ...]], int]


def interviewed(likes: Any, ask: Callable[[tuple[int, ...], tuple[int, ...]], int]) -> Any:
    """``[q, QUESTIONS]`` the items that each is asked about, one after another.

    Args:
        likes: ``[q, n]`` who likes what.
        ask: the next item, given those that were liked and those that were not known.
    """
    asked, paths = np.zeros((len(likes), QUESTIONS), np.int64), Paths()
    for row, own in enumerate(likes):
        liked, unknown = tuple[int, ...](), tuple[int, ...]()
        for place in range(QUESTIONS):
            if (liked, unknown) not in paths:
                paths[liked, unknown] = ask(liked, unknown)
            item = paths[liked, unknown]
            asked[row, place] = item
            liked, unknown = ((*liked, item), unknown) if own[item] else (liked, (*unknown, item))
    return asked


def next_question(bundle: Any, options: Mapping[str, Any], liked: tuple[int, ...], unknown: tuple[int, ...]) -> int:
    """The code of the item to ask about."""
    from serendip.bundle.options import Onboarding

    ids = bundle.item_ids.ids
    found = bundle.onboarding(
        1, liked=ids.gather(liked).to_list(), not_known=ids.gather(unknown).to_list(), options=Onboarding(**options)
    )
    return int(bundle.item_ids.find(found["item_id"][0]))


def worth(stage: Any, likes: Any, asked: Any, left_out: Any) -> Any:
    """``[q]`` NDCG@20 on what each likes besides, when the answers are the history.

    Args:
        stage: what answers.
        likes: ``[q, n]``.
        asked: ``[q, m]`` the questions.
        left_out: ``[q, e]`` items that are neither shown nor looked for.
    """
    from dataclasses import replace

    from serendip.types import Queries

    rows = np.arange(len(likes))[:, None]
    known = likes[rows, asked]
    queries = Queries.of([one[own].tolist() for one, own in zip(asked, known, strict=True)], k=K)
    shown = stage(replace(queries, exclude=left_out.astype(np.int32))).top(K).items
    rest = likes.copy()
    rest[rows, left_out] = False
    discount = 1 / np.log2(np.arange(2, K + 2))
    best = np.concatenate([[0], np.cumsum(discount)])[np.minimum(rest.sum(axis=1), K)]
    gained = (rest[rows, shown] * (shown >= 0) * discount[: shown.shape[1]]).sum(axis=1)
    return np.where(best > 0, gained / np.where(best > 0, best, 1), np.nan)


def liked_by(split: Any) -> Any:
    """``[q, n]`` what those who were held out like, of the items that training knows."""
    likes = np.zeros((len(split), split.train.n_items), bool)
    rows = np.repeat(np.arange(len(split)), split.truth.counts)
    inside = split.truth.items >= 0
    likes[rows[inside], split.truth.items[inside]] = True
    return likes


def compared(split: Any, grid: Sequence[Mapping[str, Any]], seed: int) -> list[Any]:
    """For each way of choosing questions, ``[q]`` figures of it and of the most popular questions, and how many of each
    were known."""
    from serendip.bundle import Bundle
    from serendip.pipeline import first_of, retrieve

    taste, popular = (fit(split.train, name, SECOND.get(name, {}), seed) for name in ("ials", "popular"))
    stage = first_of(retrieve(taste, name="ials"), retrieve(popular, name="popular"))
    bundle, likes = Bundle.build(split.train, stage), liked_by(split)
    best = np.argsort(-popular.scores, kind="stable")[:QUESTIONS]
    plain = np.broadcast_to(best, (len(likes), QUESTIONS)).astype(np.int64)
    rows, out = np.arange(len(likes))[:, None], []
    for one in grid:
        asked = interviewed(likes, partial(next_question, bundle, one))
        both = np.concatenate([asked, plain], axis=1)
        ours, theirs = (worth(stage, likes, questions, both) for questions in (asked, plain))
        known = [float(likes[rows, questions].sum(axis=1).mean()) for questions in (asked, plain)]
        out.append((ours, theirs, *known))
    return out


def onboarding_job(folder: str, seeds: Sequence[int]) -> dict[str, Any]:
    """Five questions of ours against the five most popular items.

    Args:
        folder: of MovieLens-1M.
        seeds: of splits and fits.
    """
    from serendip.evaluate import cold_users, paired

    data = people(folder)
    outer = cold_users(data, 0.1, 0, seeds[0])
    inner = cold_users(outer.train, 0.1, 0, 0)
    tried = compared(inner, ASKING_GRID, 0)
    gains = [float(np.nanmean(ours - theirs)) for ours, theirs, *_ in tried]
    chosen = ASKING_GRID[int(np.argmax(gains))]
    trials = [{"options": one, "gain": gain} for one, gain in zip(ASKING_GRID, gains, strict=True)]
    found = [compared(cold_users(data, 0.1, 0, seed), [chosen], seed)[0] for seed in seeds]
    ours, theirs = (np.concatenate([one[side] for one in found]) for side in (0, 1))
    best = paired(ours, theirs)
    return {
        "rule": ONBOARDING_RULE,
        "trials": trials,
        "chosen": chosen,
        "ours": [float(np.nanmean(one[0])) for one in found],
        "popular": [float(np.nanmean(one[1])) for one in found],
        "known": [one[2] for one in found],
        "known_popular": [one[3] for one in found],
        "difference": best.difference,
        "low": best.low,
        "high": best.high,
        "p_value": best.p_value,
        "users": len(ours),
    }
