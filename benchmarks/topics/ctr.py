"""Rankers on rows with a label: AUC and logloss on Frappe, beside FuxiCTR and DeepCTR-Torch on the same rows.

`benchmarks.frappe` says how the rows are made. The published validation part chooses, for us and for them alike: of
each setting of the grid one fit with seed 0, after as many epochs as serve it best; then three seeds of the best
setting, each judged on the test part after the epoch that was best on the validation part. The test part chooses
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import ctr_jobs, ctr_ratings, frappe
from benchmarks.harness import ROOT, THREADS, Missing, Row, Topic, kept_job, mean, peer_python, spread

PACKAGE = ROOT / "serendip"
PEERS = ROOT / "benchmarks/peers"
METRICS = ("auc", "logloss")
SEEDS = (0, 1, 2)
EPOCHS, PEER_EPOCHS, PATIENCE, BATCH = 15, 40, 3, 4096
"""Epochs at most: theirs need more, as every step draws all vectors to 0."""
VALIDATION, TEST = "validation", "test"
BEST = 0.985

BASE: dict[str, Any] = {"batch_size": BATCH, "length": 0, "learning_rate": 0.01, "epochs": EPOCHS}
DEEP: dict[str, Any] = {"factors": 10, "hidden": 400, "layers": 3}
OURS: dict[str, dict[str, Any]] = {
    "lr": {},
    "fm": {"factors": 10},
    "ffm": {"factors": 10},
    "wide_deep": DEEP,
    "deepfm": DEEP,
    "dcn": {**DEEP, "crosses": 3},
    "dcn_v2": {**DEEP, "crosses": 3},
    "dlrm": DEEP,
    "autoint": DEEP,
    "final_mlp": DEEP,
}
"""Our rankers with their widths; `din` is not among them, as it reads events in their order, which these rows lack."""
GRID = [{"reg": reg} for reg in (0.3, 1.0, 3.0)]
THEIRS: dict[str, Any] = {"dim": 10, "hidden": 400, "layers": 3, "crosses": 3, "batch_norm": False, "dropout": 0.0}
PEER_GRID = [{"reg": reg, "lr": lr} for reg, lr in ((0.001, 0.01), (0.01, 0.01), (0.05, 0.01), (0.01, 0.001))]
"""λ weighs the squares of all vectors of the tables at every step there, and of those that the rows read here."""
PEER: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("lr", "fm", "wide_deep", "deepfm", "dcn", "dcn_v2", "dlrm", "final_mlp"), ("fuxictr", "FuxiCTR 2.3.7")
    ),
    "autoint": ("deepctr", "DeepCTR-Torch 0.3.0"),
}
"""Whose model of the same name it is compared with."""


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    for model in OURS:
        ranker(topic, model)
    best(topic)
    ctr_ratings.measure(topic)


def depends(model: str) -> list[Any]:
    """What our figures of a model rest on."""
    models = (PACKAGE / f"models/{name}.py" for name in (model, "_ranking", "_fields"))
    layers = (PACKAGE / f"nn/{name}" for name in ("fields.py", "ranker.py", "tower.py", "embed.py", "interact"))
    loop = (PACKAGE / name for name in ("loop.py", "neural.py", "nn/losses/pointwise.py"))
    return [*models, *layers, *loop, Path(ctr_jobs.__file__), Path(frappe.__file__)]


def peer_depends(name: str) -> list[Any]:
    """What a peer's figures rest on."""
    return [PEERS / file for file in (f"{name}.txt", f"{name}_rank.py", "judging.py")] + [Path(frappe.__file__)]


def ours(model: str, options: dict[str, Any], seed: int, judge: Sequence[str]) -> list[dict[str, Any]]:
    """The epochs of a fit of ours."""
    if not (PACKAGE / f"models/{model}.py").exists():
        raise Missing(f"{model}: there is no such model")
    file = frappe.written()
    found = kept_job(
        "benchmarks.ctr_jobs:train_job",
        depends=[*depends(model), frappe.checksum(file)],
        file=str(file),
        model=model,
        options={**BASE, **OURS[model], **options},
        seed=seed,
        cores=THREADS,
        judge=judge,
        patience=PATIENCE,
    )
    epochs: list[dict[str, Any]] = found["epochs"]
    return epochs


def theirs(model: str, options: dict[str, Any], seed: int, judge: Sequence[str]) -> list[dict[str, Any]]:
    """The epochs of a fit of the peer's."""
    name, _ = PEER[model]
    file = frappe.written()
    found = kept_job(
        f"benchmarks.peers.{name}_rank:fit",
        depends=[*peer_depends(name), frappe.checksum(file)],
        python=peer_python(name),
        file=str(file),
        fields=frappe.FIELDS,
        model=model,
        options={**THEIRS, **options},
        epochs=PEER_EPOCHS,
        seed=seed,
        cores=THREADS,
        batch_size=BATCH,
        judge=judge,
        patience=PATIENCE,
    )
    epochs: list[dict[str, Any]] = found["epochs"]
    return epochs


def highest(epochs: list[dict[str, Any]]) -> dict[str, Any]:
    """The epoch that the validation part likes best."""
    return max(epochs, key=lambda one: float(one[VALIDATION]["auc"]))


def side(train: Any, model: str, grid: list[dict[str, Any]]) -> dict[str, Any]:
    """Choose the options of a model, then its figures: ``values`` by metric, ``validation``, and how they came."""
    trials = [{"options": one, **highest(train(model, one, 0, [VALIDATION]))} for one in grid]
    chosen = max(trials, key=lambda one: float(one[VALIDATION]["auc"]))["options"]
    final = [highest(train(model, chosen, seed, [VALIDATION, TEST])) for seed in SEEDS]
    return {
        "values": {metric: [one[TEST][metric] for one in final] for metric in METRICS},
        "validation": [one[VALIDATION]["auc"] for one in final],
        "epochs": [one["epoch"] for one in final],
        "chosen": chosen,
        "trials": trials,
    }


def ranker(topic: Topic, model: str) -> None:
    """The rows of one of our rankers, with the peer's figure of the same model beside them."""
    label = f"frappe/{model}"

    def make() -> list[Row]:
        mine = side(ours, model, GRID)
        other = side(theirs, model, PEER_GRID) if model in PEER else None
        rows = [_row(label, model, metric, mine, other) for metric in METRICS]
        rows[0].details = {
            "rows": frappe.checksum(frappe.written()),
            "base": {**BASE, **OURS[model]},
            "ours": mine,
            "peer_base": THEIRS if other else None,
            "peer": other,
        }
        return rows

    files = [*depends(model), *(peer_depends(PEER[model][0]) if model in PEER else []), Path(__file__)]
    names = [(label, metric) for metric in METRICS]
    topic.row(names, make, depends=files, timed=False, seeds=SEEDS, data=[frappe.DATA])


def _row(label: str, model: str, metric: str, mine: dict[str, Any], other: dict[str, Any] | None) -> Row:
    values = mine["values"][metric]
    note = (
        f"published test part, training negatives drawn once (2 for each positive); {len(GRID)} settings of reg and "
        f"the epoch chosen on the published validation part: {mine['chosen']}"
    )
    row = Row(label, metric, mean(values), "", spread(values), len(values), note=note)
    if other is not None:
        found = other["values"][metric]
        middle, wide = mean(found), spread(found) or 0.0
        row.peer = f"{PEER[model][1]}: {middle:.4f} ± {wide:.4f}"
        row.ratio = row.value / middle if metric == "auc" else middle / row.value
        row.target = f">= {middle - wide:.5f}" if metric == "auc" else None
        row.note += f"; theirs of {len(PEER_GRID)} by the same rule: {other['chosen']}"
    return row


def best(topic: Topic) -> None:
    """The ranker that the validation part likes best."""
    names = [("frappe/best", metric) for metric in METRICS]

    def make() -> list[Row]:
        known = [model for model in OURS if (PACKAGE / f"models/{model}.py").exists()]
        found = {model: side(ours, model, GRID) for model in known}
        model = max(found, key=lambda name: mean(found[name]["validation"]))
        note = f"{model}: the best of {len(found)} on the validation part"
        rows = []
        for metric in METRICS:
            values = found[model]["values"][metric]
            rows.append(Row("frappe/best", metric, mean(values), "", spread(values), len(values), note=note))
        rows[0].target = f">= {BEST}"
        rows[0].details = {"validation": {name: mean(one["validation"]) for name, one in found.items()}}
        return rows

    files = [file for model in OURS for file in depends(model)]
    topic.row(names, make, depends=[*files, Path(__file__)], timed=False, seeds=SEEDS, data=[frappe.DATA])
