"""Counting while lists come in block by block: everything that an `Evaluation` reports."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serendip.evaluate import beyond
from serendip.evaluate.evaluation import Bucket, Evaluation
from serendip.evaluate.held import Split
from serendip.evaluate.metrics import Hits, RankMetric, auc, define, hits, parse
from serendip.evaluate.segments import liked_counts
from serendip.types import ABSENT, Floats, Ids, Queries, Recs, SerendipError, Truth

Values = NDArray[np.float64]

POPULARITY = ("head", "upper", "middle", "lower", "tail")
"""Items from the most popular on, in groups that hold a fifth of the training events each."""
_DEFAULT_K = 10  # length of lists where no metric says it


@dataclass(frozen=True, slots=True)
class Plan:
    """Which figures are wanted.

    Attributes:
        names: as asked for.
        k: length of the lists.
        rank: the metrics counted from hits.
        listed: (name, kind, k) of the per-query figures of what lists show.
        totals: (name, kind, k) of the figures of all lists together.
    """

    names: tuple[str, ...]
    k: int
    rank: tuple[RankMetric, ...]
    listed: tuple[tuple[str, str, int], ...]
    totals: tuple[tuple[str, str, int], ...]

    @classmethod
    def of(cls, metrics: Sequence[str], k: int | None = None) -> Plan:
        """Read the names. ``k`` None: the largest number of places that a metric needs.

        Raises:
            SerendipError: no metric, an unknown one, or lists too short for one.
        """
        if isinstance(metrics, str) or not metrics:
            raise SerendipError(f"metrics must be a list of names such as ['ndcg@10']. Got {metrics!r} instead.")
        rank: dict[str, RankMetric] = {}
        others: dict[str, list[tuple[str, str, int]]] = {"list": [], "total": []}
        names: dict[str, int] = {}
        for text in metrics:
            found, places = define(text)
            name = found.name if places is None else f"{found.name}@{places}"
            if name in names:
                continue
            names[name] = places or 0
            if found.kind == "rank":
                rank[name] = parse(text)
            elif places is not None:
                others[found.kind].append((name, found.name, places))
        longest = max(names.values()) or _DEFAULT_K
        if k is not None and k < longest:
            needs = next(name for name, places in names.items() if places == longest)
            raise SerendipError(f"k must be at least {longest}, because {needs} is asked for. Got {k} instead.")
        listed, totals = tuple(others["list"]), tuple(others["total"])
        return cls(tuple(names), longest if k is None else k, tuple(rank.values()), listed, totals)


class Tally:
    """What was counted so far. Memory grows with queries × figures and with the catalogue, not with the lists."""

    def __init__(self, split: Split, plan: Plan, threads: int | None = None) -> None:
        q, train = len(split), split.train
        self._split, self._plan, self._threads = split, plan, threads
        self._values = {name: np.full(q, np.nan) for name in plan.names if name not in {t[0] for t in plan.totals}}
        liked = liked_counts(train)[1]
        self._warm = np.append(liked > 0, np.False_)
        self._parts: dict[str, dict[str, Values]] = {}
        if not self._warm[split.truth.items].all():
            parts = ("warm_items", "cold_items")
            self._parts = {part: {metric.name: np.full(q, np.nan) for metric in plan.rank} for part in parts}
        self._bucket = _popularity(liked)
        self._found = np.zeros(len(POPULARITY) + 2, np.int64)
        self._shown = {places: np.zeros(train.n_items, np.int64) for places in {plan.k, *(t[2] for t in plan.totals)}}
        self._having = beyond.holders(train) if plan.listed else liked
        self._space = beyond.item_space(train) if any(kind == "diversity" for _, kind, _ in plan.listed) else None
        self._short = np.zeros(2, np.int64)

    def add(self, rows: NDArray[np.int64], queries: Queries, recs: Recs, scores: Floats | None) -> None:
        """Count the lists of these queries of the split."""
        truth, items = self._split.truth.take(rows), recs.items[:, : self._plan.k]
        self._check(rows, items)
        shown_here = (items != ABSENT).sum(axis=1)
        self._short += ((shown_here < self._plan.k).sum(), (shown_here == 0).sum())
        found = hits(recs.top(self._plan.k), truth)
        for metric in self._plan.rank:
            self._values[metric.name][rows] = metric.of(found, truth.counts)
        for part, figures in self._parts.items():
            mine, counts = self._of_part(part == "warm_items", found, items, truth)
            for metric in self._plan.rank:
                figures[metric.name][rows] = metric.of(mine, counts)
        for name, kind, places in self._plan.listed:
            self._values[name][rows] = self._listed(kind, items[:, :places])
        if scores is not None:
            self._values["auc"][rows] = auc(scores, truth, queries.exclude, self._threads)
        for places, shown in self._shown.items():
            shown += beyond.exposure(items[:, :places], len(shown))
        self._found += np.bincount(self._bucket[items[found]], minlength=len(self._found))

    def end(self, name: str, seed: int, seconds: float) -> Evaluation:
        """Everything counted, as a value."""
        split, plan = self._split, self._plan
        figures = {"coverage": beyond.coverage, "gini": beyond.gini}
        notes = split.notes
        if self._short[0]:
            notes += (f"Lists shorter than {plan.k}: {self._short[0]:,}, of which empty: {self._short[1]:,}.",)
        if self._space is not None:
            notes += (f"Diversity compares items by their {self._space.basis}.",)
        return Evaluation(
            name=name,
            split=split.name,
            description=split.description,
            questions=_fingerprint(split),
            metrics=plan.names,
            k=plan.k,
            n=len(split),
            seconds=seconds,
            seed=seed,
            totals={figure: figures[kind](self._shown[places]) for figure, kind, places in plan.totals},
            buckets=self._buckets(),
            groups=("all", *split.segments, *self._parts),
            notes=notes,
            values=self._values,
            segments=split.segments,
            parts=self._parts,
        )

    def _check(self, rows: NDArray[np.int64], items: Ids) -> None:
        if len(items) != len(rows):
            raise SerendipError(f"A stage must return one list per query ({len(rows)}). Got {len(items)} instead.")
        n = self._split.train.n_items
        if items.size and not ABSENT <= items.min() <= items.max() < n:
            raise SerendipError(
                f"Lists must name items of the training part, codes 0 to {n - 1:,}. Got "
                f"{items.max() if items.max() >= n else items.min():,} instead. Try fitting on split.train."
            )

    def _of_part(self, warm: bool, found: Hits, items: Ids, truth: Truth) -> tuple[Hits, NDArray[np.int64]]:
        """Hits and truth sizes, with the truth cut to its warm or its cold items."""
        owner = np.repeat(np.arange(len(truth)), truth.counts)
        chosen = self._warm[truth.items] == warm
        return found & (self._warm[items] == warm), np.bincount(owner[chosen], minlength=len(truth))

    def _listed(self, kind: str, items: Ids) -> Values:
        if kind == "novelty":
            return beyond.novelty(items, self._having, self._split.train.n_users)
        if kind == "popularity":
            return beyond.popularity(items, self._having)
        assert self._space is not None  # made in __init__ where diversity is asked for
        return beyond.diversity(items, self._space)

    def _buckets(self) -> tuple[Bucket, ...]:
        size = len(self._found)
        items = np.bincount(self._bucket[:-1], minlength=size)
        truth = np.bincount(self._bucket[self._split.truth.items], minlength=size)
        shown = np.bincount(self._bucket[:-1], self._shown[self._plan.k], size)
        return tuple(
            Bucket(name, int(items[i]), int(truth[i]), int(self._found[i]), int(shown[i]))
            for i, name in enumerate((*POPULARITY, "new", "unknown"))
            if items[i] or truth[i]
        )


def _popularity(liked: NDArray[np.int64]) -> NDArray[np.int64]:
    """``[n + 1]`` the bucket of each item by its training events, and last that of `ABSENT`.

    An item belongs to the fifth of the events in which its first event falls, counting from the most popular item on.
    """
    order = np.argsort(-liked, kind="stable")
    before = np.cumsum(liked[order]) - liked[order]
    bucket = np.empty(len(liked) + 1, np.int64)
    bucket[order] = before * len(POPULARITY) // max(int(liked.sum()), 1)
    bucket[:-1][liked == 0] = len(POPULARITY)
    bucket[-1] = len(POPULARITY) + 1
    return bucket


def _fingerprint(split: Split) -> str:
    """Of who asks and what counts as found, so that evaluations of different questions are not compared."""
    digest = hashlib.blake2b(digest_size=8)
    for part in (split.known, split.truth.indptr, split.truth.items):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
