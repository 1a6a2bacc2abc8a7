"""Explicit ratings as the models take them: one per pair of user and item, with what is common to all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.data.dataset import Dataset
from serendip.models._sound import sound
from serendip.types import Floats, Ids, SerendipError

RATING = "rating"


@dataclass(frozen=True, slots=True, eq=False)
class Ratings:
    """Ratings sorted by user, then time; a pair that was rated again counts once, with its last rating.

    Attributes:
        users, items: ``[m]`` codes.
        values: ``[m]`` float32.
        time: ``[m]`` unix seconds, or None.
        starts: ``[users + 1]`` where each user's ratings begin.
        n_users, n_items: sizes of the vocabularies.
        mean, low, high: of the values.
    """

    users: Ids
    items: Ids
    values: Floats
    time: NDArray[np.int64] | None
    starts: NDArray[np.int64]
    n_users: int
    n_items: int
    mean: float
    low: float
    high: float

    @property
    def user_counts(self) -> NDArray[np.int64]:
        """``[users]`` how many ratings each user gave."""
        return np.diff(self.starts)

    @property
    def item_counts(self) -> NDArray[np.int64]:
        """``[n]`` how many ratings each item got."""
        return np.bincount(self.items, minlength=self.n_items)

    def matrix(self, values: NDArray[np.floating] | None = None) -> csr_array:
        """Users × items holding these values ``[m]``, by default the ratings; zeros are stored."""
        content = self.values if values is None else values
        return csr_array((content, self.items, self.starts), shape=(self.n_users, self.n_items))

    def masked(self, user_bias: NDArray[np.floating], item_bias: NDArray[np.floating]) -> tuple[Floats, Floats]:
        """The biases as float32, NaN for users and items without a rating."""
        user = np.where(self.user_counts > 0, user_bias, np.nan).astype(np.float32)
        item = np.where(self.item_counts > 0, item_bias, np.nan).astype(np.float32)
        return user, item


def ratings_of(data: Dataset, model: str) -> Ratings:
    """The ratings of a log.

    Raises:
        SerendipError: the log has no ratings.
    """
    events = data.events
    if RATING not in events.labels:
        others = ", ".join(events.labels) or "none"
        raise SerendipError(
            f"{model} learns from ratings: the events must have a column with the role rating. "
            f"Got a log without one (its labels: {others}). Try naming it, such as --columns rating=stars."
        )
    given = np.flatnonzero(~np.isnan(events.labels[RATING]))
    if len(given) == 0:
        raise SerendipError(f"{model} learns from ratings: the rating column must hold some. Got no rating at all.")
    pair = events.users[given].astype(np.int64) * data.n_items + events.items[given]
    _, last = np.unique(pair[::-1], return_index=True)
    rows = given[np.sort(len(given) - 1 - last)]
    values = events.labels[RATING][rows]
    users = events.users[rows]
    starts = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=data.n_users))]).astype(np.int64)
    low, high = float(values.min()), float(values.max())
    mean = min(max(float(values.mean(dtype=np.float64)), low), high)
    time = events.time[rows] if events.time is not None and data.schema.time_kind == "unix" else None
    return Ratings(users, events.items[rows], values, time, starts, data.n_users, data.n_items, mean, low, high)


def finite(model: str, *arrays: NDArray[np.floating], lr: float) -> None:
    """That a descent has not run away.

    Raises:
        SerendipError: some number is not finite, or so large that products with it would not be.
    """
    if not sound(*arrays):
        raise SerendipError(
            f"{model}: lr must be small enough for the descent to converge. Got {lr:g}, with which the parameters "
            "grew without bound. Try a tenth of it, or the default of every other step size, reg and stddev."
        )
