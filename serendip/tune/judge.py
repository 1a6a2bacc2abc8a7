"""How good a fitted model is on a hold-out, first on some of the questions and then on ever more of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from serendip.data.rows import EventRows
from serendip.evaluate import ROW_METRICS, Split, evaluate, evaluate_ratings, mean_figure
from serendip.evaluate.metrics import DEFINITIONS, define
from serendip.evaluate.ratings import METRICS as RATING_METRICS
from serendip.evaluate.row_measures import measure
from serendip.model import Model
from serendip.types import Scorer, SerendipError

FIRST = 1024
"""Questions that a trial is judged by first, at least; so many at a time are answered by compiled code."""
GROWTH = 4
"""How many times as many questions the next look takes."""
FIRST_SHARE = 1 / 16
JUDGING = ("rank", "scores")
"""Kinds of metrics that say something about being right, query by query."""


class Judge(Protocol):
    """What gives figures."""

    @property
    def metric(self) -> str:
        """The name of the figure."""
        ...

    @property
    def minimise(self) -> bool:
        """Whether lower is better."""
        ...

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many questions each look takes; the last one takes all."""
        ...

    def looks(self, scorer: Scorer) -> Iterator[float]:
        """The figure on the first questions, then on more, at last on all."""
        ...


def by_rows(metric: str, model: Model) -> bool:
    """Whether a figure is of events one by one, by the labels of the model, rather than of lists or of its ratings."""
    return metric in ROW_METRICS and model.learns_labels and not (metric in RATING_METRICS and model.predicts_ratings)


def judge_of(metric: str, split: Split, model: Model, *, seed: int, threads: int | None) -> Judge:
    """The judge of a metric.

    Args:
        metric: a figure about lists, such as ``ndcg@10``; of rows, such as ``logloss``, for a model that learns labels;
            or ``rmse`` or ``mae`` of ratings.
        split: the hold-out.
        model: with the options that are held fixed.
        seed: of the order in which questions are asked.
        threads: for scoring.

    Raises:
        SerendipError: a metric that cannot be chosen by, or not for this model.
    """
    if by_rows(metric, model):
        return RowJudge(metric, split.rows(), model.labels, threads)
    if metric in RATING_METRICS:
        if not model.predicts_ratings:
            raise SerendipError(
                f"{metric} judges predicted ratings, and this model ranks items. Try ndcg@10, or a model that "
                "predicts ratings, such as svdpp."
            )
        return RatingJudge(metric, split, threads)
    if metric in ROW_METRICS and metric not in DEFINITIONS:
        raise SerendipError(
            f"{metric} judges what a model foretells of labels, and this one learns none. Try the option label or "
            "tasks, or ndcg@10."
        )
    kind = define(metric)[0].kind
    if kind not in JUDGING:
        known = ", ".join(name for name, one in DEFINITIONS.items() if one.kind in JUDGING)
        raise SerendipError(
            f"metric must be one that says how right lists are, query by query: {known}; rmse or mae; or, for models "
            f"of labels, one of {', '.join(ROW_METRICS)}. Got {metric!r} instead."
        )
    order = np.random.default_rng(seed).permutation(len(split))
    return RankJudge(metric, split, order, threads)


@dataclass(frozen=True)
class RankJudge:
    """The mean of a metric over queries, which are asked in a random order that is the same for every trial.

    Attributes:
        metric: such as ``ndcg@10``.
        split: the hold-out.
        order: ``[q]`` the order of its queries.
        threads: for scoring.
    """

    metric: str
    split: Split
    order: NDArray[np.int64]
    threads: int | None
    minimise: bool = False

    @property
    def sizes(self) -> tuple[int, ...]:
        """Ever more queries, each time `GROWTH` times as many, as long as at least as many are left for later."""
        every = len(self.order)
        sizes = [max(FIRST, round(FIRST_SHARE * every))]
        while sizes[-1] * GROWTH < every:
            sizes.append(sizes[-1] * GROWTH)
        return (*(size for size in sizes if 2 * size <= every), every)

    def looks(self, scorer: Scorer) -> Iterator[float]:
        """The mean over the first queries, then over more; none is asked twice."""
        total, known, begin = 0.0, 0, 0
        for end in self.sizes:
            asked = self.split.take(np.sort(self.order[begin:end]))
            values = evaluate(scorer, asked, (self.metric,), threads=self.threads).of(self.metric)
            values = values[~np.isnan(values)]
            total, known, begin = total + float(values.sum()), known + len(values), end
            yield total / known if known else float("nan")


@dataclass(frozen=True)
class RatingJudge:
    """The error of all held-out ratings at once: predicting them takes next to nothing beside a fit."""

    metric: str
    split: Split
    threads: int | None
    minimise: bool = True

    @property
    def sizes(self) -> tuple[int, ...]:
        """All of them."""
        return (len(self.split.test),)

    def looks(self, scorer: Scorer) -> Iterator[float]:
        """The error."""
        yield evaluate_ratings(scorer, self.split, threads=self.threads).figure(self.metric)


@dataclass(frozen=True)
class RowJudge:
    """A figure of all held-out events one by one; of several labels that it can be taken of, the mean.

    Attributes:
        metric: such as ``logloss``.
        rows: what was held out.
        labels: that the model learned; empty: its scorer says which.
        threads: for scoring.
    """

    metric: str
    rows: EventRows
    labels: tuple[str, ...]
    threads: int | None

    @property
    def minimise(self) -> bool:
        """As the figure has it."""
        return not measure(self.metric).higher

    @property
    def sizes(self) -> tuple[int, ...]:
        """All of them: figures of rows are of them together, not means of questions."""
        return (len(self.rows),)

    def looks(self, scorer: Scorer) -> Iterator[float]:
        """The figure."""
        yield mean_figure(scorer, self.rows, self.metric, learned=self.labels, threads=self.threads)


def behind(value: float, others: Sequence[float], minimise: bool, least: int) -> bool:
    """Whether a figure is worse than the median of what others had at the same step; False with too few others."""
    if len(others) < least:
        return False
    median = float(np.median(others))
    return value > median if minimise else value < median


__all__ = ["Judge", "RankJudge", "RatingJudge", "RowJudge", "behind", "by_rows", "judge_of"]
