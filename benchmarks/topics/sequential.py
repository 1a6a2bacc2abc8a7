"""Encoders of histories on published data sets: what comes next, among the whole catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks import sequences
from benchmarks.harness import ROOT, Row, Topic, data_dir, kept_job, spread

PACKAGE = ROOT / "serendip"
PARTS = (
    *("neural.py", "loop.py", "models/_sequence.py", "scorers/towers.py"),
    *(f"nn/{name}" for name in ("sequence", "catalogue.py", "dropout.py", "embed.py", "history.py", "schedule.py")),
)
SEEDS = (0, 1, 2)
DATA: dict[str, tuple[str, dict[str, Any]]] = {
    "ml_1m": ("ml_1m", {"order": "time_rank", "least": 5}),
    "ml_1m_bert4rec_order": ("ml_1m", {"order": "time_rank_bert4rec", "least": 5}),
    "s3rec_beauty": ("s3rec_beauty", {}),
}
"""The folder and how it is read; the two orders of `ml_1m` break ties of time in different ways."""

_FALLING: dict[str, Any] = {"schedule": "cosine", "warmup_steps": 200, "learning_rate": 0.001, "precision": "bfloat16"}
_LONG: dict[str, Any] = {**_FALLING, "length": 200, "factors": 128, "batch_size": 32, "dropout": 0.3, "epochs": 40}
_SHORT: dict[str, Any] = {**_FALLING, "length": 50, "factors": 128, "batch_size": 128, "dropout": 0.5, "epochs": 30}
GRIDS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "ml_1m": {
        "sasrec": [_LONG],
        "gru": [{**_LONG, "hidden": 256}],
        "lstm": [{**_LONG, "hidden": 256}],
        "bow": [{**_LONG, "hidden": 256, "window": 20}],
        "cnn": [{**_LONG, "hidden": 256, "length": 30}],
        "bert4rec": [{**_LONG, "hidden": 512, "activation": "gelu", "epochs": 100}],
    },
    "s3rec_beauty": {"sasrec": [_SHORT]},
}
"""What the trials try."""
ASKED: dict[tuple[str, str], tuple[float, float]] = {
    ("ml_1m", "sasrec"): (0.3264, 0.1930),
    ("ml_1m", "gru"): (0.2962, 0.1693),
    ("ml_1m", "bert4rec"): (0.2843, 0.1537),
    ("s3rec_beauty", "sasrec"): (0.0928, 0.0531),
}


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    for model in GRIDS["ml_1m"]:
        ranked(topic, "ml_1m", model)
    ranked(topic, "ml_1m_bert4rec_order", "sasrec", rule_of="ml_1m")
    for model in GRIDS["s3rec_beauty"]:
        ranked(topic, "s3rec_beauty", model)


def rests_on(model: str) -> list[Path]:
    """The files that a model's figures rest on."""
    return [*(PACKAGE / part for part in PARTS), PACKAGE / f"models/{model}.py", Path(sequences.__file__)]


def judged(data: str, model: str, options: dict[str, Any], seed: int, *, inner: bool, threads: int = 2) -> Any:
    """One training, kept for the next time."""
    folder, how = DATA[data]
    arguments: dict[str, Any] = {"data": how, "model": model, "options": options, "seed": seed, "inner": inner}
    target = "benchmarks.sequences:job"
    return kept_job(target, depends=rests_on(model), threads=threads, folder=str(data_dir(folder)), **arguments)


def ranked(topic: Topic, data: str, model: str, rule_of: str | None = None, seeds: Sequence[int] = SEEDS) -> None:
    """Options chosen on the training part, then one look at the test a seed; with ``rule_of`` those of another row."""
    folder, how = DATA[data]
    grid = GRIDS[rule_of or data][model]
    names = [(f"{data}/{model}", metric) for metric in sequences.METRICS]

    def make() -> list[Row]:
        trials = [judged(rule_of or data, model, options, 0, inner=True) for options in grid]
        best = max(trials, key=lambda trial: trial["ndcg@10"])
        found = [judged(data, model, best["options"], seed, inner=False) for seed in seeds]
        rows = []
        for place, (name, metric) in enumerate(names):
            values = [one[metric] for one in found]
            asked = ASKED.get((data, model))
            target = None if asked is None else f">= {asked[place]:g}"
            note = f"{len(trials)} trial(s) within the training part; learns from all of a history but its last item"
            rows.append(Row(name, metric, mean(values), "", spread(values), len(values), target=target, note=note))
        rows[0].details = {"rule": sequences.RULE, "trials": trials, "chosen": best["options"], "test": found}
        return rows

    depends = [*rests_on(model), grid, how]
    topic.row(names, make, depends=depends, timed=False, seeds=seeds, data=[folder])
