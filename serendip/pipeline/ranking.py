"""`Rank`: what other stages named, in the order of a scorer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from serendip.pipeline.composite import Lawful
from serendip.pipeline.lists import permitted
from serendip.scorers.calibrated import Calibrated, ranked_by
from serendip.types import ABSENT, SCORE, SOURCE, Floats, Paired, Queries, Recs, Scorer, SerendipError, by_source

EVEN = 1e-6
"""Of the largest score: a deviation below it is none."""
NEAR = 60
"""Added to places where two orders become one, so that the first places do not decide alone."""


@dataclass(frozen=True, eq=False)
class Rank(Lawful):
    """The items that the stages before it named, in the order of one scorer. Made by `serendip.pipeline.rank`.

    All items of a query are scored in one call, which is told what `said_of` says of each. What the scorer cannot score
    keeps its order, and the score that it was named with, behind what it can. Each item keeps the source that named it,
    and what every stage before gave it.

    Attributes:
        scorer: what scores.
        name: stands in notes and in the bundle.
        k: how many items to keep; None: ``queries.k``.
        named: between 0 and 1, how much the order counts in which the items were named. Above 0 the score of an item
            is ``(1 - named) / (60 + r) + named / (60 + s)``, r and s being its places (from 1) by the scorer and as
            it was named, after G. V. Cormack, C. L. A. Clarke and S. Büttcher, "Reciprocal rank fusion outperforms
            Condorcet and individual rank learning methods", SIGIR 2009.
    """

    scorer: Scorer
    name: str
    k: int | None = None
    named: float = 0.0

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """``[q, ≤ k]``; the notes say where nothing could be scored.

        Raises:
            SerendipError: no lists to rank.
        """
        if recs is None:
            raise SerendipError(
                f"{self.name} ranks what other stages name. Got no lists. Try chain(retrieve(…), rank(…))."
            )
        lists = permitted(recs, queries)
        k = max(0, queries.k if self.k is None or queries.k < 1 else self.k)
        if lists.items.size == 0:
            return lists.top(k)
        found = ranked_by(self.scorer).score(self.told(queries, lists), lists.items)
        scored = np.isfinite(found) & (lists.items != ABSENT)
        if self.named:
            found = _fused(found, scored, self.named)
        order = np.argsort(-np.where(scored, found, -np.inf), axis=1, kind="stable")[:, :k]
        if isinstance(self.scorer, Calibrated) and not self.named:
            found = self.scorer.probabilities(found)
        scores = np.where(scored, found, lists.scores).astype(np.float32)
        columns = {**lists.columns, SCORE + self.name: np.where(scored, scores, np.float32(np.nan))}
        ranked = Recs(lists.items, scores, columns, lists.notes).ordered(order)
        missed = 0 if scored.all() else int(((lists.counts > 0) & ~scored.any(axis=1)).sum())
        if missed == 0:
            return ranked
        note = f"{self.name}: none of the items named can be scored for {missed} of {len(queries)} queries"
        return replace(ranked, notes=(*lists.notes, note))

    def told(self, queries: Queries, lists: Recs) -> Queries:
        """The queries as the scorer is asked: with what these lists say of the items in them, as far as it reads it."""
        if not self._reads:
            return queries
        return replace(queries, pairs={**queries.pairs, **said_of(lists, self._reads)})

    @cached_property
    def _reads(self) -> tuple[str, ...]:
        scorer = ranked_by(self.scorer)
        return scorer.pair_names if isinstance(scorer, Paired) else ()


def said_of(lists: Recs, names: Sequence[str] | None = None) -> dict[str, Floats]:
    """What lists say of the items in them, as `serendip.types.Queries.pairs`.

    Args:
        lists: with ``score.NAME`` of what named the items.
        names: of the pairs that are wanted; None: all that there are.
    """
    wanted = None if names is None else {name.removeprefix(SOURCE) for name in names}
    return by_source(*coded(lists, wanted))


def coded(lists: Recs, wanted: Collection[str] | None = None) -> tuple[Floats, tuple[str, ...]]:
    """``[q, c, s]`` the `standing` of the items by each stage that gave them a score, and the names of these stages.

    Args:
        lists: with columns ``score.NAME``.
        wanted: names of stages; None: all.
    """
    named = sorted(name.removeprefix(SCORE) for name in lists.columns if name.startswith(SCORE))
    chosen = tuple(name for name in named if wanted is None or name in wanted)
    out = np.empty((*lists.items.shape, len(chosen)), np.float32)
    for place, name in enumerate(chosen):
        out[..., place] = standing(lists.columns[SCORE + name])
    return out, chosen


def standing(scores: Floats) -> Floats:
    """``[q, c]`` scores of one source less their mean, over their deviation, within each list; NaN where there is none.

    So they mean the same whatever the scale of a source is, and however long the log is. 0 where all of them are alike.
    """
    own = np.isfinite(scores)
    count = np.maximum(own.sum(axis=1, keepdims=True), 1)
    value = np.where(own, scores, 0).astype(np.float64)
    away = np.where(own, value - value.sum(axis=1, keepdims=True) / count, 0)
    deviation = np.sqrt(np.square(away).sum(axis=1, keepdims=True) / count)
    even = deviation <= EVEN * np.abs(value).max(axis=1, keepdims=True, initial=0)
    return np.where(own, away / np.where(even, np.inf, deviation), np.nan).astype(np.float32)


def _fused(found: Floats, scored: NDArray[np.bool_], named: float) -> Floats:
    """``[q, c]`` scores from the places by the scorer and those in the list, of what is scored."""
    order = np.argsort(-np.where(scored, found, -np.inf), axis=1, kind="stable")
    by_scorer = np.argsort(order, axis=1) + 1
    as_named = np.cumsum(scored, axis=1)
    return np.asarray((1 - named) / (NEAR + by_scorer) + named / (NEAR + as_named), np.float32)


__all__ = ["Rank", "coded", "said_of", "standing"]
