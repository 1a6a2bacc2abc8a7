"""Vectors of people as sums over the vectors of what they took up, with something of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from serendip.scorers.common import Mask, history_matrix, nearest, products, require
from serendip.types import Floats, Ids, Queries, Recs, as_rows

SLOPE = np.float32(0.2)
"""Of LeakyReLU below 0."""


class _OnGraph(ABC):
    """What both kinds do with their items; neither holds state beyond its own fields."""

    left: Floats
    right: Floats
    bias: Floats

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.right)

    def item_vectors(self) -> Floats:
        """As `Embedder.item_vectors`."""
        return self._items

    @abstractmethod
    def query_vectors(self, queries: Queries) -> Floats:
        """As `Embedder.query_vectors`. Somebody unknown whose history holds nothing known has none."""

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`."""
        return products(self.query_vectors(queries), self._items, as_rows(items, len(queries), self.n_items))

    def similar_items(self, items: Ids, k: int = 10) -> Recs:
        """The items at the smallest angle (a cosine above 0)."""
        return _alike(self._unit, items, k)

    @cached_property
    def _known(self) -> Mask:
        return _finite(self.right)

    @cached_property
    def _left(self) -> Floats:
        return np.asarray(np.where(self._known[:, None], self.left, 0), np.float32)

    @cached_property
    def _items(self) -> Floats:
        return np.concatenate([self.right, self.bias[:, None]], axis=1)

    @cached_property
    def _unit(self) -> Floats:
        return _scaled(self.right)


@dataclass(frozen=True, eq=False)
class NeighbourSums(_OnGraph):
    """What `serendip.models.lightgcn` learned: ``w = o_u + |H|^−½ Σ_{i∈H} l_i``, and the score is ``w · r_j + b_j``.

    H are the items of the history at hand, so that the answer follows new events; o_u is 0 for somebody unknown.

    Attributes:
        own: o, ``[users, d]`` float32, by user code.
        left: l, ``[n, d]`` float32; a row of NaN for an item that did not occur in training.
        right: r, ``[n, d]`` float32, with the same rows of NaN.
        bias: b, ``[n]`` float32.
        scaled: whether w is scaled to length 1.
    """

    kind: ClassVar[str] = "neighbour_sums"
    own: Floats
    left: Floats
    right: Floats
    bias: Floats
    scaled: bool = False

    def __post_init__(self) -> None:
        require(self, self.right.ndim == 2, "right must be [n, d]")
        require(self, self.bias.shape == (len(self.right),), "bias must be [n]")
        require(self, bool(np.isfinite(self.bias).all()), "bias must be finite")
        require(self, self.left.shape == self.right.shape, "left and right must have one shape")
        require(
            self,
            self.own.ndim == 2 and self.own.shape[1] == self.right.shape[1],
            f"own must be [users, {self.right.shape[1]}]",
        )
        known, both = self._known, (self.left, self.right)
        require(self, bool(np.isfinite(self.own).all()), "own must be finite")
        require(
            self,
            all(bool(np.isfinite(side[known]).all() and np.isnan(side[~known]).all()) for side in both),
            "a row of left and of right must be finite, or all NaN in both",
        )

    def query_vectors(self, queries: Queries) -> Floats:
        """As `Embedder.query_vectors`. Somebody unknown whose history holds nothing known has none."""
        history = history_matrix(queries, self.n_items, "binary", self._known)
        lengths = np.diff(history.indptr)
        vectors: Floats = (history @ self._left) / np.sqrt(np.maximum(lengths, 1), dtype=np.float32)[:, None]
        own = _own(self.own, queries.users)
        vectors += own
        vectors[(lengths == 0) & ~own.any(axis=1)] = np.nan
        return _asked(vectors, self.scaled)


@dataclass(frozen=True, eq=False)
class GraphLayers(_OnGraph):
    """What `serendip.models.ngcf` learned: the score is ``w · r_j + b_j``, w being the asker's layers side by side.

    ``u⁰ = o_u``, ``u^{l+1} = LeakyReLU( A_l (u^l + s_l) + B_l (s_l ⊙ u^l) + c_l )``,  ``s_l = |H|^−½ Σ_{i∈H} l_{l,i}``

    H are the items of the history at hand, so that the answer follows new events; o_u is 0 for somebody unknown. The
    layers after the first are scaled to length 1; LeakyReLU has the slope 0.2.

    Attributes:
        own: o, ``[users, d]`` float32, by user code; 0 for a user without events.
        left: l, ``[L, n, d]`` float32; NaN for an item that did not occur in training.
        right: r, ``[n, (L + 1) d]`` float32, NaN for the same items.
        sums, products: A and B, ``[L, d, d]`` float32.
        shifts: c, ``[L, d]`` float32.
        bias: b, ``[n]`` float32.
        scaled: whether w is scaled to length 1.
    """

    kind: ClassVar[str] = "graph_layers"
    own: Floats
    left: Floats
    right: Floats
    sums: Floats
    products: Floats
    shifts: Floats
    bias: Floats
    scaled: bool = False

    def __post_init__(self) -> None:
        require(self, self.left.ndim == 3 and len(self.left) > 0, "left must be [L, n, d] with L above 0")
        count, n, d = self.left.shape
        require(self, self.own.ndim == 2 and self.own.shape[1] == d, f"own must be [users, {d}]")
        require(self, self.right.shape == (n, (count + 1) * d), f"right must be [{n}, {(count + 1) * d}]")
        require(self, self.sums.shape == (count, d, d), f"sums must be [{count}, {d}, {d}]")
        require(self, self.products.shape == (count, d, d), f"products must be [{count}, {d}, {d}]")
        require(self, self.shifts.shape == (count, d), f"shifts must be [{count}, {d}]")
        require(self, self.bias.shape == (n,), f"bias must be [{n}]")
        known = (self.right[self._known], self.left[:, self._known])
        finite = (self.own, self.sums, self.products, self.shifts, self.bias, *known)
        require(self, all(bool(np.isfinite(part).all()) for part in finite), "what is known must be finite")
        nothing = (self.right[~self._known], self.left[:, ~self._known])
        require(self, all(bool(np.isnan(part).all()) for part in nothing), "left and right must be NaN for one item")

    def query_vectors(self, queries: Queries) -> Floats:
        """As `Embedder.query_vectors`. Somebody unknown whose history holds nothing known has none."""
        history = history_matrix(queries, self.n_items, "binary", self._known)
        lengths = np.diff(history.indptr)
        root = np.sqrt(np.maximum(lengths, 1), dtype=np.float32)[:, None]
        user = _own(self.own, queries.users)
        unknown = (lengths == 0) & ~user.any(axis=1)
        parts = [user]
        for left, one, other, shift in zip(self._left, self.sums, self.products, self.shifts, strict=True):
            near: Floats = (history @ left) / root
            mixed = (user + near) @ one.T + (user * near) @ other.T + shift
            user = np.maximum(mixed, SLOPE * mixed)
            length = np.sqrt(np.einsum("qd,qd->q", user, user))[:, None]
            parts.append(user / np.maximum(length, np.float32(1e-12)))
        vectors = np.concatenate(parts, axis=1)
        vectors[unknown] = np.nan
        return _asked(vectors, self.scaled)


def _own(own: Floats, users: Ids) -> Floats:
    """``[q, d]`` each asker's own vector, 0 for somebody unknown."""
    inside = (users >= 0) & (users < len(own))
    found = np.zeros((len(users), own.shape[1]), np.float32)
    found[inside] = own[users[inside]]
    return found


def _asked(vectors: Floats, scaled: bool) -> Floats:
    """The vectors, at length 1 where that is asked for, with 1 for the bias in the last place."""
    if scaled:
        length = np.sqrt(np.einsum("qd,qd->q", vectors, vectors))[:, None]
        vectors = vectors / np.maximum(length, np.float32(1e-12))
    one = np.where(np.isnan(vectors[:, :1]), np.nan, 1).astype(np.float32)
    return np.concatenate([vectors, one], axis=1)


def _finite(vectors: Floats) -> Mask:
    return np.asarray(~np.isnan(vectors[:, 0])) if vectors.shape[1] else np.zeros(len(vectors), bool)


def _scaled(vectors: Floats) -> Floats:
    """The vectors at length 1; NaN where there is none."""
    length = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return np.asarray(vectors / np.where(length > 0, length, np.nan)[:, None], np.float32)


def _alike(unit: Floats, items: Ids, k: int) -> Recs:
    codes = np.asarray(items, np.int32)
    inside = (codes >= 0) & (codes < len(unit))
    vectors = np.full((len(codes), unit.shape[1]), np.nan, np.float32)
    vectors[inside] = unit[codes[inside]]
    return nearest(lambda rows: products(vectors[rows], unit, None), codes, len(unit), k)
