"""What features are worth: items that nobody has had yet, and links between users.

Options are chosen on a hold-out drawn from the training part as the test was drawn from the whole, never on the test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness import THREADS, mean, spread
from benchmarks.holdout import hold_out, propose, sample

METRICS = ("recall@20", "ndcg@20")
COLD_RULE = (
    "all events of a random 10% of the items held out of the training part as the test was, both by the seed; trials: "
    "a quarter at random, the others ever closer around one of the 6 best, by recall@20 on some users"
)
COLD_SPACES: dict[str, dict[str, Any]] = {
    "content": {
        "category_share": {"low": 0, "high": 1},
        "min_items": {"low": 1, "high": 20, "log": True, "whole": True},
        "max_share": {"low": 0.02, "high": 1, "log": True},
    },
    "hybrid_mf": {
        "loss": ["warp", "bpr"],
        "epochs": {"low": 2, "high": 5, "whole": True},
        "learning_rate": {"low": 0.02, "high": 0.2, "log": True},
        "reg": {"low": 1e-5, "high": 1e-2, "log": True},
        "history_power": {"low": 0.4, "high": 1},
        "dropout": {"low": 0, "high": 0.8},
        "category_share": {"low": 0.2, "high": 0.9},
        "combined": [True, False],
    },
}
COLD_FIXED: dict[str, dict[str, Any]] = {
    "content": {},
    "hybrid_mf": {"factors": 32, "max_sampled": 20, "user_columns": "none"},
}
"""Attributes of users stay out of it, so that both models know the same."""

RELATIONS_RULE = (
    "k-core of the training part, random 20% of each user's items held out; first the other options without relations, "
    "by NDCG@20 of seed 0, then with these the weight of relations, by the mean over the seeds"
)
RELATIONS_SPACE: dict[str, Any] = {
    "factors": [64, 128],
    "epochs": {"low": 10, "high": 30, "log": True, "whole": True},
    "learning_rate": {"low": 0.03, "high": 0.1, "log": True},
    "reg": {"low": 1e-3, "high": 0.1, "log": True},
    "history_power": {"low": 0.5, "high": 1},
    "max_sampled": [50, 100, 200],
}
RELATIONS_FIXED = {"dropout": 0.0}
RELATION_WEIGHTS = (0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True, eq=False)
class Among:
    """A scorer that shows some items only.

    Attributes:
        scorer: what scores.
        hidden: ``[n]`` the items that are not shown.
    """

    scorer: Any
    hidden: Any

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return int(self.scorer.n_items)

    def score(self, queries: Any, items: Any = None) -> Any:
        """As `serendip.types.Scorer.score`, all items at once."""
        if items is not None:
            raise ValueError("items must be None: all are scored.")
        scores = self.scorer.score(queries)
        scores[:, self.hidden] = -np.inf
        return scores


def films(folder: str) -> Any:
    """MovieLens-1M in its order, with titles and genres."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.schema import Schema

    columns = {"time_rank": "timestamp"}
    log = pl.read_parquet(f"{folder}/interactions.parquet").select("user_id", "item_id", "time_rank").rename(columns)
    schema = Schema(timestamp="timestamp", time_kind="rank", title="title", categories=("genres",))
    return Dataset.from_frames(log, None, f"{folder}/movies.parquet", schema=schema)


def cold_items_job(folder: str, seed: int, trials: Mapping[str, int], users: int) -> dict[str, Any]:
    """Lists for everybody whose items were partly held out entirely, from the whole catalogue and from the new alone.

    Args:
        folder: of MovieLens-1M.
        seed: of both splits and of the fits.
        trials: by model, how many options are tried.
        users: how many of them a trial asks.

    Returns:
        By model its options and ``recall@20, ndcg@20`` (whole catalogue) and ``among_cold`` (the same, no other items
        shown).
    """
    from serendip.evaluate import cold_items, evaluate

    split = cold_items(films(folder), 0.1, seed)
    inner = sample(cold_items(split.train, 0.1, seed), users)
    warm = np.bincount(split.train.events.items, minlength=split.train.n_items) > 0
    out: dict[str, Any] = {"rule": COLD_RULE, "spaces": COLD_SPACES, "fixed": COLD_FIXED}
    for model, space in COLD_SPACES.items():
        done = searched(model, space, COLD_FIXED[model], inner, trials[model], "recall@20")
        chosen = {**COLD_FIXED[model], **done[0]["options"]}
        fitted = fit(model, chosen, split, seed)
        among = evaluate(Among(fitted, warm), split, METRICS, threads=THREADS)
        out[model] = {
            "chosen": chosen,
            "found": done,
            **figures(fitted, split),
            "among_cold": {metric: among.mean(metric) for metric in METRICS},
        }
    return out


def relations_job(folder: str, trials: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Lists on the published split, with the trust network against without.

    Returns:
        ``without`` and ``with``: options and figures by seed, with mean and standard deviation.
    """
    split = trusting(folder)
    inner = hold_out(split.train)
    alone = {"relation_names": "none"}
    done = searched("hybrid_mf", RELATIONS_SPACE, {**RELATIONS_FIXED, **alone}, inner, trials, "ndcg@20")
    base = {**RELATIONS_FIXED, **done[0]["options"]}
    tried = [
        {
            "relation_weight": weight,
            "ndcg@20": mean(
                judged("hybrid_mf", {**base, "relation_weight": weight}, inner, one)["ndcg@20"] for one in seeds
            ),
        }
        for weight in RELATION_WEIGHTS
    ]
    weight = max(tried, key=lambda one: one["ndcg@20"])["relation_weight"]
    out: dict[str, Any] = {"rule": RELATIONS_RULE, "space": RELATIONS_SPACE, "found": done, "weights": tried}
    for name, options in {"without": {**base, **alone}, "with": {**base, "relation_weight": weight}}.items():
        found = [judged("hybrid_mf", options, split, seed) for seed in seeds]
        out[name] = {
            "chosen": options,
            "by_seed": found,
            **{metric: mean(one[metric] for one in found) for metric in METRICS},
            "sd": {metric: spread([one[metric] for one in found]) for metric in METRICS},
        }
    return out


def trusting(folder: str) -> Any:
    """The published split with its trust network."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.schema import Schema
    from serendip.evaluate import given

    train, test = (
        pl.read_parquet(f"{folder}/{part}.parquet").select("user_id", "item_id") for part in ("train", "test")
    )
    links = pl.read_parquet(f"{folder}/trust_network.parquet")
    return given(Dataset.from_frames(train, relations={"trust": links}, schema=Schema()), test)


def searched(
    model: str, space: Mapping[str, Any], fixed: Mapping[str, Any], split: Any, trials: int, metric: str
) -> list[dict[str, Any]]:
    """So many options with their figures on the split, the best first."""
    rng = np.random.default_rng(0)
    done: list[dict[str, Any]] = []
    for _ in range(trials):
        options = propose(space, rng, done, trials, metric)
        done.append({"options": options, **judged(model, {**fixed, **options}, split, 0)})
    return sorted(done, key=lambda one: -one[metric])


def judged(model: str, options: Mapping[str, Any], split: Any, seed: int) -> dict[str, float]:
    """The figures of one fit."""
    return figures(fit(model, options, split, seed), split)


def fit(model: str, options: Mapping[str, Any], split: Any, seed: int) -> Any:
    """The model fitted on the training part."""
    from serendip.model import Run, find

    return find(model)(**options).fit(split.train, Run(seed=seed, threads=THREADS))


def figures(fitted: Any, split: Any) -> dict[str, float]:
    """What its lists are worth."""
    from serendip.evaluate import evaluate

    found = evaluate(fitted, split, METRICS, threads=THREADS)
    return {metric: found.mean(metric) for metric in METRICS}
