"""Rankers on rows with a label: AUC and logloss on Frappe, beside FuxiCTR and DeepCTR-Torch on the same rows.

`benchmarks.frappe` says how the rows are made. The published validation part chooses, for us and for them alike. Their
settings are chosen for each model by the mean over three seeds of what the validation part says of the best epoch;
after that epoch the test part is judged. It chooses nothing.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import ctr_best, ctr_jobs, ctr_joint, ctr_lists, ctr_ratings, frappe
from benchmarks.harness import ROOT, THREADS, Missing, Row, Topic, kept_job, mean, peer_python, spread

PACKAGE = ROOT / "serendip"
PEERS = ROOT / "benchmarks/peers"
METRICS = ("auc", "logloss")
SEEDS = (0, 1, 2)
EPOCHS, PATIENCE, BATCH = 25, 2, 4096
"""Epochs at most, and how many may bring nothing better before a fit ends, on both sides."""
VALIDATION, TEST = "validation", "test"

BASE: dict[str, Any] = {"batch_size": BATCH, "length": 0, "epochs": EPOCHS, "schedule": "plateau"}
DEEP: dict[str, Any] = {"factors": 10, "hidden": 128, "layers": 2}
OURS: dict[str, dict[str, Any]] = {
    "dcn_v2": {**DEEP, "crosses": 3},
    "deepfm": DEEP,
    "lr": {},
    "fm": {"factors": 10},
    "ffm": {"factors": 10},
    "wide_deep": DEEP,
    "dcn": {**DEEP, "crosses": 3},
    "dlrm": DEEP,
    "autoint": DEEP,
    "final_mlp": DEEP,
}
"""Our rankers with their widths; `din` is not among them, as it reads events in their order, which these rows lack."""
TRIED = [(0.0001, 0.02), (0.0001, 0.03), (0.00003, 0.03), (0.0003, 0.02), (0.001, 0.01)]
"""λ, which weighs the squares of all vectors of the tables at every step, and the size of the steps: the same are tried
on both sides. On both the steps fall to a tenth after each epoch that is no better."""
GRID: list[dict[str, Any]] = [{"table_reg": reg, "learning_rate": rate} for reg, rate in TRIED]
PEER_GRID: list[dict[str, Any]] = [{"reg": reg, "lr": rate} for reg, rate in TRIED]
THEIRS: dict[str, Any] = {"dim": 10, "hidden": 128, "layers": 2, "crosses": 3, "batch_norm": False, "dropout": 0.0}
SHORT = (
    "Tried besides, on the validation part: steps that stay as they are, fall evenly or as half a cosine, layers that "
    "begin as theirs do (Glorot, normal), vectors a hundred times smaller to begin with. With the same settings both "
    "go alike epoch by epoch; what is left between them is after which one the steps first fall"
)
"""Said where the peer is better."""
PEER: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("lr", "fm", "wide_deep", "deepfm", "dcn", "dcn_v2", "dlrm", "final_mlp"), ("fuxictr", "FuxiCTR 2.3.7")
    ),
    "autoint": ("deepctr", "DeepCTR-Torch 0.3.0"),
}
"""Whose model of the same name it is compared with."""
Fit = Callable[[str, dict[str, Any], int], list[dict[str, Any]]]


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    for model in OURS:
        ranker(topic, model)
    ctr_best.measure(topic, depends, together)
    ctr_ratings.measure(topic)
    ctr_joint.measure(topic)
    ctr_lists.measure(topic)


def depends(model: str) -> list[Any]:
    """What our figures of a model rest on."""
    models = (PACKAGE / f"models/{name}.py" for name in (model, "_ranking", "_fields"))
    layers = (PACKAGE / f"nn/{name}" for name in ("fields.py", "ranker.py", "tower.py", "embed.py", "interact"))
    loop = (PACKAGE / name for name in ("loop.py", "neural.py", "nn/losses/pointwise.py"))
    return [*models, *layers, *loop, Path(ctr_jobs.__file__), Path(frappe.__file__)]


def peer_depends(name: str) -> list[Any]:
    """What a peer's figures rest on."""
    return [PEERS / file for file in (f"{name}.txt", f"{name}_rank.py", "judging.py")] + [Path(frappe.__file__)]


def ours(model: str, options: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """The epochs of a fit of ours, on one core."""
    if not (PACKAGE / f"models/{model}.py").exists():
        raise Missing(f"{model}: there is no such model")
    file = frappe.written()
    found = kept_job(
        "benchmarks.ctr_jobs:train_job",
        depends=[*depends(model), frappe.checksum(file)],
        threads=1,
        file=str(file),
        model=model,
        options={**BASE, **OURS[model], **options},
        seed=seed,
        cores=1,
        judge=[VALIDATION, TEST],
        patience=PATIENCE,
    )
    epochs: list[dict[str, Any]] = found["epochs"]
    return epochs


def theirs(model: str, options: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """The epochs of a fit of the peer's, on one core."""
    name, _ = PEER[model]
    file = frappe.written()
    found = kept_job(
        f"benchmarks.peers.{name}_rank:fit",
        depends=[*peer_depends(name), frappe.checksum(file)],
        python=peer_python(name),
        threads=1,
        file=str(file),
        fields=frappe.FIELDS,
        model=model,
        options={**THEIRS, **options},
        epochs=EPOCHS,
        seed=seed,
        cores=1,
        batch_size=BATCH,
        judge=[VALIDATION, TEST],
        patience=PATIENCE,
    )
    epochs: list[dict[str, Any]] = found["epochs"]
    return epochs


def together(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    """What jobs return, as many of them at a time as there are cores to measure with, each on a core of its own."""
    cores = queue.SimpleQueue[int]()
    for core in sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else ():
        cores.put(core)

    def settle() -> None:
        if not cores.empty():
            os.sched_setaffinity(0, {cores.get()})

    with ThreadPoolExecutor(THREADS, initializer=settle) as pool:
        return list(pool.map(lambda job: job(), jobs))


def highest(epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """The epoch that the validation part likes best."""
    return max(epochs, key=lambda one: float(one[VALIDATION]["auc"]))


def sides(model: str) -> list[dict[str, Any]]:
    """For us, and for the peer if there is one: how the options were chosen, and the figures of all seeds."""
    trains: list[tuple[Fit, list[dict[str, Any]]]] = [(ours, GRID)]
    if model in PEER:
        trains.append((theirs, PEER_GRID))
    tried = iter(
        together([partial(train, model, one, seed) for train, grid in trains for one in grid for seed in SEEDS])
    )
    out = []
    for _, grid in trains:
        trials = []
        for one in grid:
            best = [highest(next(tried)) for _ in SEEDS]
            told = {
                "validation": [each[VALIDATION]["auc"] for each in best],
                "epochs": [each["epoch"] for each in best],
            }
            trials.append({"options": one, **told, "test": [each[TEST] for each in best]})
        chosen = max(trials, key=lambda one: mean(one["validation"]))
        values = {metric: [each[metric] for each in chosen["test"]] for metric in METRICS}
        shown = [{name: value for name, value in one.items() if name != "test"} for one in trials]
        out.append({"values": values, "chosen": chosen["options"], "trials": shown})
    return out


def ranker(topic: Topic, model: str) -> None:
    """The rows of one of our rankers, with the peer's figure of the same model beside them."""
    label = f"frappe/{model}"

    def make() -> list[Row]:
        mine, *others = sides(model)
        other = others[0] if others else None
        rows = [_row(label, model, metric, mine, other) for metric in METRICS]
        rows[0].details = {
            "rows": frappe.checksum(frappe.written()),
            "base": {**BASE, **OURS[model]},
            "ours": mine,
            "peer_base": THEIRS if other else None,
            "peer": other,
        }
        return rows

    files = [*depends(model), *(peer_depends(PEER[model][0]) if model in PEER else [])]
    plan = [GRID, PEER_GRID, BASE, THEIRS, OURS[model], EPOCHS, PATIENCE]
    names = [(label, metric) for metric in METRICS]
    topic.row(names, make, depends=[*files, *plan], timed=False, seeds=SEEDS, data=[frappe.DATA])


def _row(label: str, model: str, metric: str, mine: dict[str, Any], other: dict[str, Any] | None) -> Row:
    values = mine["values"][metric]
    note = (
        "published test part, training negatives drawn once (2 for each positive); the epoch and, of "
        f"{len(GRID)} settings tried, {mine['chosen']} chosen on the published validation part"
    )
    row = Row(label, metric, mean(values), "", spread(values), len(values), note=note)
    if other is not None:
        found = other["values"][metric]
        middle, wide = mean(found), spread(found) or 0.0
        row.peer = f"{PEER[model][1]}: {middle:.4f} ± {wide:.4f}"
        row.ratio = row.value / middle if metric == "auc" else middle / row.value
        row.target = f">= {middle - wide:.5f}" if metric == "auc" else None
        row.note += f"; theirs of {len(PEER_GRID)} tried by the same rule: {other['chosen']}"
        if row.judged().holds is False:
            row.note += f". {SHORT}"
    return row
