"""What a pipeline did with one query: the same stages, each call of which is taken down while they answer.

Nothing of this is on the path of answering: `traced` asks a copy of the pipeline in which every stage stands
within a `Watched`, which calls it and notes what came in and what came out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from serendip.pipeline.composite import Composite, Lawful, asked
from serendip.pipeline.guard import Guard, Skipped
from serendip.pipeline.ranking import Rank
from serendip.pipeline.reranking import Rerank
from serendip.pipeline.stages import Retrieve, scoring
from serendip.types import Queries, Recs, Stage


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a stage.

    Attributes:
        stage: as it stands in the pipeline.
        name: of it.
        path: where it stands there: its place in the stage around it, behind the places of the stages around that.
        queries: who asks, ``[1]``.
        given: the lists that it was handed, or None.
        found: what it answered.
    """

    stage: Stage
    name: str
    path: tuple[int, ...]
    queries: Queries
    given: Recs | None
    found: Recs

    @property
    def reranks(self) -> bool:
        """Whether it is a re-ranker."""
        return isinstance(self.stage, Rerank)

    def around(self, other: Call) -> bool:
        """Whether the other one is a call of something within this one's stage."""
        return len(self.path) < len(other.path) and other.path[: len(self.path)] == self.path


@dataclass(frozen=True)
class Place:
    """Where an item stands in a list.

    Attributes:
        place: from 1, or None where the list does not hold it.
        of: how many items the list holds.
        score: of the item, or None.
        last: the score of the last item of the list, or None where it is empty.
    """

    place: int | None
    of: int
    score: float | None
    last: float | None

    @classmethod
    def of_item(cls, recs: Recs | None, item: int) -> Place:
        """Of a code in the one list there is."""
        if recs is None or recs.items.shape[1] == 0:
            return cls(None, 0, None, None)
        count = int(recs.counts[0])
        at = np.flatnonzero(recs.items[0, :count] == item)
        last = float(recs.scores[0, count - 1]) if count else None
        if len(at) == 0:
            return cls(None, count, None, last)
        return cls(int(at[0]) + 1, count, float(recs.scores[0, at[0]]), last)


@dataclass(frozen=True, eq=False)
class Watched(Lawful):
    """A stage whose calls are taken down.

    Attributes:
        stage, name, path: as of `Call`.
        ask: what is called in its place: itself, with what is within it watched too.
        calls: where they are put when they have ended.
    """

    stage: Stage
    name: str
    path: tuple[int, ...]
    ask: Callable[[Queries, Recs | None], Recs]
    calls: list[Call]

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """As the stage."""
        found = self.ask(queries, recs)
        self.calls.append(Call(self.stage, self.name, self.path, queries, recs, found))
        return found


def traced(pipeline: Stage, queries: Queries) -> tuple[Recs, tuple[Call, ...]]:
    """The answer of a pipeline to one query ``[1]``, and the calls of its stages in the order in which they ended.

    A call that ended after that of a stage around it was too late to count, and is left out.
    """
    calls: list[Call] = []
    found = _watched(pipeline, (), calls)(queries)
    ended = tuple(calls)
    return found, tuple(call for place, call in enumerate(ended) if not any(one.around(call) for one in ended[:place]))


def standing_of(stage: Retrieve | Rank, queries: Queries, item: int, given: Recs | None = None) -> Place:
    """Where an item would stand if the list of a stage had no end.

    Args:
        stage: a retriever, or a ranker.
        queries: who asks, ``[1]``.
        item: its code.
        given: of a ranker, what it ranks.
    """
    room = stage.n_items if isinstance(stage, Retrieve) else 0 if given is None else given.items.shape[1]
    return Place.of_item(replace(stage, k=max(room, 1))(queries, given), item)


def held(calls: Sequence[Call], item: int) -> list[Call]:
    """The calls whose answer holds an item."""
    return [call for call in calls if Place.of_item(call.found, item).place is not None]


def lost(calls: Sequence[Call], item: int) -> Call | None:
    """The call in which an item that some stage had named went missing; None where the last one holds it, or none."""
    having = held(calls, item)
    if not having or having[-1] is calls[-1]:
        return None
    after = calls[calls.index(having[-1]) + 1 :]
    return next(call for call in after if call.around(having[-1]) or Place.of_item(call.given, item).place is not None)


def skipped(recs: Recs, calls: Sequence[Call]) -> frozenset[str]:
    """The names of the stages that an answer does without: those that failed or took too long, and those within them
    that were not asked any more, or did not end."""
    names = {note.stage for note in recs.notes if isinstance(note, Skipped)}
    ended = {id(call.stage) for call in calls}
    for call in calls:
        if isinstance(call.stage, Guard) and call.name in names:
            names |= {part.name for part in scoring(call.stage) if id(part) not in ended}
    return frozenset(names)


def _watched(stage: Stage, path: tuple[int, ...], calls: list[Call]) -> Watched:
    inner: Any = stage
    if isinstance(stage, Composite):
        inner = replace(
            stage, stages=tuple(_watched(part, (*path, place), calls) for place, part in enumerate(stage.stages))
        )

    def ask(queries: Queries, recs: Recs | None) -> Recs:
        return asked(inner, queries, recs)

    return Watched(stage, str(getattr(stage, "name", "")), path, ask, calls)


__all__ = ["Call", "Place", "held", "lost", "skipped", "standing_of", "traced"]
