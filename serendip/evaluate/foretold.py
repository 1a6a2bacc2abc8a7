"""What is foretold of rows: by whatever is evaluated, of one label or of several, on the scale of each label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.data.rows import EventRows, row_queries
from serendip.data.scales import on_scale
from serendip.types import Floats, Foreteller, Ids, Predictor, Queries, Scorer, SerendipError

Values = NDArray[np.float64]

SCORE = ""
"""Where scores stand among what is foretold."""


@dataclass(frozen=True, eq=False)
class Foretold:
    """What is foretold of the rows.

    Attributes:
        values: ``[m]`` on the label's scale where ``meant``, otherwise scores, ``-inf`` for what has none.
        meant: whether these are probabilities, expected counts, ratings or durations, and not mere scores.
        unscored: ``[m]`` which rows had no score. Where ``meant``, the mean label of training was foretold of them.
    """

    values: Values
    meant: bool
    unscored: NDArray[np.bool_]


def name_of(what: Any) -> str:
    """What it is called in reports."""
    name = getattr(what, "name", None)
    return name if isinstance(name, str) and name else type(what).__name__


def labels_of(what: Any) -> tuple[str, ...]:
    """The labels that it foretells, and perhaps other tasks; none for what ranks by interest."""
    named = getattr(what, "labels", ())
    if isinstance(named, tuple) and named:
        return tuple(str(name) for name in named)
    scorer = _scorer(what)
    return tuple(scorer.tasks) if isinstance(scorer, Foreteller) else ()


def foretell(what: Any, rows: EventRows, labels: Sequence[str], own: Sequence[str]) -> dict[str, Foretold]:
    """What is foretold of each label, by name; the rows are asked about once.

    Args:
        what: a fitted model or a scorer: a `Foreteller` of several labels, a `Predictor` of ratings, or any other.
        rows: what is asked about.
        labels: which.
        own: the labels that it learned; what it says of others are mere scores.

    Raises:
        SerendipError: something that does not score items, or another catalogue than the rows'.
    """
    scorer = _scorer(what)
    if isinstance(scorer, Predictor):
        predicted = np.asarray(scorer.predict(rows.users, rows.items, rows.time), np.float64)
        return {name: Foretold(predicted, name in own, np.zeros(len(rows), np.bool_)) for name in labels}
    told = [name for name in labels if name in own] if isinstance(scorer, Foreteller) else []

    def ask(queries: Queries, items: Ids) -> Mapping[str, Floats]:
        found = scorer.foretold(queries, items) if told else {}
        return found if len(told) == len(labels) else {**found, SCORE: scorer.score(queries, items)}

    found = _asked(rows, scorer, ask)
    made = {}
    for name in labels:
        if name in told:
            made[name] = _filled(found[name], rows, name)
        elif name in own:
            made[name] = _filled(on_scale(rows.label(name)[1], found[SCORE]), rows, name)
        else:
            made[name] = Foretold(found[SCORE], False, np.isneginf(found[SCORE]))
    return made


def _scorer(what: Any) -> Any:
    lower = getattr(what, "lower", None)
    return lower() if callable(lower) and not isinstance(what, type) else what


def _asked(rows: EventRows, scorer: Any, ask: Callable[[Queries, Ids], Mapping[str, Floats]]) -> dict[str, Values]:
    """``[m]`` of each output, by its name."""
    if not isinstance(scorer, Scorer):
        raise SerendipError(
            f"rows need a fitted model or a scorer, which says how likely each is. Got {type(scorer).__name__} instead."
        )
    if scorer.n_items != rows.data.n_items:
        raise SerendipError(
            f"{name_of(scorer)} must know the {rows.data.n_items:,} items of the training part. Got "
            f"{scorer.n_items:,} instead. Try fitting it on the same data."
        )
    out: dict[str, Values] = {}
    for chosen, queries in row_queries(rows, read_by(scorer)):
        for name, found in ask(queries, rows.items[chosen, None]).items():
            values = out.setdefault(name, np.full(len(rows), -np.inf))
            values[chosen] = np.where(np.isnan(found[:, 0]), -np.inf, found[:, 0])
    return out


def read_by(scorer: Any) -> int | None:
    """How many of the latest events a scorer reads of a history; None: all, as far as is known."""
    feeds = getattr(getattr(scorer, "part", scorer), "feeds", None)
    if feeds is None:
        return None
    return max((feed.width for feed in feeds if feed.of != "feature"), default=0)


def _filled(values: Values, rows: EventRows, label: str) -> Foretold:
    """With the mean label of training where there is no score."""
    lacking = np.isneginf(values)
    if lacking.any():
        taught = rows.data.events.labels.get(label)
        known = np.empty(0) if taught is None else taught[~np.isnan(taught)]
        values = np.where(lacking, float(known.mean(dtype=np.float64)) if len(known) else np.nan, values)
    return Foretold(values, True, lacking)


__all__ = ["Foretold", "foretell", "labels_of", "name_of", "read_by"]
