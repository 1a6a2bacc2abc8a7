"""Encoders of histories on published data sets: what comes next, among the whole catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks import sequences
from benchmarks.harness import ROOT, Row, Topic, data_dir, run_job, spread

PACKAGE = ROOT / "serendip"
PARTS = ("neural.py", "loop.py", "models/_sequence.py", "nn", "kernels/softmax.py", "scorers/towers.py")
SEEDS = (0, 1, 2)
EVERY, PATIENCE = 2, 4
DATA: dict[str, tuple[str, dict[str, Any]]] = {
    "ml_1m": ("ml_1m", {"order": "time_rank", "least": 5}),
    "ml_1m_bert4rec_order": ("ml_1m", {"order": "time_rank_bert4rec", "least": 5}),
    "s3rec_beauty": ("s3rec_beauty", {}),
}
"""The folder and how it is read; the two orders of `ml_1m` break ties of time in different ways."""

_LONG: dict[str, Any] = {"length": 200, "schedule": "constant", "epochs": 120, "learning_rate": 0.001}
_SHORT: dict[str, Any] = {"length": 50, "schedule": "constant", "epochs": 60, "learning_rate": 0.001}
GRIDS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "ml_1m": {
        "sasrec": [{**_LONG, "factors": 128, "dropout": rate} for rate in (0.2, 0.35)],
        "gru": [{**_LONG, "factors": 128, "hidden": 256, "dropout": rate} for rate in (0.2, 0.35)],
        "lstm": [{**_LONG, "factors": 128, "hidden": 256, "dropout": rate} for rate in (0.2, 0.35)],
        "bow": [{**_LONG, "factors": 128, "hidden": 256, "window": window} for window in (5, 20)],
        "cnn": [{**_LONG, "factors": 128, "hidden": 256, "length": length} for length in (10, 30)],
    },
    "s3rec_beauty": {"sasrec": [{**_SHORT, "factors": 128, "dropout": rate} for rate in (0.4, 0.6)]},
}
ASKED: dict[tuple[str, str], tuple[float, float]] = {
    ("ml_1m", "sasrec"): (0.3264, 0.1930),
    ("ml_1m", "gru"): (0.2962, 0.1693),
    ("s3rec_beauty", "sasrec"): (0.0928, 0.0531),
}


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    for model in GRIDS["ml_1m"]:
        ranked(topic, "ml_1m", model)
    ranked(topic, "ml_1m_bert4rec_order", "sasrec", rule_of="ml_1m")
    ranked(topic, "s3rec_beauty", "sasrec")


def ranked(topic: Topic, data: str, model: str, rule_of: str | None = None, seeds: Sequence[int] = SEEDS) -> None:
    """Options chosen on the training part, then one look at the test a seed; with ``rule_of`` those of another row."""
    folder_name, how = DATA[data]
    grid = GRIDS[rule_of or data][model]
    names = [(f"{data}/{model}", metric) for metric in sequences.METRICS]

    def make() -> list[Row]:
        folder = str(data_dir(folder_name))
        if rule_of is None:
            arguments: dict[str, Any] = {"grid": grid, "every": EVERY, "patience": PATIENCE}
            search = run_job("benchmarks.sequences:search_job", folder=folder, data=how, model=model, **arguments)
        else:
            search = next(row.details for row in topic.rows if row.name == f"{rule_of}/{model}")
        options = search["chosen"]
        found = [
            run_job("benchmarks.sequences:test_job", folder=folder, data=how, model=model, options=options, seed=seed)
            for seed in seeds
        ]
        rows = []
        for place, (name, metric) in enumerate(names):
            values = [one[metric] for one in found]
            asked = ASKED.get((data, model))
            target = None if asked is None else f">= {asked[place]:g}"
            rows.append(Row(name, metric, mean(values), "", spread(values), len(values), target=target))
        rows[0].details = {**search, "test": found}
        return rows

    depends = [*(PACKAGE / part for part in PARTS), PACKAGE / f"models/{model}.py"]
    depends += [Path(sequences.__file__), Path(__file__).parent.parent / "harness.py"]
    topic.row(names, make, depends=[*depends, grid, how, EVERY, PATIENCE], timed=False, seeds=seeds, data=[folder_name])
