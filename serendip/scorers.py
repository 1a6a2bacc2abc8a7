"""What answers, and what a bundle holds: plain arrays and how they become scores. NumPy and SciPy only.

Each kind is a frozen dataclass whose fields are all that it knows, so that one `dump` and one `restore` serve them all.
A score of ``-inf`` means that nothing is known: of the item, of the person who asks, or of any link between the two.
Memory beyond the scores themselves is bounded, however many queries come at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.kernels.topk import top_k
from serendip.tensors import Header, Tensors, pack, unpack
from serendip.types import ABSENT, Floats, Ids, Queries, Recs, Scorer, SerendipError, as_rows

Counts = Literal["binary", "count", "weight"]
"""What an item in a history weighs: 1 however often it occurs, how often it occurs, or the sum of its weights."""

Mask = NDArray[np.bool_]

_BLOCK = 1 << 22  # numbers computed at a time: bounds the temporaries to a few times 16 MB
_STRETCH = 1024  # events of one history handled at a time


@dataclass(frozen=True, eq=False)
class StaticScores:
    """The same score for everybody.

    Attributes:
        scores: ``[n]`` float32; ``-inf`` for an item never to be named.
    """

    kind: ClassVar[str] = "static_scores"
    scores: Floats

    def __post_init__(self) -> None:
        _require(self, self.scores.ndim == 1, "scores must be [n]")
        _require(self, bool((self.scores < np.inf).all()), "scores must be below infinity, and none NaN")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.scores)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        codes = as_rows(items, len(queries), self.n_items)
        same = np.broadcast_to(self.scores, (len(queries), self.n_items))
        return same.copy() if codes is None else _gather(same, codes)


@dataclass(frozen=True, eq=False)
class ItemWeights:
    """Each item of a history votes for its neighbours: ``score_j = Σ_i h_i · W_ij``, sparse.

    An item that is no neighbour of anything in the history scores ``-inf``.

    Attributes:
        weights: ``[n, n]`` float32; row i: what i says of the others.
        counts: what an item in a history weighs (``h_i``).
    """

    kind: ClassVar[str] = "item_weights"
    weights: csr_array
    counts: Counts = "binary"

    def __post_init__(self) -> None:
        _require(self, self.weights.shape[0] == self.weights.shape[1], "weights must be square")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return int(self.weights.shape[0])

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return _in_blocks(self._full, queries, items, self.n_items)

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items that each one says most for (a weight above 0)."""
        return _voted(self, items, k)

    def _full(self, queries: Queries) -> Floats:
        return _dense(history_matrix(queries, self.n_items, self.counts) @ self.weights)


@dataclass(frozen=True, eq=False)
class DenseItemWeights:
    """As `ItemWeights` with a weight for every pair, so that every item that occurred in training gets a score.

    Attributes:
        weights: ``[n, n]`` float32; row i: what i says of the others.
        known: ``[n]`` whether the item occurred in training.
        counts: what an item in a history weighs.
    """

    kind: ClassVar[str] = "dense_item_weights"
    weights: Floats
    known: Mask
    counts: Counts = "binary"

    def __post_init__(self) -> None:
        _require(self, self.known.ndim == 1, "known must be [n]")
        _require(
            self, self.weights.shape == (len(self.known),) * 2, f"weights must be [n, n] with n = {len(self.known)}"
        )
        _require(self, all(bool(np.isfinite(row).all()) for row in self.weights), "weights must be finite")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.known)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return _in_blocks(self._full, queries, items, self.n_items)

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items that each one says most for (a weight above 0)."""
        return _voted(self, items, k)

    def _full(self, queries: Queries) -> Floats:
        history = history_matrix(queries, self.n_items, self.counts, self.known)
        scores: Floats = history @ self.weights
        scores[np.diff(history.indptr) == 0] = -np.inf
        scores[:, ~self.known] = -np.inf
        return scores


@dataclass(frozen=True, eq=False)
class Factors:
    """Item factors; the user's are solved for from the history at hand, so that the answer follows new events.

    With H the rows of the items that occurred in training and S their number, the user's vector is the exact minimiser

    ``w = (α₀ HᵀH + Σ_i c_i h_i h_iᵀ + λ (Σ_i c_i + α₀ S)^ν I)⁻¹ Σ_i c_i h_i``    (i over the history)

    of the objective of `serendip.models.ials`, and the score is ``w · h_j``.

    Attributes:
        items: ``[n, d]`` float32; a row of NaN for an item that did not occur in training.
        alpha0: α₀ ≥ 0, the weight of an unobserved pair.
        reg: λ > 0.
        nu: ν in 0 … 1, how far the regularisation grows with the number of events.
        counts: what an item in a history weighs (``c_i``).
    """

    kind: ClassVar[str] = "factors"
    items: Floats
    alpha0: float
    reg: float
    nu: float
    counts: Counts = "binary"

    def __post_init__(self) -> None:
        _require(self, self.items.ndim == 2, "items must be [n, d]")
        _require(
            self,
            bool(np.isfinite(self.items[self._known]).all() and np.isnan(self.items[~self._known]).all()),
            "a row of items must be finite, or all NaN",
        )
        _require(self, 0 <= self.alpha0 < np.inf, "alpha0 must be 0 or more")
        _require(self, 0 < self.reg < np.inf, "reg must be above 0")
        _require(self, 0 <= self.nu <= 1, "nu must be in 0 … 1")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.items)

    def item_vectors(self) -> Floats:
        """As `Embedder.item_vectors`."""
        return self.items

    def query_vectors(self, queries: Queries) -> Floats:
        """As `Embedder.query_vectors`."""
        history = history_matrix(queries, self.n_items, self.counts, self._known)
        vectors = np.full((len(queries), self.items.shape[1]), np.nan, np.float32)
        for rows in _of_like_length(np.diff(history.indptr), self.items.shape[1]):
            vectors[rows] = self._solve(history, rows)
        return vectors

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return _products(self.query_vectors(queries), self.items, as_rows(items, len(queries), self.n_items))

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items at the smallest angle (a cosine above 0)."""
        codes = np.asarray(items, np.int32)
        inside = (codes >= 0) & (codes < self.n_items)
        vectors = np.full((len(codes), self.items.shape[1]), np.nan, np.float32)
        vectors[inside] = self._unit[codes[inside]]
        return _nearest(lambda rows: _products(vectors[rows], self._unit, None), codes, self.n_items, k)

    @cached_property
    def _known(self) -> Mask:
        return np.asarray(~np.isnan(self.items[:, 0])) if self.items.shape[1] else np.zeros(len(self.items), bool)

    @cached_property
    def _unit(self) -> Floats:
        length: Floats = np.sqrt(np.einsum("nd,nd->n", self.items, self.items))
        unit: Floats = self.items / np.where(length > 0, length, np.float32(np.nan))[:, None]
        return unit

    @cached_property
    def _unobserved(self) -> NDArray[np.float64]:
        """``α₀ HᵀH``."""
        known = self.items[self._known]
        gram = np.zeros((self.items.shape[1],) * 2)
        for rows in _blocks(len(known), self.items.shape[1]):
            part = known[rows].astype(np.float64)
            gram += part.T @ part
        return self.alpha0 * gram

    def _solve(self, history: csr_array, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The vectors of these rows ``[b, d]``; each has at least one event."""
        start, length = history.indptr[rows], np.diff(history.indptr)[rows]
        b, d = len(rows), self.items.shape[1]
        gram = np.repeat(self._unobserved[None], b, axis=0)
        right, total = np.zeros((b, d)), np.zeros(b)
        for first in range(0, int(length.max()), _STRETCH):
            place = np.arange(first, min(first + _STRETCH, int(length.max())))
            inside = place < length[:, None]
            flat = np.where(inside, start[:, None] + place, start[:, None])
            count = np.where(inside, history.data[flat], 0).astype(np.float64)
            vectors = self.items[history.indices[flat]].astype(np.float64)
            weighted = vectors * count[:, :, None]
            gram += vectors.transpose(0, 2, 1) @ weighted
            right += weighted.sum(axis=1)
            total += count.sum(axis=1)
        scale = self.reg * (total + self.alpha0 * np.count_nonzero(self._known)) ** self.nu
        gram[:, np.arange(d), np.arange(d)] += scale[:, None]
        return np.asarray(np.linalg.solve(gram, right[:, :, None])[:, :, 0])


@dataclass(frozen=True, eq=False)
class Profiles:
    """The angle between what an item is and the mean of what the history's items are: ``cos(Σ_i h_i x_i, x_j)``.

    An item that shares nothing with the history, or of which nothing is known, scores ``-inf``.

    Attributes:
        features: ``[n, f]`` float32, the rows of length 1, or empty where nothing is known of the item.
        counts: what an item in a history weighs (``h_i``).
    """

    kind: ClassVar[str] = "profiles"
    features: csr_array
    counts: Counts = "binary"

    def __post_init__(self) -> None:
        n, columns = self.features.shape
        _require(self, columns <= max(self.features.nnz, 1), "features must have no more columns than values")
        rows = np.repeat(np.arange(n), np.diff(self.features.indptr))
        lengths = np.bincount(rows, self.features.data.astype(np.float64) ** 2, n)[np.diff(self.features.indptr) > 0]
        _require(self, bool((np.abs(lengths - 1) < 1e-3).all()), "a row of features must be of length 1, or empty")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return int(self.features.shape[0])

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return _in_blocks(self._full, queries, items, self.n_items)

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items at the smallest angle (a cosine above 0)."""
        return _voted(self, items, k)

    @cached_property
    def _by_feature(self) -> csr_array:
        return self.features.T.tocsr()

    def _full(self, queries: Queries) -> Floats:
        profile = history_matrix(queries, self.n_items, self.counts) @ self.features
        rows = np.repeat(np.arange(len(queries)), np.diff(profile.indptr))
        length = np.sqrt(np.bincount(rows, profile.data.astype(np.float64) ** 2, len(queries)))
        profile.data /= np.where(length > 0, length, 1)[rows].astype(np.float32)
        return _dense(profile @ self._by_feature)


KINDS: dict[str, type[Any]] = {
    kind.kind: kind for kind in (StaticScores, ItemWeights, DenseItemWeights, Factors, Profiles)
}
"""Every kind of scorer that a bundle can hold, by the name it has there."""


def dump(scorer: Scorer) -> tuple[Tensors, Header]:
    """The scorer as named tensors and a JSON-able header with its ``kind``.

    Raises:
        SerendipError: a scorer that is none of `KINDS`.
    """
    kind = getattr(scorer, "kind", None)
    if KINDS.get(str(kind)) is not type(scorer):
        raise SerendipError(
            f"a bundle holds scorers of the kinds {', '.join(KINDS)}. Got a {type(scorer).__qualname__} instead. "
            "Let the model's learn() return one of serendip.scorers."
        )
    tensors, header = pack(scorer)
    return tensors, {"kind": kind, **header}


def restore(tensors: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Scorer:
    """The inverse of `dump`, for input that is not trusted. The arrays are not copied.

    Raises:
        SerendipError: an unknown kind; a tensor or field that is missing, superfluous, of the wrong type, or outside
            its bounds.
    """
    kind = header.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise SerendipError(
            f"the kind of a scorer must be one of {', '.join(KINDS)}. Got {kind!r} instead. "
            "Was the bundle written by a newer version of Serendip?"
        )
    rest = {name: value for name, value in header.items() if name != "kind"}
    scorer: Scorer = unpack(f"the scorer {kind!r}", KINDS[kind], tensors, rest)
    return scorer


def history_matrix(queries: Queries, n: int, counts: Counts, known: Mask | None = None) -> csr_array:
    """What each query's history holds, ``[q, n]`` float32 with sorted columns.

    Item codes outside ``0 … n-1``, those not ``known``, and with ``counts="weight"`` events without a positive finite
    weight are left out. A query without ``bags["weight"]`` gives each event the weight 1.
    """
    history = queries.history
    keep = (history >= 0) & (history < n)
    if known is not None and n:
        keep &= known[np.where(keep, history, 0)]
    weight = queries.bags.get("weight") if counts == "weight" else None
    if weight is not None:
        keep &= (weight > 0) & (weight < np.inf)
    values = np.ones(np.count_nonzero(keep), np.float32) if weight is None else weight[keep].astype(np.float32)
    indptr = np.concatenate([[0], np.cumsum(keep.sum(axis=1))])
    matrix = csr_array((values, history[keep], indptr), shape=(len(history), n))
    matrix.sum_duplicates()
    if counts == "binary":
        matrix.data[:] = 1
    return matrix


def _require(scorer: Any, holds: bool, what: str) -> None:
    if not holds:
        raise SerendipError(f"the scorer {scorer.kind!r} is not sound: {what}.")


def _blocks(rows: int, width: int) -> Iterator[slice]:
    """Slices of so many rows that one holds no more than `_BLOCK` numbers."""
    step = max(1, _BLOCK // max(width, 1))
    return (slice(start, start + step) for start in range(0, rows, step))


def _of_like_length(lengths: NDArray[np.int64], d: int) -> Iterator[NDArray[np.int64]]:
    """The rows that have any length, those of like length together, in blocks of bounded size."""
    order = np.argsort(lengths, kind="stable")
    order = order[np.searchsorted(lengths[order], 1) :]
    while len(order):
        # The rows ascend: the block must fit its last and longest row. One row always does.
        size = np.arange(1, len(order) + 1) * d * (np.minimum(lengths[order], _STRETCH) + d)
        take = max(1, int(np.searchsorted(size, _BLOCK)))
        yield order[:take]
        order = order[take:]


def _gather(scores: Floats, codes: Ids) -> Floats:
    """Of each row of scores ``[q, n]`` those of the codes, ``[c]`` or ``[q, c]``; ``-inf`` for a code outside."""
    chosen = np.broadcast_to(codes, (len(scores), codes.shape[-1]))
    out = np.full(chosen.shape, -np.inf, np.float32)
    row, place = np.nonzero((chosen >= 0) & (chosen < scores.shape[1]))
    out[row, place] = scores[row, chosen[row, place]]
    return out


def _in_blocks(full: Callable[[Queries], Floats], queries: Queries, items: Ids | None, n: int) -> Floats:
    """The scores of all items, or the chosen ones, from a function that gives those of all items."""
    codes = as_rows(items, len(queries), n)
    out = np.empty((len(queries), n if codes is None else codes.shape[-1]), np.float32)
    for rows in _blocks(len(queries), n):
        scores = full(queries.take(rows))
        out[rows] = scores if codes is None else _gather(scores, codes if codes.ndim == 1 else codes[rows])
    return out


def _dense(scores: csr_array) -> Floats:
    out = np.full(scores.shape, -np.inf, np.float32)
    out[np.repeat(np.arange(scores.shape[0]), np.diff(scores.indptr)), scores.indices] = scores.data
    return out


def _products(vectors: Floats, items: Floats, codes: Ids | None) -> Floats:
    """Inner products of vectors ``[q, d]`` with all items ``[n, d]``, or with the chosen; ``-inf`` instead of NaN."""
    n, d = items.shape
    if codes is None:
        scores = vectors @ items.T
    elif codes.ndim == 1:
        inside = (codes >= 0) & (codes < n)
        scores = np.full((len(vectors), len(codes)), np.nan, np.float32)
        scores[:, inside] = vectors @ items[codes[inside]].T
    else:
        scores = np.full(codes.shape, np.nan, np.float32)
        for rows in _blocks(len(codes), codes.shape[1] * d):
            row, place = np.nonzero((codes[rows] >= 0) & (codes[rows] < n))
            scores[rows][row, place] = np.einsum("md,md->m", vectors[rows][row], items[codes[rows][row, place]])
    return np.where(np.isnan(scores), np.float32(-np.inf), scores)


def _voted(scorer: Scorer, items: Ids, k: int) -> Recs:
    """The items that score highest for somebody who knows just the one item."""
    codes = np.asarray(items, np.int32)

    def score(rows: slice) -> Floats:
        history = codes[rows, None]
        return scorer.score(Queries(np.full(len(history), ABSENT, np.int32), history))

    return _nearest(score, codes, scorer.n_items, k)


def _nearest(score: Callable[[slice], Floats], codes: Ids, n: int, k: int) -> Recs:
    """The k best of each row of ``score(rows)`` ``[b, n]`` that are above 0 and not the item ``codes[row]`` itself."""
    parts = [Recs.empty(0, k)]
    for rows in _blocks(len(codes), n):
        scores = score(rows)
        parts.append(top_k(np.where(scores > 0, scores, np.float32(-np.inf)), k, exclude=codes[rows, None]))
    return Recs(np.concatenate([part.items for part in parts]), np.concatenate([part.scores for part in parts]))
