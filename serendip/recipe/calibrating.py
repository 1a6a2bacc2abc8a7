"""Probabilities that come true as often as they say: learned on a part held out, of one label or of each of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.data.rows import EventRows, row_queries
from serendip.evaluate.foretold import foretell, read_by
from serendip.evaluate.rows import log_losses
from serendip.model import Model
from serendip.recipe.sections import Calibrating
from serendip.scorers import Calibrated, Calibration, TaskCalibration, TaskScorer
from serendip.types import ABSENT, Ids, Scorer, SerendipError

BINARY = "binary"
PLATT: Calibrating = "platt"
FOLDS = 5
SLACK = 0.005
"""The share by which the log-loss of another calibration must be lower for it to be taken instead of what was asked."""

OFF = 2.0
"""How many times the odds of what came true those of what is foretold of it on average may be, or the other way."""
TINY = 1e-12


def require_binary(model: Model, data: Dataset) -> None:
    """That the model learns a binary label of the events, and if it learns just one, that.

    Raises:
        SerendipError: it does not; it says what it learns.
    """
    known, kinds = data.events.labels, data.schema.labels
    learned = model.labels or tuple(getattr(model.config, "tasks", ())) or tuple(known)
    found = [name for name in learned if kinds.get(name) == BINARY]
    if found or any(name not in known for name in learned):  # what there is not, the fit itself refuses
        return
    raise SerendipError(
        "fit.calibration needs a model that learns a binary label, such as dcn_v2 with model.label, or one of several "
        f"tasks. {model.name} learns {', '.join(learned) or 'interest'}. Leave fit.calibration out."
    )


def learned_on(scorer: Scorer, label: str | None, rows: EventRows, kind: Calibrating) -> dict[str, Calibration]:
    """From what a scorer says of rows to their labels, by label: of that kind, or what `chosen` takes in its place.

    Args:
        scorer: what had not seen the rows.
        label: what its score is the logit of; None: it is of several tasks, and each that is a binary label counts.
        rows: what was held out.
        kind: of the calibrations.

    Raises:
        SerendipError: no row has both a score and the label, or no task is a binary label.
    """
    made = {}
    for name, values in _scores(scorer, label, rows).items():
        able = np.isfinite(values) & ~np.isnan(rows.labels[name])
        if not able.any():
            raise SerendipError(
                f"fit.calibration needs held-out events that have the label {name!r} and a score. There are none among "
                f"{len(rows):,}. Try another split, or leave it out."
            )
        made[name] = chosen(values[able], rows.labels[name][able], kind, probabilities=label is None)
    return made


def chosen(scores: NDArray[Any], labels: NDArray[Any], kind: Calibrating, *, probabilities: bool) -> Calibration:
    """The calibration of that kind; Platt's, or none, where its log-loss on rows not learned from is lower by `SLACK`.

    A fifth of the rows is judged by what the others teach, in turn. Isotonic regression on a few positives foretells 0
    of whole ranges, and any calibration may be worse than a model that is right already.

    Args:
        scores: ``[m]`` finite.
        labels: ``[m]`` 0 or 1.
        kind: what was asked for.
        probabilities: whether the scores are probabilities, and not their logits.
    """
    raw = Calibration("platt", probabilities)
    if len(labels) < FOLDS:
        return raw
    order = np.random.default_rng(0).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # each fifth has its share of either label
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % FOLDS
    losses: dict[Calibrating | None, float] = {}
    for one in dict.fromkeys((kind, PLATT)):
        said = np.empty(len(labels))
        for part in range(FOLDS):
            learned, judged = fold != part, fold == part
            made = Calibration.fit(scores[learned], labels[learned], kind=one, probabilities=probabilities)
            said[judged] = made(scores[judged])
        losses[one] = float(log_losses(labels, said).mean())
    losses[None] = float(log_losses(labels, raw(scores).astype(np.float64)).mean())
    best = min(losses, key=lambda one: losses[one] * (1 - SLACK if one == kind else 1))
    return raw if best is None else Calibration.fit(scores, labels, kind=best, probabilities=probabilities)


def borne_out(
    scorer: Scorer, by: Mapping[str, Calibration], label: str | None, rows: EventRows
) -> tuple[dict[str, Calibration], list[str]]:
    """The calibrations, without those by which another fit foretells far more or less than came true; and why.

    What was learned from the scores of one fit is asked of those of another, which lie a little higher or lower. Where
    scores hardly differ from each other, a calibration is so steep that a little is much.

    Args:
        scorer: of the fit to all of the data, not calibrated.
        by: what `learned_on` found.
        label: as of `learned_on`.
        rows: the same rows, in the codes of all of the data (`recoded`).
    """
    kept, said = dict(by), []
    for name, values in _scores(scorer, label, rows).items():
        able = np.isfinite(values) & ~np.isnan(rows.labels[name])
        if by[name].unchanged or not able.any():
            continue
        true, means = rows.labels[name][able], float(by[name](values[able]).mean(dtype=np.float64))
        came = (float(true.sum(dtype=np.float64)) + 0.5) / (len(true) + 1)
        if not 1 / OFF <= means / (1 - means + TINY) / (came / (1 - came)) <= OFF:
            kept[name] = Calibration("platt", by[name].probabilities)
            said.append(
                f"Leaving {name} as it is: calibrated, the fit to all of the data foretells {means:.3g} on average "
                f"where {came:.3g} came true"
            )
    return kept, said


def recoded(rows: EventRows, data: Dataset) -> EventRows:
    """Rows in the codes of a part of the data, as rows in the codes of all of them."""
    users, items = data.user_ids.encode(rows.data.user_ids.ids), data.item_ids.encode(rows.data.item_ids.ids)

    def told(codes: Ids, known: Ids) -> Ids:
        found: Ids = np.append(known, np.int32(ABSENT))[codes]  # the last one is that of `ABSENT`
        return found

    histories = replace(rows.histories, items=told(rows.histories.items, items))
    return replace(rows, data=data, histories=histories, users=told(rows.users, users), items=told(rows.items, items))


def in_place_of(kind: Calibrating, by: Mapping[str, Calibration]) -> list[str]:
    """Sentences on labels that are calibrated otherwise than was asked for."""
    why = f"in place of {kind}: the log-loss of rows that it had not learned from was lower so"
    return [
        f"Leaving {label} as it is, {why}" if one.unchanged else f"Calibrating {label} by {one.kind}, {why}"
        for label, one in by.items()
        if one.unchanged or one.kind != kind
    ]


def calibrated(scorer: Scorer, by: Mapping[str, Calibration]) -> Scorer:
    """The scorer with the calibrations that `learned_on` found."""
    if isinstance(scorer, TaskScorer):
        return scorer.calibrated([TaskCalibration.of(name, one) for name, one in by.items() if not one.unchanged])
    ((label, one),) = by.items()
    return Calibrated(scorer, label, one)


def uncalibrated(scorer: Scorer) -> Scorer | None:
    """What it was before; None where it is not calibrated."""
    if isinstance(scorer, Calibrated):
        return scorer.part
    return scorer.calibrated(()) if isinstance(scorer, TaskScorer) and scorer.calibrations else None


def _scores(scorer: Scorer, label: str | None, rows: EventRows) -> dict[str, NDArray[np.float64]]:
    """``[m]`` by label: the logit of the one, or the probability of each task that is a binary label."""
    return _foretold(scorer, rows) if label is None else {label: foretell(scorer, rows, (label,), ())[label].values}


def _foretold(scorer: Scorer, rows: EventRows) -> dict[str, NDArray[np.float64]]:
    """``[m]`` of each task that is a binary label, NaN where nothing is foretold."""
    tasks = scorer.tasks if isinstance(scorer, TaskScorer) else ()
    names = [name for name in tasks if name in rows.labels and rows.label(name)[1] == BINARY]
    if not isinstance(scorer, TaskScorer) or not names:
        raise SerendipError(
            "fit.calibration needs a task that is a binary label of the events. "
            f"Got {', '.join(tasks) or 'none'} instead. Leave fit.calibration out."
        )
    out = {name: np.full(len(rows), np.nan) for name in names}
    for chosen, queries in row_queries(rows, read_by(scorer)):
        found = scorer.foretold(queries, rows.items[chosen, None])
        for name in names:
            out[name][chosen] = found[name][:, 0]
    return out


__all__ = [
    "borne_out",
    "calibrated",
    "chosen",
    "in_place_of",
    "learned_on",
    "recoded",
    "require_binary",
    "uncalibrated",
]
