"""`Rerank` and `Reranked`: lists in another order, by one re-ranker after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from serendip.pipeline.composite import Composite, Lawful, asked
from serendip.pipeline.lists import block_rows
from serendip.pipeline.stages import check_name, checked
from serendip.rerank import Reranker, Shelf, Step, bind
from serendip.rerank import checked as check_options
from serendip.rerank.lists import RELEVANCE, scaled
from serendip.types import ABSENT, PLACE, Queries, Recs, SerendipError, Stage

CANDIDATES = 200
ITEM_BYTES = 1 << 11
"""About what re-ranking takes for an item of a list."""


@dataclass(frozen=True, eq=False)
class Rerank(Lawful):
    """Lists in another order. Made by `serendip.pipeline.rerank`.

    It decides the places that a query asks for; what stands behind keeps its order. An item keeps its score, source and
    other columns; the column ``place.NAME`` says where it stood before.

    Attributes:
        options: of the re-ranker.
        name: of the stage.
        step: the re-ranker itself; None before it knows its items, see `bound`.
    """

    options: Reranker
    name: str
    step: Step | None = None

    @property
    def reads_time(self) -> bool:
        """Whether it asks when a query is made."""
        return bool(getattr(self.step, "reads_time", False))

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """``[q, c]``, as long as they were.

        Raises:
            SerendipError: no lists, or it does not know its items yet.
        """
        if recs is None:
            raise SerendipError(
                f"{self.name} re-ranks what other stages name. Got no lists. Try reranked(retrieve(…), rerank(…))."
            )
        if self.step is None:
            raise SerendipError(
                f"{self.name} must know its items before it is asked. "
                "Try: put the pipeline into a bundle, or bound(pipeline, lambda: Shelf(…))."
            )
        stood = np.where(recs.items == ABSENT, ABSENT, np.arange(1, recs.items.shape[1] + 1)).astype(np.int32)
        lists = replace(recs, columns={**recs.columns, PLACE + self.name: stood})
        rows = block_rows(ITEM_BYTES * lists.items.shape[1])
        if len(queries) <= rows:
            return self.step(queries, lists)
        blocks = [slice(at, at + rows) for at in range(0, len(queries), rows)]
        return _stacked([self.step(queries.take(block), _taken(lists, block)) for block in blocks])


@dataclass(frozen=True, eq=False)
class Reranked(Composite):
    """The lists of a stage, re-ranked, the best that are asked for. Made by `serendip.pipeline.reranked`.

    Attributes:
        stages: the one that makes the lists, then the re-rankers in order.
        candidates: how many items the first is asked for where a query asks for fewer.
    """

    candidates: int = CANDIDATES

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """``[q, ≤ k]``."""
        wanted = queries if queries.k < 1 else replace(queries, k=max(queries.k, self.candidates))
        lists = asked(self.stages[0], wanted, recs)
        lists = replace(lists, columns={**lists.columns, RELEVANCE: scaled(lists)})
        for stage in self.stages[1:]:
            lists = asked(stage, queries, lists)
        columns = {name: value for name, value in lists.columns.items() if name != RELEVANCE}
        return replace(lists, columns=columns).top(max(queries.k, 0))


def rerank(options: Reranker, *, name: str | None = None) -> Rerank:
    """A stage that puts lists into another order. It answers once it knows the items: in a bundle, or by `bound`.

    Args:
        options: of the re-ranker: see `serendip.rerank`.
        name: as of `retrieve`; None: the kind of re-ranker.

    Raises:
        SerendipError: no re-ranker, options out of bounds, or a name that is no name.
    """
    check_options([options])
    own = kind_of(options) if name is None else name
    check_name("re-ranker", own)
    return Rerank(options, own)


def in_turn(options: Iterable[Reranker]) -> tuple[Rerank, ...]:
    """A stage for each re-ranker, called by its kind, and by a number behind it from the second of a kind on."""
    out: list[Rerank] = []
    for one in options:
        before = sum(kind_of(other.options) == kind_of(one) for other in out)
        out.append(rerank(one, name=kind_of(one) + (str(before + 1) if before else "")))
    return tuple(out)


def reranked(stage: Stage, *steps: Stage, candidates: int = CANDIDATES) -> Reranked:
    """A stage that asks another one for more than is wanted, and gives the best after re-ranking.

    Args:
        stage: what makes the lists.
        steps: made by `rerank`, guarded or not, in order.
        candidates: how many items the first stage is asked for where a query asks for fewer.

    Raises:
        SerendipError: no stage, two re-rankers of one name, one behind one that explores, or ``candidates`` below 1.
    """
    if candidates < 1:
        raise SerendipError(f"reranked(candidates=…) must be at least 1. Got {candidates} instead.")
    parts = checked("reranked", (stage, *steps))
    found = [one for step in steps for one in rerankers(step)]
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SerendipError(f"Re-rankers must have different names. Got {twice!r} twice.")
    check_options([one.options for one in found])
    return Reranked(parts, candidates)


def kind_of(options: Reranker) -> str:
    """What a re-ranker is called in recipes: ``mmr``, ``cap`` …"""
    return type(options).__name__.lower()


def rerankers(stage: Stage) -> Iterator[Rerank]:
    """The re-rankers of a pipeline, in order."""
    if isinstance(stage, Rerank):
        yield stage
    elif isinstance(stage, Composite):
        for part in stage.stages:
            yield from rerankers(part)


def bound(stage: Stage, shelf: Callable[[], Shelf]) -> Stage:
    """The pipeline with re-rankers that know these items; ``shelf`` is asked only where there are some.

    Raises:
        SerendipError: as `serendip.rerank.bind`.
    """
    return stage if next(rerankers(stage), None) is None else _bound(stage, shelf())


def _bound(stage: Stage, shelf: Shelf) -> Stage:
    if isinstance(stage, Rerank):
        return replace(stage, step=bind(stage.options, shelf))
    if not isinstance(stage, Composite):
        return stage
    whole: Any = stage
    made: Stage = replace(whole, stages=tuple(_bound(part, shelf) for part in stage.stages))
    return made


def _taken(lists: Recs, rows: slice) -> Recs:
    return Recs(
        lists.items[rows],
        lists.scores[rows],
        {name: value[rows] for name, value in lists.columns.items()},
        lists.notes,
    )


def _stacked(parts: Sequence[Recs]) -> Recs:
    """The lists of one block of queries below the other, as wide as the widest, with all notes."""
    width = max(part.items.shape[1] for part in parts)
    wide = [replace(Recs.empty(len(part), width), notes=part.notes).fill(part) for part in parts]
    return Recs(
        np.concatenate([part.items for part in wide]),
        np.concatenate([part.scores for part in wide]),
        {name: np.concatenate([part.columns[name] for part in wide]) for name in wide[0].columns},
        tuple(dict.fromkeys(note for part in wide for note in part.notes)),
    )


__all__ = ["CANDIDATES", "Rerank", "Reranked", "bound", "in_turn", "kind_of", "rerank", "reranked", "rerankers"]
