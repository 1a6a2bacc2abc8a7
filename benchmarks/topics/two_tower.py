"""Two towers: the moment as context, items known by features, and bags of what somebody has."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import moment_jobs, tower_jobs
from benchmarks.harness import ROOT, Row, Topic, data_dir, mean, run_job, spread

PACKAGE = ROOT / "serendip"
FILES = [
    *(PACKAGE / f"models/{name}.py" for name in ("two_tower", "_retrieval", "_past", "_items")),
    *(PACKAGE / f"nn/{name}.py" for name in ("query", "bags", "catalogue", "embed", "tower")),
    PACKAGE / "nn/losses/retrieval.py",
    PACKAGE / "data/features",
]
SEEDS = (0, 1, 2)

_BAG: dict[str, Any] = {"history": "others", "length": 600, "tied": False, "hidden": 128, "schedule": "constant"}
MOMENTS: dict[str, dict[str, Any]] = {"without": {**_BAG, "epochs": 16}, "with": {**_BAG, "epochs": 12}}
MOMENT_TRIALS: list[tuple[str, dict[str, Any], float]] = [
    ("without", {**_BAG, "tied": True, "hidden": None, "epochs": 40}, 0.3992),
    ("without", {**_BAG, "hidden": None, "epochs": 24}, 0.4010),
    ("without", MOMENTS["without"], 0.4032),
    ("with", MOMENTS["with"], 0.4073),
]
"""What `moment_jobs.trial_job` found: top-100 accuracy on the hold-out after the best number of epochs."""
TFRS = 0.30

_NEAR: dict[str, Any] = {"history": "others", "hidden": None, "projected": False, "normalise": True}
_NEAR |= {"temperature": 0.07, "factors": 96, "schedule": "constant", "learning_rate": 0.005, "epochs": 8}
ITEMS: dict[str, list[dict[str, Any]]] = {
    "ids": [{**_NEAR, "items_by": "ids"}],
    "features": [{**_NEAR, "items_by": "features"}],
    "both": [{**_NEAR, "items_by": "both", "id_dropout": 0.5}],
}
"""How items are known; all else alike. The number of epochs is found on the hold-out."""
PER_DATA: dict[str, dict[str, Any]] = {"s3rec_beauty": {"length": 50}, "ml_1m": {"length": 200, "per_user": 50}}
GOWALLA: dict[str, Any] = {"history": "others", "length": 1000, "hidden": None, "projected": False, "normalise": True}
GOWALLA |= {"temperature": 0.1, "factors": 128, "batch_size": 4096, "learning_rate": 0.007, "schedule": "cosine"}
GOWALLA |= {"epochs": 9}
GOWALLA_TRIALS: list[tuple[dict[str, Any], float]] = [
    ({**GOWALLA, "factors": 64, "batch_size": 8192, "learning_rate": 0.01, "schedule": "constant"}, 0.1471),
    ({**GOWALLA, "epochs": 5}, 0.1574),
    ({**GOWALLA, "epochs": 5, "temperature": 0.07}, 0.1496),
    ({**GOWALLA, "epochs": 5, "temperature": 0.14}, 0.1449),
    ({**GOWALLA, "temperature": 0.07}, 0.1506),
    (GOWALLA, 0.1607),
]
"""Two towers on 3,000 users of the hold-out of Gowalla's training part: NDCG@20 after so many epochs."""
PUBLISHED = (0.1754, 0.1473)
BASELINES = ("popular", "content")
USERS = 2000


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    moments(topic)
    items(topic, "s3rec_beauty")
    items(topic, "ml_1m")
    bags(topic, "gowalla_lightgcn")


def moments(topic: Topic) -> None:
    """TFRS's own protocol on MovieLens-100K, without and with the moment as context."""
    label, metric = "ml_100k/two_tower", "top-100 accuracy"
    low = "gain of top-100 accuracy by the moment, low end of 95%"

    def make() -> list[Row]:
        folder = str(data_dir("ml_100k"))
        found = [
            run_job("benchmarks.moment_jobs:moments_job", folder=folder, seed=seed, options=MOMENTS) for seed in SEEDS
        ]
        counted = {kind: [one[kind].pop("found") for one in found] for kind in MOMENTS}
        events = [[one[kind].pop("events") for kind in MOMENTS] for one in found]
        how = (
            "random 80/20 of all ratings, one split; a query is all other training events of the user, later ones too, "
        )
        how += "as an id in TFRS knows them; no item is left out of the lists; options by hand on a fifth of training"
        rows = []
        for kind, name, note in (("without", label, how), ("with", f"{label}_time", f"{how}; asked at the moment")):
            values = [one[kind]["top_100"] for one in found]
            rows.append(Row(name, metric, mean(values), "", spread(values), len(SEEDS), target=f">= {TFRS}", note=note))
        best = moment_jobs.gain([one[0] for one in events], counted["with"], counted["without"])
        note = (
            f"{best.difference:+.4f} [{best.low:+.4f}, {best.high:+.4f}], p = {best.p_value:.4f}; paired over users, "
        )
        note += "whose events are not independent"
        rows.append(Row(f"{label}_time", low, best.low, "", n=len(SEEDS), peer="without", target=">= 0", note=note))
        rows[0].details = {
            "rule": moment_jobs.MOMENTS_RULE,
            "trials": MOMENT_TRIALS,
            "chosen": MOMENTS,
            "by_seed": found,
        }
        return rows

    pairs = [(label, metric), (f"{label}_time", metric), (f"{label}_time", low)]
    topic.row(
        pairs, make, depends=[*FILES, Path(moment_jobs.__file__), MOMENTS], timed=False, seeds=SEEDS, data=["ml_100k"]
    )


def bags(topic: Topic, data: str) -> None:
    """A published split without an order of events: a query is the bag of all that somebody has."""
    label, metrics = f"{data}/two_tower", ("recall@20", "ndcg@20")

    def make() -> list[Row]:
        folder = str(data_dir(data))
        found = [
            run_job("benchmarks.holdout:test_job", folder=folder, model="two_tower", options=GOWALLA, seed=seed)
            for seed in SEEDS
        ]
        note = "options by hand on a hold-out of the training part (the trials stand in the details)"
        rows = []
        for metric, bound in zip(metrics, PUBLISHED, strict=True):
            values = [one[metric] for one in found]
            target = f">= {bound:g}"
            rows.append(Row(label, metric, mean(values), "", spread(values), len(SEEDS), target=target, note=note))
        rows[0].details = {"trials": GOWALLA_TRIALS, "chosen": GOWALLA, "test": found}
        return rows

    depends = [*FILES, ROOT / "benchmarks/holdout.py", GOWALLA]
    topic.row([(label, metric) for metric in metrics], make, depends=depends, timed=False, seeds=SEEDS, data=[data])


def items(topic: Topic, data: str) -> None:
    """Items by ids, by features and by both: known ones, and among themselves those that nobody has had."""
    kinds = [*BASELINES, *ITEMS]
    grids = {kind: [{**one, **PER_DATA[data]} for one in grid] for kind, grid in ITEMS.items()}

    def make() -> list[Row]:
        folder = str(data_dir(data))
        search = run_job(
            "benchmarks.tower_jobs:search_items_job",
            folder=folder,
            name=data,
            seeds=SEEDS,
            grids=grids,
            users=USERS,
        )
        options = {kind: search[kind]["chosen"] for kind in ITEMS}
        found = [
            run_job("benchmarks.tower_jobs:items_job", folder=folder, name=data, seed=seed, options=options)
            for seed in SEEDS
        ]
        users = {kind: [one[kind].pop("by_user") for one in found] for kind in kinds}
        rows = [row for kind in kinds for row in _figures(data, kind, found)]
        for kind in ("features", "both"):
            rows += [_ahead(data, kind, baseline, users) for baseline in BASELINES]
        rows[0].details = {**search, "by_seed": found}
        return rows

    pairs = [(f"{data}/{kind}_{part}", metric) for kind in kinds for part, metric in _shown(kind)]
    pairs += [(f"{data}/{kind}_cold", _gain(baseline)) for kind in ("features", "both") for baseline in BASELINES]
    depends = [
        *FILES,
        Path(tower_jobs.__file__),
        PACKAGE / "models/content.py",
        PACKAGE / "models/_features.py",
        grids,
        USERS,
    ]
    topic.row(pairs, make, depends=depends, timed=False, seeds=SEEDS, data=[data])


def _shown(kind: str) -> list[tuple[str, str]]:
    """The part and the metric of each figure: ids say nothing of items that nobody has had."""
    warm = [("warm", metric) for metric in tower_jobs.WARM]
    return warm if kind == "ids" else warm + [("cold", metric) for metric in tower_jobs.COLD]


def _gain(baseline: str) -> str:
    return f"gain of recall@20 over {baseline}, low end of 95%"


def _figures(data: str, kind: str, found: Sequence[dict[str, Any]]) -> list[Row]:
    notes = {
        "warm": "the last event of each user with a known item, among all items",
        "cold": "items that nobody has had, among themselves",
    }
    rows = []
    for part, metric in _shown(kind):
        values = [one[kind][part][metric] for one in found]
        rows.append(
            Row(f"{data}/{kind}_{part}", metric, mean(values), "", spread(values), len(values), note=notes[part])
        )
    return rows


def _ahead(data: str, kind: str, baseline: str, users: dict[str, list[dict[str, float]]]) -> Row:
    best = tower_jobs.ahead(users[kind], users[baseline])
    note = f"{best.difference:+.4f} [{best.low:+.4f}, {best.high:+.4f}], p = {best.p_value:.4f}, paired over users"
    return Row(
        f"{data}/{kind}_cold",
        _gain(baseline),
        best.low,
        "",
        n=len(SEEDS),
        peer=baseline,
        target=">= 0",
        note=note,
    )
