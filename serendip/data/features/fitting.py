"""From declared features and a data set to fitted ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.events import context_frame
from serendip.data.features.codes import Categories, Chunks, Hashes, Intervals, Words, read
from serendip.data.features.declared import (
    Age,
    Bucket,
    Category,
    Cycle,
    Declared,
    Hash,
    Number,
    Recency,
    Sentence,
    Text,
    Unified,
    Vector,
    column_of,
)
from serendip.data.features.distribution import Distribution
from serendip.data.features.measures import Ages, Cycles, Numbers, Recencies, Vectors
from serendip.data.features.part import Part, fitted_width
from serendip.data.features.sentences import Sentences
from serendip.data.features.values import Doubles, Source, Values, numbers, separator_of, unit_of, vectors
from serendip.data.features.vocabulary import Vocabulary

if TYPE_CHECKING:
    from serendip.data.dataset import Dataset


def sources_of(data: Dataset, declared: Mapping[str, Declared]) -> dict[str, Source]:
    """What features of each side are learned from: users and items with events, and the events."""
    gaps = any(isinstance(one, Recency) and one.side == "context" for one in declared.values())
    events, moments = data.events, data.schema.time_kind == "unix"
    times = events.time if moments else None
    return {
        "user": _with_events(data.users, np.bincount(events.users, minlength=data.n_users) > 0),
        "item": _with_events(data.items, np.bincount(events.items, minlength=data.n_items) > 0),
        "context": Source(
            len(events),
            context_frame(events.context),
            data.schema.timestamp or "" if moments else "",
            times,
            _previous(times, events.weight, events.users, events.indptr) if gaps and times is not None else None,
            learning=True,
        ),
    }


def fit_parts(data: Dataset, declared: Mapping[str, Declared]) -> tuple[Part, ...]:
    """Every feature fitted, in the order declared."""
    sources = sources_of(data, declared)
    end = 0 if sources["context"].times is None else int(sources["context"].times.max(initial=0))
    columns: dict[str, Values] = {}
    separators: dict[str, str] = {}
    for name, one in declared.items():
        if isinstance(one, Category | Hash | Unified):
            source = sources[one.side]
            separators[name] = separator_of(source.column(column_of(name, one) or name))
            columns[name] = read(name, one, source, separators[name])
    vocabularies = _vocabularies(declared, columns)
    taken: dict[str, int] = defaultdict(int)
    parts: list[Part] = []
    for name, one in declared.items():
        width = fitted_width(name, one, columns[name].widest) if name in columns else 0
        match one:
            case Category():
                parts.append(Categories(name, one, vocabularies[one.table or name], width, separators[name]))
            case Hash():
                parts.append(Hashes(name, one, width, separators[name]))
            case Unified():
                parts.append(Chunks(name, one, width, separators[name], taken[one.table] % one.tables))
                taken[one.table] += one.chunks
            case _:
                parts.append(_measured(name, one, sources[one.side], end))
    return tuple(parts)


def _measured(name: str, declared: Declared, source: Source, end: int) -> Part:
    """What is fitted by itself."""
    column = source.column(column_of(name, declared) or "")
    match declared:
        case Text():
            return Words(name, declared)
        case Sentence():
            return Sentences.fit(name, declared)
        case Bucket():
            return Intervals.fit(name, declared, column)
        case Number():
            return Numbers(name, declared, Distribution.fit(numbers(name, column), declared.quantiles))
        case Vector():
            return Vectors(name, declared, vectors(name, column, 0).shape[1])
        case Cycle():
            return Cycles(name, declared, unit_of(name, column))
        case Recency():
            return Recencies.fit(name, declared, source, end, unit_of(name, column))
        case Age():
            assert source.times is not None  # checked before
            ages = (end - source.times).astype(np.float64)
            return Ages(name, declared, Distribution.fit(ages, declared.quantiles), end)
    raise TypeError(f"there is no feature of the type {type(declared).__qualname__}.")


def _vocabularies(declared: Mapping[str, Declared], columns: Mapping[str, Values]) -> dict[str, Vocabulary]:
    """One for all features of a table."""
    groups: dict[str, list[Values]] = defaultdict(list)
    options: dict[str, Category] = {}
    for name, one in declared.items():
        if isinstance(one, Category):
            groups[one.table or name].append(columns[name])
            options[one.table or name] = one
    return {
        key: Vocabulary.fit(
            key,
            groups[key],
            oov_buckets=one.oov_buckets,
            min_count=one.min_count,
            max_size=one.max_size,
        )
        for key, one in options.items()
    }


def _with_events(table: pl.DataFrame, there: NDArray[np.bool_]) -> Source:
    frame = table.filter(pl.Series(there, dtype=pl.Boolean)) if there.any() else table
    return Source(len(frame), frame)


def _previous(
    times: NDArray[np.int64], weight: NDArray[np.float32], users: NDArray[np.int32], indptr: NDArray[np.int64]
) -> Doubles:
    """``[m]`` the time of the user's last event with interest before each event, NaN where there is none."""
    place = np.arange(len(times))
    latest = np.maximum.accumulate(np.where(weight > 0, place, -1)) if len(times) else place
    before = np.concatenate([[-1], latest[:-1]])[: len(times)]
    return np.where(before >= indptr[users], times[before], np.nan) if len(times) else np.empty(0)
