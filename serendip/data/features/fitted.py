"""`Features`: what was declared, fitted to a data set, and applied alike in training and when something is asked."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.features import storing
from serendip.data.features.checking import check
from serendip.data.features.declared import Age, Declared, column_of
from serendip.data.features.fitting import fit_parts, sources_of
from serendip.data.features.measures import Ages, Recencies
from serendip.data.features.part import Arrays, Part
from serendip.data.features.values import Doubles, Source
from serendip.types import ABSENT, Input, Queries

if TYPE_CHECKING:
    from serendip.data.dataset import Dataset

Side = Literal["user", "item", "context"]


@dataclass(frozen=True, eq=False)
class Features:
    """Fitted features. Immutable, so any number of threads may apply them.

    Whatever comes, codes are below the ``size`` of their `Input` and numbers are finite or NaN: a value that training
    did not have falls into a bucket, and one that is missing (its column too) is `ABSENT` or NaN.

    Attributes:
        parts: one per feature, in the order declared.
        clock: what the column with the times of events is called, or "".
    """

    parts: tuple[Part, ...]
    clock: str = ""

    @classmethod
    def fit(cls, data: Dataset, declared: Mapping[str, Declared] | None = None) -> Features:
        """Learn vocabularies and distributions from the users and items that have events, and from the events.

        Args:
            data: what to learn from; pass the training part only.
            declared: features by name; None: those of the data's schema.

        Raises:
            SerendipError: a column that is missing or of another type, times that are none, features that share a table
                and do not agree.
        """
        wanted = data.schema.features if declared is None else declared
        check(data, wanted)
        clock = data.schema.timestamp if data.schema.time_kind == "unix" else None
        return cls(fit_parts(data, wanted), clock or "")

    def until(self, end: int) -> Features:
        """These features where training goes on to a later moment (unix seconds), from which ages and recency count.

        Vocabularies and distributions stay as they were fitted, so that what was learned of their codes holds.
        """
        return replace(
            self,
            parts=tuple(
                replace(part, end=max(part.end, end)) if isinstance(part, Recencies | Ages) else part
                for part in self.parts
            ),
        )

    @property
    def declared(self) -> dict[str, Declared]:
        """What was asked for, by name."""
        return {part.name: part.declared for part in self.parts}

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The arrays that `items`, `users` and `context` give, in the order declared."""
        return tuple(one for part in self.parts for one in part.inputs)

    @property
    def reads_time(self) -> bool:
        """Whether an answer depends on the moment of the request."""
        return any(
            part.declared.side == "context"
            and not isinstance(part.declared, Age)
            and column_of(part.name, part.declared) in (None, self.clock)
            for part in self.parts
        )

    def columns(self, side: Side) -> tuple[str, ...]:
        """The columns that features of this side read, each once; not the times of events."""
        own = [part for part in self.parts if part.declared.side == side]
        names = dict.fromkeys(column_of(part.name, part.declared) for part in own)
        return tuple(name for name in names if name is not None and not (side == "context" and name == self.clock))

    def items(self, frame: pl.DataFrame) -> Arrays:
        """Arrays of the items of a table, one row each, by the names of the inputs of side ``item``.

        Raises:
            SerendipError: values of another type than in training.
        """
        return self._applied("item", Source(len(frame), frame))

    def users(self, frame: pl.DataFrame) -> Arrays:
        """As `items`, of users."""
        return self._applied("user", Source(len(frame), frame))

    def context(
        self,
        times: NDArray[np.int64] | None,
        frame: pl.DataFrame | None = None,
        *,
        previous: Doubles | None = None,
        learning: bool = False,
    ) -> Arrays:
        """Arrays of moments, by the names of the inputs of side ``context``.

        Args:
            times: ``[m]`` unix seconds, or None where they are not known; then there must be a frame.
            frame: ``[m]`` further columns of the moments; None: none of them is known.
            previous: ``[m]`` unix seconds of each user's event before, NaN where there is none; None: not known.
            learning: whether these are examples to learn from; otherwise example age is 0.

        Raises:
            SerendipError: values of another type than in training.
        """
        if times is None and frame is None:
            raise ValueError("context must have times or a frame, to say of how many moments.")
        rows = len(times) if times is not None else len(frame) if frame is not None else 0
        return self._applied(
            "context", Source(rows, pl.DataFrame() if frame is None else frame, self.clock, times, previous, learning)
        )

    def examples(self, data: Dataset) -> Arrays:
        """`context` of all events of a data set, as examples to learn from; `[m]`, in the order of the events."""
        return self._applied("context", sources_of(data, self.declared)["context"])

    def asked(
        self,
        queries: Queries,
        users: Mapping[str, NDArray[Any]],
        context: pl.DataFrame | None = None,
    ) -> Queries:
        """Queries with their features filled in.

        Args:
            queries: who asks; ``time`` says when, the bag ``time`` when they did what they did before.
            users: ``[q]`` arrays of those who ask, as `users` gives them.
            context: ``[q]`` further columns of the moments.
        """
        bag, q = queries.bags.get("time"), len(queries)
        previous = np.full(q, np.nan)
        if bag is not None and bag.shape[1]:
            previous = np.where(queries.history[:, -1] == ABSENT, np.nan, bag[:, -1])
        source = Source(q, pl.DataFrame() if context is None else context, self.clock, queries.time, previous)
        return replace(queries, features={**queries.features, **users, **self._applied("context", source)})

    def only(self, names: Collection[str]) -> Features:
        """Those of these features that give one of the named inputs."""
        return replace(self, parts=tuple(part for part in self.parts if any(one.name in names for one in part.inputs)))

    def renamed(self, side: Side, names: Mapping[str, str]) -> Features:
        """These features, reading columns of this side by their new names."""
        return replace(
            self, parts=tuple(_renamed(part, names) if part.declared.side == side else part for part in self.parts)
        )

    def pack(self) -> tuple[storing.Tensors, storing.Header]:
        """As named tensors and a JSON-able header, to be stored."""
        return storing.pack(self.parts, self.clock)

    @classmethod
    def unpack(cls, tensors: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Features:
        """The inverse of `pack`, for input that is not trusted.

        Raises:
            SerendipError: something is missing, superfluous, of the wrong type, or not sound.
        """
        parts, clock = storing.unpack(tensors, header)
        return cls(parts, clock)

    def _applied(self, side: Side, source: Source) -> Arrays:
        own = [part for part in self.parts if part.declared.side == side]
        return {name: array for part in own for name, array in part.apply(source).items()}


def _renamed(part: Part, names: Mapping[str, str]) -> Part:
    column = column_of(part.name, part.declared)
    if column is None or column not in names:
        return part
    return replace(part, declared=msgspec.structs.replace(part.declared, column=names[column]))  # type: ignore[type-var]


__all__ = ["Features"]
