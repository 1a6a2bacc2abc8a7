"""Ratings: the mean and what users and items deviate from it, with or without factors.

A scorer of ratings knows users by their codes, not by their histories: somebody who rated nothing in training scores
``-inf``, unless the answer is the same for everybody.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from serendip.scorers.common import Mask, blocks, in_blocks, require
from serendip.types import Changed, Floats, Ids, Queries, Scorer

HELD_ITEMS, HELD_USERS = 10.0, 15.0
"""How many ratings of deviation 0 a new item or user is counted with."""


@dataclass(frozen=True, eq=False)
class Rated:
    """What every scorer of ratings knows: ``b_ui = μ + b_u + b_i``, and the range of the ratings.

    Attributes:
        mean: μ, the mean of the training ratings.
        user_bias: ``[users]`` float32 ``b_u``; NaN for a user who rated nothing.
        item_bias: ``[n]`` float32 ``b_i``; NaN for an item that nobody rated.
        low, high: the least and the greatest training rating; every prediction lies between.
    """

    kind: ClassVar[str]
    mean: float
    user_bias: Floats
    item_bias: Floats
    low: float
    high: float

    def __post_init__(self) -> None:
        require(self, self.user_bias.ndim == self.item_bias.ndim == 1, "user_bias and item_bias must be vectors")
        infinite = np.isinf(self.user_bias).any() or np.isinf(self.item_bias).any()
        require(self, not infinite, "user_bias and item_bias must be finite, or NaN")
        require(self, -np.inf < self.low <= self.mean <= self.high < np.inf, "mean must lie in low … high")

    @property
    def n_items(self) -> int:
        """Size of the item vocabulary."""
        return len(self.item_bias)

    def joined(self, change: Changed) -> Self:
        """The same with places for new users and items; one that was rated gets its mean deviation, held towards 0.

        ``b_i = Σ_u (r_ui − μ − b_u) / (n_i + λ_i)`` for new items, with 0 for a new user's ``b_u``, and then likewise
        for new users, with `HELD_ITEMS` and `HELD_USERS` for λ. Nothing that was known changes.
        """
        from serendip.scorers.grown import grown

        wide = cast(Self, grown(cast(Scorer, self), change.after.n_users, change.after.n_items))
        try:
            ratings = change.after.matrix("rating")
        except ValueError:  # nothing was rated
            return wide
        users, items = np.repeat(np.arange(ratings.shape[0]), np.diff(ratings.indptr)), ratings.indices
        values = np.clip(ratings.data.astype(np.float64), self.low, self.high)
        user, item = wide.user_bias.astype(np.float64), wide.item_bias.astype(np.float64)
        item = _mean_deviation(items, values - self.mean - np.nan_to_num(user)[users], item, HELD_ITEMS)
        user = _mean_deviation(users, values - self.mean - np.nan_to_num(item)[items], user, HELD_USERS)
        return replace(wide, user_bias=user.astype(np.float32), item_bias=item.astype(np.float32))

    def baseline(self, users: NDArray[Any], items: NDArray[Any]) -> Floats:
        """``μ + b_u + b_i`` with 0 for what is not known. Shapes: any two that broadcast."""
        return np.asarray(np.float32(self.mean) + known(self.user_bias, users) + known(self.item_bias, items))

    def clipped(self, ratings: Floats) -> Floats:
        """The ratings within the range, in place."""
        return np.clip(ratings, np.float32(self.low), np.float32(self.high), out=ratings)


def _mean_deviation(
    rows: NDArray[Any], deviation: NDArray[np.float64], bias: NDArray[np.float64], held: float
) -> NDArray[np.float64]:
    """The biases, with the mean deviation, held towards 0, where there was none and something was rated."""
    count = np.bincount(rows, minlength=len(bias))
    total = np.bincount(rows, deviation, minlength=len(bias))
    return np.where(np.isnan(bias) & (count > 0), total / (count + held), bias)


def inside(bias: Floats, codes: NDArray[Any]) -> Mask:
    """Which codes are in the vocabulary and have a rating."""
    valid = (codes >= 0) & (codes < len(bias))
    valid[valid] = ~np.isnan(bias[codes[valid]])
    return valid


def known(bias: Floats, codes: NDArray[Any]) -> Floats:
    """The entries of the codes, 0 for one that is not known."""
    codes = np.asarray(codes)
    out = np.zeros(codes.shape, np.float32)
    valid = inside(bias, codes)
    out[valid] = bias[codes[valid]]
    return out


@dataclass(frozen=True, eq=False)
class Biases(Rated):
    """``μ + b_u + b_i``. Items stand in the same order for everybody, so that anybody can be answered."""

    kind: ClassVar[str] = "biases"

    def update(self, change: Changed, *, threads: int | None = None) -> Biases:
        """As `Updatable.update`: see `Rated.joined`."""
        return self.joined(change)

    def predict(self, users: Ids, items: Ids, time: NDArray[np.int64] | None = None) -> Floats:
        """As `serendip.types.Predictor.predict`."""
        return self.clipped(self.baseline(np.asarray(users), np.asarray(items)))

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`: the predicted rating."""
        return in_blocks(self._full, queries, items, self.n_items)

    def _full(self, queries: Queries, out: Floats) -> None:
        out[:] = self.clipped(self.baseline(queries.users[:, None], np.arange(self.n_items)[None]))


@dataclass(frozen=True, eq=False)
class RatingFactors(Rated):
    """``μ + b_u + b_i + p_u · q_i``, or ``p_u · q_i`` alone where both are known.

    Attributes:
        users: ``[users, d]`` float32 ``p_u``; not read where ``b_u`` is NaN.
        items: ``[n, d]`` float32 ``q_i``; not read where ``b_i`` is NaN.
        biased: whether the product is added to ``b_ui``; else ``b_ui`` answers only where a side is unknown.
    """

    kind: ClassVar[str] = "rating_factors"
    users: Floats
    items: Floats
    biased: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for side, bias in (("users", self.user_bias), ("items", self.item_bias)):
            values: Any = getattr(self, side)
            require(self, values.ndim == 2 and len(values) == len(bias), f"{side} must have one row per bias")
            require(self, bool(np.isfinite(values[~np.isnan(bias)]).all()), f"known {side} must have finite factors")
        require(self, self.users.shape[1] == self.items.shape[1], "users and items must have as many factors")

    def update(self, change: Changed, *, threads: int | None = None) -> RatingFactors:
        """As `Updatable.update`: see `Rated.joined`. Without biases the new stay unknown: a product is all there is."""
        from serendip.scorers.grown import grown

        wide = self.joined(change) if self.biased else grown(self, change.after.n_users, change.after.n_items)
        return cast(RatingFactors, wide)

    def predict(self, users: Ids, items: Ids, time: NDArray[np.int64] | None = None) -> Floats:
        """As `serendip.types.Predictor.predict`."""
        users, items = np.asarray(users), np.asarray(items)
        out = self.baseline(users, items)
        both = np.flatnonzero(inside(self.user_bias, users) & inside(self.item_bias, items))
        for rows in blocks(len(both), self.items.shape[1]):
            at = both[rows]
            product = np.einsum("md,md->m", self.users[users[at]], self.items[items[at]])
            out[at] = out[at] + product if self.biased else product
        return self.clipped(out)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`: the predicted rating; ``-inf`` where the user or the item is not known."""
        return in_blocks(self._full, queries, items, self.n_items)

    def _full(self, queries: Queries, out: Floats) -> None:
        out[:] = -np.inf
        rows, columns = np.flatnonzero(inside(self.user_bias, queries.users)), ~np.isnan(self.item_bias)
        asked = queries.users[rows]
        ratings = self.users[asked] @ self.items[columns].T
        if self.biased:
            ratings += self.baseline(asked[:, None], np.flatnonzero(columns)[None])
        out[np.ix_(rows, columns)] = self.clipped(ratings)


__all__ = ["Biases", "Rated", "RatingFactors", "inside", "known"]
