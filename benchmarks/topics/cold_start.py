"""What is new: items that nobody has had, people after their first events, and what to ask them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import cold_film_jobs, cold_item_jobs, cold_jobs, cold_plot
from benchmarks.harness import RESULTS, ROOT, Row, Topic, data_dir, mean, run_job, spread
from benchmarks.tower_jobs import ahead

PACKAGE = ROOT / "serendip"
ITEMS = [
    Path(cold_item_jobs.__file__),
    PACKAGE / "evaluate/cold.py",
    *(PACKAGE / f"models/{name}.py" for name in ("hybrid_mf", "content", "popular", "_known", "_features")),
    *(PACKAGE / f"{name}.py" for name in ("scorers/summed", "kernels/hybrid", "data/features/terms")),
]
FILMS = [
    Path(cold_film_jobs.__file__),
    *ITEMS[1:],
    *(PACKAGE / f"{name}.py" for name in ("models/ensemble", "scorers/blend", "scorers/profiles")),
]
USERS = [
    Path(cold_jobs.__file__),
    PACKAGE / "evaluate/cold.py",
    *(PACKAGE / f"{name}.py" for name in ("models/ials", "models/item_knn", "models/popular", "scorers/grouped")),
]
ASKING = [*USERS, PACKAGE / "bundle/onboarding.py"]
SEEDS = (0, 1, 2)
COUNTS = (0, 1, 3, 5, 10)
_KNOWN: dict[str, Any] = {"user_columns": "none", "min_items": 1}
"""Attributes of users stay out of it, so that all models know the same."""
_SMALL: list[dict[str, Any]] = [
    {**_KNOWN, "factors": 64, "epochs": 8, "dropout": 0.5},
    {**_KNOWN, "factors": 64, "epochs": 8, "item_identity": False},
    {**_KNOWN, "factors": 64, "epochs": 14, "item_identity": False},
]
_LARGE: list[dict[str, Any]] = [
    {**_KNOWN, "factors": 32, "epochs": 3, "max_sampled": 20, "dropout": 0.5},
    {**_KNOWN, "factors": 32, "epochs": 3, "loss": "bpr", "learning_rate": 0.02, "reg": 1e-5, "combined": False},
]
GRIDS = {"s3rec_toys": _SMALL, "movietweetings_100k": _SMALL, "s3rec_beauty": _SMALL, "ml_1m": _LARGE}
ASKED = 2000
"""Users whom a trial asks."""
_PLAIN: dict[str, Any] = {**_KNOWN, "factors": 64, "item_identity": False}
KNOWN_BY: dict[str, tuple[str, list[dict[str, Any]], str]] = {
    "genres": (
        "ensemble",
        [
            {
                "models": ["content", "hybrid_mf"],
                "weights": [1.0, weight],
                "options": {"content": {"min_items": 1}, "hybrid_mf": one},
            }
            for weight in (1.0, 2.0)
            for one in ({**_PLAIN, "epochs": 30}, {**_PLAIN, "epochs": 14, "reg": 0.01})
        ],
        "content and hybrid_mf heard together, by genres",
    ),
    "years": (
        "hybrid_mf",
        [{**_PLAIN, "epochs": 14}, {**_KNOWN, "factors": 64, "epochs": 14, "dropout": 0.5}],
        "hybrid_mf by genres, decade and year of the title; content knows the same",
    ),
}
"""What films are known by, the model that is judged there with the options to try, and what to say of it."""
BASELINES = ("popular", "content")
GAIN = "gain of {metric} over {peer}, low end of 95%"
NOTES = {
    "ml_1m": "two_tower on the same films: two_tower.json, ml_1m/both_cold",
    "s3rec_beauty": "two_tower on the same products: two_tower.json, s3rec_beauty/both_cold",
}


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    for data in GRIDS:
        items(topic, data)
    for by in KNOWN_BY:
        films(topic, by)
    users(topic)
    onboarding(topic)


def items(topic: Topic, data: str) -> None:
    """Items that nobody has had, among themselves: by what they are, against what is popular and what is alike."""
    models = (*BASELINES, "hybrid_mf")

    def make() -> list[Row]:
        found = run_job(
            "benchmarks.cold_item_jobs:items_job",
            folder=str(data_dir(data)),
            name=data,
            grid=GRIDS[data],
            users=ASKED,
            seeds=SEEDS,
        )
        by_user = {
            (model, metric): [one[model]["by_user"][metric] for one in found["by_seed"]]
            for model in models
            for metric in cold_item_jobs.METRICS
        }
        rows = []
        for model in models:
            for metric in cold_item_jobs.METRICS:
                values = [one[model][metric] for one in found["by_seed"]]
                note = NOTES.get(data, "") if model == "hybrid_mf" else ""
                rows.append(Row(f"{data}/{model}", metric, mean(values), "", spread(values), len(SEEDS), note=note))
        for peer in BASELINES:
            for metric in cold_item_jobs.METRICS:
                rows.append(_ahead(data, metric, peer, by_user))
        for one in found["by_seed"]:
            for model in models:
                del one[model]["by_user"]
        rows[0].details = found
        return rows

    pairs = [(f"{data}/{model}", metric) for model in models for metric in cold_item_jobs.METRICS]
    pairs += [
        (f"{data}/hybrid_mf", GAIN.format(metric=metric, peer=peer))
        for peer in BASELINES
        for metric in cold_item_jobs.METRICS
    ]
    topic.row(pairs, make, depends=[*ITEMS, GRIDS[data], ASKED], timed=False, seeds=SEEDS, data=[data])


def films(topic: Topic, by: str) -> None:
    """Films that nobody has rated, among themselves: content and hybrid_mf heard together, and by the year, too."""
    data = "movietweetings_100k"
    model, grid, said = KNOWN_BY[by]
    label, models, metrics = f"{data}/by_{by}", (*BASELINES, model), cold_film_jobs.METRICS

    def make() -> list[Row]:
        found = run_job(
            "benchmarks.cold_film_jobs:films_job",
            folder=str(data_dir(data)),
            by=by,
            model=model,
            grid=grid,
            users=ASKED,
            seeds=SEEDS,
        )
        by_user = {
            (name, metric): [one[name]["by_user"][metric] for one in found["by_seed"]]
            for name in models
            for metric in metrics
        }
        rows = []
        for name in models:
            for metric in metrics:
                values = [one[name][metric] for one in found["by_seed"]]
                note = said if name == model else ""
                rows.append(Row(f"{label}/{name}", metric, mean(values), "", spread(values), len(SEEDS), note=note))
        rows += [_ahead(label, metric, peer, by_user, model) for peer in BASELINES for metric in metrics]
        for one in found["by_seed"]:
            for name in models:
                del one[name]["by_user"]
        rows[0].details = found
        return rows

    pairs = [(f"{label}/{name}", metric) for name in models for metric in metrics]
    pairs += [(f"{label}/{model}", GAIN.format(metric=metric, peer=peer)) for peer in BASELINES for metric in metrics]
    topic.row(pairs, make, depends=[*FILMS, KNOWN_BY[by], ASKED], timed=False, seeds=SEEDS, data=[data])


def _ahead(
    label: str,
    metric: str,
    peer: str,
    by_user: Mapping[tuple[str, str], Sequence[Any]],
    model: str = "hybrid_mf",
) -> Row:
    best = ahead(by_user[model, metric], by_user[peer, metric])
    return Row(
        f"{label}/{model}",
        GAIN.format(metric=metric, peer=peer),
        best.low,
        "",
        n=len(SEEDS),
        peer=peer,
        target=">= 0",
        note=f"{best.difference:+.4f} [{best.low:+.4f}, {best.high:+.4f}], p = {best.p_value:.4f}, paired over users",
    )


WAYS = {
    "personalised": "popular alike + tastes",
    "ials": "ials alone",
    "popular_alike": "popular alike",
    "popular": "popular",
}


def users(topic: Topic) -> None:
    """People who are held out whole, after their first events."""
    label, metric = "ml_1m/users", "ndcg@20"

    def name(way: str, count: int) -> str:
        return f"{label}/{way}_{count}"

    def make() -> list[Row]:
        found = _users()
        rows, curves = [], {}
        for way, title in WAYS.items():
            values = [[one[str(count)][way][metric] for one in found["by_seed"]] for count in COUNTS]
            curves[title] = [mean(one) for one in values]
            for count, one in zip(COUNTS, values, strict=True):
                rows.append(Row(name(way, count), metric, mean(one), "", spread(one), len(SEEDS)))
        for count in COUNTS:
            peer = "popular"
            ours, theirs = (
                [one[str(count)][way]["by_user"] for one in found["by_seed"]] for way in ("personalised", peer)
            )
            best = ahead(ours, theirs)
            said = (
                f"{best.difference:+.4f} [{best.low:+.4f}, {best.high:+.4f}], p = {best.p_value:.4f}, paired over users"
            )
            rows.append(
                Row(
                    name("personalised", count), GAIN.format(metric=metric, peer=peer), best.low, "", n=len(SEEDS),
                    peer=peer, target=">= 0", note=said,
                )
            )  # fmt: skip
        picture = cold_plot.curve("NDCG@20 of new people of ml_1m, by their first events", [*map(str, COUNTS)], curves)
        (RESULTS / f"{topic.name}.svg").write_text(picture)
        for one in found["by_seed"]:
            for way in (way for count in one.values() for way in count.values()):
                del way["by_user"]
        rows[0].details = found
        return rows

    pairs = [(name(way, count), metric) for way in WAYS for count in COUNTS]
    pairs += [(name("personalised", count), GAIN.format(metric=metric, peer="popular")) for count in COUNTS]
    topic.row(pairs, make, depends=[*USERS, Path(cold_plot.__file__), COUNTS], timed=False, seeds=SEEDS, data=["ml_1m"])


def _users() -> Any:
    return run_job("benchmarks.cold_jobs:users_job", folder=str(data_dir("ml_1m")), counts=COUNTS, seeds=SEEDS)


def onboarding(topic: Topic) -> None:
    """Five answers to our questions against five to the most popular ones."""
    label, metric = "ml_1m/onboarding", "ndcg@20"
    low = GAIN.format(metric=metric, peer="five most popular questions")

    def make() -> list[Row]:
        found = run_job(
            "benchmarks.cold_jobs:onboarding_job",
            folder=str(data_dir("ml_1m")),
            seeds=SEEDS,
        )
        rows = [
            Row(f"{label}/{side}", metric, mean(found[key]), "", spread(found[key]), len(SEEDS), note=note)
            for side, key, note in (
                ("ours", "ours", f"{np.mean(found['known']):.2f} of five questions were known"),
                ("popular", "popular", f"{np.mean(found['known_popular']):.2f} of five questions were known"),
            )
        ]
        said = f"{found['difference']:+.4f} [{found['low']:+.4f}, {found['high']:+.4f}], p = {found['p_value']:.4f}, "
        said += f"paired over {found['users']:,} users"
        rows.append(Row(f"{label}/ours", low, found["low"], "", n=len(SEEDS), peer="popular", target=">= 0", note=said))
        rows[0].details = found
        return rows

    pairs = [(f"{label}/ours", metric), (f"{label}/popular", metric), (f"{label}/ours", low)]
    topic.row(pairs, make, depends=ASKING, timed=False, seeds=SEEDS, data=["ml_1m"])
