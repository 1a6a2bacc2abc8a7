"""`Rank`: what other stages named, in the order of a scorer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.pipeline.lists import permitted
from serendip.scorers.calibrated import Calibrated, ranked_by
from serendip.types import ABSENT, Floats, Paired, Queries, Recs, Scorer, SerendipError, by_source

EVEN = 1e-6
"""Of the largest score: a deviation below it is none."""
NEAR = 60
"""Added to places where two orders become one, so that the first places do not decide alone."""


@dataclass(frozen=True, eq=False)
class Rank:
    """The items that the stages before it named, in the order of one scorer. Made by `serendip.pipeline.rank`.

    All items of a query are scored in one call, which is told what `said_of` says of each. What the scorer cannot score
    keeps its order, and the score that it was named with, behind what it can. Each item keeps the source that named it.

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
        scorer = ranked_by(self.scorer)
        if lists.items.size == 0:
            return lists.top(k)
        reads = scorer.pair_names if isinstance(scorer, Paired) else ()
        said = {name: value for name, value in said_of(lists).items() if name in reads} if reads else {}
        found = scorer.score(replace(queries, pairs={**queries.pairs, **said}), lists.items)
        scored = np.isfinite(found) & (lists.items != ABSENT)
        if self.named:
            found = _fused(found, scored, self.named)
        order = np.argsort(-np.where(scored, found, -np.inf), axis=1, kind="stable")
        if isinstance(self.scorer, Calibrated) and not self.named:
            found = self.scorer.probabilities(found)
        scores = np.where(scored, found, lists.scores).astype(np.float32)
        missed = int(((lists.counts > 0) & ~scored.any(axis=1)).sum())
        note = f"{self.name}: none of the items named can be scored for {missed} of {len(queries)} queries"
        return Recs(
            np.take_along_axis(lists.items, order, axis=1),
            np.take_along_axis(scores, order, axis=1),
            {name: np.take_along_axis(value, order, axis=1) for name, value in lists.columns.items()},
            (*lists.notes, note) if missed else lists.notes,
        ).top(k)


def said_of(lists: Recs) -> dict[str, Floats]:
    """What lists say of the items in them, as `serendip.types.Queries.pairs`; nothing where they name no source."""
    return by_source(*coded(lists)) if "source" in lists.columns else {}


def coded(lists: Recs) -> tuple[Floats, NDArray[np.int8], tuple[str, ...]]:
    """Of lists that name sources: the `standing` of their scores, each source as a place among names, and the names."""
    names, places = np.unique(lists.columns["source"], return_inverse=True)
    codes = np.where(lists.items == ABSENT, ABSENT, places.reshape(lists.items.shape))
    return *standing(lists.scores, codes), tuple(str(name) for name in names)


def standing(scores: Floats, sources: NDArray[np.integer[Any]]) -> tuple[Floats, NDArray[np.int8]]:
    """``[q, c]`` scores less their mean, over their deviation, each within its list and its source.

    So they mean the same whatever the scale of a source is, and however long the log is. 0 where all of them are alike.

    Args:
        scores: ``[q, c]``.
        sources: ``[q, c]`` of each which it comes from, `ABSENT` where there is none.

    Returns:
        The scores, NaN where there are none, and the sources.
    """
    out = np.full(scores.shape, np.nan, np.float32)
    for source in np.unique(sources[sources != ABSENT]):
        own = sources == source
        count = np.maximum(own.sum(axis=1, keepdims=True), 1)
        value = np.where(own, scores, 0).astype(np.float64)
        away = np.where(own, value - value.sum(axis=1, keepdims=True) / count, 0)
        deviation = np.sqrt(np.square(away).sum(axis=1, keepdims=True) / count)
        out[own] = (away / np.where(deviation > EVEN * np.abs(value).max(axis=1, keepdims=True), deviation, np.inf))[
            own
        ]
    return out, sources.astype(np.int8)


def _fused(found: Floats, scored: NDArray[np.bool_], named: float) -> Floats:
    """``[q, c]`` scores from the places by the scorer and those in the list, of what is scored."""
    order = np.argsort(-np.where(scored, found, -np.inf), axis=1, kind="stable")
    by_scorer = np.argsort(order, axis=1) + 1
    as_named = np.cumsum(scored, axis=1)
    return np.asarray((1 - named) / (NEAR + by_scorer) + named / (NEAR + as_named), np.float32)


__all__ = ["Rank", "coded", "said_of", "standing"]
