"""Encoders of histories on published data sets: what comes next, among the whole catalogue."""

from __future__ import annotations

from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks import sequences
from benchmarks.harness import ROOT, Row, Topic, data_dir, kept_job, spread

PACKAGE = ROOT / "serendip"
PARTS = (
    *("neural.py", "loop.py", "models/_sequence.py", "scorers/asked.py", "scorers/towers.py"),
    *(f"nn/{name}" for name in ("sequence", "catalogue.py", "dropout.py", "embed.py", "history.py", "schedule.py")),
)
SEEDS = (0, 1, 2)
HOURS = ("sasrec", "gru", "lstm", "cnn", "bert4rec")
"""With three seeds a row of these takes beyond two hours on long histories: it has one."""
DATA: dict[str, tuple[str, dict[str, Any]]] = {
    "ml_1m": ("ml_1m", {"order": "time_rank", "least": 5}),
    "ml_1m_bert4rec_order": ("ml_1m", {"order": "time_rank_bert4rec", "least": 5}),
    "s3rec_beauty": ("s3rec_beauty", {}),
}
"""The folder and how it is read; the two orders of `ml_1m` break ties of time in different ways."""

_FALLING: dict[str, Any] = {"schedule": "cosine", "warmup_steps": 200, "learning_rate": 0.001, "precision": "bfloat16"}
_LONG: dict[str, Any] = {**_FALLING, "length": 200, "factors": 128, "batch_size": 32, "dropout": 0.3, "epochs": 40}
_SHORT: dict[str, Any] = {**_FALLING, "length": 50, "factors": 128, "batch_size": 128, "dropout": 0.5, "epochs": 30}
_CLOZE: dict[str, Any] = {**_LONG, "hidden": 512, "activation": "gelu", "epochs": 26}
_OPEN: dict[str, Any] = {"dropout": 0.1, "gated": True, "gaps": 0.4}
_SOON: dict[str, Any] = {"length": 100, "batch_size": 16, "learning_rate": 0.002, "warmup_steps": 400}
GRIDS: dict[str, dict[str, list[dict[str, Any]]]] = {
    "ml_1m": {
        "sasrec": [_LONG, {**_LONG, "gated": True}],
        "gru": [{**_LONG, "hidden": 256}],
        "lstm": [{**_LONG, "hidden": 256, "epochs": 24}],
        "bow": [{**_LONG, "hidden": 256, "window": 20, "epochs": 24}],
        "cnn": [{**_LONG, "hidden": 256, "length": 30, "epochs": 24}],
        "bert4rec": [_CLOZE, {**_CLOZE, **_OPEN}, {**_CLOZE, **_OPEN, **_SOON}],
    },
    "s3rec_beauty": {"sasrec": [_SHORT]},
}
"""What the trials try."""
SHARE: dict[str, float] = {"ml_1m": 0.4, "ml_1m/bert4rec": 0.3, "s3rec_beauty": 1}
"""For how many of its epochs a trial learns, by data, or by data and model."""
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
    best(topic, "ml_1m")


def rests_on(model: str) -> list[Path]:
    """The files that a model's figures rest on."""
    return [*(PACKAGE / part for part in PARTS), PACKAGE / f"models/{model}.py", Path(sequences.__file__)]


def judged(data: str, model: str, options: dict[str, Any], seed: int, *, inner: bool, threads: int = 2) -> Any:
    """One training, kept for the next time."""
    folder, how = DATA[data]
    arguments: dict[str, Any] = {"data": how, "model": model, "options": options, "seed": seed, "inner": inner}
    target = "benchmarks.sequences:job"
    return kept_job(target, depends=rests_on(model), threads=threads, folder=str(data_dir(folder)), **arguments)


def trial(data: str, model: str, options: dict[str, Any]) -> Any:
    """One training within the training part."""
    shorter = {**options, "epochs": round(SHARE.get(f"{data}/{model}", SHARE[data]) * options["epochs"])}
    return judged(data, model, shorter, 0, inner=True)


def ranked(topic: Topic, data: str, model: str, rule_of: str | None = None) -> None:
    """Options chosen on the training part where there are several, then one look at the test a seed; with ``rule_of``
    those of another row."""
    folder, how = DATA[data]
    grid = GRIDS[rule_of or data][model]
    names = [(f"{data}/{model}", metric) for metric in sequences.METRICS]
    seeds = SEEDS[:1] if model in HOURS and how.get("order") else SEEDS

    def make() -> list[Row]:
        trials = [trial(rule_of or data, model, options) for options in grid] if len(grid) > 1 else []
        chosen = grid[max(range(len(trials)), key=lambda number: trials[number]["ndcg@10"]) if trials else 0]
        found = [judged(data, model, chosen, seed, inner=False) for seed in seeds]
        rows = []
        for place, (name, metric) in enumerate(names):
            values = [one[metric] for one in found]
            asked = ASKED.get((data, model))
            target = None if asked is None else f">= {asked[place]:g}"
            note = f"{len(trials)} trials within the training part" if trials else "options set before any run"
            note += "; learns from all of a history but its last item"
            note += "" if len(seeds) > 1 else "; one seed: three take beyond two hours"
            rows.append(Row(name, metric, mean(values), "", spread(values), len(values), target=target, note=note))
        rows[0].details = {"rule": sequences.RULE, "trials": trials, "chosen": chosen, "test": found}
        return rows

    depends = [*rests_on(model), grid, how]
    topic.row(names, make, depends=depends, timed=False, seeds=seeds, data=[folder])


def best(topic: Topic, data: str) -> None:
    """The figures of the model whose trial was the best, of those that had trials."""
    rows = {(row.name, row.metric): row for row in topic.rows}
    several = [model for model, grid in GRIDS[data].items() if len(grid) > 1]
    found = [rows.get((f"{data}/{model}", sequences.METRICS[0])) for model in several]
    if any(row is None or not row.details for row in found):
        return
    reached = {row.name: max(one["ndcg@10"] for one in row.details["trials"]) for row in found if row is not None}
    name = max(reached, key=lambda name: reached[name])
    note = (
        f"{name.rpartition('/')[2]}, whose best trial reached {reached[name]:.4f} NDCG@10; tried: {', '.join(several)}"
    )

    def make() -> list[Row]:
        same = [rows[name, metric] for metric in sequences.METRICS]
        return [Row(f"{data}/best", row.metric, row.value, "", row.sd, row.n, note=note) for row in same]

    names = [(f"{data}/best", metric) for metric in sequences.METRICS]
    seeds = SEEDS[: max(row.n for row in rows.values() if row.name == name)]
    depends = [reached, [rows[name, metric].value for metric in sequences.METRICS]]
    topic.row(names, make, depends=depends, timed=False, seeds=seeds, data=[DATA[data][0]])
