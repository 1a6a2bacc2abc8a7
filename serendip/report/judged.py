"""From evaluations of events one by one to what a reader looks at: a table per label, and what came true of chances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
from markupsafe import Markup

from serendip.evaluate.reliability import Reliability
from serendip.evaluate.row_evaluation import RowEvaluation
from serendip.evaluate.row_measures import ROW_MEASURES
from serendip.report import plots
from serendip.report.figures import Cell, Compared, worded
from serendip.types import SerendipError


class _Label(msgspec.Struct, frozen=True):
    models: dict[str, Any]
    comparisons: list[Compared] = []


class _Stored(msgspec.Struct, frozen=True):
    labels: dict[str, _Label]
    notes: list[str] = []


@dataclass(frozen=True, slots=True)
class Judged:
    """The evaluations of several models by one label.

    Attributes:
        label: its name.
        models: by name, the one that the report is about first.
        comparisons: it with each of the others.
    """

    label: str
    models: Mapping[str, RowEvaluation]
    comparisons: Sequence[Compared]

    @property
    def main(self) -> RowEvaluation:
        """That of the model the report is about."""
        return next(iter(self.models.values()))

    @property
    def metrics(self) -> list[str]:
        """The figures that at least one of the models has."""
        return list(dict.fromkeys(metric for one in self.models.values() for metric in one.metrics))

    @property
    def chances(self) -> dict[str, Reliability]:
        """By model, what was foretold and what came true, where these are probabilities."""
        return {name: found for name, one in self.models.items() if (found := one.reliability) is not None}

    def table(self) -> list[tuple[str, list[Cell]]]:
        """A row per model, a cell per figure; what is best among several models is marked."""
        best = {metric: self._best(metric) for metric in self.metrics}
        return [
            (name, [_cell(one, metric, best[metric]) for metric in self.metrics]) for name, one in self.models.items()
        ]

    def least_effects(self) -> list[tuple[str, str]]:
        """Of each figure of the main model, the least true difference that such data would show four times in five."""
        return [
            (metric, worded(found.minimum_detectable_effect))
            for metric in self.main.metrics
            if (found := self.main.interval(metric)).standard_error > 0
        ]

    def plot(self) -> Markup:
        """What came true over what was foretold, a line for each model, beside the diagonal that is perfect.

        Both axes end above the largest chance, as most labels are rare.
        """
        ends = [float(end.max()) for found in self.chances.values() for end in (found.predicted, found.observed)]
        ticks = plots.steps(max(ends, default=1.0))
        top = ticks[-1]
        parts = [plots.line_at(tick / top, plots.figure(tick)) for tick in ticks]
        parts += [plots.words(tick / top, plots.HEIGHT + 16, plots.figure(tick), "middle", "tick") for tick in ticks]
        parts.append(
            Markup('<line class="broken" x1="0" y1="{:.1f}" x2="100%" y2="{:.1f}"/>').format(
                plots.height_of(0), plots.height_of(1)
            )
        )
        for number, (name, found) in enumerate(self.chances.items()):
            points = [
                (float(x) / top, plots.height_of(float(y) / top))
                for x, y in zip(found.predicted, found.observed, strict=True)
            ]
            parts += [plots.segment(before, after, number) for before, after in pairwise(points)]
            for place, (x, y) in enumerate(points):
                said = Markup("<title>{}: {:.3g} foretold, {:.3g} came true, of {:,} rows</title>").format(
                    name, found.predicted[place], found.observed[place], int(found.count[place])
                )
                parts.append(Markup("<g>{}{}</g>").format(said, plots.shape(plots.percent(x), y, number)))
        gaps = ", ".join(f"{name} {worded(found.error)}" for name, found in self.chances.items())
        label = f"How often {self.label} came true, by the probability foretold. Mean gaps: {gaps}."
        return plots.drawing(label, plots.HEIGHT + plots.AXIS, parts, upright=True)

    def legend(self) -> Markup:
        """What the colours of `plot` mean."""
        return plots.legend(list(self.chances))

    def _best(self, metric: str) -> float | None:
        values = [one.figure(metric) for one in self.models.values() if metric in one.metrics]
        known = [value for value in values if value == value]
        if len(set(known)) < 2:
            return None
        return max(known) if ROW_MEASURES[metric].higher else min(known)


def read_judged(stored: Mapping[str, Any]) -> tuple[list[Judged], list[str]]:
    """From what ``serendip evaluate`` writes of events one by one, and notes.

    Raises:
        SerendipError: something else.
    """
    try:
        read = msgspec.convert(dict(stored), _Stored)
    except msgspec.ValidationError as error:
        raise SerendipError(
            f"A report needs figures as serendip evaluate writes them. {error}. Try evaluating again."
        ) from error
    if not read.labels or not all(one.models for one in read.labels.values()):
        raise SerendipError("A report needs the figures of at least one model. Got none. Try serendip evaluate.")
    found = [
        Judged(label, {name: RowEvaluation.from_dict(made) for name, made in one.models.items()}, one.comparisons)
        for label, one in read.labels.items()
    ]
    return found, read.notes


def definitions(judged: Sequence[Judged]) -> list[tuple[str, str]]:
    """What each figure means."""
    names = dict.fromkeys(metric for one in judged for metric in one.metrics)
    return [(name, ROW_MEASURES[name].sentence) for name in names]


def _cell(one: RowEvaluation, metric: str, best: float | None) -> Cell:
    if metric not in one.metrics:
        return Cell()
    found = one.interval(metric)
    if found.value != found.value:
        return Cell()
    bounds = "" if found.low != found.low else f"{worded(found.low)} – {worded(found.high)}"
    return Cell(worded(found.value), bounds, best is not None and found.value == best)


__all__ = ["Judged", "definitions", "read_judged"]
