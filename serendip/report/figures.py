"""From evaluations to what a reader looks at: rows of tables, plots, and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from markupsafe import Markup

from serendip.evaluate.evaluation import Bucket, Evaluation
from serendip.evaluate.metrics import define, describe
from serendip.evaluate.segments import DESCRIPTIONS
from serendip.report import plots
from serendip.report.plots import Dot, Row
from serendip.types import SerendipError

RANKED = ("rank", "scores")
"""Kinds of metrics that say something about being right: higher is better."""


class Difference(msgspec.Struct, frozen=True):
    """See `serendip.evaluate.significance.Paired`."""

    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int
    verdict: str


class Compared(msgspec.Struct, frozen=True):
    """Two models on the same queries; see `serendip.evaluate.Comparison`."""

    metric: str
    a: str
    b: str
    a_mean: float | None
    b_mean: float | None
    paired: Difference

    @property
    def words(self) -> str:
        """What can be said, plainly."""
        if self.paired.verdict in ("better", "worse"):
            return f"{self.a} is {self.paired.verdict} than {self.b}"
        return f"no difference shown between {self.a} and {self.b}"

    @property
    def share(self) -> str:
        """The difference as a share of the other's mean, or ""."""
        if not self.b_mean or self.paired.difference is None:
            return ""
        return f"{self.paired.difference / self.b_mean:+.0%}".replace("-", "−")


class _Stored(msgspec.Struct, frozen=True):
    models: dict[str, Any]
    comparisons: list[Compared] = []


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of a table: the mean, its bounds and whether it is the best of its column; "" where there is none."""

    mean: str = ""
    bounds: str = ""
    best: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """The evaluations of several models on the same questions.

    Attributes:
        models: by name, the one that the report is about first.
        comparisons: it with each of the others.
    """

    models: Mapping[str, Evaluation]
    comparisons: Sequence[Compared]

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Figures:
        """From what ``serendip evaluate`` writes and a bundle keeps: ``models`` by name, and ``comparisons``.

        Raises:
            SerendipError: something else.
        """
        try:
            read = msgspec.convert(dict(stored), _Stored)
        except msgspec.ValidationError as error:
            raise SerendipError(
                f"A report needs figures as serendip evaluate writes them. {error}. Try evaluating again."
            ) from error
        models = {name: Evaluation.from_dict(one) for name, one in read.models.items()}
        if not models:
            raise SerendipError("A report needs the figures of at least one model. Got none. Try serendip evaluate.")
        return cls(models, read.comparisons)

    @property
    def main(self) -> Evaluation:
        """That of the model the report is about."""
        return next(iter(self.models.values()))

    @property
    def decides(self) -> str | None:
        """The figure that plots and sentences are about: the first that says something about being right."""
        return next((metric for metric in self.main.metrics if define(metric)[0].kind in RANKED), None)

    @property
    def ranked(self) -> list[str]:
        """The figures that say something about being right."""
        return [metric for metric in self.main.metrics if define(metric)[0].kind in RANKED]

    @property
    def beyond(self) -> list[str]:
        """The figures that describe lists otherwise."""
        return [metric for metric in self.main.metrics if define(metric)[0].kind not in RANKED]

    @property
    def segments(self) -> list[str]:
        """The groups of queries that are reported apart."""
        return [group for group in self.main.groups if group != "all"]

    def table(self, metrics: Sequence[str], segment: str = "all") -> list[tuple[str, list[Cell]]]:
        """A row per model, a cell per figure; what is best among several models is marked where higher is better."""
        best = [self._best(metric, segment) for metric in metrics]
        return [
            (name, [_cell(model, metric, segment, top) for metric, top in zip(metrics, best, strict=True)])
            for name, model in self.models.items()
        ]

    def _best(self, metric: str, segment: str) -> float | None:
        """The highest mean, unless higher is not better or all are alike."""
        means = [_mean(model, metric, segment) for model in self.models.values()]
        known = [mean for mean in means if mean is not None]
        return max(known) if len(set(known)) > 1 and define(metric)[0].kind in RANKED else None

    def models_plot(self, metric: str) -> Markup:
        """A dot with its interval for each model."""
        rows = [
            Row(name, cell.mean, [self._dot(name, number, metric, "all")])
            for number, name in enumerate(self.models)
            for cell in [_cell(self.models[name], metric, "all", None)]
        ]
        said = ", ".join(f"{row.label} {row.note}" for row in rows)
        return plots.whiskers(f"{metric} of each model with 95% intervals: {said}.", rows)

    def segments_plot(self, metric: str) -> Markup:
        """A row for each segment, a dot with its interval for each model."""
        rows = [
            Row(
                plain(segment),
                f"{self.size(segment):,} queries",
                [self._dot(name, number, metric, segment) for number, name in enumerate(self.models)],
            )
            for segment in self.segments
        ]
        return plots.whiskers(
            f"{metric} of each model by segment, with 95% intervals; the table below has the same.", rows
        )

    def size(self, segment: str) -> int:
        """How many queries of the segment have a figure."""
        return max(
            (self.main.interval(metric, part).n for metric, part in self.main.rows() if part == segment), default=0
        )

    @property
    def buckets(self) -> list[Bucket]:
        """The groups of items by popularity that hold held-out items."""
        return [bucket for bucket in self.main.buckets if bucket.truth]

    def buckets_plot(self) -> Markup:
        """A line for each model over the groups of items by popularity: the share of held-out items found."""
        names = [bucket.name for bucket in self.buckets]
        series = [
            [Dot(name, number, self.found(name, bucket)) for bucket in names] for number, name in enumerate(self.models)
        ]
        return plots.lines(
            "Share of the held-out items found, by popularity of the item; the table below has the same.", names, series
        )

    def found(self, model: str, bucket: str) -> float | None:
        """Share of the bucket's held-out items that stand in the model's lists."""
        of = {one.name: one for one in self.models[model].buckets}.get(bucket)
        return None if of is None or not of.truth else of.recall

    def shown(self, model: str, bucket: str) -> float | None:
        """Share of the places of the model's lists that the bucket holds."""
        buckets = self.models[model].buckets
        places = sum(one.shown for one in buckets)
        return next((one.shown / places for one in buckets if one.name == bucket and places), None)

    def definitions(self) -> list[tuple[str, str]]:
        """What each figure means."""
        return [(metric, describe(metric)) for metric in self.main.metrics]

    def _dot(self, name: str, number: int, metric: str, segment: str) -> Dot:
        model = self.models[name]
        if (metric, segment) not in model.rows():
            return Dot(name, number, None)
        found = model.interval(metric, segment)
        mean, low, high = (None if value != value else value for value in (found.mean, found.low, found.high))
        return Dot(name, number, mean, low, high)


def plain(segment: str) -> str:
    """A segment's name as words."""
    return segment.replace("_", " ").capitalize()


def who(segment: str) -> str:
    """What a segment holds."""
    return DESCRIPTIONS.get(segment, "")


def _mean(model: Evaluation, metric: str, segment: str) -> float | None:
    if (metric, segment) not in model.rows():
        return None
    mean = model.mean(metric, segment)
    return None if mean != mean else mean


def _cell(model: Evaluation, metric: str, segment: str, best: float | None) -> Cell:
    mean = _mean(model, metric, segment)
    if mean is None:
        return Cell()
    found = model.interval(metric, segment)
    bounds = "" if found.low != found.low else f"{worded(found.low)} – {worded(found.high)}"
    return Cell(worded(mean), bounds, best is not None and mean >= best)


def worded(value: float) -> str:
    """A figure of a table."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"


__all__ = ["Cell", "Compared", "Difference", "Figures", "plain", "who", "worded"]
