"""`evaluate_rows`: how right what is foretold of held-out events is, label by label; and how sure a difference is."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from serendip.data.examples import are_examples
from serendip.data.rows import EventRows
from serendip.evaluate.clustered import Rows, clustered_difference
from serendip.evaluate.comparison import Comparison
from serendip.evaluate.foretold import Foretold, foretell, labels_of, name_of
from serendip.evaluate.held import Split
from serendip.evaluate.row_evaluation import RowEvaluation, resamples_of
from serendip.evaluate.row_measures import fitting, measure
from serendip.evaluate.significance import Paired
from serendip.types import SerendipError

if TYPE_CHECKING:
    from serendip.data.schema import LabelKind

DAY = 86_400
LEVEL = 0.95
OF_USERS = ("gauc", "weighted_per_user_loss")
"""Figures that are of users one by one."""


def evaluate_rows(
    what: Any,
    held: Split | EventRows,
    metrics: Sequence[str] = (),
    *,
    label: str | Sequence[str] | None = None,
    learned: str | Sequence[str] | None = None,
    threads: int | None = None,
    seed: int = 0,
    name: str | None = None,
) -> dict[str, RowEvaluation]:
    """Ask about every held-out event that has a label, as of its own moment, and judge what is foretold by the label.

    A row is asked with the features of its user and its context, and with what its user did before it as far as
    training knows (`serendip.data.rows.EventRows`). Nothing is excluded: what was shown may have been shown before.

    Args:
        what: a fitted model or a scorer. What it says is taken as a probability, a count, a rating or a duration of the
            labels that it learned, and as a mere score of others.
        held: a split, or rows: ``EventRows.held(train, test)`` of two data sets, ``EventRows.of(data)`` of one.
        metrics: of `serendip.evaluate.row_measures.ROW_MEASURES`; those that suit a label are taken of it. Empty: all.
        label: which labels to judge by; None: those that it learned.
        learned: the labels that it learned, where ``what`` is a scorer that does not say so.
        threads: how many threads linear algebra may use; None: all cores this process may run on.
        seed: of the resampling behind the intervals.
        name: what to call it in reports; by default the model's name or the type.

    Returns:
        An evaluation for each label, in the order asked for.

    Raises:
        SerendipError: no label to judge by, one that no row has, an unknown metric or none that suits, something that
            does not score.
    """
    from serendip.kernels.pool import blas_threads

    rows = held.rows() if isinstance(held, Split) else held
    own = labels_of(what) if learned is None else _listed(learned)
    labels = tuple(one for one in own if one in rows.labels) if label is None else _listed(label)
    if not labels:
        raise SerendipError(
            f"{name or name_of(what)} learned no label, so there is none to judge it by. Try naming one: "
            f"{', '.join(rows.labels) or 'the data have none'}."
        )
    chosen = {one: _metrics_of(metrics, one, rows.label(one)[1]) for one in labels}
    begin = time.perf_counter()
    with nullcontext() if threads is None else blas_threads(threads):
        found = foretell(what, rows, labels, own)
    seconds = time.perf_counter() - begin
    where = (held.name, held.description) if isinstance(held, Split) else ("rows", "Judge by the given rows.")
    called = name or name_of(what)
    return {
        one: _judged(rows, one, found[one], chosen[one], name=called, where=where, seconds=seconds, seed=seed)
        for one in labels
    }


def mean_figure(
    what: Any,
    rows: EventRows,
    metric: str,
    *,
    learned: Sequence[str] = (),
    label: Sequence[str] = (),
    threads: int | None = None,
) -> float:
    """A figure of rows as one number: its mean over the labels that have it; NaN where none has.

    Args:
        what: as of `evaluate_rows`.
        rows: what is asked about.
        metric: one of `serendip.evaluate.row_measures.ROW_MEASURES`.
        learned: the labels that it learned; empty: those that it names itself.
        label: of these, the ones that count; empty: all that the figure can be taken of.
        threads: as of `evaluate_rows`.

    Raises:
        SerendipError: as `evaluate_rows`; a label that it has not learned; or the figure is of none of the labels.
    """
    own = tuple(learned) or tuple(one for one in labels_of(what) if one in rows.labels)
    if unknown := [one for one in label if one not in own]:
        raise SerendipError(f"labels to judge by must be learned: {', '.join(own)}. Got {', '.join(unknown)} instead.")
    chosen = tuple(label) or [one for one in own if fitting((metric,), rows.label(one)[1])] or own
    judged = evaluate_rows(what, rows, (metric,), label=chosen, learned=own, threads=threads)
    values = np.array([one.figure(metric) for one in judged.values()])
    return float(values[~np.isnan(values)].mean()) if not np.isnan(values).all() else math.nan


def compare_rows(a: RowEvaluation, b: RowEvaluation, metric: str, resamples: int | None = None) -> Comparison:
    """Whether ``a`` is better than ``b``: each resample of users serves both.

    The p-value is that of a normal distribution with the standard error of the resamples; a difference is called shown
    where the interval excludes 0 and p is below 0.05.

    Raises:
        SerendipError: evaluations of different rows or labels, a figure that one of them lacks, or evaluations that
            were stored, which have no rows any more.
    """
    if a.questions != b.questions:
        raise SerendipError(
            f"compare_rows needs evaluations of the same rows and label. Got {a.name} and {b.name}, whose rows differ."
        )
    for one in (a, b):
        if one.rows is None or metric not in one.metrics:
            raise SerendipError(f"{one.name} must have rows and the figure {metric}, to be compared by it.")
    assert a.rows is not None
    draws = resamples or resamples_of(a.n)
    found = clustered_difference(metric, a.rows, a.predicted, b.predicted, LEVEL, draws, a.seed)
    p = math.erfc(abs(found.value / found.standard_error) / math.sqrt(2)) if found.standard_error > 0 else math.nan
    if found.value == 0:
        p = 1.0
    shown = p < 1 - LEVEL and not found.low <= 0 <= found.high
    better = (found.value > 0) == measure(metric).higher
    verdict = ("better" if better else "worse") if shown else "no difference shown"
    paired = Paired(found.value, found.low, found.high, p, found.rows, verdict)
    return Comparison(metric, a.name, b.name, a.figure(metric), b.figure(metric), paired)


def _listed(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _metrics_of(metrics: Sequence[str], label: str, kind: LabelKind) -> tuple[str, ...]:
    found = fitting(metrics, kind)
    if not found:
        raise SerendipError(
            f"the label {label!r} is a {kind}. None of {', '.join(metrics)} is a figure of such. "
            f"Try one of {', '.join(fitting((), kind))}."
        )
    return found


def _judged(
    rows: EventRows,
    label: str,
    found: Foretold,
    metrics: tuple[str, ...],
    *,
    name: str,
    where: tuple[str, str],
    seconds: float,
    seed: int,
) -> RowEvaluation:
    truth, kind = rows.label(label)
    known = np.flatnonzero(~np.isnan(truth))
    if not len(known):
        raise SerendipError(f"none of the {len(rows):,} held-out events has the label {label!r}.")
    truth, values, who = truth[known], found.values[known], rows.who[known].astype(np.int64)
    alone = are_examples(rows.data)
    if alone:  # rows without users stand for themselves
        who = np.arange(len(known))
    able = tuple(one for one in metrics if found.meant or not measure(one).meant)
    days = None if rows.time is None else rows.time[known] // DAY
    unscored = int(found.unscored[known].sum())
    notes = _notes(name, label, kind, truth, unscored, found.meant, able, metrics)
    able = tuple(one for one in able if not (alone and one in OF_USERS))
    return RowEvaluation(
        name=name,
        split=where[0],
        description=where[1],
        label=label,
        kind=kind,
        questions=_digest(label, rows.users[known], rows.items[known], truth, who),
        metrics=able,
        n=len(known),
        users=len(np.unique(who)),
        mean=float(truth.mean(dtype=np.float64)),
        seconds=seconds,
        seed=seed,
        notes=notes,
        rows=Rows(who, truth, **_more(kind, truth, who, days)),
        predicted=values,
        meant=found.meant,
    )


def _more(
    kind: LabelKind, truth: NDArray[Any], who: NDArray[np.int64], days: NDArray[np.int64] | None
) -> dict[str, Any]:
    """The further columns that measures of this kind of label read: a duration is of pairs within a user's day."""
    if kind == "binary":
        return {"groups": who}
    if kind != "duration":
        return {}
    groups = who
    if days is not None:
        groups = np.unique(np.column_stack([who, days]), axis=0, return_inverse=True)[1].reshape(-1)
    return {"groups": groups, "watch_time": truth}


def _notes(
    name: str,
    label: str,
    kind: LabelKind,
    truth: NDArray[Any],
    unscored: int,
    meant: bool,
    able: tuple[str, ...],
    asked: tuple[str, ...],
) -> tuple[str, ...]:
    notes: tuple[str, ...] = ()
    if kind == "binary" and len(np.unique(truth)) == 1:
        notes += (f"All {len(truth):,} rows have {label} = {truth[0]:g}: no order can be right or wrong.",)
    if unscored:
        what = f"the mean {label} of training was foretold" if meant else "they stand below all others"
        notes += (f"Rows that {name} has no score for: {unscored:,}; {what}.",)
    lacking = [one for one in asked if one not in able]
    if lacking:
        notes += (f"{name} ranks and does not foretell {label}, so it has no {', '.join(lacking)}.",)
    return notes


def _digest(label: str, *columns: NDArray[Any]) -> str:
    total = hashlib.sha256(label.encode())
    for column in columns:
        total.update(np.ascontiguousarray(column).view(np.uint8).data)
    return total.hexdigest()[:16]


__all__ = ["compare_rows", "evaluate_rows", "mean_figure"]
