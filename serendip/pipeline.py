"""Stages and how they are put together: `retrieve`, `first_of`, `chain`.

A stage is a value and a function ``(queries, recs=None) -> Recs``. What it does with lists that it is given:

* `Retrieve` keeps them and appends what it finds, without repeating an item (a chain of retrievers collects);
* `FirstOf` keeps them and fills them up to ``queries.k``;
* `Chain` hands them to its first stage.

However stages are composed, no list holds an item that its query excludes or does not allow, nor one without a finite
score.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.types import ABSENT, Embedder, Ids, Index, Queries, Recs, Scorer, SerendipError, Stage, unpack_mask

BLOCK_BYTES = 1 << 28
"""The most memory that the scores of one block of queries may take."""
DEPTH = 16
"""How deep stages may be nested."""
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
class Retrieve:
    """The items of the whole catalogue that one scorer puts first. Made by `retrieve`.

    Attributes:
        scorer: what scores; an `Embedder` is searched through an exact index, built at the first call.
        name: stands in ``Recs.columns["source"]``.
        k: how many items to find; None: ``queries.k``.
    """

    scorer: Scorer
    name: str
    k: int | None = None
    _index: _Once[Index] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_index", _Once(lambda: _exact(cast(Embedder, self.scorer))))

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """``[q, min(k, n)]`` items, behind the given lists if there are any; the notes say why a list is empty."""
        q, n = len(queries), self.scorer.n_items
        given = None if recs is None else permitted(recs, queries)
        asked = queries if given is None else _besides(queries, given.items)
        k = min(queries.k if self.k is None else self.k, n)
        if k < 1 or q == 0:
            found = Recs.empty(q)
        elif isinstance(self.scorer, Embedder):
            found = self._search(asked, k)
        else:
            found = self._scan(asked, k)
        found = found.keep(np.isfinite(found.scores) & (found.items != ABSENT))
        source = np.where(found.items == ABSENT, "", self.name)
        found = replace(found, columns={**found.columns, "source": source}, notes=_reasons(self.name, asked, found, n))
        return found if given is None else _append(given, found)

    def _search(self, queries: Queries, k: int) -> Recs:
        vectors = np.asarray(cast(Embedder, self.scorer).query_vectors(queries), np.float32)
        return self._index.get().search(vectors, k, queries.exclude, queries.allow)

    def _scan(self, queries: Queries, k: int) -> Recs:
        from serendip.kernels.topk import top_k

        rows = max(1, BLOCK_BYTES // (4 * self.scorer.n_items))
        blocks = [queries.take(slice(at, at + rows)) for at in range(0, len(queries), rows)]
        return _stack([top_k(self.scorer.score(block), k, block.exclude, block.allow) for block in blocks])


@dataclass(frozen=True, eq=False)
class FirstOf:
    """Each list comes from the first stage that has items for it; the next stages fill what is missing.

    Made by `first_of`.

    Attributes:
        stages: in order of preference.
    """

    stages: tuple[Stage, ...]

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """``[q, ≤ k]``. A later stage is asked only for lists that are short, and for other items than those listed."""
        lists = None if recs is None else permitted(recs, queries).top(max(queries.k, 0))
        for stage in self.stages:
            if lists is None:
                lists = _ask(stage, queries).top(max(queries.k, 0))
                continue
            counts = lists.counts
            short = np.flatnonzero(counts < queries.k)
            if len(short) == 0:
                break
            rest = _besides(queries.take(short), lists.items[short])
            rest = replace(rest, k=queries.k - int(counts[short].min()))
            lists = _append(lists, _spread(_ask(stage, rest), short, len(queries))).top(queries.k)
        return Recs.empty(len(queries)) if lists is None else lists


@dataclass(frozen=True, eq=False)
class Chain:
    """Stages one after another, each working on the lists of the one before. Made by `chain`.

    Attributes:
        stages: in order.
    """

    stages: tuple[Stage, ...]

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """The lists of the last stage; it decides how long they are."""
        for stage in self.stages:
            recs = _ask(stage, queries, recs)
        return Recs.empty(len(queries)) if recs is None else recs


def retrieve(scorer: Scorer, *, name: str, k: int | None = None) -> Retrieve:
    """A stage that finds the items a scorer puts first.

    Args:
        scorer: what answers (``model.lower()``).
        name: letters, digits, ``_ . -``, at most 64; replies name it as the source of each item.
        k: how many items to find; None: as many as the query asks for.

    Raises:
        SerendipError: not a scorer, a name that is no name, or a k below 1.
    """
    if not isinstance(cast(object, scorer), Scorer):
        hint = "call .lower() on a fitted model" if hasattr(scorer, "lower") else "an object with n_items and score()"
        raise SerendipError(f"retrieve must be given a scorer. Got {type(scorer).__name__} instead. Try: {hint}.")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise SerendipError(
            "The name of a retriever must be 1 to 64 letters, digits, '_', '.' or '-', and not start with '.' or '-'. "
            f"Got {name!r} instead."
        )
    if k is not None and k < 1:
        raise SerendipError(f"retrieve(k=…) must be at least 1, or None for as many as are asked for. Got {k} instead.")
    return Retrieve(scorer, name, k)


def first_of(*stages: Stage) -> FirstOf:
    """A stage that fills each list from the first stage that can, then the next, until it holds ``queries.k`` items.

    Raises:
        SerendipError: no stage, something that is no stage, two scorers of one name, or catalogues of different sizes.
    """
    return FirstOf(_checked("first_of", stages))


def chain(*stages: Stage) -> Chain:
    """A stage that hands the lists of each stage to the next.

    Raises:
        SerendipError: as `first_of`.
    """
    return Chain(_checked("chain", stages))


def retrievers(stage: Stage) -> tuple[Retrieve, ...]:
    """The retrievers a stage is made of, in order; those of other kinds of stages are not known."""
    return tuple(_walk(stage))


def permitted(recs: Recs, queries: Queries) -> Recs:
    """The lists without items that their query excludes or does not allow."""
    if queries.exclude is not None:
        recs = recs.without(queries.exclude)
    if queries.allow is None:
        return recs
    rows = np.zeros((1, 1), np.int64) if len(queries.allow) == 1 else np.arange(len(queries))[:, None]
    place = np.maximum(recs.items, 0)
    inside = (recs.items != ABSENT) & (place >> 3 < queries.allow.shape[1])
    bits = queries.allow[rows, np.where(inside, place >> 3, 0)] if queries.allow.shape[1] else np.zeros_like(place)
    return recs.keep(inside & ((bits >> (place & 7)) & 1).astype(bool))


class _RetrieveSpec(msgspec.Struct, tag="retrieve", tag_field="stage", frozen=True, forbid_unknown_fields=True):
    scorer: str
    name: str
    k: int | None = None


class _FirstOfSpec(msgspec.Struct, tag="first_of", tag_field="stage", frozen=True, forbid_unknown_fields=True):
    stages: list[_RetrieveSpec | _FirstOfSpec | _ChainSpec]


class _ChainSpec(msgspec.Struct, tag="chain", tag_field="stage", frozen=True, forbid_unknown_fields=True):
    stages: list[_RetrieveSpec | _FirstOfSpec | _ChainSpec]


_Spec = _RetrieveSpec | _FirstOfSpec | _ChainSpec


def to_dict(stage: Stage) -> dict[str, Any]:
    """A stage as plain JSON values; a retriever's scorer is named by the retriever's name.

    Raises:
        SerendipError: a stage of another kind than those of this module.
    """
    return cast("dict[str, Any]", msgspec.to_builtins(_describe(stage)))


def from_dict(header: Any, scorers: Mapping[str, Scorer]) -> Stage:
    """The inverse of `to_dict`.

    Args:
        header: what `to_dict` gave; need not be trusted.
        scorers: by the names that the header uses.

    Raises:
        SerendipError: a header that describes no stage, is nested too deeply or names a scorer that is not there.
    """
    try:
        spec: _Spec = msgspec.convert(header, _Spec)
    except (msgspec.ValidationError, RecursionError) as error:
        raise SerendipError(f"The description of the pipeline is not valid: {error}") from error
    return _build(spec, scorers, DEPTH)


def _describe(stage: Stage) -> _Spec:
    match stage:
        case Retrieve():
            return _RetrieveSpec(stage.name, stage.name, stage.k)
        case FirstOf():
            return _FirstOfSpec([_describe(part) for part in stage.stages])
        case Chain():
            return _ChainSpec([_describe(part) for part in stage.stages])
    raise SerendipError(
        f"Only stages made by retrieve, first_of and chain can be stored. Got {type(stage).__name__} instead."
    )


def _build(spec: _Spec, scorers: Mapping[str, Scorer], depth: int) -> Stage:
    if depth == 0:
        raise SerendipError(f"Stages must be nested at most {DEPTH} deep. Got more instead.")
    if isinstance(spec, _RetrieveSpec):
        if spec.scorer not in scorers:
            there = ", ".join(scorers) or "none"
            raise SerendipError(f"The pipeline names the scorer {spec.scorer!r}, which is not there. Got {there}.")
        return retrieve(scorers[spec.scorer], name=spec.name, k=spec.k)
    make = first_of if isinstance(spec, _FirstOfSpec) else chain
    return make(*(_build(part, scorers, depth - 1) for part in spec.stages))


def _checked(what: str, stages: Sequence[Stage]) -> tuple[Stage, ...]:
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
    named: dict[str, Retrieve] = {}
    for part in (part for stage in stages for part in _walk(stage)):
        other = named.setdefault(part.name.casefold(), part)
        if other.scorer is not part.scorer:
            raise SerendipError(
                f"Retrievers of different scorers must have different names (capitals do not count). "
                f"Got {other.name!r} and {part.name!r}."
            )
        first = next(iter(named.values()))
        if part.scorer.n_items != first.scorer.n_items:
            raise SerendipError(
                f"The stages of a pipeline must know the same items. Got {first.scorer.n_items} in {first.name!r} and "
                f"{part.scorer.n_items} in {part.name!r}. Try: fit them on the same data."
            )
    return tuple(stages)


def _walk(stage: Stage) -> Iterator[Retrieve]:
    if isinstance(stage, Retrieve):
        yield stage
    elif isinstance(stage, FirstOf | Chain):
        for part in stage.stages:
            yield from _walk(part)


def _ask(stage: Stage, queries: Queries, recs: Recs | None = None) -> Recs:
    """Call a stage; one from elsewhere is held to the rule that nothing excluded or disallowed is shown."""
    answer = stage(queries, recs)
    if isinstance(stage, Retrieve | FirstOf | Chain):
        return answer
    if not isinstance(answer, Recs) or len(answer) != len(queries):
        came = f"{len(answer)} lists" if isinstance(answer, Recs) else type(answer).__name__
        raise SerendipError(f"A stage must return one list per query ({len(queries)}). Got {came} from {stage!r}.")
    return permitted(answer.keep(np.isfinite(answer.scores) & (answer.items != ABSENT)), queries)


def _exact(scorer: Embedder) -> Index:
    from serendip.index.exact import Exact

    return Exact(np.asarray(scorer.item_vectors(), np.float32))


def _besides(queries: Queries, items: Ids) -> Queries:
    """Ask for other items than these (``[q, m]``) too."""
    exclude = items if queries.exclude is None else np.concatenate([queries.exclude, items], axis=1)
    return replace(queries, exclude=exclude)


def _append(left: Recs, right: Recs) -> Recs:
    """Both lists one after the other, without repeats, as wide as the longest."""
    room = replace(Recs.empty(len(left), left.items.shape[1] + right.items.shape[1]), notes=left.notes)
    joined = room.fill(left).fill(right)
    return joined.top(int(joined.counts.max(initial=0)))


def _spread(recs: Recs, rows: NDArray[np.int64], q: int) -> Recs:
    """Lists for some rows of a batch as lists for the whole batch, empty elsewhere."""
    if len(rows) == q:
        return recs
    blank = recs.keep(np.zeros(recs.items.shape, bool))

    def wide(part: NDArray[Any], nothing: NDArray[Any]) -> NDArray[Any]:
        out = np.empty((q, part.shape[1]), part.dtype)
        out[:] = nothing[:1]
        out[rows] = part
        return out

    return Recs(
        wide(recs.items, blank.items),
        wide(recs.scores, blank.scores),
        {name: wide(value, blank.columns[name]) for name, value in recs.columns.items()},
        recs.notes,
    )


def _stack(parts: Sequence[Recs]) -> Recs:
    if len(parts) == 1:
        return parts[0]
    return Recs(np.concatenate([part.items for part in parts]), np.concatenate([part.scores for part in parts]))


def _reasons(name: str, queries: Queries, recs: Recs, n: int) -> tuple[str, ...]:
    """Why lists are empty, for those that are."""
    q = len(queries)
    if queries.k < 1:
        return (f"{name}: {queries.k} items were asked for",)
    empty = np.flatnonzero(recs.counts == 0)
    if len(empty) == 0:
        return ()
    shut = int(_shut(queries.take(empty), n).sum())
    return tuple(
        f"{name}: {why} for {count} of {q} queries"
        for why, count in (
            ("every item is listed already, excluded or not allowed", shut),
            ("no item can be scored", len(empty) - shut),
        )
        if count
    )


def _shut(queries: Queries, n: int) -> NDArray[np.bool_]:
    """``[q]`` whether the exclusions and the allowed items leave nothing to show."""
    shut = np.empty(len(queries), bool)
    rows = max(1, BLOCK_BYTES // max(n, 1))
    for at in range(0, len(queries), rows):
        block = queries.take(slice(at, at + rows))
        may = np.ones((len(block), n), bool)
        if block.allow is not None:
            may &= unpack_mask(block.allow, n)
        if block.exclude is not None:
            row, place = np.nonzero((block.exclude >= 0) & (block.exclude < n))
            may[row, block.exclude[row, place]] = False
        shut[at : at + rows] = ~may.any(axis=1)
    return shut
