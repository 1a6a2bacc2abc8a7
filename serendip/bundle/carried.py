"""What carried an item: items of the history and features, and how much of a stage's score came by each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from serendip.bundle.ask import Desk
from serendip.data.features import Features
from serendip.pipeline import Rank, Retrieve
from serendip.scorers.calibrated import ranked_by
from serendip.scorers.left_out import Part, Share, Side, columns, shares
from serendip.types import ABSENT, Explainer, Featured, Queries, Scorer


@dataclass(frozen=True)
class Carried:
    """What carried a score.

    Attributes:
        score: on the scale that the shares are on: that of what puts items in order, before any calibration.
        shares: the most first: the score less the score with that part unknown.
        sums: the same of items of the history, where what all of them add sums to the score.
    """

    score: float
    shares: Sequence[Share]
    sums: Sequence[Share] = ()


def carried(stage: Retrieve | Rank, queries: Queries, item: int, desk: Desk) -> Carried | None:
    """What carried the score that a stage has for an item; None where it has none.

    Args:
        stage: a retriever or a ranker.
        queries: who asks, ``[1]``; for a ranker with what it is told of this item, ``[1, 1]`` in ``pairs``.
        item: its code.
        desk: with the items and the features that are read.
    """
    scorer = ranked_by(stage.scorer)
    codes = np.array([item], np.int32)
    score = stage.scores_of if isinstance(stage, Retrieve) else scorer.score
    whole = float(score(queries, codes[None])[0, 0])
    if not np.isfinite(whole):
        return None
    features = None if desk.attributes is None else desk.attributes.features
    found = columns(scorer, queries, item, desk.filters.items[item], features)
    if isinstance(scorer, Explainer) and item < scorer.n_items:
        sums = scorer.explain(queries, codes, max(1, len(np.unique(queries.history))))
        held = sums.items[0] != ABSENT
        if held.any():
            pairs = zip(sums.items[0, held].tolist(), sums.scores[0, held].tolist(), strict=True)
            return Carried(whole, found, [Share(Part("history", "history", code), value) for code, value in pairs])
    found += shares(scorer, queries, item, groups=_groups(scorer, features), score=score)
    return Carried(whole, sorted(found, key=lambda one: -one.value))


def _groups(scorer: Scorer, features: Features | None) -> dict[tuple[Side, str], tuple[str, ...]]:
    """The arrays of the features that a scorer reads, by side and name as they were declared."""
    if features is None or not isinstance(scorer, Featured):
        return {}
    read = set(scorer.feature_names)
    out: dict[tuple[Side, str], tuple[str, ...]] = {}
    for part in features.parts:
        if names := tuple(one.name for one in part.inputs if one.name in read):
            out[part.declared.side, part.name] = names
    return out


__all__ = ["Carried", "carried"]
