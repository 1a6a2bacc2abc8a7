"""Features that are codes: categories, hashes, several hashes, text and intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.features.declared import Bucket, Category, Hash, Text, Unified, column_of
from serendip.data.features.hashing import buckets_of
from serendip.data.features.part import Arrays, require
from serendip.data.features.tokens import tokens
from serendip.data.features.values import Source, Values, numbers, several, single
from serendip.data.features.vocabulary import Vocabulary
from serendip.types import ABSENT, Input

MOST_WIDTH = 4096


def read(name: str, declared: Category | Hash | Unified, source: Source, separator: str) -> Values:
    """The values of the rows, one each or several."""
    column = source.column(column_of(name, declared) or name)
    return several(name, column, separator) if declared.multivalent else single(name, column)


@dataclass(frozen=True, eq=False)
class Categories:
    """A fitted `Category`.

    Attributes:
        vocabulary: perhaps shared with other features.
        width: how many values of a row are kept; 0 where a row has one.
        separator: what parts the values of a text.
    """

    name: str
    declared: Category
    vocabulary: Vocabulary
    width: int
    separator: str

    def __post_init__(self) -> None:
        _check(self.name, self.declared, self.width)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """As `Part.inputs`."""
        made, size = self.declared, self.vocabulary.size
        return (Input(self.name, made.side, size, self.width, made.table, made.pooling, made.dim),)

    def apply(self, source: Source) -> Arrays:
        """As `Part.apply`."""
        found = read(self.name, self.declared, source, self.separator)
        return {self.name: found.padded(found.map(self.vocabulary.encode), self.width)}


@dataclass(frozen=True, eq=False)
class Hashes:
    """A fitted `Hash`: features of one table have one salt, so that a value has the same row in all of them."""

    name: str
    declared: Hash
    width: int
    separator: str

    def __post_init__(self) -> None:
        _check(self.name, self.declared, self.width)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """As `Part.inputs`."""
        made = self.declared
        return (Input(self.name, made.side, made.buckets, self.width, made.table, made.pooling, made.dim),)

    def apply(self, source: Source) -> Arrays:
        """As `Part.apply`."""
        made, found = self.declared, read(self.name, self.declared, source, self.separator)
        codes = found.map(lambda texts: buckets_of(texts, made.table or self.name, made.buckets)[:, 0])
        return {self.name: found.padded(codes, self.width)}


@dataclass(frozen=True, eq=False)
class Chunks:
    """A fitted `Unified`: chunk ``j`` reads table ``(first + j) mod tables``, by a hash of its own.

    Attributes:
        first: the table that this feature begins with.
    """

    name: str
    declared: Unified
    width: int
    separator: str
    first: int

    def __post_init__(self) -> None:
        _check(self.name, self.declared, self.width)
        require(self.name, 0 <= self.first < self.declared.tables, "the first table must be one of the tables")

    @property
    def inputs(self) -> tuple[Input, ...]:
        """As `Part.inputs`; one per chunk, ``name/0``, ``name/1`` …"""
        made = self.declared
        tables = [f"{made.table}/{(self.first + chunk) % made.tables}" for chunk in range(made.chunks)]
        return tuple(
            Input(f"{self.name}/{chunk}", made.side, made.buckets, self.width, table, made.pooling, made.dim)
            for chunk, table in enumerate(tables)
        )

    def apply(self, source: Source) -> Arrays:
        """As `Part.apply`."""
        made, found = self.declared, read(self.name, self.declared, source, self.separator)
        codes = found.map(lambda texts: buckets_of(texts, self.name, made.buckets, made.chunks))
        return {f"{self.name}/{chunk}": found.padded(codes[:, chunk], self.width) for chunk in range(made.chunks)}


@dataclass(frozen=True, eq=False)
class Words:
    """A fitted `Text`."""

    name: str
    declared: Text

    @property
    def inputs(self) -> tuple[Input, ...]:
        """As `Part.inputs`."""
        made = self.declared
        return (Input(self.name, made.side, made.buckets, made.width, made.table, made.pooling, made.dim),)

    def apply(self, source: Source) -> Arrays:
        """As `Part.apply`."""
        made = self.declared
        column = source.column(column_of(self.name, made) or self.name)
        found = tokens(self.name, column, made.words, made.characters)
        codes = found.map(lambda texts: buckets_of(texts, made.table or self.name, made.buckets)[:, 0])
        return {self.name: found.padded(codes, made.width)}


@dataclass(frozen=True, eq=False)
class Intervals:
    """A fitted `Bucket`: code ``i`` is the interval from ``boundaries[i - 1]`` on to below ``boundaries[i]``.

    Attributes:
        boundaries: ``[b]`` float64, rising.
    """

    name: str
    declared: Bucket
    boundaries: NDArray[np.float64]

    def __post_init__(self) -> None:
        edges = self.boundaries
        rising = edges.ndim == 1 and bool(np.isfinite(edges).all()) and not (np.diff(edges) <= 0).any()
        require(self.name, rising, "boundaries must be numbers that rise, such as [1, 10, 100]")

    @classmethod
    def fit(cls, name: str, declared: Bucket, column: pl.Series) -> Intervals:
        """Between the quantiles of the column, or by the boundaries given."""
        values = numbers(name, column)
        known = values[np.isfinite(values)]
        if declared.boundaries or not len(known):
            return cls(name, declared, np.array(declared.boundaries, np.float64))
        inner = np.quantile(known, np.linspace(0, 1, declared.buckets + 1)[1:-1])
        return cls(name, declared, np.unique(inner))

    @property
    def inputs(self) -> tuple[Input, ...]:
        """As `Part.inputs`."""
        return (Input(self.name, self.declared.side, len(self.boundaries) + 1, dim=self.declared.dim),)

    def apply(self, source: Source) -> Arrays:
        """As `Part.apply`."""
        values = numbers(self.name, source.column(column_of(self.name, self.declared) or self.name))
        codes = np.searchsorted(self.boundaries, values, side="right")
        return {self.name: np.where(np.isnan(values), ABSENT, codes).astype(np.int32)}


def _check(name: str, declared: Category | Hash | Unified, width: int) -> None:
    require(name, (0 < width <= MOST_WIDTH) if declared.multivalent else width == 0, "the width must fit the values")
