"""The kinds of stages, and the functions that make them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Generic, TypeVar, cast

import numpy as np

from serendip.index import Exact, VectorIndex
from serendip.pipeline.composite import Composite, Lawful, asked
from serendip.pipeline.lists import append, besides, block_rows, permitted, reasons, spread, stack, within
from serendip.pipeline.ranking import Rank
from serendip.pipeline.scan import best
from serendip.scorers.calibrated import Calibrated, ranked_by
from serendip.scorers.common import products
from serendip.types import ABSENT, SCORE, Embedder, Floats, Ids, Index, Queries, Recs, Scorer, SerendipError, Stage

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")

T = TypeVar("T")


class _Once(Generic[T]):
    """A value made when it is first asked for, once, whichever threads ask."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make: Callable[[], T] | None = make
        self._lock = threading.Lock()
        self._value: T | None = None

    def get(self) -> T:
        if self._make is not None:
            with self._lock:
                if self._make is not None:
                    self._value = self._make()
                    self._make = None
        return cast(T, self._value)


@dataclass(frozen=True, eq=False)
class Retrieve(Lawful):
    """The items of the whole catalogue that one scorer puts first. Made by `retrieve`.

    Attributes:
        scorer: what scores; an `Embedder` is searched through an index.
        name: stands in ``Recs.columns["source"]``; the scores are also in ``Recs.columns["score.NAME"]``.
        k: how many items to find; None: ``queries.k``.
        index: over the scorer's vectors, and perhaps those of items that it does not know; None: an exact one, built
            at the first call.
    """

    scorer: Scorer
    name: str
    k: int | None = None
    index: VectorIndex | None = None
    _index: _Once[Index] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", _Once(self._build))

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """``[q, min(k, n)]`` items, behind the given lists if there are any; the notes say why a list is empty."""
        q, n = len(queries), self.n_items
        given = None if recs is None else permitted(recs, queries)
        wanted = within(queries if given is None else besides(queries, given.items), n)
        k = min(queries.k if self.k is None or queries.k < 1 else self.k, n)
        if k < 1 or q == 0:
            found = Recs.empty(q)
        elif self._embeds:
            found = self._search(wanted, k)
        else:
            found = self._scan(wanted, k)
        if isinstance(self.scorer, Calibrated):
            found = replace(found, scores=self.scorer.probabilities(found.scores))
        found = found.keep(np.isfinite(found.scores) & (found.items != ABSENT))
        held = found.items != ABSENT
        named = {
            "source": np.where(held, self.name, ""),
            SCORE + self.name: np.where(held, found.scores, np.float32(np.nan)),
        }
        notes = reasons(self.name, wanted, found, n)
        found = Recs(found.items, found.scores, {**found.columns, **named}, notes)
        return found if given is None else append(given, found)

    def scores_of(self, queries: Queries, items: Ids) -> Floats:
        """``[q, c]`` by which it puts the items ``[q, c]`` in order, ``-inf`` where it cannot; no probabilities."""
        scorer = ranked_by(self.scorer)
        if self.index is None or not isinstance(scorer, Embedder):
            return scorer.score(queries, items)
        codes, places = np.unique(items, return_inverse=True)
        vectors = np.asarray(scorer.query_vectors(queries), np.float32)
        return products(vectors, self.index.of(codes), places.reshape(items.shape).astype(np.int32))

    @cached_property
    def _embeds(self) -> bool:
        return isinstance(ranked_by(self.scorer), Embedder)

    @property
    def n_items(self) -> int:
        """How many items it knows."""
        return self.scorer.n_items if self.index is None else len(self.index)

    def _build(self) -> Index:
        if self.index is not None:
            return self.index
        return Exact(np.asarray(cast(Embedder, ranked_by(self.scorer)).item_vectors(), np.float32))

    def _search(self, queries: Queries, k: int) -> Recs:
        vectors = np.asarray(cast(Embedder, ranked_by(self.scorer)).query_vectors(queries), np.float32)
        return self._index.get().search(vectors, k, queries.exclude, queries.allow)

    def _scan(self, queries: Queries, k: int) -> Recs:
        rows = block_rows(4 * self.scorer.n_items)
        scorer = ranked_by(self.scorer)
        if len(queries) <= rows:
            return best(scorer, queries, k)
        blocks = [queries.take(slice(at, at + rows)) for at in range(0, len(queries), rows)]
        return stack([best(scorer, block, k) for block in blocks])


@dataclass(frozen=True, eq=False)
class FirstOf(Composite):
    """Each list comes from the first stage that has items for it; the next stages fill what is missing.

    Made by `first_of`.

    Attributes:
        stages: in order of preference.
        least: how many items to find where a query asks for fewer, as for a ranker behind it; None: ``queries.k``.
    """

    least: int | None = None

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """``[q, ≤ k]``. A later stage is asked only for lists that are short, and for other items than those listed."""
        if self.least is not None and 0 < queries.k < self.least:
            queries = replace(queries, k=self.least)
        lists = None if recs is None else permitted(recs, queries).top(max(queries.k, 0))
        for stage in self.stages:
            if lists is None:
                lists = asked(stage, queries).top(max(queries.k, 0))
                continue
            counts = lists.counts
            short = np.flatnonzero(counts < queries.k)
            if len(short) == 0:
                break
            rest = besides(queries.take(short), lists.items[short])
            rest = replace(rest, k=queries.k - int(counts[short].min()))
            lists = append(lists, spread(asked(stage, rest), short, len(queries))).top(queries.k)
        return Recs.empty(len(queries)) if lists is None else lists


@dataclass(frozen=True, eq=False)
class Chain(Composite):
    """Stages one after another, each working on the lists of the one before. Made by `chain`.

    Attributes:
        stages: in order.
    """

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """The lists of the last stage; it decides how long they are."""
        for stage in self.stages:
            recs = asked(stage, queries, recs)
        return Recs.empty(len(queries)) if recs is None else recs


def retrieve(scorer: Scorer, *, name: str, k: int | None = None, index: VectorIndex | None = None) -> Retrieve:
    """A stage that finds the items a scorer puts first.

    Args:
        scorer: what answers (``model.lower()``).
        name: letters, digits, ``_ . -``, at most 64; replies name it as the source of each item.
        k: how many items to find; None: as many as the query asks for.
        index: over the vectors of the scorer (`serendip.index.build`), which then must have such; None: exact search.

    Raises:
        SerendipError: not a scorer, a name that is no name, a k below 1, or an index for a scorer without vectors or
            with others.
    """
    _check("retrieve", scorer, name, k)
    if index is not None and (not isinstance(ranked_by(scorer), Embedder) or len(index) < scorer.n_items):
        raise SerendipError(
            f"retrieve(index=…) must be over the {scorer.n_items} vectors of a scorer that has such. "
            f"Got one over {len(index)} for {type(scorer).__name__}."
        )
    return Retrieve(scorer, name, k, index)


def with_indices(stage: Stage, indices: Mapping[str, VectorIndex]) -> Stage:
    """The stage with other indices for some of its retrievers, by their names."""
    if isinstance(stage, Retrieve):
        return retrieve(stage.scorer, name=stage.name, k=stage.k, index=indices.get(stage.name, stage.index))
    if isinstance(stage, Composite):
        return replace(stage, stages=tuple(with_indices(part, indices) for part in stage.stages))
    return stage


def rank(scorer: Scorer, *, name: str, k: int | None = None, named: float = 0.0) -> Rank:
    """A stage that puts the items which other stages named into the order of a scorer.

    Args:
        scorer: what answers (``model.lower()``).
        name: as of `retrieve`.
        k: how many items to keep; None: as many as the query asks for.
        named: between 0 and 1, how much the order counts in which the items were named; see `Rank`.

    Raises:
        SerendipError: as `retrieve`; ``named`` out of bounds.
    """
    _check("rank", scorer, name, k)
    if not 0 <= named <= 1:
        raise SerendipError(f"rank(named=…) must be between 0 and 1. Got {named} instead.")
    return Rank(scorer, name, k, named)


def first_of(*stages: Stage, least: int | None = None) -> FirstOf:
    """A stage that fills each list from the first stage that can, then the next, until it holds ``queries.k`` items.

    Args:
        stages: in order of preference.
        least: how many items to find where a query asks for fewer, as for a ranker behind it; None: as many as it asks
            for.

    Raises:
        SerendipError: no stage, something that is no stage, two scorers of one name, catalogues of different sizes, or
            ``least`` below 1.
    """
    if least is not None and least < 1:
        raise SerendipError(f"first_of(least=…) must be at least 1, or None. Got {least} instead.")
    return FirstOf(checked("first_of", stages), least)


def chain(*stages: Stage) -> Chain:
    """A stage that hands the lists of each stage to the next.

    Raises:
        SerendipError: as `first_of`.
    """
    return Chain(checked("chain", stages))


def retrievers(stage: Stage) -> tuple[Retrieve, ...]:
    """The retrievers a stage is made of, in order; those of other kinds of stages are not known."""
    return tuple(part for part in _walk(stage) if isinstance(part, Retrieve))


def before(stage: Stage, part: Rank) -> Stage | None:
    """What names the items that a ranker of this pipeline ranks; None where nothing of this module does."""
    if not isinstance(stage, Composite):
        return None
    for place, inner in enumerate(stage.stages):
        if _stands_for(inner, part):
            return Chain(stage.stages[:place]) if place and isinstance(stage, Chain) else None
        if (found := before(inner, part)) is not None:
            return found
    return None


def _stands_for(stage: Stage, part: Rank) -> bool:
    """Whether it is the ranker, perhaps within a guard."""
    alone = isinstance(stage, Composite) and len(stage.stages) == 1
    return stage is part or (isinstance(stage, Composite) and alone and _stands_for(stage.stages[0], part))


def scoring(stage: Stage) -> tuple[Retrieve | Rank, ...]:
    """The retrievers and rankers a stage is made of, in order: all that hold a scorer."""
    return tuple(_walk(stage))


def _check(what: str, scorer: Scorer, name: str, k: int | None) -> None:
    if not isinstance(cast(object, scorer), Scorer):
        raise SerendipError(
            f"{what} must be given a scorer: an object with n_items and score(). Got {type(scorer).__name__}. "
            "Try: model.lower() of a fitted model."
        )
    check_name("retriever" if what == "retrieve" else "ranker", name)
    if k is not None and k < 1:
        raise SerendipError(f"{what}(k=…) must be at least 1, or None for as many as are asked for. Got {k} instead.")


def check_name(kind: str, name: str) -> None:
    """That a name can be one of a stage.

    Raises:
        SerendipError: it cannot.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SerendipError(
            f"The name of a {kind} must be 1 to 64 letters, digits, '_', '.' or '-', and not start with '.' or '-'. "
            f"Got {name!r} instead."
        )


def checked(what: str, stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages that a composite one is given.

    Raises:
        SerendipError: as `first_of`.
    """
    if not stages:
        raise SerendipError(f"{what} must be given at least one stage. Got none.")
    for stage in stages:
        if isinstance(stage, Scorer):
            raise SerendipError(
                f"{what} must be given stages. Got the scorer {type(stage).__name__} instead. "
                "Try: retrieve(scorer, name='…')."
            )
        if not callable(stage) or isinstance(stage, type):
            raise SerendipError(f"{what} must be given stages. Got {stage!r} instead.")
    named: dict[str, Retrieve | Rank] = {}
    for part in (part for stage in stages for part in _walk(stage)):
        other = named.setdefault(part.name.casefold(), part)
        if other.scorer is not part.scorer:
            raise SerendipError(
                f"Stages of different scorers must have different names (capitals do not count). "
                f"Got {other.name!r} and {part.name!r}."
            )
        first = next(iter(named.values()))
        if part.scorer.n_items != first.scorer.n_items:
            raise SerendipError(
                f"The stages of a pipeline must know the same items. Got {first.scorer.n_items} in {first.name!r} and "
                f"{part.scorer.n_items} in {part.name!r}. Try: fit them on the same data."
            )
    return tuple(stages)


def _walk(stage: Stage) -> Iterator[Retrieve | Rank]:
    if isinstance(stage, Retrieve | Rank):
        yield stage
    elif isinstance(stage, Composite):
        for part in stage.stages:
            yield from _walk(part)
