"""How good lists are, one pure function per metric: ``(Recs, Truth) -> [q]`` float64.

A query without truth has no figure: its value is NaN, and means leave it out. A list shorter than ``k`` misses its
empty places. An item that a list shows twice counts once, at its first place. Items of the truth that training has
never heard of (`ABSENT`) count as missed.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.evaluate.keys import among
from serendip.kernels import pool
from serendip.types import ABSENT, Floats, Ids, Recs, SerendipError, Truth

Hits = NDArray[np.bool_]
Values = NDArray[np.float64]
Formula = Callable[[Hits, NDArray[np.int64]], Values]

_CELLS = 1 << 20  # scores sorted at a time by `auc`


@dataclass(frozen=True, slots=True)
class RankMetric:
    """A metric that depends only on which places of a list hold an item of the truth, and on how large the truth is.

    Attributes:
        name: ``recall@20``.
        k: how many places count.
        formula: hits ``[q, ≤ k]`` and truth sizes ``[q]`` (at least 1) to values ``[q]``.
    """

    name: str
    k: int
    formula: Formula

    def __call__(self, recs: Recs, truth: Truth) -> Values:
        """The value of each query, ``[q]``."""
        return self.of(hits(recs.top(self.k), truth), truth.counts)

    def of(self, found: Hits, counts: NDArray[np.int64]) -> Values:
        """As a call, from hits that were computed before for this or a longer list."""
        values = self.formula(found[:, : self.k], np.maximum(counts, 1))
        return np.where(counts > 0, values, np.nan)


def hits(recs: Recs, truth: Truth) -> Hits:
    """``[q, k]`` whether each place holds an item of its query's truth; an item's second place in a list is no hit.

    Raises:
        ValueError: lists and truth of different numbers of queries.
    """
    q = len(truth)
    if len(recs) != q:
        raise ValueError(f"metrics need one list per query of the truth ({q}). Got {len(recs)} lists instead.")
    base = int(max(recs.items.max(initial=0), truth.items.max(initial=0)) + 1)
    wanted = np.repeat(np.arange(q, dtype=np.int64) * base, truth.counts) + truth.items
    wanted = np.sort(wanted[truth.items != ABSENT])
    shown: NDArray[np.int64] = (np.arange(q, dtype=np.int64)[:, None] * base + recs.items).ravel()
    found: Hits = among(shown, wanted).reshape(recs.items.shape) & (recs.items != ABSENT)
    keys = shown[found.ravel()]
    if (np.diff(np.sort(keys)) == 0).any():
        first = np.zeros(len(keys), np.bool_)
        first[np.unique(keys, return_index=True)[1]] = True
        found[found] = first
    return found


def recall(k: int) -> RankMetric:
    """Share of the truth found among the first k: hits / |truth|."""

    def formula(found: Hits, counts: NDArray[np.int64]) -> Values:
        share: Values = found.sum(axis=1) / counts
        return share

    return RankMetric(f"recall@{_places(k)}", k, formula)


def precision(k: int) -> RankMetric:
    """Share of k places that hold an item of the truth: hits / k, also where the list is shorter."""

    def formula(found: Hits, counts: NDArray[np.int64]) -> Values:
        share: Values = found.sum(axis=1) / np.float64(k)
        return share

    return RankMetric(f"precision@{_places(k)}", k, formula)


def hit_rate(k: int) -> RankMetric:
    """1 where at least one of the first k is in the truth, else 0."""

    def formula(found: Hits, counts: NDArray[np.int64]) -> Values:
        hit: Values = np.asarray(found.any(axis=1), np.float64)
        return hit

    return RankMetric(f"hit_rate@{_places(k)}", k, formula)


def ndcg(k: int) -> RankMetric:
    """Normalised discounted cumulative gain with binary gain.

    ``Σ_{hits at rank r ≤ k} 1 / log2(r + 1)``, divided by that sum over the ranks 1 … min(|truth|, k), the best
    possible.
    Source: Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR techniques", ACM TOIS 20(4), 2002; their
    gain is graded and their first ranks are not discounted.
    """
    discount = 1 / np.log2(np.arange(2, _places(k) + 2))
    ideal = np.cumsum(discount)

    def formula(found: Hits, counts: NDArray[np.int64]) -> Values:
        gained: Values = found.astype(np.float64) @ discount[: found.shape[1]] / ideal[np.minimum(counts, k) - 1]
        return gained

    return RankMetric(f"ndcg@{k}", k, formula)


def mrr(k: int) -> RankMetric:
    """Reciprocal rank: 1 / rank of the first hit among the first k, 0 without one."""
    reciprocal = 1 / np.arange(1, _places(k) + 1)

    def formula(found: Hits, counts: NDArray[np.int64]) -> Values:
        best: Values = np.max(found * reciprocal[: found.shape[1]], axis=1, initial=0.0)
        return best

    return RankMetric(f"mrr@{k}", k, formula)


def map(k: int) -> RankMetric:
    """Average precision: ``Σ_{hits at rank r ≤ k} precision@r``, divided by min(|truth|, k)."""
    ranks = np.arange(1, _places(k) + 1)

    def formula(found: Hits, counts: NDArray[np.int64]) -> Values:
        precisions = np.cumsum(found, axis=1) / ranks[: found.shape[1]]
        average: Values = (precisions * found).sum(axis=1) / np.minimum(counts, k)
        return average

    return RankMetric(f"map@{k}", k, formula)


def auc(scores: Floats, truth: Truth, exclude: Ids | None = None, threads: int | None = 1) -> Values:
    """Chance that an item of the truth scores above a candidate that is not in it; ties count one half. Exact.

    Candidates are all items but the excluded ones. ``-inf`` and NaN ("cannot score") rank below every score and tie
    with one another; an item of the truth that is no candidate (`ABSENT`, excluded) loses every comparison. NaN for a
    query without truth or without any other candidate.

    Shapes: scores ``[q, n]``, not modified; exclude ``[q, e]``, `ABSENT`-padded; the result ``[q]``.
    """
    out = np.full(len(scores), np.nan)

    def task(start: int, stop: int) -> None:
        rows = slice(start, stop)
        out[rows] = _auc(scores[rows], truth.take(rows), None if exclude is None else exclude[rows])

    pool.rows(task, len(scores), chunk=max(1, _CELLS // max(scores.shape[1], 1)), threads=threads)
    return out


def _auc(scores: Floats, truth: Truth, exclude: Ids | None) -> Values:
    q, n = scores.shape
    others = np.where(np.isnan(scores), -np.inf, scores)
    if exclude is not None:
        row, place = np.nonzero((exclude >= 0) & (exclude < n))
        others[row, exclude[row, place]] = np.nan  # NaN is sorted last and compares as neither below nor equal
    owner = np.repeat(np.arange(q), truth.counts)
    known = truth.items != ABSENT
    wins = np.zeros(len(owner))
    value = others[owner[known], truth.items[known]]
    others[owner[known], truth.items[known]] = np.nan
    others.sort(axis=1)
    below, up_to = (_count(others, owner[known], value, strictly) for strictly in (True, False))
    wins[known] = np.where(np.isnan(value), 0, (below + up_to) / 2)
    pairs = (truth.counts * (n - np.count_nonzero(np.isnan(others), axis=1))).astype(np.float64)
    total = np.bincount(owner, weights=wins, minlength=q)
    share: Values = np.divide(total, pairs, out=np.full(q, np.nan), where=pairs > 0)
    return share


def _count(ordered: Floats, rows: NDArray[np.int64], values: Floats, strictly: bool) -> NDArray[np.int64]:
    """``[m]`` how many entries of each chosen row are below the value, or up to it: binary search in sorted rows."""
    n = ordered.shape[1]
    low, high = np.zeros(len(rows), np.int64), np.full(len(rows), n, np.int64)
    for _ in range(n.bit_length()):
        middle = (low + high) // 2
        found = ordered[rows, np.minimum(middle, n - 1)]
        right = (low < high) & ((found < values) if strictly else (found <= values))
        low, high = np.where(right, middle + 1, low), np.where(right, high, middle)
    return low


def rmse(predicted: NDArray[Any], actual: NDArray[Any]) -> float:
    """Root of the mean squared error, over the pairs where both are known (not NaN); NaN without any.

    Shapes: ``[m]`` each.
    """
    errors = _errors(predicted, actual)
    return float(np.sqrt(np.mean(errors**2))) if len(errors) else float("nan")


def mae(predicted: NDArray[Any], actual: NDArray[Any]) -> float:
    """Mean absolute error, over the pairs where both are known (not NaN); NaN without any.

    Shapes: ``[m]`` each.
    """
    errors = _errors(predicted, actual)
    return float(np.mean(np.abs(errors))) if len(errors) else float("nan")


def _errors(predicted: NDArray[Any], actual: NDArray[Any]) -> Values:
    if predicted.shape != actual.shape:
        raise ValueError(f"predictions must have the shape of the actual values {actual.shape}. Got {predicted.shape}.")
    errors = predicted.astype(np.float64) - actual.astype(np.float64)
    return errors[~np.isnan(errors)]


def _places(k: int) -> int:
    if k < 1:
        raise SerendipError(f"k must be at least 1. Got {k} instead.")
    return k


@dataclass(frozen=True, slots=True)
class Definition:
    """What a figure is.

    Attributes:
        name: without the ``@k``.
        kind: ``rank`` (a `RankMetric`), ``list`` (per query, from what lists show), ``scores`` (per query, from the
            scores of all items) or ``total`` (one figure for all lists together).
        sentence: its definition, for reports; ``{k}`` stands for the number of places.
        make: the factory of a ``rank`` metric.
    """

    name: str
    kind: str
    sentence: str
    make: Callable[[int], RankMetric] | None = None


DEFINITIONS: dict[str, Definition] = {
    item.name: item
    for item in (
        Definition("recall", "rank", "Share of the held-out items found among the first {k}.", recall),
        Definition("precision", "rank", "Share of the first {k} places that hold a held-out item.", precision),
        Definition("hit_rate", "rank", "Share of queries with a held-out item among the first {k}.", hit_rate),
        Definition(
            "ndcg",
            "rank",
            "Sum of 1/log2(r + 1) over the ranks r of the held-out items among the first {k}, divided by the best "
            "possible sum, that over the ranks 1 to min(number of held-out items, {k}).",
            ndcg,
        ),
        Definition("mrr", "rank", "One over the rank of the first held-out item among the first {k}; 0 if none.", mrr),
        Definition(
            "map",
            "rank",
            "Sum of the precisions at the ranks of the held-out items among the first {k}, divided by "
            "min(number of held-out items, {k}).",
            map,
        ),
        Definition(
            "auc",
            "scores",
            "Chance that a held-out item scores above an item that the user has neither in training nor in the test; "
            "ties count one half.",
        ),
        Definition(
            "novelty",
            "list",
            "Mean of -log2 p over the first {k} items, p being the share of training users who have the item; an item "
            "that nobody has counts as one user's.",
        ),
        Definition("popularity", "list", "Mean number of training users who have each of the first {k} items."),
        Definition(
            "diversity",
            "list",
            "Mean of 1 - cosine over all pairs among the first {k} items, by their categories where items have any, by "
            "the training users who have them otherwise.",
        ),
        Definition("coverage", "total", "Share of the catalogue that stands among the first {k} of at least one list."),
        Definition(
            "gini",
            "total",
            "Gini coefficient of how often each item of the catalogue stands among the first {k}: 0 if all do equally "
            "often, near 1 if a few items fill all lists.",
        ),
    )
}
"""Every figure by its name without ``@k``."""


def define(text: str) -> tuple[Definition, int | None]:
    """The definition that a name such as ``recall@20`` asks for, and its number of places (None for ``auc``).

    Raises:
        SerendipError: an unknown name (with the nearest known one), or a missing, needless or impossible ``@k``.
    """
    name, at, places = text.strip().partition("@")
    found = DEFINITIONS.get(name.strip().lower())
    if found is None:
        near = difflib.get_close_matches(name.strip().lower(), DEFINITIONS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise SerendipError(f"A metric must be one of {', '.join(DEFINITIONS)}. Got {text!r} instead.{hint}")
    if found.kind == "scores":
        if at:
            raise SerendipError(f"{found.name} has no number of places. Got {text!r} instead. Try {found.name!r}.")
        return found, None
    if not places.isdecimal() or int(places) < 1:
        raise SerendipError(
            f"{found.name} must say how many places count (1 or more). Got {text!r} instead. Try '{found.name}@10'."
        )
    return found, int(places)


def parse(text: str) -> RankMetric:
    """The metric that a name such as ``ndcg@10`` asks for.

    Raises:
        SerendipError: as `define`; or a figure that needs more than lists and truth, which only ``evaluate`` has.
    """
    found, k = define(text)
    if found.make is None or k is None:
        raise SerendipError(
            f"{text} needs more than lists and truth. Try evaluate(…, metrics=({text!r},)), which has what it needs."
        )
    return found.make(k)


def describe(text: str) -> str:
    """The definition of a figure in one sentence, for reports.

    Raises:
        SerendipError: as `define`.
    """
    found, k = define(text)
    return found.sentence.format(k=k)
