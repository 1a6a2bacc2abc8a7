"""How far predicted ratings are off: RMSE and MAE, with intervals that know that a user's ratings belong together."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.evaluate.held import HeldOut, Split
from serendip.evaluate.significance import Interval
from serendip.types import ABSENT, Floats, Ids, Predictor, SerendipError

METRICS = ("rmse", "mae")
_DRAWS = 1 << 22  # counts drawn at a time

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RatingEvaluation:
    """Predicted and actual ratings of one model on one split. A lower figure is better.

    Attributes:
        name: of what was evaluated.
        split, description: the protocol's name and its one sentence.
        users, items: ``[m]`` codes of the held-out ratings; `ABSENT` for what training has never heard of.
        actual, predicted: ``[m]`` float32.
        seconds: wall time of predicting.
        seed: of the resampling behind the intervals.
        segments: ``[m]`` masks by name: ``all``, ``known`` (user and item have a training rating), ``new_users`` and
            ``new_items`` (who or what has none).
    """

    name: str
    split: str
    description: str
    users: Ids
    items: Ids
    actual: Floats
    predicted: Floats
    seconds: float
    seed: int
    segments: Mapping[str, NDArray[np.bool_]]
    _intervals: dict[tuple[str, str], Interval] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.actual)

    @property
    def errors(self) -> Values:
        """``[m]`` predicted less actual."""
        return self.predicted.astype(np.float64) - self.actual

    @property
    def squared(self) -> Values:
        """``[m]`` squared errors."""
        return self.errors**2

    @property
    def rmse(self) -> float:
        """Root of the mean squared error."""
        return self.figure("rmse")

    @property
    def mae(self) -> float:
        """Mean absolute error."""
        return self.figure("mae")

    def figure(self, metric: str, segment: str = "all") -> float:
        """``rmse`` or ``mae`` of a segment; NaN where it is empty.

        Raises:
            SerendipError: no such metric or segment.
        """
        values = self._values(metric, segment)[0]
        if not len(values):
            return float("nan")
        return _finished(metric, float(values.mean()))

    def interval(self, metric: str, segment: str = "all", level: float = 0.95, resamples: int = 2000) -> Interval:
        """A figure with its percentile bootstrap interval over users, each with all their ratings.

        A user that training has never heard of cannot be told from another one: each such rating stands for itself.
        ``n`` counts ratings; the bounds are NaN with fewer than two users.

        Raises:
            SerendipError: no such metric or segment.
        """
        if (metric, segment) not in self._intervals:
            values, users = self._values(metric, segment)
            draws = _by_user(values, users, resamples, np.random.default_rng(self.seed))
            low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2]) if len(draws) else (np.nan, np.nan)
            bounds = (_finished(metric, float(low)), _finished(metric, float(high)))
            self._intervals[metric, segment] = Interval(self.figure(metric, segment), *bounds, len(values))
        return self._intervals[metric, segment]

    def table(self) -> pl.DataFrame:
        """``metric, segment, mean, low, high, n``, for the segments that hold ratings."""
        found = [
            (metric, segment, self.interval(metric, segment))
            for metric in METRICS
            for segment, mask in self.segments.items()
            if mask.any()
        ]
        rows = [(metric, segment, one.mean, one.low, one.high, one.n) for metric, segment, one in found]
        return pl.DataFrame(rows, schema=["metric", "segment", "mean", "low", "high", "n"], orient="row")

    def to_dict(self) -> dict[str, Any]:
        """The figures in what JSON can hold; NaN becomes None."""
        rows = [
            {key: None if isinstance(value, float) and np.isnan(value) else value for key, value in row.items()}
            for row in self.table().iter_rows(named=True)
        ]
        return {
            "name": self.name,
            "split": self.split,
            "description": self.description,
            "n": len(self),
            "seconds": self.seconds,
            "seed": self.seed,
            "figures": rows,
        }

    def _values(self, metric: str, segment: str) -> tuple[Values, Ids]:
        """What is averaged, and whose it is."""
        if metric not in METRICS:
            raise SerendipError(f"the metric of ratings must be one of {', '.join(METRICS)}. Got {metric!r} instead.")
        if segment not in self.segments:
            raise SerendipError(f"segment must be one of {', '.join(self.segments)}. Got {segment!r} instead.")
        mask = self.segments[segment]
        values = self.squared if metric == "rmse" else np.abs(self.errors)
        return values[mask], self.users[mask]


def evaluate_ratings(
    what: Any,
    split: Split,
    *,
    label: str = "rating",
    threads: int | None = None,
    seed: int = 0,
    name: str | None = None,
) -> RatingEvaluation:
    """Predict the held-out ratings of a split and say how far off they are.

    Args:
        what: a `Predictor`: a fitted model that predicts ratings, or its scorer, fitted on ``split.train``.
        split: of any protocol; published files by `serendip.evaluate.given`.
        label: the label that holds the ratings.
        threads: how many threads linear algebra may use; None: all cores this process may run on.
        seed: of the resampling behind the intervals.
        name: what to call it in reports; by default the model's name or the type.

    Raises:
        SerendipError: something that does not predict ratings, or does not give one number per pair; or a split that
            holds out no rating.
    """
    from serendip.kernels.pool import blas_threads

    if not isinstance(what, Predictor):
        raise SerendipError(
            f"evaluate_ratings needs something that predicts ratings: predict(users, items, time). "
            f"Got a {type(what).__qualname__} instead. Try a model such as baseline, svdpp or rating_knn."
        )
    test = split.test
    rated = _rated(test, label)
    users, items = test.users[rated], test.items[rated]
    begin = time.perf_counter()
    with nullcontext() if threads is None else blas_threads(threads):
        predicted = np.asarray(what.predict(users, items, None if test.time is None else test.time[rated]))
    seconds = time.perf_counter() - begin
    if predicted.shape != users.shape or bool(np.isnan(predicted).any()):
        raise SerendipError(
            f"predict must give a number for each of {len(users):,} pairs. Got an array of shape {predicted.shape} "
            f"with {int(np.isnan(predicted).sum()):,} NaN instead."
        )
    return RatingEvaluation(
        name=name or str(getattr(what, "name", None) or type(what).__name__),
        split=split.name,
        description=split.description,
        users=users,
        items=items,
        actual=test.labels[label][rated],
        predicted=predicted.astype(np.float32),
        seconds=seconds,
        seed=seed,
        segments=_segments(split, label, users, items),
    )


def _rated(test: HeldOut, label: str) -> NDArray[np.int64]:
    known = ", ".join(test.labels) or "none"
    if label not in test.labels:
        raise SerendipError(f"evaluate_ratings needs held-out ratings in the label {label!r}. The split has: {known}.")
    rows = np.flatnonzero(~np.isnan(test.labels[label]))
    if not len(rows):
        raise SerendipError(f"evaluate_ratings needs held-out ratings. All {len(test):,} held-out events lack {label}.")
    return rows


def _segments(split: Split, label: str, users: Ids, items: Ids) -> dict[str, NDArray[np.bool_]]:
    events = split.train.events
    values = events.labels.get(label)
    rated = np.zeros(len(events), np.bool_) if values is None else ~np.isnan(values)
    old = [
        np.isin(codes, known[rated]) & (codes != ABSENT)
        for codes, known in ((users, events.users), (items, events.items))
    ]
    return {"all": np.ones(len(users), np.bool_), "known": old[0] & old[1], "new_users": ~old[0], "new_items": ~old[1]}


def _finished(metric: str, mean: float) -> float:
    return float(np.sqrt(mean)) if metric == "rmse" else mean


def _by_user(values: Values, users: Ids, resamples: int, rng: np.random.Generator) -> Values:
    """``[resamples]`` means over ratings when users are resampled; empty with fewer than two users."""
    unit = users.astype(np.int64)
    strangers = np.flatnonzero(users == ABSENT)
    unit[strangers] = int(users.max(initial=0)) + 1 + np.arange(len(strangers))
    _, place, sizes = np.unique(unit, return_inverse=True, return_counts=True)
    n = len(sizes)
    if n < 2:
        return np.empty(0)
    sums = np.column_stack([np.bincount(place, values, n), sizes])
    step = max(1, _DRAWS // n)
    parts = []
    for start in range(0, resamples, step):
        counts = rng.multinomial(n, np.full(n, 1 / n), size=min(step, resamples - start))
        drawn = counts @ sums
        parts.append(drawn[:, 0] / drawn[:, 1])
    return np.concatenate(parts)


__all__ = ["METRICS", "RatingEvaluation", "evaluate_ratings"]
