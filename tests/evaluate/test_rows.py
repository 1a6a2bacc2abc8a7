from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from serendip.evaluate.rows import CLIP, auc, gauc, logloss, weighted_per_user_loss, xauc
from serendip.types import SerendipError

NAN = np.nan


def slow_auc(labels: Any, scores: Any, weights: Any) -> float:
    won = total = 0.0
    for y, s, w in zip(labels, scores, weights, strict=True):
        for z, r, v in zip(labels, scores, weights, strict=True):
            if y == 1 and z == 0:
                total += w * v
                won += w * v * ((s > r) + 0.5 * (s == r))
    return won / total if total else NAN


def tied(seed: int, m: int = 50) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, m).astype(np.float32)
    return labels, rng.integers(0, 8, m).astype(np.float32), rng.integers(0, 3, m) * 0.5, rng.integers(0, 9, m)


def test_auc_by_hand() -> None:
    # Of six pairs: .8 wins over both; .4 ties with one and wins over the other; .3 loses one and wins one: 4.5 of 6.
    labels, scores = [1, 0, 1, 0, 1, NAN], [0.8, 0.4, 0.4, 0.1, 0.3, 9]
    assert auc(labels, scores) == pytest.approx(4.5 / 6)
    # The row of .4 weighs two: won 2 + 2 · 1.5 + 1 of 2 + 4 + 2.
    assert auc(labels, scores, [1, 1, 2, 1, 1, 1]) == pytest.approx(6 / 8)


@pytest.mark.parametrize("seed", range(5))
def test_auc_against_every_pair(seed: int) -> None:
    labels, scores, weights, _ = tied(seed)
    assert auc(labels, scores) == pytest.approx(slow_auc(labels, scores, np.ones(50)))
    assert auc(labels, scores, weights) == pytest.approx(slow_auc(labels, scores, weights))
    assert auc(labels, -scores) == pytest.approx(1 - auc(labels, scores))
    assert auc(labels == 1, scores) == auc(labels, scores)


def test_one_class_has_no_auc() -> None:
    for labels in ([], [1, 1], [0, 0], [NAN, 1]):
        assert math.isnan(auc(labels, np.arange(len(labels))))
    assert math.isnan(auc([1, 0], [1, 2], [0, 1]))
    assert auc([1, 0], [-np.inf, 3.0]) == 0


def test_gauc_by_hand() -> None:
    # Group a: 1 of 1 pair, two rows; b: ½ of 2 pairs, three rows; c has one class, d no label.
    groups = ["a", "a", "b", "b", "b", "c", "c", "d"]
    labels, scores = [1, 0, 0, 1, 0, 1, 1, NAN], [2, 1, 9, 5, 4, 1, 2, 3]
    found = gauc(labels, scores, groups)
    assert found.mean == pytest.approx((2 * 1 + 3 * 0.5) / 5)
    assert (found.groups, found.left_out) == (2, 1)
    found = gauc([1, 1], [1, 2], [7, 8])
    assert math.isnan(found.mean)
    assert (found.groups, found.left_out) == (0, 2)


@pytest.mark.parametrize("seed", range(5))
def test_gauc_against_each_group(seed: int) -> None:
    labels, scores, weights, groups = tied(seed)
    for weight in (None, weights):
        given = np.ones(50) if weight is None else weight
        areas = np.array([slow_auc(labels[groups == g], scores[groups == g], given[groups == g]) for g in range(9)])
        sizes = np.array([given[groups == g].sum() for g in range(9)])
        able = ~np.isnan(areas)
        found = gauc(labels, scores, groups, weight)
        assert found.mean == pytest.approx(np.average(areas[able], weights=sizes[able]))
        assert (found.groups, found.groups + found.left_out) == (able.sum(), len(np.unique(groups)))


def test_gauc_does_not_see_what_groups_differ_by() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 20)
    activity = rng.normal(size=200)[groups] * 3
    labels = rng.random(4000) < 1 / (1 + np.exp(-activity))
    assert auc(labels, activity) > 0.85
    assert gauc(labels, activity, groups).mean == 0.5


def test_logloss_by_hand() -> None:
    assert logloss([1, 0, NAN], [0.8, 0.4, 0.1]) == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    assert logloss([1], [0.0]) == pytest.approx(-math.log(CLIP))
    assert logloss([0], [1.0]) == pytest.approx(16.118, abs=1e-3)
    assert logloss([1, 0], [1.0, 0.0]) == pytest.approx(0, abs=2e-7)
    assert math.isnan(logloss([NAN], [0.5]))


def test_xauc_by_hand() -> None:
    # Pairs of different values: (1,2) tied, (1,5) right, (2,5) right, twice as 2 occurs twice; (2,2) does not count.
    assert xauc([1, 2, 2, 5], [0.3, 0.3, 0.1, 0.4]) == pytest.approx((0.5 + 0 + 1 + 1 + 1) / 5)
    assert math.isnan(xauc([3, 3, NAN], [1, 2, 3]))


@pytest.mark.parametrize("seed", range(5))
def test_xauc_against_every_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, scores = rng.integers(-6, 12, 70) / 4, rng.integers(0, 20, 70)
    difference, ordered = np.subtract.outer(values, values), np.sign(np.subtract.outer(scores, scores))
    share = (1 + np.sign(difference) * ordered)[difference != 0] / 2
    assert xauc(values, scores) == pytest.approx(share.mean())
    labels = (values > 0) * 1
    assert xauc(labels, scores) == pytest.approx(auc(labels, scores))
    assert xauc(values, values**3) == 1


def test_weighted_per_user_loss_by_hand() -> None:
    # Page 1: 30 s loses to one of two; page 2: 10 s ties with one. (30 + 5) of (60 + 10); page 3 has no pair.
    time, clicked = [30, NAN, 0, 10, NAN, 99, NAN], [1, 0, 0, 1, 0, 1, 1]
    assert weighted_per_user_loss(time, clicked, [5, 7, 4, 2, 2, 1, 1], [1, 1, 1, 2, 2, 3, 2]) == pytest.approx(0.5)
    assert math.isnan(weighted_per_user_loss([1], [1], [1], [1]))


@pytest.mark.parametrize("seed", range(5))
def test_weighted_per_user_loss_against_every_pair(seed: int) -> None:
    clicked, scores, _, groups = tied(seed, 80)
    time = np.random.default_rng(seed).exponential(60, 80)
    lost = total = 0.0
    for i in np.flatnonzero(clicked == 1):
        for j in np.flatnonzero((clicked == 0) & (groups == groups[i])):
            total += time[i]
            lost += time[i] * ((scores[j] > scores[i]) + 0.5 * (scores[j] == scores[i]))
    assert weighted_per_user_loss(time, clicked, scores, groups) == pytest.approx(lost / total)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: auc([1, 0], [1]), r"labels and scores must be vectors of one length"),
        (lambda: auc([1, 0], [1, 2], [1]), r"labels, scores and weights must be vectors of one length"),
        (lambda: auc([1, 3], [1, 2]), r"labels must be 0 or 1, or NaN .* Got 3"),
        (lambda: auc([1, 0], [1, NAN]), r"scores must be numbers"),
        (lambda: auc([1, 0], [1, 2], [1, -1]), r"weights must be finite and at least 0"),
        (lambda: gauc([1, 0], [1, 2], [1]), r"groups \(1,\)"),
        (lambda: gauc([1, 0.5], [1, 2], [1, 1]), r"labels must be 0 or 1"),
        (lambda: logloss([1, 0], [1, 1.01]), r"probabilities must lie in 0 … 1\. Got 1\.01"),
        (lambda: xauc([1, np.inf], [1, 1]), r"labels must be finite"),
        (lambda: weighted_per_user_loss([-1, 2], [1, 0], [1, 1], [1, 1]), r"watch_time must be finite and at least 0"),
        (lambda: weighted_per_user_loss([1, 2], [1, 2], [1, 1], [1, 1]), r"labels must be 0 or 1"),
    ],
)
def test_bad_rows_are_refused(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(SerendipError, match=text):
        call()
