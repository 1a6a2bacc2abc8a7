"""What is said of an item beside its score: all that named it, what every stage gave it, and a reason in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.pipeline import Rerank, Retrieve, rerankers, retrievers, scoring
from serendip.rerank import PINNED, Explore
from serendip.scorers import StaticScores
from serendip.scorers.calibrated import ranked_by
from serendip.scorers.grouped import GroupedScores
from serendip.types import ABSENT, PLACE, PROPENSITY, SCORE, Explainer, Queries, Recs, Stage

Texts = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class Details:
    """Of the items of lists, those of one query after those of the other, ``[m]`` each.

    Attributes:
        sources: what named the item, the one in whose list it stands highest first.
        scores: by stage, what it gave the item; NaN where it gave nothing.
        reasons: why it is there, as a short sentence.
    """

    sources: tuple[tuple[str, ...], ...]
    scores: Mapping[str, NDArray[np.float32]]
    reasons: tuple[str, ...]

    def columns(self) -> list[pl.Series]:
        """``sources`` (separated by commas), ``score.NAME`` and ``reason``."""
        return [
            pl.Series("sources", [", ".join(names) for names in self.sources], dtype=pl.String),
            *(pl.Series(SCORE + name, value, dtype=pl.Float32).fill_nan(None) for name, value in self.scores.items()),
            pl.Series("reason", self.reasons, dtype=pl.String),
        ]


def details(pipeline: Stage, queries: Queries, recs: Recs, items: pl.DataFrame, used: NDArray[np.bool_]) -> Details:
    """The details of lists.

    Args:
        pipeline: that gave them.
        queries: that were asked.
        recs: the lists.
        items: row i for code i, with titles or without.
        used: ``[n]`` whether anybody has the item in their history.
    """
    row, place = np.nonzero(recs.items != ABSENT)
    parts = {part.name: part for part in retrievers(pipeline)}
    stages = dict.fromkeys(part.name for part in scoring(pipeline))
    nothing = np.full(len(row), np.nan, np.float32)
    columns = {name: recs.columns.get(SCORE + name) for name in stages}
    scores = {name: nothing if value is None else value[row, place] for name, value in columns.items()}
    first = recs.columns["source"][row, place].tolist() if "source" in recs.columns else [""] * len(row)
    gave = {name: ~np.isnan(scores[name]) for name in parts}
    sources = tuple(
        tuple(dict.fromkeys([*([source] if source else []), *(name for name in parts if gave[name][at])]))
        for at, source in enumerate(first)
    )
    reasons = np.full(len(row), "", object)
    _by_rules(reasons, pipeline, recs, (row, place), first, used)
    for name in parts:  # the source of an item first, then the others that named it
        _by_history(reasons, parts[name], queries, recs, (row, place), np.array(first, object) == name, items)
    for name in parts:
        _by_history(reasons, parts[name], queries, recs, (row, place), gave[name], items)
    _by_kind(reasons, parts, queries, row, first)
    return Details(sources, scores, tuple(reasons.tolist()))


def _by_rules(
    reasons: Texts,
    pipeline: Stage,
    recs: Recs,
    at: tuple[NDArray[np.int64], NDArray[np.int64]],
    first: Iterable[str],
    used: NDArray[np.bool_],
) -> None:
    """What is there by a rule or by chance, and what nobody knows yet."""
    row, place = at
    items = recs.items[row, place]
    fresh = items >= len(used)
    fresh |= ~used[np.where(fresh, 0, items)] if len(used) else True
    reasons[fresh] = "new"
    if PROPENSITY in recs.columns:
        for name in (one.name for one in rerankers(pipeline) if _explores(one)):
            if PLACE + name in recs.columns:
                stood = recs.columns[PLACE + name][row, place]
                reasons[stood > place + 1] = "to try something new"
    reasons[np.array([name == PINNED for name in first], bool)] = "pinned by the shop"


def _explores(stage: Rerank) -> bool:
    return isinstance(stage.options, Explore)


def _by_history(
    reasons: Texts,
    part: Retrieve,
    queries: Queries,
    recs: Recs,
    at: tuple[NDArray[np.int64], NDArray[np.int64]],
    own: NDArray[np.bool_],
    items: pl.DataFrame,
) -> None:
    """The item of the history that speaks most for each of its own items without a reason yet."""
    row, place = at
    codes = recs.items[row, place]
    asked = np.flatnonzero(own & (reasons == "") & (codes < part.scorer.n_items))
    scorer = ranked_by(part.scorer)
    if not len(asked) or not isinstance(scorer, Explainer):
        return
    found = scorer.explain(queries.take(row[asked]), codes[asked], 1)
    if found.items.shape[1] == 0:
        return
    spoke = (found.items[:, 0] != ABSENT) & (found.scores[:, 0] > 0)
    names = items["title" if "title" in items.columns else "item_id"]
    ids = items["item_id"]
    for where, code in zip(asked[spoke], found.items[spoke, 0].tolist(), strict=True):
        name = names[code] if names[code] is not None else ids[code]
        reasons[where] = f"like what you chose: {name}"


def _by_kind(
    reasons: Texts, parts: Mapping[str, Retrieve], queries: Queries, row: NDArray[np.int64], first: Iterable[str]
) -> None:
    """What is left, by what kind of model named it."""
    busy = (queries.history != ABSENT).any(axis=1)
    for where, name in enumerate(first):
        if reasons[where] == "" and name in parts:
            scorer = ranked_by(parts[name].scorer)
            if isinstance(scorer, StaticScores):
                reasons[where] = "popular now"
            elif isinstance(scorer, GroupedScores):
                reasons[where] = "popular with people like you"
            else:
                reasons[where] = "fits what you chose" if busy[row[where]] else "fits what is known of you"


__all__ = ["Details", "details"]
