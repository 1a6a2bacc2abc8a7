"""How good predictions for rows of a log are, one pure function per measure.

A row is an impression: what was shown to whom, what was foretold of it and what came of it. Rows whose label is NaN are
left out. Scores may be ``-inf``, never NaN. Every measure is exact; a figure over no row or no pair is NaN. Errors of
ratings and durations are `serendip.evaluate.metrics.rmse` and `mae`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from serendip.evaluate import columns as given
from serendip.evaluate.columns import Mask, Values
from serendip.evaluate.pairs import counted, levels, share

CLIP = 1e-7
"""How near to 0 and 1 `logloss` lets a probability come: a wrong row costs 16.1 at most."""


@dataclass(frozen=True, slots=True)
class GroupedAuc:
    """A mean of AUCs of groups.

    Attributes:
        mean: weighted by the groups' rows; NaN where no group has an AUC.
        groups: how many groups have one.
        left_out: how many have not, as all their labels are the same (or all their rows of the other class weigh 0).
    """

    mean: float
    groups: int
    left_out: int


def auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Chance that a row of label 1 scores above a row of label 0; ties count one half. NaN where one class is lacking.

    It is the area under the receiver operating characteristic, by the sum of mid-ranks. A pair weighs as much as the
    product of its rows' weights.
    Source: Mann and Whitney, "On a test of whether one of two random variables is stochastically larger than the
    other", Annals of Mathematical Statistics 18(1), 1947.

    Shapes: ``[m]`` each; labels 0, 1 or NaN; weights at least 0.

    Raises:
        SerendipError: lengths that differ, another label, NaN scores, negative weights.
    """
    y, s, *w = given.columns(labels=labels, scores=scores, **_weighing(weights))
    have = given.binary(y)
    weight = _weight(w, have)
    won, pairs = counted(levels(y[have], given.ordered(s)[have]), weight, weight)
    return float(share(won, pairs)[0])


def gauc(labels: ArrayLike, scores: ArrayLike, groups: ArrayLike, weights: ArrayLike | None = None) -> GroupedAuc:
    """Mean of the groups' `auc`, each weighted by its rows (impressions), or by the sum of their weights.

    Groups with one class only have no AUC: they are left out, and counted.
    Source: Zhu et al., "Optimized cost per click in Taobao display advertising", KDD 2017.

    Shapes: ``[m]`` each; labels 0, 1 or NaN; groups of anything that can be sorted; weights at least 0.

    Raises:
        SerendipError: lengths that differ, another label, NaN scores, negative weights.
    """
    y, s, g, *w = given.columns(labels=labels, scores=scores, groups=groups, **_weighing(weights))
    have = given.binary(y)
    weight = _weight(w, have)
    distinct, code = np.unique(g[have], return_inverse=True)
    areas = group_auc(y[have], given.ordered(s)[have], code, len(distinct), weight)
    able = ~np.isnan(areas)
    size = np.bincount(code, weight, len(distinct))[able]
    mean = float(areas[able] @ size / size.sum()) if able.any() else float("nan")
    return GroupedAuc(mean, int(able.sum()), int((~able).sum()))


def group_auc(y: NDArray[Any], scores: Values, code: NDArray[np.int64], n: int, weight: Values) -> Values:
    """``[n]`` the AUC of each group, NaN where one class is lacking; of rows that are all known and right."""
    return share(*counted(levels(y, scores, code), weight, weight, n))


def logloss(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean of ``−log p`` of what came true, p being kept within `CLIP` … 1 − `CLIP`.

    Shapes: ``[m]`` each; labels 0, 1 or NaN.

    Raises:
        SerendipError: lengths that differ, another label, probabilities outside 0 … 1.
    """
    y, p = given.columns(labels=labels, probabilities=probabilities)
    have = given.binary(y)
    losses = log_losses(y[have], given.probable(p)[have])
    return float(losses.mean()) if len(losses) else float("nan")


def log_losses(y: NDArray[Any], probabilities: Values) -> Values:
    """``[m]`` what each row adds to `logloss`; of rows that are all known and right."""
    p = np.clip(probabilities, CLIP, 1 - CLIP)
    losses: Values = -np.log(np.where(y == 1, p, 1 - p))
    return losses


def xauc(values: ArrayLike, scores: ArrayLike) -> float:
    """Share of the pairs of rows with different true values that the scores order rightly; tied scores count half.

    For labels 0 and 1 it is `auc`. O(m log m) time.
    Source: Zhan et al., "Deconfounding duration bias in watch-time prediction for video recommendation", KDD 2022.
    They draw pairs at random; here all count.

    Shapes: ``[m]`` each.

    Raises:
        SerendipError: lengths that differ, infinite values, NaN scores.
    """
    y, s = given.columns(values=values, scores=scores)
    have = given.known(y)
    one = np.ones(np.count_nonzero(have))
    won, pairs = counted(levels(y[have], given.ordered(s)[have]), one, one)
    return float(share(won, pairs)[0])


def weighted_per_user_loss(watch_time: ArrayLike, clicked: ArrayLike, scores: ArrayLike, groups: ArrayLike) -> float:
    """Mispredicted watch time over total watch time, over the pairs of a clicked and an unclicked row of one group.

    A pair is worth the watch time of its clicked row, and that is mispredicted where the unclicked row scores higher;
    of a tie one half is. 0 is best, 0.5 is chance. Groups are pages, or a user's day.
    Source: Covington, Adams and Sargin, "Deep neural networks for YouTube recommendations", RecSys 2016.

    Args:
        watch_time: of any unit; NaN leaves a clicked row out, and that of unclicked rows is not read.
        clicked: 0, 1 or NaN (left out).
        scores: higher is foretold to be watched longer.
        groups: of anything that can be sorted.

    Shapes: ``[m]`` each.

    Raises:
        SerendipError: lengths that differ, clicks that are not 0 or 1, negative watch time, NaN scores.
    """
    t, c, s, g = given.columns(watch_time=watch_time, clicked=clicked, scores=scores, groups=groups)
    have = watched(t, c)
    distinct, code = np.unique(g[have], return_inverse=True)
    lost, total = group_losses(t[have], c[have], given.ordered(s)[have], code, len(distinct))
    return float(share(lost.sum(), total.sum()))


def watched(watch_time: NDArray[Any], clicked: NDArray[Any]) -> Mask:
    """``[m]`` the rows that `weighted_per_user_loss` is about: known clicks, with watch time where there is one."""
    have = given.binary(clicked)
    return np.asarray(have & ~((clicked == 1) & np.isnan(watch_time)))


def group_losses(
    watch_time: NDArray[Any], clicked: NDArray[Any], scores: Values, code: NDArray[np.int64], n: int
) -> tuple[Values, Values]:
    """``[n]`` each group's mispredicted watch time and the watch time of all its pairs; of rows that are known."""
    worth = given.amounts("watch_time", np.where(clicked == 1, watch_time, 0))
    right, total = counted(levels(clicked, scores, code), np.ones(len(worth)), worth, n)
    return total - right, total


def _weighing(weights: ArrayLike | None) -> dict[str, ArrayLike]:
    return {} if weights is None else {"weights": weights}


def _weight(weights: list[NDArray[Any]], have: Mask) -> Values:
    return given.amounts("weights", weights[0])[have] if weights else np.ones(np.count_nonzero(have))
