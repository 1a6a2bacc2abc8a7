"""The best that a ranker of ours does on Frappe, and what keeps those that are compared with others from it.

Of an app that its user has in training, the published parts hold positives alone: none of their negatives is one. So
what is left to tell apart are *new* pairs. Nothing in the rows says which of them training has, so that a ranker must
hold each in its vectors, and of a pair that it holds learns nothing about pairs that are new. The counts of
`benchmarks.frappe_counts` say so, and how often the user takes up anything new; with them a ranker is fitted to the
very same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import frappe, frappe_counts
from benchmarks.harness import Row, Topic, kept_job, mean, spread

LABEL = "frappe/best"
SEEDS = (0, 1, 2)
TARGET = 0.985
BASE: dict[str, Any] = {"batch_size": 4096, "length": 0, "learning_rate": 0.01, "epochs": 8, "factors": 10}
DEEP: dict[str, Any] = {"hidden": 128, "layers": 2}
TRIED: list[tuple[str, dict[str, Any], bool]] = [
    ("deepfm", {**DEEP, "reg": 10.0}, True),
    ("deepfm", {**DEEP, "reg": 30.0}, True),
]
"""A model, its options, and whether it reads the counts; fitted with seed 0, the validation part decides."""

Together = Callable[[Sequence[Callable[[], Any]]], list[Any]]


def fit(depends: list[Any], model: str, options: dict[str, Any], counted: bool, seed: int) -> dict[str, Any]:
    """The epoch that the validation part likes best, on one core."""
    file = frappe_counts.counted()
    found = kept_job(
        "benchmarks.ctr_jobs:train_job",
        depends=[*depends, Path(frappe_counts.__file__), frappe.checksum(frappe.written())],
        threads=1,
        file=str(file),
        model=model,
        options={**BASE, **options},
        seed=seed,
        cores=1,
        judge=["validation", "test"],
        patience=2,
        columns=frappe_counts.COUNTS if counted else (),
    )
    best: dict[str, Any] = max(found["epochs"], key=lambda one: float(one["validation"]["auc"]))
    return best


def measure(topic: Topic, depends: Callable[[str], list[Any]], together: Together) -> None:
    """The rows of the best.

    Args:
        topic: whose rows they are.
        depends: what figures of a model rest on.
        together: carries out several fits at a time.
    """

    def make() -> list[Row]:
        first = together([partial(fit, depends(model), model, more, counted, 0) for model, more, counted in TRIED])
        at = max(range(len(TRIED)), key=lambda place: float(first[place]["validation"]["auc"]))
        model, options, counted = TRIED[at]
        found = together([partial(fit, depends(model), model, options, counted, seed) for seed in SEEDS])
        bound = kept_job(
            "benchmarks.frappe_counts:bound_job",
            depends=[Path(frappe_counts.__file__), frappe.checksum(frappe.written())],
            file=str(frappe_counts.counted()),
            part="test",
        )
        note = _note(model, options, counted, bound)
        rows = []
        for metric in ("auc", "logloss"):
            values = [one["test"][metric] for one in found]
            rows.append(Row(LABEL, metric, mean(values), "", spread(values), len(values), note=note))
        rows[0].target = f">= {TARGET}"
        trials = [
            {"model": name, "options": more, "counts": has, "epoch": one["epoch"], **one["validation"]}
            for (name, more, has), one in zip(TRIED, first, strict=True)
        ]
        rows[0].details = {"tried": trials, "base": BASE, "bound": bound, "seeds": found}
        return rows

    files = [file for model, _, _ in TRIED for file in depends(model)]
    pairs = [(LABEL, metric) for metric in ("auc", "logloss")]
    depending = [*files, Path(frappe_counts.__file__), TRIED, BASE]
    topic.row(pairs, make, depends=depending, timed=False, seeds=SEEDS, data=[frappe.DATA])


def _note(model: str, options: dict[str, Any], counted: bool, bound: dict[str, float]) -> str:
    needed = 1 - (1 - TARGET) / bound["new"]
    return (
        f"{model} {options}{' with counts of training as fields' if counted else ''}: of {len(TRIED)} settings the "
        "best on the validation part by seed 0; the same rows as above, no other negatives. The counts are told of the "
        "other positives of training: how often the user has the app, how much and how much different the user has, "
        f"how many others have the app. Without them: {bound['new']:.1%} of the positives are of pairs that training "
        f"does not have, all negatives are, and {TARGET} needs an AUC of {needed:.2f} among these; of these positives "
        f"{bound['unknown']:.0%} are of apps without a positive in training, {bound['denied']:.0%} are negatives "
        f"there. Pairs of training first and the others by how many have the app: {bound['auc_counts']:.4f}"
    )
