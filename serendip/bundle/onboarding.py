"""What to ask somebody new: the items whose answers tell most of what else they like, and that they are likely to know.

Whether somebody likes the items is taken for a Gaussian vector x whose mean μ and covariance K are those of the users
of the bundle. An answer on item i leaves ``K' = K − K_i K_iᵀ / (K_ii + σ²)`` and moves μ towards it; questions are
chosen one after another, each where ``Σ_j K_ij² / (K_ii + σ²) · μ_i^ρ`` is highest: the variance that the answer takes
away from all items, and how likely they know it. Where nobody has had anything, K is how alike items are by their
attributes, and all are as well known.

Source: A-optimal design, e.g. A. Atkinson, A. Donev and R. Tobias, "Optimum experimental designs, with SAS", 2007;
N. Rubens, M. Elahi, M. Sugiyama and D. Kaplan, "Active learning in recommender systems", Recommender Systems Handbook,
2015; popularity beside information: A. Rashid et al., "Getting to know you", IUI 2002.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.bundle.ids import known_codes, listed
from serendip.bundle.options import Onboarding
from serendip.data.dataset import Histories
from serendip.data.features.terms import Terms
from serendip.data.vocab import Vocab
from serendip.types import Ids, SerendipError

Doubles = NDArray[np.float64]
LEAST = 1e-3
"""How likely somebody knows an item, at least."""
PEOPLE = 20_000
"""Users from whom the covariance is learned at most, evenly taken."""


@dataclass(frozen=True, eq=False)
class Prior:
    """What is known before an answer.

    Attributes:
        codes: ``[c]`` the items that may be asked about, and those that answers are about.
        mean: ``[c]`` the share of people who like each.
        covariance: ``[c, c]``.
        source: what it was learned from: ``histories`` or ``attributes``.
    """

    codes: Ids
    mean: Doubles
    covariance: Doubles
    source: str

    def given(self, places: NDArray[np.int64], answers: Doubles, noise: float) -> Prior:
        """What is known after the answers ``[m]``, 1 or 0, on the items in these places ``[m]``."""
        if not len(places):
            return self
        rows = self.covariance[places]
        told = np.linalg.solve(rows[:, places] + noise * np.eye(len(places)), rows)
        mean = self.mean + (answers - self.mean[places]) @ told
        return Prior(self.codes, mean, self.covariance - rows.T @ told, self.source)


@dataclass(frozen=True, eq=False)
class Interviewer:
    """Chooses questions over one bundle.

    Attributes:
        item_ids, items, histories: of the bundle.
    """

    item_ids: Vocab
    items: pl.DataFrame
    histories: Histories

    def questions(
        self, k: int, answers: Mapping[str, Any], may: NDArray[np.bool_], options: Onboarding
    ) -> pl.DataFrame:
        """As `serendip.bundle.Bundle.onboarding`.

        Args:
            k: how many at most.
            answers: item ids by what was said of them, `ANSWERS`.
            may: ``[n]`` the items that may be asked about.
            options: see there.
        """
        said: dict[int, float] = {}
        for name, value in ANSWERS.items():
            for code in self._codes(name, answers.get(name) or ()):
                if code in said:
                    twice = self.item_ids.ids[code]
                    raise SerendipError(f"Every item must be answered once. Got {twice!r} twice or more.")
                said[code] = value
        asked = np.array(list(said), np.int32)
        prior = self._prior(may, asked, options.pool)
        order = np.argsort(prior.codes)
        places = order[np.searchsorted(prior.codes, asked, sorter=order)]
        known = prior.given(places, np.array(list(said.values()), np.float64), options.noise)
        open_ = may[prior.codes]
        open_[places] = False
        return self._table(known, *chosen(known, k, open_, options))

    def _codes(self, name: str, ids: Any) -> list[int]:
        return [int(code) for code in known_codes(self.item_ids, "items", listed(name, ids))]

    @cached_property
    def _liked(self) -> csr_array:
        """``[users, n]`` who liked what, of some users."""
        histories, n = self.histories, len(self.items)
        users = np.repeat(np.arange(len(histories)), np.diff(histories.indptr))
        liked = np.ones(len(users), bool) if histories.weight is None else histories.weight > 0
        matrix = csr_array(
            (np.ones(int(liked.sum())), (users[liked], histories.items[liked])), shape=(len(histories), n)
        )
        matrix.sum_duplicates()
        matrix.data[:] = 1
        active = np.flatnonzero(np.diff(matrix.indptr))
        some = active[np.linspace(0, len(active) - 1, min(len(active), PEOPLE)).astype(np.int64)]
        return csr_array(matrix[some])

    @cached_property
    def _count(self) -> Doubles:
        return np.asarray(self._liked.sum(axis=0), np.float64).ravel()

    def _prior(self, may: NDArray[np.bool_], asked: Ids, pool: int) -> Prior:
        best = np.argsort(-np.where(may, self._count, -1), kind="stable")[:pool]
        codes = np.union1d(best[may[best]], asked).astype(np.int32)
        if self._liked.shape[0] > 1 and self._count[codes].any():
            some = csr_array(self._liked[:, codes])
            mean = self._count[codes] / some.shape[0]
            together = np.asarray((some.T @ some).todense()) / some.shape[0]
            return Prior(codes, mean, together - np.outer(mean, mean), "histories")
        return Prior(codes, np.ones(len(codes)), self._alike(codes), "attributes")

    def _alike(self, codes: Ids) -> Doubles:
        """How alike items are by their attributes: 1 each with itself."""
        table = self.items[codes.tolist()].drop("item_id")
        kinds = (pl.String, pl.List(pl.String))
        text = [name for name in table.columns if name == "title"]
        groups = [name for name, kind in table.schema.items() if kind in kinds and name not in text]
        terms = Terms.fit(table, groups, text, share=0.5, min_items=1, max_share=1.0, max_words=5000)
        rows = terms.rows(table)
        alike: Doubles = np.asarray((rows @ rows.T).todense(), np.float64)
        np.fill_diagonal(alike, 1)
        return alike

    def _table(self, prior: Prior, places: Sequence[int], gains: Sequence[float]) -> pl.DataFrame:
        codes = prior.codes[list(places)]
        shown = self.items.select("item_id", *(["title"] if "title" in self.items.columns else []))
        asked: pl.DataFrame = shown[codes.tolist()]
        return asked.with_columns(
            known=pl.Series(np.clip(prior.mean[list(places)], 0, 1).astype(np.float32)),
            gain=pl.Series(np.array(gains, np.float32)),
            rank=pl.Series(np.arange(1, len(codes) + 1, dtype=np.int32)),
            source=pl.lit(prior.source),
        )


ANSWERS: dict[str, float] = {"liked": 1.0, "not_liked": 0.0, "not_known": 0.0}
"""What may be said of an item, and what that is as an answer."""


def chosen(prior: Prior, k: int, may: NDArray[np.bool_], options: Onboarding) -> tuple[list[int], list[float]]:
    """The places of up to k items, one after another, and the share of all variance that each answer takes away.

    Args:
        prior: what is known.
        k: how many.
        may: ``[c]`` which may be asked about.
        options: how much they must be known.
    """
    left, free = prior.covariance.copy(), may.copy()
    whole = max(float(np.trace(left)), np.finfo(np.float64).tiny)
    likely = np.clip(prior.mean, LEAST, 1) ** options.recognisability
    places, gains = list[int](), list[float]()
    for _ in range(min(k, int(free.sum()))):
        variance = np.diagonal(left) + options.noise
        gain = np.square(left).sum(axis=1) / variance
        place = int(np.argmax(np.where(free, gain * likely, -1)))
        places.append(place)
        gains.append(float(gain[place]) / whole)
        free[place] = False
        left -= np.outer(left[place], left[place]) / variance[place]
    return places, gains


__all__ = ["ANSWERS", "Interviewer", "Prior", "chosen"]
