from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from serendip.evaluate.metrics import mae, rmse
from serendip.evaluate.reliability import expected_calibration_error
from serendip.evaluate.resampled import MEASURES, Rows, prepare
from serendip.evaluate.rows import auc, gauc, logloss, weighted_per_user_loss, xauc
from serendip.types import ABSENT, SerendipError

Plain = Callable[[Any, Any, Any, Any], float]

PLAIN: dict[str, Plain] = {
    "auc": lambda y, p, g, t: auc(y, p),
    "gauc": lambda y, p, g, t: gauc(y, p, g).mean,
    "logloss": lambda y, p, g, t: logloss(y, p),
    "ece": lambda y, p, g, t: expected_calibration_error(y, p, 4, "uniform"),
    "mae": lambda y, p, g, t: mae(p, y),
    "rmse": lambda y, p, g, t: rmse(p, y),
    "xauc": lambda y, p, g, t: xauc(y, p),
    "weighted_per_user_loss": lambda y, p, g, t: weighted_per_user_loss(t, y, p, g),
}


def world(numbers: bool, m: int = 120) -> tuple[np.ndarray, ...]:
    """Users of groups of rows with ties, and some labels and watch times that are not known."""
    rng = np.random.default_rng(4)
    users = rng.integers(0, 9, m) * 10
    groups = users + rng.integers(0, 3, m)
    labels = rng.normal(size=m).round(1) if numbers else rng.integers(0, 2, m).astype(np.float64)
    labels[rng.random(m) < 0.1] = np.nan
    time = rng.exponential(9, m)
    time[rng.random(m) < 0.2] = np.nan
    return users, groups, labels, time, rng.integers(0, 11, m) / 10


@pytest.mark.parametrize("measure", MEASURES)
def test_counting_users_is_copying_their_rows(measure: str) -> None:
    users, groups, labels, time, predicted = world(numbers=measure in ("mae", "rmse", "xauc"))
    made = prepare(measure, Rows(users, labels, groups, time, 4, "uniform"), predicted)
    assert made.users == 9
    plain = PLAIN[measure]
    counts = np.random.default_rng(5).multinomial(9, np.full(9, 1 / 9), size=6)
    counts[0] = 1
    expected = []
    for drawn in counts:
        copies = [
            (row, copy)
            for number, user in enumerate(np.unique(users))
            for copy in range(drawn[number])
            for row in np.flatnonzero(users == user)
        ]
        rows = np.array([row for row, _ in copies])
        apart = groups[rows] * 100 + np.array([copy for _, copy in copies])  # a user drawn twice has two pages
        expected.append(plain(labels[rows], predicted[rows], apart, time[rows]))
    np.testing.assert_allclose(made.of(counts), expected)
    assert expected[0] == pytest.approx(plain(labels, predicted, groups, time))


def test_rows_without_a_label_are_left_out() -> None:
    users, groups, labels, time, predicted = world(numbers=False)
    assert prepare("auc", Rows(users, labels), predicted).rows == np.count_nonzero(~np.isnan(labels))
    lost = np.isnan(labels) | ((labels == 1) & np.isnan(time))
    assert prepare("weighted_per_user_loss", Rows(users, labels, groups, time), predicted).rows == np.sum(~lost)


def test_strangers_stand_for_themselves() -> None:
    made = prepare("mae", Rows([ABSENT, 4, ABSENT, 4, 7], np.zeros(5)), [1, 2, 3, 4, 5])
    assert made.users == 4
    np.testing.assert_allclose(np.sort(made.of(np.eye(4, dtype=np.int64))), [1, 3, 3, 5])


def test_what_is_not_defined_is_nan() -> None:
    made = prepare("auc", Rows([1, 1, 2], [0, 0, 1]), [1.0, 2.0, 1.0])
    np.testing.assert_array_equal(made.of(np.array([[2, 0], [1, 1], [0, 2]])), [np.nan, 0.25, np.nan])
    for measure in MEASURES:
        empty = prepare(measure, Rows([], [], [], []), [])
        assert (empty.rows, empty.users) == (0, 0)
        assert np.isnan(empty.of(np.ones((1, 0), np.int64))).tolist() == [True]


@pytest.mark.parametrize(
    ("measure", "rows", "text"),
    [
        ("ndcg", Rows([1], [1]), "the measure of rows must be one of auc, gauc, logloss, .* Got 'ndcg' instead"),
        ("gauc", Rows([1], [1]), "gauc needs groups beside labels"),
        ("weighted_per_user_loss", Rows([1], [1]), "weighted_per_user_loss needs groups and watch_time"),
        ("auc", Rows([1, 2], [1]), r"users, labels and predicted must be vectors of one length"),
        ("auc", Rows([1], [7]), "labels must be 0 or 1"),
        ("xauc", Rows([1], [np.inf]), "labels must be finite"),
        ("ece", Rows([1], [1], bins=0), "bins must be at least 1"),
        ("weighted_per_user_loss", Rows([1], [1], [1], [-2.0]), "watch_time must be finite and at least 0"),
    ],
)
def test_what_is_refused(measure: str, rows: Rows, text: str) -> None:
    with pytest.raises(SerendipError, match=text):
        prepare(measure, rows, [0.5])


@pytest.mark.parametrize("measure", ["gauc", "weighted_per_user_loss"])
def test_a_group_of_several_users_is_refused(measure: str) -> None:
    rows = Rows([1, 1, 2], [1, 0, 1], ["mon", "tue", "tue"], [1.0, 1, 1])
    text = "each group must belong to one user, to be resampled with. Got rows of several in the group tue instead."
    with pytest.raises(SerendipError, match=re.escape(text)):
        prepare(measure, rows, [0.1, 0.2, 0.3])


def test_probabilities_are_asked_for_where_they_are_read() -> None:
    rows = Rows([1, 2], [1, 0])
    for measure in ("logloss", "ece"):
        with pytest.raises(SerendipError, match=r"probabilities must lie in 0 … 1. Got 3.0"):
            prepare(measure, rows, [0.5, 3.0])
    for measure in ("auc", "rmse"):
        with pytest.raises(SerendipError, match="scores must be numbers"):
            prepare(measure, rows, [0.5, np.nan])
