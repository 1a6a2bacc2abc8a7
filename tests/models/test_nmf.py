from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serendip.checks.cases import odd_log
from serendip.model import Run
from serendip.models.nmf import NMF
from tests.models.rated import NAN, error, log, planted


def objective(table: Any, users: Any, items: Any, reg_u: float, reg_i: float) -> float:
    given = ~np.isnan(table)
    off = np.where(given, np.nan_to_num(table) - users @ items.T, 0)
    of_user = reg_u * given.sum(axis=1) @ (users**2).sum(axis=1)
    return float((off**2).sum() + of_user + reg_i * given.sum(axis=0) @ (items**2).sum(axis=1))


def test_one_epoch_by_hand() -> None:
    # One pair with rating 3, d = 1: p ← p · 3q / (pq·q + λ p), and q likewise with the same p.
    first = np.random.default_rng(5)
    p, q = first.random((2, 1))[0, 0], first.random((2, 1))[0, 0]
    data = log([[3, NAN], [NAN, 1]])
    scorer = NMF(factors=1, epochs=1, reg_u=0.5, reg_i=0.25).fit(data, Run(seed=5)).lower()
    assert scorer.users[0, 0] == pytest.approx(p * 3 * q / (p * q * q + 0.5 * p), rel=1e-6)
    assert scorer.items[0, 0] == pytest.approx(q * 3 * p / (p * q * p + 0.25 * q), rel=1e-6)


def test_the_sum_falls_and_nothing_is_negative() -> None:
    rng = np.random.default_rng(0)
    table = np.where(rng.random((20, 15)) < 0.6, rng.random((20, 3)) @ rng.random((3, 15)) * 5, NAN)
    values = []
    for epochs in (1, 5, 20, 60):
        scorer = NMF(factors=4, epochs=epochs, reg_u=0.01, reg_i=0.02).fit(log(table)).lower()
        assert scorer.users.min() >= 0
        assert scorer.items.min() >= 0
        values.append(objective(table, scorer.users, scorer.items, 0.01, 0.02))
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.2 * values[0]


def test_ratings_below_zero_are_taken_from_the_lowest() -> None:
    split = planted()
    model = NMF(factors=5).fit(split.train)
    assert split.train.events.labels["rating"].min() < 0
    plain = np.std(split.test.labels["rating"])
    assert error(model, split) < 0.95 * plain


def test_ratings_of_zero_and_more_factors_than_items() -> None:
    users, items = (part.ravel().astype(np.int32) for part in np.indices((3, 3)))
    for table in ([[0, 0, 0], [0, 0, NAN], [0, NAN, NAN]], [[0, 2, 0], [0, 0, NAN], [0, NAN, NAN]]):
        model = NMF(factors=40, reg_u=0, reg_i=0).fit(log(table))
        assert np.isfinite(model.predict(users, items)).all()
    everybody = np.arange(-1, 40, dtype=np.int32)
    assert np.isfinite(NMF(factors=60).fit(odd_log()).predict(everybody, everybody)).all()
