"""Features that are numbers: places in a distribution, given vectors, cyclic time, recency and example age."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from serendip.data.features.declared import Age, Cycle, Number, Recency, Vector, column_of
from serendip.data.features.distribution import Distribution, width_of
from serendip.data.features.part import Arrays, require
from serendip.data.features.values import Doubles, Source, numbers, seconds, vectors
from serendip.types import Floats, Input

DAY = 86_400.0
MOST_NUMBERS = 1 << 16
MOST_SECONDS = 1 << 53
FAR = 1e11
"""Seconds; in the year 5138. Calendars end somewhere."""
WEEK_BEGINS = 4 * DAY
"""1 January 1970 was a Thursday; 5 January, four days on, a Monday."""


@dataclass(frozen=True, eq=False)
class Numbers:
    """A fitted `Number`."""

    name: str
    declared: Number
    distribution: Distribution

    @property
    def inputs(self) -> tuple[Input, ...]:
        """As `Part.inputs`."""
        return (Input(self.name, self.declared.side, width=width_of(self.declared.powers)),)

    def apply(self, source: Source) -> Arrays:
        """As `Part.apply`."""
        values = numbers(self.name, source.column(column_of(self.name, self.declared) or self.name))
        return {self.name: self.distribution.columns(values, self.declared.powers)}


@dataclass(frozen=True, eq=False)
class Vectors:
    """A fitted `Vector`.

    Attributes:
        width: how many numbers each has.
    """

    name: str
    declared: Vector
    width: int

    def __post_init__(self) -> None:
        require(self.name, self.width >= 1, "the lists must have at least one number. Every row is empty")
        require(self.name, self.width <= MOST_NUMBERS, f"the lists must have {MOST_NUMBERS} numbers at most")

    @property
    def inputs(self) -> tuple[Input, ...]:
        """As `Part.inputs`."""
        return (Input(self.name, self.declared.side, width=self.width),)

    def apply(self, source: Source) -> Arrays:
        """As `Part.apply`; of a vector of length 0 no other length is made."""
        found = vectors(self.name, source.column(column_of(self.name, self.declared) or self.name), self.width)
        return {self.name: of_length_one(found) if self.declared.unit else found}


@dataclass(frozen=True, eq=False)
class Cycles:
    """A fitted `Cycle`: ``sin 2πkφ, cos 2πkφ`` for ``k = 1 … harmonics``, φ ∈ [0, 1) the phase.

    Attributes:
        per_second: units of the column that make a second, 0 where it says so by its type; 1 without a column.
    """

    name: str
    declared: Cycle
    per_second: int

    def __post_init__(self) -> None:
        _check_unit(self.name, self.per_second)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """As `Part.inputs`."""
        return (Input(self.name, self.declared.side, width=2 * self.declared.harmonics),)

    def apply(self, source: Source) -> Arrays:
        """As `Part.apply`."""
        made = self.declared
        phase = phase_of(_moments(self.name, made, source, self.per_second) + 3600 * made.utc_offset, made.period)
        angles = 2 * np.pi * phase[:, None] * np.arange(1, made.harmonics + 1)
        waves = np.stack([np.sin(angles), np.cos(angles)], axis=2)
        return {self.name: waves.reshape(len(phase), 2 * made.harmonics).astype(np.float32)}


@dataclass(frozen=True, eq=False)
class Recencies:
    """A fitted `Recency`.

    Attributes:
        end: unix seconds of the last event of training.
        per_second: as of `Cycles`.
    """

    name: str
    declared: Recency
    distribution: Distribution
    end: int
    per_second: int

    def __post_init__(self) -> None:
        _check_unit(self.name, self.per_second)
        _check_end(self.name, self.end)

    @classmethod
    def fit(cls, name: str, declared: Recency, source: Source, end: int, per_second: int) -> Recencies:
        """By how long ago it was for these rows."""
        spans = _ago(name, declared, source, end, per_second)
        return cls(name, declared, Distribution.fit(spans, declared.quantiles), end, per_second)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """As `Part.inputs`."""
        return (Input(self.name, self.declared.side, width=width_of(self.declared.powers)),)

    def apply(self, source: Source) -> Arrays:
        """As `Part.apply`."""
        spans = _ago(self.name, self.declared, source, self.end, self.per_second)
        return {self.name: self.distribution.columns(spans, self.declared.powers)}


@dataclass(frozen=True, eq=False)
class Ages:
    """A fitted `Age`.

    Attributes:
        end: unix seconds of the last event of training.
    """

    name: str
    declared: Age
    distribution: Distribution
    end: int

    def __post_init__(self) -> None:
        _check_end(self.name, self.end)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """As `Part.inputs`."""
        return (Input(self.name, "context", width=width_of(self.declared.powers, present=False)),)

    def apply(self, source: Source) -> Arrays:
        """As `Part.apply`: the age of examples to learn from, 0 whenever something is asked."""
        age = np.zeros(source.rows)
        if source.learning and source.times is not None:
            age = np.maximum(self.end - source.times, 0).astype(np.float64)
        return {self.name: self.distribution.columns(age, self.declared.powers, present=False)}


def of_length_one(rows: Floats) -> Floats:
    """``[m, d]`` the rows divided by their length, NaN left out; a row of length 0 stays as it is."""
    length = np.sqrt(np.nansum(rows.astype(np.float64) ** 2, axis=1, keepdims=True))
    return np.asarray(rows / np.where(length > 0, length, 1), np.float32)


def phase_of(moments: Doubles, period: str) -> Doubles:
    """``[m]`` in [0, 1): where in its day, week (from Monday), month or year each unix second lies; NaN stays NaN."""
    if period == "day":
        return np.asarray(np.mod(moments, DAY) / DAY)
    if period == "week":
        return np.asarray(np.mod(moments - WEEK_BEGINS, 7 * DAY) / (7 * DAY))
    known = np.isfinite(moments)
    second = np.clip(np.where(known, moments, 0), -FAR, FAR).astype("int64").astype("datetime64[s]")
    unit = "datetime64[M]" if period == "month" else "datetime64[Y]"
    begin = second.astype(unit)
    first, after = (edge.astype("datetime64[s]").astype(np.float64) for edge in (begin, begin + 1))
    return np.where(known, (second.astype(np.float64) - first) / (after - first), np.nan)


def _moments(name: str, declared: Cycle | Recency, source: Source, per_second: int) -> Doubles:
    """Unix seconds of the column, or of the event or request."""
    column = column_of(name, declared)
    if column is not None:
        return seconds(name, source.column(column), per_second)
    return np.full(source.rows, np.nan) if source.times is None else source.times.astype(np.float64)


def _ago(name: str, declared: Recency, source: Source, end: int, per_second: int) -> Doubles:
    """How many seconds lie between, NaN where one end is missing; 0 for what is still to come."""
    if column_of(name, declared) is not None:
        return np.maximum(end - _moments(name, declared, source, per_second), 0)
    if source.times is None or source.previous is None:
        return np.full(source.rows, np.nan)
    return np.maximum(source.times - source.previous, 0)


def _check_unit(name: str, per_second: int) -> None:
    require(name, 0 <= per_second <= 10**9, "the units of a second must be 0 to a thousand million")


def _check_end(name: str, end: int) -> None:
    require(name, abs(end) <= MOST_SECONDS, "the end of training must be unix seconds")


__all__ = ["Ages", "Cycles", "Numbers", "Recencies", "Vectors", "of_length_one", "phase_of"]
