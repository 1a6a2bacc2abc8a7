"""Item factors, with the user's solved for when asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.scorers.common import (
    BLOCK,
    Counts,
    HistoryRows,
    Mask,
    blocks,
    history_matrix,
    history_rows,
    nearest,
    products,
    require,
)
from serendip.scorers.reasons import Rows, explained
from serendip.types import ABSENT, Changed, Floats, Ids, Queries, Recs, as_rows

BATCH = 64  # queries from which compiled code is considered; requests to a server are smaller
LARGE = 1 << 22  # numbers in the matrices of all queries from which it pays
STRETCH = 1024  # events of one history handled at a time


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
        require(self, self.items.ndim == 2, "items must be [n, d]")
        require(
            self,
            bool(np.isfinite(self.items[self._known]).all() and np.isnan(self.items[~self._known]).all()),
            "a row of items must be finite, or all NaN",
        )
        require(self, 0 <= self.alpha0 < np.inf, "alpha0 must be 0 or more")
        require(self, 0 < self.reg < np.inf, "reg must be above 0")
        require(self, 0 <= self.nu <= 1, "nu must be in 0 … 1")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.items)

    def item_vectors(self) -> Floats:
        """As `Embedder.item_vectors`."""
        return self.items

    def query_vectors(self, queries: Queries) -> Floats:
        """As `Embedder.query_vectors`."""
        history = history_rows(queries, self.n_items, self.counts, self._known)
        vectors = np.full((len(queries), self.items.shape[1]), np.nan, np.float32)
        lengths = np.diff(history.indptr)
        if len(queries) >= BATCH and len(queries) * self.items.shape[1] ** 2 >= LARGE:
            vectors = self._solve_batch(history)
            vectors[lengths == 0] = np.nan
            lengths = np.where(np.isnan(vectors).any(axis=1), lengths, 0)  # single precision did not do
        for rows in _of_like_length(lengths, self.items.shape[1]):
            vectors[rows] = self._solve(history, rows)
        vectors[~vectors.any(axis=1)] = np.nan  # nobody but they had their items, of which nothing was learnt
        return vectors

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return products(self.query_vectors(queries), self.items, as_rows(items, len(queries), self.n_items))

    def deviation(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `serendip.types.Uncertain.deviation`: ``√(h_jᵀ A⁻¹ h_j)``, A being the matrix of the asker's equations.

        The objective is that of a normal model in which a pair of weight c has variance ``1 / c`` and the vector w a
        normal prior; A⁻¹ is the covariance of w given the history. The vectors of the items are taken for certain.
        """
        codes = as_rows(items, len(queries), self.n_items)
        wanted = np.arange(self.n_items, dtype=np.int32) if codes is None else codes
        inside = (wanted >= 0) & (wanted < self.n_items)
        wanted = np.where(inside, wanted, 0)
        history = history_rows(queries, self.n_items, self.counts, self._known)
        out = np.full((len(queries), wanted.shape[-1]), np.nan, np.float32)
        for alike in _of_like_length(np.diff(history.indptr), self.items.shape[1]):
            for part in blocks(len(alike), wanted.shape[-1] * self.items.shape[1]):
                rows = alike[part]
                root = np.linalg.cholesky(self._equations(history, rows)[0])  # A = L Lᵀ, so h A⁻¹ h = |L⁻¹ h|²
                vectors = self.items[wanted if wanted.ndim == 1 else wanted[rows]].astype(np.float64)
                turned = np.linalg.solve(
                    root, np.broadcast_to(vectors, (len(rows), *vectors.shape[-2:])).swapaxes(1, 2)
                )
                out[rows] = np.sqrt(np.einsum("bdc,bdc->bc", turned, turned))
        out[~np.broadcast_to(inside, out.shape)] = np.nan
        return out

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items at the smallest angle (a cosine above 0)."""
        codes = np.asarray(items, np.int32)
        inside = (codes >= 0) & (codes < self.n_items)
        vectors = np.full((len(codes), self.items.shape[1]), np.nan, np.float32)
        vectors[inside] = self._unit[codes[inside]]
        return nearest(lambda rows: products(vectors[rows], self._unit, None), codes, self.n_items, k)

    def explain(self, queries: Queries, items: Ids, k: int = 3) -> Recs:
        """As `Explainer.explain`: item i of the history adds ``c_i h_jᵀ A⁻¹ h_i``, A being the matrix of the asker.

        Source: Hu, Koren and Volinsky, ICDM 2008, section 5.
        """
        seen = history_matrix(queries, self.n_items, self.counts, self._known)
        codes = np.asarray(items, np.int32)
        inside = (codes >= 0) & (codes < self.n_items)
        asked = np.where(inside & self._known[np.where(inside, codes, 0)], codes, ABSENT).astype(np.int32)
        turned = np.zeros((len(codes), self.items.shape[1]))  # A⁻¹ h_j
        for rows in _of_like_length(np.where(asked != ABSENT, np.diff(seen.indptr), 0), self.items.shape[1]):
            matrix, _ = self._equations(seen, rows)
            turned[rows] = np.linalg.solve(matrix, self.items[asked[rows]].astype(np.float64)[:, :, None])[:, :, 0]

        def said(rows: Rows, history: Ids, asked: Ids) -> NDArray[np.float64]:
            return np.asarray(np.einsum("ed,ed->e", turned[rows], self.items[history]))

        return explained(seen, asked, k, said, width=self.items.shape[1])

    def update(self, change: Changed, *, threads: int | None = None) -> Factors:
        """As `Updatable.update`: users are solved for from what is known, then the items of which anything changed.

        Other items keep their vectors. Users are solved for without the items that have none yet.
        """
        weight = None if self.counts == "binary" else self.counts
        matrix, before = change.after.matrix(weight), change.before.matrix(weight)
        changed = csr_array(matrix - before)
        changed.eliminate_zeros()
        vectors = np.full((change.after.n_items, self.items.shape[1]), np.nan, np.float32)
        vectors[: self.n_items] = self.items
        occurs = np.bincount(matrix.indices, minlength=len(vectors)) > 0
        touched = np.flatnonzero(occurs & (np.bincount(changed.indices, minlength=len(vectors)) > 0))
        rows = matrix[np.diff(matrix.indptr) > 0]
        columns = csr_array(rows.T.tocsr()[touched])
        if len(touched):
            solved = ~np.isnan(vectors[:, 0])
            users = self._half_step(rows[:, solved], vectors[solved], threads)
            found = self._half_step(columns, users, threads)
            sound = np.isfinite(found).all(axis=1)
            vectors[touched[sound]] = found[sound]
        return replace(self, items=vectors)

    @cached_property
    def _known(self) -> Mask:
        return np.asarray(~np.isnan(self.items[:, 0])) if self.items.shape[1] else np.zeros(len(self.items), bool)

    @cached_property
    def _unit(self) -> Floats:
        length = np.sqrt(np.einsum("nd,nd->n", self.items, self.items))
        return np.asarray(self.items / np.where(length > 0, length, np.nan)[:, None], np.float32)

    @cached_property
    def _unobserved(self) -> NDArray[np.float64]:
        """``α₀ HᵀH``."""
        known = self.items[self._known]
        gram = np.zeros((self.items.shape[1],) * 2)
        for rows in blocks(len(known), self.items.shape[1]):
            part = known[rows].astype(np.float64)
            gram += part.T @ part
        return self.alpha0 * gram

    def _solve_batch(self, history: HistoryRows) -> Floats:
        shape = len(history.indptr) - 1, self.n_items
        matrix = csr_array((history.data, history.indices, history.indptr), shape=shape)
        return self._half_step(matrix[:, self._known], self.items[self._known], None)

    def _half_step(self, matrix: csr_array, other: Floats, threads: int | None) -> Floats:
        from serendip.kernels.als import half_step

        return half_step(matrix, other, alpha0=self.alpha0, reg=self.reg, nu=self.nu, threads=threads)

    def _solve(self, history: HistoryRows, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """The vectors of these rows ``[b, d]``; each has at least one event."""
        matrix, right = self._equations(history, rows)
        return np.asarray(np.linalg.solve(matrix, right[:, :, None])[:, :, 0])

    def _equations(
        self, history: HistoryRows | csr_array, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The matrix ``[b, d, d]`` and the right side ``[b, d]`` of the equations of these rows."""
        start, length = history.indptr[rows], np.diff(history.indptr)[rows]
        b, d = len(rows), self.items.shape[1]
        gram = np.repeat(self._unobserved[None], b, axis=0)
        right, total = np.zeros((b, d)), np.zeros(b)
        for first in range(0, int(length.max()), STRETCH):
            place = np.arange(first, min(first + STRETCH, int(length.max())))
            inside = place < length[:, None]
            flat = np.where(inside, start[:, None] + place, start[:, None])
            count = np.where(inside, history.data[flat], 0).astype(np.float64)
            vectors = self.items[history.indices[flat]].astype(np.float64)
            weighted = vectors * count[:, :, None]
            gram += vectors.transpose(0, 2, 1) @ weighted
            right += weighted.sum(axis=1)
            total += count.sum(axis=1)
        diagonal = np.einsum("bii->bi", gram)
        # Never below the rounding error of the sums, so that there always is one solution.
        least = 1e-12 * diagonal.sum(axis=1)
        scale = self.reg * (total + self.alpha0 * np.count_nonzero(self._known)) ** self.nu
        diagonal += np.maximum(scale, least)[:, None]
        return gram, right


def _of_like_length(lengths: NDArray[np.int64], d: int) -> Iterator[NDArray[np.int64]]:
    """The rows that have any length, those of like length together, in blocks of bounded size."""
    order = np.argsort(lengths, kind="stable")
    order = order[np.searchsorted(lengths[order], 1) :]
    while len(order):
        # The rows ascend: the block must fit its last and longest row. One row always does.
        size = np.arange(1, len(order) + 1) * d * (np.minimum(lengths[order], STRETCH) + d)
        take = max(1, int(np.searchsorted(size, BLOCK)))
        yield order[:take]
        order = order[take:]
