"""The measures of rows by name: of which labels each is, which way is better, and what it says in a sentence."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serendip.types import SerendipError

if TYPE_CHECKING:
    from serendip.data.schema import LabelKind

NUMBERS: tuple[LabelKind, ...] = ("rating", "count", "duration")


@dataclass(frozen=True, slots=True)
class RowMeasure:
    """A measure of rows.

    Attributes:
        kinds: of labels that it is taken of.
        higher: whether higher is better.
        meant: whether what is foretold must be on the scale of the label; otherwise any score will do.
        sentence: what it says.
    """

    kinds: tuple[LabelKind, ...]
    higher: bool
    meant: bool
    sentence: str


ROW_MEASURES: Mapping[str, RowMeasure] = {
    "auc": RowMeasure(
        ("binary",), True, False, "Chance that a row of label 1 scores above a row of label 0; ties count one half."
    ),
    "gauc": RowMeasure(
        ("binary",),
        True,
        False,
        "Mean of the AUCs of users who have rows of both labels, each weighted by the user's rows.",
    ),
    "logloss": RowMeasure(("binary",), False, True, "Mean of −log p, p being the probability given to what came true."),
    "ece": RowMeasure(
        ("binary",),
        False,
        True,
        "Mean gap between the probability foretold and how often it came true, over ten bins of equally many rows.",
    ),
    "mae": RowMeasure(NUMBERS, False, True, "Mean distance between what was foretold and what came."),
    "rmse": RowMeasure(NUMBERS, False, True, "Root of the mean squared distance between what was foretold and came."),
    "xauc": RowMeasure(
        NUMBERS, True, False, "Share of the pairs of rows with different labels that are put in the right order."
    ),
    "weighted_per_user_loss": RowMeasure(
        ("duration",),
        False,
        False,
        "Of the pairs of a row with a duration and one without, of one user and day: the share of the duration that "
        "belongs to pairs in the wrong order.",
    ),
}
"""Those that `serendip.evaluate.evaluate_rows` knows."""

ROW_METRICS: tuple[str, ...] = tuple(ROW_MEASURES)


def fitting(metrics: Sequence[str], kind: LabelKind) -> tuple[str, ...]:
    """Those of the measures that are taken of labels of this kind, in their order; without any, all that there are."""
    return tuple(name for name in (metrics or ROW_METRICS) if kind in measure(name).kinds)


def measure(name: str) -> RowMeasure:
    """The measure of that name.

    Raises:
        SerendipError: there is none, with the nearest known name.
    """
    if name not in ROW_MEASURES:
        near = difflib.get_close_matches(name, ROW_MEASURES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SerendipError(f"a metric of rows must be one of {', '.join(ROW_MEASURES)}. Got {name!r} instead.{hint}")
    return ROW_MEASURES[name]


__all__ = ["ROW_MEASURES", "ROW_METRICS", "RowMeasure", "fitting", "measure"]
