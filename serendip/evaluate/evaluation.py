"""`Evaluation`: the figures of one model on one split, with intervals computed when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.evaluate.metrics import define
from serendip.evaluate.significance import Interval, mean_interval
from serendip.types import SerendipError

Values = NDArray[np.float64]
FORMAT = 1


class Bucket(msgspec.Struct, frozen=True):
    """How well items of one popularity are found.

    Attributes:
        name: ``head`` … ``tail``, ``new`` (no training event) or ``unknown`` (not even listed).
        items: how many items of the catalogue belong to it.
        truth: how many held-out items (over all queries) belong to it.
        found: how many of those stand in the lists.
        shown: how many places of the lists it holds.
    """

    name: str
    items: int
    truth: int
    found: int
    shown: int

    @property
    def recall(self) -> float:
        """Share of the bucket's held-out items that were found; NaN without any."""
        return self.found / self.truth if self.truth else float("nan")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The figures of one model on one split.

    Attributes:
        name: of what was evaluated.
        split, description: the protocol's name and its one sentence.
        questions: fingerprint of the split's queries and truth; two evaluations can be compared where it is the same.
        metrics: the names of the figures, in the order asked for.
        k: the length of the lists.
        n: how many queries were asked.
        seconds: wall time of scoring, masking, selecting and counting.
        seed: of the resampling behind the intervals.
        totals: figures of all lists together (``coverage@k``, ``gini@k``) by name.
        buckets: how well items are found, by their popularity in training.
        groups: the segments with figures, ``all`` first; see `serendip.evaluate.segments.DESCRIPTIONS`.
        notes: what a reader should know.
        values: per-query values ``[q]`` by metric; NaN: not defined for the query. Empty if stored without.
        segments: ``[q]`` masks of the segments that choose queries.
        parts: values ``[q]`` by metric of the segments that cut the truth (``warm_items``, ``cold_items``).
    """

    name: str
    split: str
    description: str
    questions: str
    metrics: tuple[str, ...]
    k: int
    n: int
    seconds: float
    seed: int
    totals: Mapping[str, float]
    buckets: tuple[Bucket, ...]
    groups: tuple[str, ...]
    notes: tuple[str, ...] = ()
    values: Mapping[str, Values] = field(default_factory=dict, repr=False)
    segments: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict, repr=False)
    parts: Mapping[str, Mapping[str, Values]] = field(default_factory=dict, repr=False)
    _intervals: dict[tuple[str, str], Interval] = field(default_factory=dict, repr=False)

    def of(self, metric: str, segment: str = "all") -> Values:
        """The per-query values of a metric in a segment.

        Raises:
            SerendipError: no such metric or segment, or an evaluation that was stored without values.
        """
        self._known(metric, segment)
        if segment in self.parts:
            return self.parts[segment][metric]
        if metric not in self.values:
            raise SerendipError(
                f"{self.name} must hold per-query values of {metric}. Got an evaluation stored without them. "
                "Try evaluating again, or storing with to_dict(values=True)."
            )
        return self.values[metric] if segment == "all" else self.values[metric][self.segments[segment]]

    def mean(self, metric: str, segment: str = "all") -> float:
        """The mean of a metric over the queries of a segment that have a value, or the one figure of a total.

        Raises:
            SerendipError: no such metric or segment.
        """
        if metric in self.totals and segment == "all":
            return self.totals[metric]
        stored = self._intervals.get((metric, segment))
        if stored is not None:
            return stored.mean
        values = self.of(metric, segment)
        values = values[~np.isnan(values)]
        return float(values.mean()) if len(values) else float("nan")

    def interval(self, metric: str, segment: str = "all") -> Interval:
        """The mean with its 95% bootstrap interval (computed once); a total has no interval.

        Raises:
            SerendipError: no such metric or segment.
        """
        if metric in self.totals and segment == "all":
            return Interval(self.totals[metric], float("nan"), float("nan"), self.n)
        key = (metric, segment)
        if key not in self._intervals:
            self._intervals[key] = mean_interval(self.of(metric, segment), seed=self.seed)
        return self._intervals[key]

    def rows(self) -> list[tuple[str, str]]:
        """The (metric, segment) pairs that have a figure."""
        pairs = [(metric, segment) for segment in self.groups for metric in self.metrics]
        return [pair for pair in pairs if self._has(*pair)]

    def table(self) -> pl.DataFrame:
        """``metric, segment, mean, low, high, n``: means with 95% bootstrap intervals; null where there is none."""
        rows = [(metric, segment, self.interval(metric, segment)) for metric, segment in self.rows()]
        columns = {
            "metric": [metric for metric, _, _ in rows],
            "segment": [segment for _, segment, _ in rows],
            "mean": [_null(interval.mean) for _, _, interval in rows],
            "low": [_null(interval.low) for _, _, interval in rows],
            "high": [_null(interval.high) for _, _, interval in rows],
            "n": [interval.n for _, _, interval in rows],
        }
        numbers = {"mean": pl.Float64, "low": pl.Float64, "high": pl.Float64, "n": pl.Int64}
        return pl.DataFrame(columns, schema={"metric": pl.String, "segment": pl.String, **numbers})

    def to_dict(self, *, values: bool = False) -> dict[str, Any]:
        """Plain JSON values; with ``values`` the per-query values too, without which `compare` is not possible."""
        table = [
            _Row(metric, segment, _null(found.mean), _null(found.low), _null(found.high), found.n)
            for metric, segment in self.rows()
            for found in (self.interval(metric, segment),)
        ]
        stored = _Stored(
            format=FORMAT,
            name=self.name,
            split=self.split,
            description=self.description,
            questions=self.questions,
            metrics=self.metrics,
            k=self.k,
            n=self.n,
            seconds=self.seconds,
            seed=self.seed,
            buckets=self.buckets,
            groups=self.groups,
            notes=self.notes,
            table=table,
            values={name: _listed(value) for name, value in self.values.items()} if values else {},
            segments={name: np.flatnonzero(mask).tolist() for name, mask in self.segments.items()} if values else {},
            parts={
                part: {name: _listed(value) for name, value in figures.items()}
                for part, figures in (self.parts.items() if values else ())
            },
        )
        result: dict[str, Any] = msgspec.to_builtins(stored)
        return result

    @classmethod
    def from_dict(cls, stored: Any) -> Evaluation:
        """The inverse of `to_dict`.

        Raises:
            SerendipError: not what `to_dict` gives.
        """
        try:
            read = msgspec.convert(stored, _Stored)
        except msgspec.ValidationError as error:
            raise SerendipError(f"A stored evaluation must be as to_dict gives it. {error}.") from error
        if read.format != FORMAT:
            raise SerendipError(f"A stored evaluation must be of format {FORMAT}. Got {read.format} instead.")
        return cls(
            name=read.name,
            split=read.split,
            description=read.description,
            questions=read.questions,
            metrics=read.metrics,
            k=read.k,
            n=read.n,
            seconds=read.seconds,
            seed=read.seed,
            totals={row.metric: _number(row.mean) for row in read.table if _is_total(row.metric)},
            buckets=read.buckets,
            groups=read.groups,
            notes=read.notes,
            values={name: _array(value, read.n) for name, value in read.values.items()},
            segments={name: _mask(rows, read.n) for name, rows in read.segments.items()},
            parts={
                part: {name: _array(value, read.n) for name, value in figures.items()}
                for part, figures in read.parts.items()
            },
            _intervals={(row.metric, row.segment): row.interval() for row in read.table if not _is_total(row.metric)},
        )

    def __str__(self) -> str:
        lines = [f"{self.name} on {self.split}: {self.n:,} queries, {self.seconds:.1f} s"]
        width = max((len(metric) for metric in self.metrics), default=0)
        for metric in self.metrics:
            found = self.interval(metric)
            bounds = "" if np.isnan(found.low) else f"  [{found.low:.4f}, {found.high:.4f}]"
            lines.append(f"  {metric:<{width}}  {found.mean:.4f}{bounds}")
        return "\n".join(lines)

    def _has(self, metric: str, segment: str) -> bool:
        if metric in self.totals:
            return segment == "all"
        if self.values:
            return metric in self.parts[segment] if segment in self.parts else True
        return (metric, segment) in self._intervals

    def _known(self, metric: str, segment: str) -> None:
        if metric not in self.metrics:
            raise SerendipError(f"metric must be one of {', '.join(self.metrics)}. Got {metric!r} instead.")
        if segment not in self.groups:
            raise SerendipError(f"segment must be one of {', '.join(self.groups)}. Got {segment!r} instead.")
        if not self._has(metric, segment):
            raise SerendipError(f"{metric} has no figure for the segment {segment!r}.")


class _Row(msgspec.Struct, frozen=True):
    metric: str
    segment: str
    mean: float | None
    low: float | None
    high: float | None
    n: int

    def interval(self) -> Interval:
        return Interval(_number(self.mean), _number(self.low), _number(self.high), self.n)


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    name: str
    split: str
    description: str
    questions: str
    metrics: tuple[str, ...]
    k: int
    n: int
    seconds: float
    seed: int
    buckets: tuple[Bucket, ...]
    groups: tuple[str, ...]
    notes: tuple[str, ...]
    table: list[_Row]
    values: dict[str, list[float | None]] = {}
    segments: dict[str, list[int]] = {}
    parts: dict[str, dict[str, list[float | None]]] = {}


def _is_total(metric: str) -> bool:
    return define(metric)[0].kind == "total"


def _null(value: float) -> float | None:
    return None if math.isnan(value) else value


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _listed(values: Values) -> list[float | None]:
    return [_null(value) for value in values.tolist()]


def _array(values: list[float | None], n: int) -> Values:
    if len(values) != n:
        raise SerendipError(f"A stored evaluation must have one value per query ({n}). Got {len(values)} instead.")
    return np.array([_number(value) for value in values], np.float64)


def _mask(rows: list[int], n: int) -> NDArray[np.bool_]:
    if rows and not 0 <= min(rows) <= max(rows) < n:
        raise SerendipError(
            f"A stored evaluation must name queries from 0 to {n - 1}. Got {min(rows)} … {max(rows)} instead."
        )
    mask = np.zeros(n, np.bool_)
    mask[rows] = True
    return mask
