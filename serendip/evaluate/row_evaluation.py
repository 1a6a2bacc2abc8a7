"""`RowEvaluation`: how right one model is about one label, with intervals computed when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.schema import LabelKind
from serendip.evaluate.clustered import Clustered, clustered, minimum_detectable_effect
from serendip.evaluate.reliability import Reliability, reliability
from serendip.evaluate.resampled import Rows, prepare
from serendip.types import SerendipError

Values = NDArray[np.float64]
FORMAT = 1
RESAMPLES = 1000
FEWEST = 100
BUDGET = 200_000_000
"""Rows drawn for an interval, all resamples together: beyond it there are fewer of them, down to `FEWEST`."""

CLICKED = "weighted_per_user_loss"


def resamples_of(rows: int) -> int:
    """How many resamples an interval over so many rows is made from."""
    return max(FEWEST, min(RESAMPLES, BUDGET // max(rows, 1)))


@dataclass(frozen=True, eq=False)
class RowEvaluation:
    """How right what one model foretells of a label is.

    Attributes:
        name: of what was evaluated.
        split, description: the protocol's name and its one sentence.
        label, kind: what was foretold, and what it measures.
        questions: fingerprint of the rows and their labels; evaluations can be compared where it is the same.
        metrics: the names of the figures, in the order asked for.
        n, users: how many rows have the label, and of how many users they are.
        mean: of the label.
        seconds: wall time of foretelling.
        seed: of the resampling behind the intervals.
        notes: what a reader should know.
        rows: the true labels and whose they are; None if it was stored.
        predicted: ``[n]`` what was foretold; empty if it was stored.
        meant: whether that is on the scale of the label.
    """

    name: str
    split: str
    description: str
    label: str
    kind: LabelKind
    questions: str
    metrics: tuple[str, ...]
    n: int
    users: int
    mean: float
    seconds: float
    seed: int
    notes: tuple[str, ...] = ()
    rows: Rows | None = field(default=None, repr=False)
    predicted: Values = field(default_factory=lambda: np.empty(0), repr=False)
    meant: bool = True
    _figures: dict[str, Clustered] = field(default_factory=dict, repr=False)
    _bins: list[Reliability] = field(default_factory=list, repr=False)

    def figure(self, metric: str) -> float:
        """A figure without its interval, which takes longer; NaN where it is not defined.

        Raises:
            SerendipError: no such figure.
        """
        self._known(metric)
        if metric in self._figures:
            return self._figures[metric].value
        assert self.rows is not None
        found = prepare(metric, self._rows_of(metric), self.predicted)
        return float(found.of(np.ones((1, found.users), np.int64))[0])

    def interval(self, metric: str) -> Clustered:
        """A figure with its percentile bootstrap over users, each with all their rows.

        Raises:
            SerendipError: no such figure.
        """
        self._known(metric)
        if metric not in self._figures:
            self._figures[metric] = clustered(
                metric, self._rows_of(metric), self.predicted, resamples=resamples_of(self.n), seed=self.seed
            )
        return self._figures[metric]

    @property
    def reliability(self) -> Reliability | None:
        """What was foretold and what came true, in ten bins; None unless these are probabilities."""
        if not self._bins and self.rows is not None and self.kind == "binary" and self.meant:
            self._bins.append(reliability(self.rows.labels, self.predicted))
        return self._bins[0] if self._bins else None

    def table(self) -> pl.DataFrame:
        """``metric, value, low, high, standard_error, least_effect, rows, users``; null where there is none.

        ``least_effect``: the least true difference that such data would show four times in five.
        """
        return pl.DataFrame(
            [{"metric": one.metric, **_plain(one)} for one in self._stored()], schema=_SCHEMA, orient="row"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the rows, so that what is read from them cannot be compared anew."""
        found = self.reliability
        bins = None if found is None else _Bins(*(getattr(found, name).tolist() for name in _Bins.__struct_fields__))
        plain = {name: getattr(self, name) for name in _Stored.__struct_fields__ if name in self.__dataclass_fields__}
        stored = _Stored(**plain, format=FORMAT, figures=self._stored(), bins=bins)
        result: dict[str, Any] = msgspec.to_builtins(stored)
        return result

    @classmethod
    def from_dict(cls, stored: Any) -> RowEvaluation:
        """The inverse of `to_dict`, but for the rows.

        Raises:
            SerendipError: not what `to_dict` gives.
        """
        try:
            read = msgspec.convert(stored, _Stored)
        except msgspec.ValidationError as error:
            raise SerendipError(f"A stored evaluation of rows must be as to_dict gives it. {error}.") from error
        if read.format != FORMAT:
            raise SerendipError(f"A stored evaluation of rows must be of format {FORMAT}. Got {read.format} instead.")
        plain = {name: getattr(read, name) for name in _Stored.__struct_fields__ if name in cls.__dataclass_fields__}
        return cls(
            **plain,
            _figures={one.metric: one.clustered() for one in read.figures},
            _bins=[] if read.bins is None else [read.bins.reliability()],
        )

    def __str__(self) -> str:
        lines = [f"{self.name} on {self.label} of {self.split}: {self.n:,} rows of {self.users:,} users"]
        width = max((len(metric) for metric in self.metrics), default=0)
        for metric in self.metrics:
            found = self.interval(metric)
            bounds = "" if math.isnan(found.low) else f"  [{found.low:.4f}, {found.high:.4f}]"
            lines.append(f"  {metric:<{width}}  {found.value:.4f}{bounds}")
        return "\n".join(lines)

    def _rows_of(self, metric: str) -> Rows:
        assert self.rows is not None
        if metric != CLICKED:
            return self.rows
        return replace(self.rows, labels=(np.asarray(self.rows.labels) > 0).astype(np.float32))

    def _known(self, metric: str) -> None:
        if metric not in self.metrics:
            raise SerendipError(
                f"{self.name} has the figures {', '.join(self.metrics) or 'none'} of {self.label}. Got {metric!r} "
                "instead."
            )

    def _stored(self) -> list[_Figure]:
        return [_Figure.of(metric, self.interval(metric)) for metric in self.metrics]


def joined_rows(folds: Sequence[RowEvaluation], split: str, description: str) -> RowEvaluation:
    """The evaluations of one model and label on several folds as one: every row of every fold counts."""
    first = folds[0]
    parts = [fold.rows for fold in folds if fold.rows is not None]
    columns: dict[str, Any] = {
        name: None if getattr(parts[0], name) is None else np.concatenate([getattr(one, name) for one in parts])
        for name in ("users", "labels", "groups", "watch_time")
    }
    if first.kind == "duration":  # a user's days are numbered anew in every fold
        shift = np.cumsum([0, *(int(np.max(one.groups, initial=-1)) + 1 for one in parts if one.groups is not None)])
        columns["groups"] = np.concatenate(
            [np.asarray(one.groups) + at for one, at in zip(parts, shift[:-1], strict=True)]
        )
    n = sum(fold.n for fold in folds)
    return replace(
        first,
        split=split,
        description=description,
        questions="+".join(fold.questions for fold in folds),
        metrics=tuple(one for one in first.metrics if all(one in fold.metrics for fold in folds)),
        n=n,
        users=len(np.unique(columns["users"])),
        mean=sum(fold.mean * fold.n for fold in folds) / n,
        seconds=sum(fold.seconds for fold in folds),
        notes=tuple(dict.fromkeys(note for fold in folds for note in fold.notes)),
        rows=Rows(**columns),
        predicted=np.concatenate([fold.predicted for fold in folds]),
        _figures={},
        _bins=[],
    )


class _Figure(msgspec.Struct, frozen=True):
    metric: str
    value: float | None
    low: float | None
    high: float | None
    standard_error: float | None
    rows: int
    users: int
    undefined: int

    @classmethod
    def of(cls, metric: str, found: Clustered) -> _Figure:
        plain: dict[str, Any] = {name: getattr(found, name) for name in cls.__struct_fields__ if name != "metric"}
        plain = {name: None if math.isnan(value) else value for name, value in plain.items()}
        return cls(metric, **plain)

    def clustered(self) -> Clustered:
        plain: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__ if name != "metric"}
        plain = {name: math.nan if value is None else value for name, value in plain.items()}
        return Clustered(**plain)


class _Bins(msgspec.Struct, frozen=True):
    predicted: list[float]
    observed: list[float]
    count: list[int]
    low: list[float]
    high: list[float]

    def reliability(self) -> Reliability:
        if len({len(getattr(self, name)) for name in self.__struct_fields__}) > 1:
            raise SerendipError("A stored evaluation of rows must have bins of one length. Got others.")
        floats = {name: np.array(getattr(self, name), np.float64) for name in self.__struct_fields__ if name != "count"}
        return Reliability(count=np.array(self.count, np.int64), **floats)


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    name: str
    split: str
    description: str
    label: str
    kind: LabelKind
    questions: str
    metrics: tuple[str, ...]
    n: int
    users: int
    mean: float
    seconds: float
    seed: int
    notes: tuple[str, ...]
    meant: bool
    figures: list[_Figure]
    bins: _Bins | None = None


_SCHEMA = {
    "metric": pl.String,
    **dict.fromkeys(("value", "low", "high", "standard_error", "least_effect"), pl.Float64),
    **dict.fromkeys(("rows", "users"), pl.Int64),
}


def _plain(one: _Figure) -> dict[str, Any]:
    error = one.standard_error
    return {
        "value": one.value,
        "low": one.low,
        "high": one.high,
        "standard_error": error,
        "least_effect": None if error is None else minimum_detectable_effect(error),
        "rows": one.rows,
        "users": one.users,
    }


__all__ = ["RowEvaluation", "joined_rows", "resamples_of"]
