"""The values everything passes through, and the protocols that say what a part can do.

Shapes: ``q`` queries, ``k`` places in a list, ``n`` items in the vocabulary, ``t`` events of a history, ``d``
dimensions.
Ids are dense int32 codes ``0 … n-1``; `ABSENT` stands for "none" wherever an id is expected, and a score of ``-inf``
means "cannot be scored". External ids appear only in `data.Dataset` (coming in) and in `Recs.frame` (going out).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl
    from scipy.sparse import csr_array

ABSENT = -1

Ids = NDArray[np.int32]
Floats = NDArray[np.float32]

SOURCE = "source."
"""Begins the names of what is said of an item by the source that named it."""
SCORE = "score."
"""Begins the names of columns that hold the score which a stage gave, by its name; NaN where it gave none."""
PLACE = "place."
"""Begins the names of columns that say at which place (from 1) an item stood before a re-ranker, by its name; `ABSENT`
where it stood nowhere."""
PROPENSITY = "propensity"
"""The column that says, of a list shown by chance, how likely each item was at its place."""

_NOTHING: Mapping[str, NDArray[Any]] = MappingProxyType({})


class SerendipError(Exception):
    """An error a user can act on: what was expected, what came, where, and what to try.

    The command line prints it without a traceback; the server turns it into a reply.
    """


def pack_mask(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pack a mask of allowed items, ``[n]`` or ``[q, n]``, into bits ``[1 | q, ceil(n/8)]`` for `Queries.allow`."""
    return np.packbits(np.atleast_2d(mask), axis=1, bitorder="little")


def unpack_mask(bits: NDArray[np.uint8], n: int) -> NDArray[np.bool_]:
    """The inverse of `pack_mask`: ``[1 | q, n]`` booleans."""
    return np.unpackbits(bits, axis=1, count=n, bitorder="little").astype(bool)


@dataclass(frozen=True, slots=True)
class Input:
    """An array that says something of users, items or the moment, as `Queries.features` holds it and networks read it.

    Attributes:
        name: of the feature.
        side: whose it is: ``user``, ``item`` or ``context``; or ``pair``, of whoever asks and an item together, as
            `Queries.pairs` holds it.
        size: of codes: every code is below it, and `ABSENT` is none; None: the values are float32 numbers.
        width: how many codes (`ABSENT`-padded) or numbers each has; 0: one code, an array ``[q]``.
        table: features with codes of one kind share the embedding table of this name; "" for the feature's own.
        pooling: of several codes: ``mean``, ``sum`` or ``sqrtn`` (the sum over the root of their number).
        dim: dimensions of the embedding; None: by the logarithm of ``size``.
    """

    name: str
    side: Literal["user", "item", "context", "pair"]
    size: int | None = None
    width: int = 0
    table: str = ""
    pooling: Literal["mean", "sum", "sqrtn"] = "mean"
    dim: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Queries:
    """Who asks, in which context, what may be shown, and how many are wanted.

    Attributes:
        users: ``[q]`` user codes, `ABSENT` where unknown.
        history: ``[q, t]`` item codes, oldest first, `ABSENT` on the left. What a model may learn a taste from.
        bags: further ``[q, t]`` arrays; ``weight`` (float32, the strength of each event) and ``time`` (int64, its time)
            are aligned with ``history``; ``events.KIND`` holds the items of the events of another kind, in the form of
            ``history`` but of a width of its own. Any may be missing.
        features: ``[q]``, ``[q, m]`` (`ABSENT`-padded codes) or ``[q, d]`` floats by name; missing values are NaN or
            `ABSENT`.
        pairs: ``[q, c]`` or ``[q, c, w]`` numbers by name of each query and each of the items that a scorer is asked
            about, in their order; NaN where nothing is known. Any may be missing.
        time: ``[q]`` unix seconds (UTC) of the request, or None.
        exclude: ``[q, e]`` item codes never to be shown, `ABSENT`-padded anywhere, or None.
        allow: bits of the items that may be shown (see `pack_mask`), one row for all or one a query, or None for all.
        draw: ``[q]`` uint64, what chance is drawn by in this request; None: nothing is left to chance.
        k: how many items are wanted per query.
    """

    users: Ids
    history: Ids
    bags: Mapping[str, NDArray[Any]] = field(default_factory=lambda: _NOTHING)
    features: Mapping[str, NDArray[Any]] = field(default_factory=lambda: _NOTHING)
    pairs: Mapping[str, Floats] = field(default_factory=lambda: _NOTHING)
    time: NDArray[np.int64] | None = None
    exclude: Ids | None = None
    allow: NDArray[np.uint8] | None = None
    k: int = 10
    draw: NDArray[np.uint64] | None = None

    def __post_init__(self) -> None:
        q = len(self.users)
        for kind in ("history", "time", "exclude", "draw", "bags", "features", "pairs"):
            found = getattr(self, kind)
            for name, value in found.items() if isinstance(found, Mapping) else ((None, found),):
                if value is not None and len(value) != q:
                    said = kind if name is None else f"{kind}[{name!r}]"
                    raise ValueError(f"Queries.{said} must have one row per user ({q}). Got {len(value)} instead.")
        if self.allow is not None and len(self.allow) not in (1, q):
            raise ValueError(f"Queries.allow must have 1 row or one per user ({q}). Got {len(self.allow)} instead.")

    @classmethod
    def of(cls, histories: Sequence[Sequence[int]], *, users: Sequence[int] | None = None, k: int = 10) -> Queries:
        """Queries from plain lists of item codes, one history each (oldest first)."""
        width = max((len(h) for h in histories), default=0)
        history = np.full((len(histories), width), ABSENT, np.int32)
        for row, items in enumerate(histories):
            if len(items):
                history[row, width - len(items) :] = items
        codes = np.full(len(histories), ABSENT, np.int32) if users is None else np.asarray(users, np.int32)
        return cls(users=codes, history=history, k=k)

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: slice | NDArray[Any]) -> Queries:
        """The chosen queries, in the order given."""
        allow = self.allow
        return replace(
            self,
            users=self.users[rows],
            history=self.history[rows],
            bags={name: value[rows] for name, value in self.bags.items()},
            features={name: value[rows] for name, value in self.features.items()},
            pairs={name: value[rows] for name, value in self.pairs.items()},
            time=None if self.time is None else self.time[rows],
            exclude=None if self.exclude is None else self.exclude[rows],
            allow=allow if allow is None or len(allow) == 1 else allow[rows],
            draw=None if self.draw is None else self.draw[rows],
        )

    def allowed(self, items: Ids) -> NDArray[np.bool_]:
        """``[q, c]`` which of these items are allowed, whether or not they are excluded; `ABSENT` never is."""
        inside: NDArray[np.bool_] = items != ABSENT
        if self.allow is None:
            return inside
        rows = np.zeros((1, 1), np.int64) if len(self.allow) == 1 else np.arange(len(self))[:, None]
        place = np.maximum(items, 0)
        inside &= place >> 3 < self.allow.shape[1]
        if self.allow.shape[1] == 0:
            return inside
        bits = self.allow[rows, np.where(inside, place >> 3, 0)]
        return np.asarray(inside & ((bits >> (place & 7)) & 1).astype(bool))


@dataclass(frozen=True, slots=True, eq=False)
class Recs:
    """A list of recommendations per query: ids and scores together, best first.

    Attributes:
        items: ``[q, k]`` item codes, `ABSENT` on the right.
        scores: ``[q, k]`` float32, comparable within one stage only; ``-inf`` where the item is `ABSENT`.
        columns: further ``[q, k]`` arrays by name: ``source`` (which retriever named the item, of several the one in
            whose list it stands highest), ``score.NAME`` (what the stage NAME gave it, NaN where it gave nothing) …
        notes: what a reader should know: stages skipped, why a list is short.
    """

    items: Ids
    scores: Floats
    columns: Mapping[str, NDArray[Any]] = field(default_factory=lambda: _NOTHING)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = self.items.shape
        if self.scores.shape == shape and all(value.shape == shape for value in self.columns.values()):
            return
        for name, value in {"scores": self.scores, **self.columns}.items():
            if value.shape != shape:
                raise ValueError(f"Recs.{name} must have the shape of items {shape}. Got {value.shape} instead.")

    @classmethod
    def empty(cls, q: int, k: int = 0) -> Recs:
        """Lists that hold nothing."""
        return cls(np.full((q, k), ABSENT, np.int32), np.full((q, k), -np.inf, np.float32))

    def __len__(self) -> int:
        return len(self.items)

    @property
    def counts(self) -> NDArray[np.int64]:
        """``[q]`` how many items each list holds."""
        counts: NDArray[np.int64] = (self.items != ABSENT).sum(axis=1)
        return counts

    def top(self, k: int) -> Recs:
        """The first k places."""
        if k >= self.items.shape[1]:
            return self
        columns = {name: value[:, :k] for name, value in self.columns.items()}
        return Recs(self.items[:, :k], self.scores[:, :k], columns, self.notes)

    def keep(self, mask: NDArray[np.bool_]) -> Recs:
        """Only the places where ``mask`` ``[q, k]`` holds, moved to the left in their order."""
        if mask.all() and self.items.dtype == np.int32 and self.scores.dtype == np.float32:
            return self
        lists, kept = self, mask
        if (mask[:, 1:] > mask[:, :-1]).any():
            order = np.argsort(~mask, axis=1, kind="stable")
            lists, kept = self.ordered(order), np.arange(mask.shape[1]) < mask.sum(axis=1, keepdims=True)
        return Recs(
            np.where(kept, lists.items, ABSENT).astype(np.int32),
            np.where(kept, lists.scores, -np.inf).astype(np.float32),
            {name: np.where(kept, value, _as(value.dtype)) for name, value in lists.columns.items()},
            lists.notes,
        )

    def ordered(self, order: NDArray[np.integer[Any]]) -> Recs:
        """The lists with their places in another order: ``[q, k]``, where each takes its item from."""
        rows = np.arange(len(self))[:, None]
        columns = {name: value[rows, order] for name, value in self.columns.items()}
        return Recs(self.items[rows, order], self.scores[rows, order], columns, self.notes)

    def without(self, seen: Ids) -> Recs:
        """Drop the items in ``seen`` (``[q, e]``, `ABSENT`-padded), per query."""
        if seen.shape[1] == 0:
            return self
        if len(self) == 1:
            known = np.sort(seen[0])
            place = np.minimum(np.searchsorted(known, self.items[0]), len(known) - 1)
            return self.keep((known[place] != self.items[0])[None] & (self.items != ABSENT))
        base = np.int64(max(self.items.max(initial=0), seen.max(initial=0)) + 2)
        rows = np.arange(len(self.items), dtype=np.int64)[:, None] * base
        hit = np.isin(rows + self.items, rows + seen)
        return self.keep(~hit & (self.items != ABSENT))

    def fill(self, other: Recs) -> Recs:
        """Append ``other``'s items where this list ends, without repeating any; as wide as the wider of the two.

        Scores keep the scale of the stage they came from, so they are comparable within one source only.
        """
        if len(self) != len(other):
            raise ValueError(f"fill needs lists for the same {len(self)} queries. Got {len(other)} instead.")
        k = max(self.items.shape[1], other.items.shape[1])
        names = [*self.columns, *(name for name in other.columns if name not in self.columns)]
        rest = other.without(self.items)
        joined = Recs(
            np.concatenate([self.items, rest.items], axis=1),
            np.concatenate([self.scores, rest.scores], axis=1),
            {name: _beside(self, rest, name) for name in names},
            (*self.notes, *(note for note in other.notes if note not in self.notes)),
        )
        return joined.keep(joined.items != ABSENT).top(k)

    def frame(self, users: pl.Series, items: pl.Series) -> pl.DataFrame:
        """A table with external ids: ``user_id, item_id, score, rank`` (from 1) and the columns, but for those that
        say what stages did (`SCORE`, `PLACE`).

        Args:
            users: ``[q]`` the external id of each query.
            items: ``[n]`` the external id of each item code (``Vocab.ids``).
        """
        import polars as pl

        row, place = np.nonzero(self.items != ABSENT)
        return pl.DataFrame(
            [
                users[row].alias("user_id"),
                items[self.items[row, place]].alias("item_id"),
                pl.Series("score", self.scores[row, place]),
                pl.Series("rank", (place + 1).astype(np.int32)),
                *(
                    pl.Series(name, value[row, place])
                    for name, value in self.columns.items()
                    if not name.startswith((SCORE, PLACE))
                ),
            ]
        )


def blank_of(dtype: np.dtype[Any]) -> Any:
    """What stands in a column where there is no item, by the type of the column."""
    return {"f": np.nan, "U": "", "O": None, "b": False, "u": 0}.get(dtype.kind, ABSENT)


def _as(dtype: np.dtype[Any]) -> NDArray[Any]:
    """`blank_of` as an array of that type, so that it widens no other."""
    return np.asarray(blank_of(dtype), dtype)


def _beside(left: Recs, right: Recs, name: str) -> NDArray[Any]:
    parts = [side.columns.get(name) for side in (left, right)]
    dtype = np.result_type(*(part for part in parts if part is not None))
    return np.concatenate(
        [
            np.full(side.items.shape, blank_of(dtype), dtype) if part is None else part.astype(dtype)
            for side, part in zip((left, right), parts, strict=True)
        ],
        axis=1,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What each query's user went on to like: the held-out items, as rows of one flat array.

    Attributes:
        indptr: ``[q + 1]`` where each query's items begin; query ``r`` owns ``items[indptr[r]:indptr[r+1]]``.
        items: ``[m]`` item codes of the training vocabulary, distinct within a query; `ABSENT` for an item that
            training has never heard of, which nobody can recommend and which therefore counts as missed.
    """

    indptr: NDArray[np.int64]
    items: Ids

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """``[q]`` how many held-out items each query has."""
        return np.diff(self.indptr)

    def take(self, rows: slice | NDArray[Any]) -> Truth:
        """The chosen queries' truths, in the order given."""
        index = np.arange(len(self))[rows]
        counts = self.counts[index]
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        flat = np.repeat(self.indptr[index] - indptr[:-1], counts) + np.arange(indptr[-1])
        return Truth(indptr, self.items[flat])


@runtime_checkable
class Scorer(Protocol):
    """What answers; needs no PyTorch. Everything in a bundle that gives scores is one."""

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary: codes ``0 … n-1``."""
        ...

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """Scores ``[q, n]`` for all items, or ``[q, c]`` for the given ones (``[c]``, or ``[q, c]`` one row a query).

        ``-inf`` where an item or a query cannot be scored (`ABSENT`, outside the vocabulary, nothing known).
        """
        ...


@runtime_checkable
class Predictor(Protocol):
    """What says how somebody would rate something, on the scale of the ratings it learned from."""

    def predict(self, users: Ids, items: Ids, time: NDArray[np.int64] | None = None) -> Floats:
        """Ratings ``[m]`` of users ``[m]`` for items ``[m]``, codes both, within the range of the training ratings.

        A code that training does not know (`ABSENT`, outside the vocabulary, nothing rated) falls back to what is
        known: the other's mean, or the mean of all. Never NaN.

        Args:
            users, items: codes, one pair each.
            time: ``[m]`` unix seconds of each rating, or None; most predictors know nothing of time.
        """
        ...


@runtime_checkable
class Embedder(Protocol):
    """A scorer whose score is the inner product of two vectors; whatever has it can be indexed."""

    def item_vectors(self) -> Floats:
        """``[n, d]``; a row of NaN marks an item that cannot be scored."""
        ...

    def query_vectors(self, queries: Queries) -> Floats:
        """``[q, d]``; a row of NaN marks a query about which nothing is known."""
        ...


@runtime_checkable
class Featured(Protocol):
    """A scorer that reads features of queries or makes vectors of items from them."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the `Input`s that it reads."""
        ...


@runtime_checkable
class Bagged(Protocol):
    """A scorer that reads bags of events beside the history. One that does not say so reads none."""

    @property
    def bag_names(self) -> tuple[str, ...]:
        """The names of those of `Queries.bags` that hold events of their own."""
        ...


@runtime_checkable
class Paired(Protocol):
    """A scorer that reads what is known of a query and an item together. One that does not say so reads nothing."""

    @property
    def pair_names(self) -> tuple[str, ...]:
        """The names of those of `Queries.pairs` that it reads."""
        ...


@runtime_checkable
class Foreteller(Protocol):
    """A scorer that says what labels of an event would be, each on its own scale."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """What it foretells: names of labels, and perhaps others."""
        ...

    def foretold(self, queries: Queries, items: Ids | None = None) -> Mapping[str, Floats]:
        """Of each task, ``[q, c]`` by name, the probability, the count expected, the rating or the duration; NaN where
        nothing can be said. Arguments as of `Scorer.score`."""
        ...


@runtime_checkable
class Uncertain(Protocol):
    """A scorer that says how sure it is of a score."""

    def deviation(self, queries: Queries, items: Ids | None = None) -> Floats:
        """``[q, c]`` the standard deviation of each score given what was learned, on the scale of the scores; NaN where
        there is no score. Arguments as of `Scorer.score`."""
        ...


@runtime_checkable
class Similar(Protocol):
    """Can name items like a given one."""

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The k nearest items of each given one, itself excluded: ``[len(items), k]``."""
        ...


@runtime_checkable
class SimilarUsers(Protocol):
    """Can name users like the one who asks."""

    def similar_users(self, queries: Queries, k: int) -> Recs:
        """The k users most like each asker, by code, the asker excluded: ``[q, k]``, user codes for items."""
        ...


@runtime_checkable
class Explainer(Protocol):
    """Can say which items of a history speak for an item, and how much."""

    def explain(self, queries: Queries, items: Ids, k: int = 3) -> Recs:
        """The k items of each history that add most to the score of the item, strongest first: ``[q, k]``.

        What all items of a history add sums to the score. One that adds nothing is not named; one may count against.
        An item that has no score is explained by nothing.

        Args:
            queries: who asks.
            items: ``[q]`` the item asked about, one per query.
            k: how many at most.
        """
        ...


class Log(Protocol):
    """What a scorer needs to know of a data set to learn from it."""

    @property
    def n_users(self) -> int:
        """Size of the user vocabulary."""
        ...

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        ...

    def matrix(self, weight: str | None = None) -> csr_array:
        """Users × items, as `serendip.data.dataset.Dataset.matrix`."""
        ...


class Changed(Protocol):
    """A log before and after new events, in the vocabularies of after, in which the new ids come last."""

    @property
    def before(self) -> Log:
        """The log as it was: new users and items have no event in it."""
        ...

    @property
    def after(self) -> Log:
        """The log with the new events."""
        ...


@runtime_checkable
class Updatable(Protocol):
    """A scorer that can take in new events without being fitted again."""

    def update(self, change: Changed, *, threads: int | None = None) -> Scorer:
        """A scorer of the same kind that knows the log after the change, its items and users; nothing is modified."""
        ...


@runtime_checkable
class Index(Protocol):
    """Finds the vectors with the highest inner product."""

    def search(
        self, vectors: Floats, k: int, exclude: Ids | None = None, allow: NDArray[np.uint8] | None = None
    ) -> Recs:
        """The k best allowed items per vector ``[q, d]``: never an excluded one, and always k where k are allowed."""
        ...


@runtime_checkable
class Stage(Protocol):
    """One step of a pipeline: queries, and perhaps the lists so far, to lists."""

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """The lists after this step."""
        ...


Metric = Callable[[Recs, Truth], NDArray[np.float64]]
"""A figure per query, ``[q]``: the mean and the significance test both use it. NaN: not defined for that query."""


def by_source(scores: Floats, names: Sequence[str]) -> dict[str, Floats]:
    """What sources say of items, as `Queries.pairs`: ``source.NAME`` is 1 and the score, NaN where it names it not.

    Args:
        scores: ``[q, c, s]`` that each of the sources gave, NaN where it gave none.
        names: of the sources.
    """
    out: dict[str, Floats] = {}
    for place, name in enumerate(names):
        own = np.asarray(scores[..., place], np.float32)
        out[SOURCE + name] = np.stack([np.where(np.isnan(own), np.float32(np.nan), np.float32(1)), own], axis=-1)
    return out


def as_rows(items: Ids | None, q: int, n: int) -> Ids | None:
    """The ``items`` argument of `Scorer.score` as ``[c]`` or ``[q, c]`` int32, checked; None stays None."""
    if items is None:
        return None
    codes = np.asarray(items, np.int32)
    if codes.ndim not in (1, 2) or (codes.ndim == 2 and len(codes) != q):
        raise ValueError(f"items must be [c] or [{q}, c] item codes. Got an array of shape {codes.shape} instead.")
    return codes


__all__: list[str] = [
    "ABSENT",
    "Bagged",
    "Changed",
    "Embedder",
    "Explainer",
    "Featured",
    "Foreteller",
    "Index",
    "Log",
    "Metric",
    "Paired",
    "Predictor",
    "Queries",
    "Recs",
    "Scorer",
    "SerendipError",
    "Similar",
    "SimilarUsers",
    "Stage",
    "Truth",
    "Uncertain",
    "Updatable",
    "as_rows",
    "pack_mask",
    "unpack_mask",
]
