"""Ratings averaged over draws from a posterior of factorisation machines."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from serendip.scorers.common import BLOCK, in_blocks, require
from serendip.scorers.ratings import Rated, inside
from serendip.types import Floats, Ids, Queries

DAY = 86_400


@dataclass(frozen=True, eq=False)
class PosteriorFactors(Rated):
    """The mean rating over S draws of a factorisation machine, each reduced to a vector per user, item and day.

    With ``(c, q)`` the entries of a row (what it adds by itself, and its factors) a draw gives

    ``η = w₀ + c_u + c_i + c_t + q_u · q_i + q_u · q_t + q_i · q_t``.

    Without cuts the rating is ``centre + scale · η``; with cuts γ (ordered probit) it is the expected level,
    ``Σ_l level_l (Φ(γ_l − η) − Φ(γ_{l−1} − η))``.

    A user or an item whose bias is NaN scores ``-inf``; for `predict` the last row of its table stands for it.

    Attributes:
        users, items: ``[S, users + 1, 1 + d]`` and ``[S, n + 1, 1 + d]`` float32.
        dates: ``[S, days + 1, 1 + d]`` float32; no more than the last row where nothing depends on the day.
        days: ``[days]`` int64 ascending: unix days that have a row.
        offset: ``[S]`` float32 w₀.
        cuts: ``[S, L − 1]`` float32, ascending; ``[S, 0]`` for none.
        levels: ``[L]`` float32 ascending: what each level stands for; ``[0]`` without cuts.
        centre, scale: of the ratings.
    """

    kind: ClassVar[str] = "posterior_factors"
    users: Floats
    items: Floats
    dates: Floats
    days: NDArray[np.int64]
    offset: Floats
    cuts: Floats
    levels: Floats
    centre: float
    scale: float

    def __post_init__(self) -> None:
        super().__post_init__()
        tables = (self.users, self.items, self.dates)
        require(self, all(table.ndim == 3 for table in tables), "users, items and dates must be [S, rows, 1 + d]")
        rows = [len(self.user_bias) + 1, len(self.item_bias) + 1, len(self.days) + 1]
        require(self, [t.shape[1] for t in tables] == rows, "users, items and dates must have a row more than codes")
        require(
            self, len({t.shape[2] for t in tables}) == 1 and self.users.shape[2] > 0, "all must be [S, rows, 1 + d]"
        )
        draws = {len(part) for part in (*tables, self.offset, self.cuts)}
        require(self, len(draws) == 1 and draws != {0}, "all must hold the same number of draws, at least one")
        require(self, self.offset.ndim == 1 and self.cuts.ndim == 2, "offset must be [S] and cuts [S, L − 1]")
        expected = self.cuts.shape[1] + 1 if self.cuts.shape[1] else 0
        require(self, self.levels.shape == (expected,), "levels must be one more than cuts, or none")
        ordered = bool((np.diff(self.days) > 0).all() and (np.diff(self.levels) > 0).all())
        require(self, ordered and bool((np.diff(self.cuts) > 0).all()), "days, levels and cuts must ascend")
        numbers = (*tables, self.offset, self.cuts, self.levels, np.array([self.centre, self.scale]))
        require(self, all(bool(np.isfinite(part).all()) for part in numbers), "all numbers must be finite")

    def predict(self, users: Ids, items: Ids, time: NDArray[np.int64] | None = None) -> Floats:
        """As `serendip.types.Predictor.predict`; without a time, as on a day of which nothing is known."""
        user, item = _places(users, len(self.user_bias)), _places(items, len(self.item_bias))
        day = self._day(None if time is None else np.asarray(time), len(user))
        out = np.empty(len(user), np.float32)
        step = max(1, BLOCK // self.users[:, 0].size)
        for start in range(0, len(user), step):
            part = slice(start, start + step)
            u, i, t = self.users[:, user[part]], self.items[:, item[part]], self.dates[:, day[part]]
            alone = self.offset[:, None] + u[:, :, 0] + i[:, :, 0] + t[:, :, 0]
            u, i, t = u[:, :, 1:], i[:, :, 1:], t[:, :, 1:]
            eta = alone + np.einsum("smd,smd->sm", u, i + t) + np.einsum("smd,smd->sm", i, t)
            total = np.zeros(eta.shape[1])
            for draw, centre in enumerate(eta):
                total += self._ratings(draw, centre)
            out[part] = total / len(eta)
        return self.clipped(out)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `Scorer.score`: the predicted rating at the time of asking; ``-inf`` for who or what is not known."""
        return in_blocks(self._full, queries, items, self.n_items)

    def _full(self, queries: Queries, out: Floats) -> None:
        out[:] = -np.inf
        rows, columns = np.flatnonzero(inside(self.user_bias, queries.users)), self._scored
        day = self._day(queries.time, len(queries))[rows]
        asked = queries.users[rows]
        total = np.zeros((len(rows), len(columns)))
        for draw in range(len(self.offset)):
            u, i, t = self.users[draw, asked], self.items[draw, columns], self.dates[draw, day]
            across = u[:, 0] + t[:, 0] + np.einsum("qd,qd->q", u[:, 1:], t[:, 1:])
            eta = (u[:, 1:] + t[:, 1:]) @ i[:, 1:].T + across[:, None] + i[:, 0] + self.offset[draw]
            total += self._ratings(draw, eta)
        out[np.ix_(rows, columns)] = self.clipped((total / len(self.offset)).astype(np.float32))

    def _ratings(self, draw: int, eta: NDArray[Any]) -> NDArray[Any]:
        """The expected rating of each η in a draw."""
        if not len(self.levels):
            return np.asarray(self.centre + self.scale * eta)
        out = np.full(eta.shape, self.levels[-1])
        for cut, step in zip(self.cuts[draw], np.diff(self.levels), strict=True):
            out -= step * ndtr(cut - eta)
        return out

    @cached_property
    def _scored(self) -> NDArray[np.int64]:
        return np.flatnonzero(~np.isnan(self.item_bias))

    def _day(self, time: NDArray[np.int64] | None, n: int) -> NDArray[np.int64]:
        """The row of each time's day; the last one for a day without a row."""
        if time is None or not len(self.days):
            return np.full(n, len(self.days))
        day = time // DAY
        place = np.minimum(np.searchsorted(self.days, day), len(self.days) - 1)
        return np.where(self.days[place] == day, place, len(self.days))


def _places(codes: Ids, n: int) -> NDArray[np.int64]:
    """The row of each code; the last one for a code out of range."""
    codes = np.asarray(codes, np.int64)
    return np.where((codes >= 0) & (codes < n), codes, n)


__all__ = ["PosteriorFactors"]
