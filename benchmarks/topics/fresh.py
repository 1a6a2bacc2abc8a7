"""What is new: items that nobody has had yet, links between users, and events that come after the fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.harness import ROOT, Row, Topic, data_dir, mean, run_job, spread

PACKAGE = ROOT / "serendip"
FEATURES = [
    ROOT / "benchmarks/hybrid.py",
    ROOT / "benchmarks/holdout.py",
    *(PACKAGE / "models" / f"{name}.py" for name in ("hybrid_mf", "content", "_features", "_known")),
    *(PACKAGE / "kernels" / f"{name}.py" for name in ("hybrid", "pairwise")),
    PACKAGE / "scorers/summed.py",
    PACKAGE / "scorers/profiles.py",
]
UPDATES = [
    ROOT / "benchmarks/update_jobs.py",
    PACKAGE / "data/change.py",
    *(PACKAGE / "models" / f"{name}.py" for name in ("_folding", "_rank")),
]
METRICS = ("recall@20", "ndcg@20")
SEEDS = (0, 1, 2)
MODELS = ("hybrid_mf", "content")


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    cold_items(topic)
    trust(topic)
    for data, models in {"ml_1m": ("ials", "item_knn", "ease"), "gowalla_lightgcn": ("ials", "item_knn")}.items():
        for model in models:
            update(topic, data, model)


def rows(
    name: str, found: Sequence[dict[str, float]], targets: Sequence[str | None] = (None, None), **rest: Any
) -> list[Row]:
    """A row per metric, the mean over the seeds; what is asked of each."""
    out = []
    for metric, target in zip(METRICS, targets, strict=True):
        values = [one[metric] for one in found]
        out.append(Row(name, metric, mean(values), "", spread(values), len(values), target=target, **rest))
    return out


def cold_items(topic: Topic) -> None:
    """A tenth of the films held out entirely: their genres, titles and years are all that is known of them."""
    label = "ml_1m_cold_items"

    def make() -> list[Row]:
        folder, trials = str(data_dir("ml_1m")), {"content": 12, "hybrid_mf": 8}
        found = [
            run_job("benchmarks.hybrid:cold_items_job", folder=folder, seed=seed, trials=trials, users=1500)
            for seed in SEEDS
        ]
        out = []
        for suffix, note in {
            "": "lists from the whole catalogue, new films and known",
            "_among_cold": "lists of new films alone",
        }.items():
            by_model = {
                model: [one[model]["among_cold"] if suffix else one[model] for one in found] for model in MODELS
            }
            asked = f">= {mean(one['recall@20'] for one in by_model['content']):.4f}"
            out += rows(f"{label}/hybrid_mf{suffix}", by_model["hybrid_mf"], (asked, None), note=note, peer="content")
            out += rows(f"{label}/content{suffix}", by_model["content"], note=note)
        out[0].details = {"by_seed": found}
        return out

    pairs = [(f"{label}/{model}{suffix}", m) for suffix in ("", "_among_cold") for model in MODELS for m in METRICS]
    topic.row(pairs, make, depends=FEATURES, timed=False, seeds=SEEDS, data=["ml_1m"])


def trust(topic: Topic) -> None:
    """The published split with the trust links as features of users, and without."""
    label = "lastfm_lightgcn"

    def make() -> list[Row]:
        folder = str(data_dir(label))
        found = run_job("benchmarks.hybrid:relations_job", folder=folder, trials=12, seeds=SEEDS)
        bounds = [f">= {found['without'][metric]:.4f}" for metric in METRICS]
        note = "other options chosen without links, then the weight of links; both on a hold-out of the training part"
        out = rows(f"{label}/hybrid_mf_with_trust", found["with"]["by_seed"], bounds, note=note, peer="without links")
        out[0].details = found
        return out + rows(f"{label}/hybrid_mf_without_trust", found["without"]["by_seed"], note=note)

    pairs = [(f"{label}/hybrid_mf_{how}_trust", metric) for how in ("with", "without") for metric in METRICS]
    topic.row(pairs, make, depends=FEATURES, timed=False, seeds=SEEDS, data=[label])


def update(topic: Topic, data: str, model: str) -> None:
    """A tenth of new events, with new users and items, taken in without a refit."""
    label = f"{data}/update_{model}"

    def make() -> list[Row]:
        found = run_job("benchmarks.update_jobs:update_job", folder=str(data_dir(data)), model=model)
        figures = (f"{found[name]:.4f} {name}" for name in ("updated", "refit", "stale"))
        note = f"NDCG@10 {', '.join(figures)}"
        return [
            Row(label, "share of a refit's NDCG@10", found["of_refit"], "", target=">= 0.98", note=note, details=found),
            Row(label, "refit seconds / update seconds", found["faster"], "×", peer="refit", ratio=found["faster"]),
        ]

    pairs = [(label, "share of a refit's NDCG@10"), (label, "refit seconds / update seconds")]
    depends = [*UPDATES, PACKAGE / "models" / f"{model}.py", model]
    topic.row(pairs, make, depends=depends, seeds=[0], data=[data])
