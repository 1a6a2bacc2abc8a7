from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serendip.checks.cases import odd_log, tiny_logs
from serendip.kernels import descent
from serendip.model import Run
from serendip.models.baseline import Baseline
from serendip.models.svdpp import SVDpp
from serendip.types import SerendipError
from tests.models.rated import error, log, planted

LR, LR_BIAS, REG, REG_BIAS = 0.03, 0.02, 0.05, 0.04


def step_by_step(ratings: Any, seen: Any, mean: float, user: Any, item: Any, p: Any, q: Any, y: Any) -> None:
    """The steps as published: every y_j of the user is moved for each rating."""
    for u, rows in ratings:
        norm = len(seen[u]) ** -0.5
        for i, value in rows:
            total = norm * y[seen[u]].sum(axis=0)
            off = value - (mean + user[u] + item[i] + q[i] @ (p[u] + total))
            user[u] += LR_BIAS * (off - REG_BIAS * user[u])
            item[i] += LR_BIAS * (off - REG_BIAS * item[i])
            before = q[i].copy()
            q[i] += LR * (off * (p[u] + total) - REG * q[i])
            p[u] += LR * (off * before - REG * p[u])
            for j in seen[u]:
                y[j] += LR * (off * norm * before - REG * y[j])


def test_a_pass_is_that_of_a_step_for_each_rating_and_each_y() -> None:
    rng = np.random.default_rng(0)
    users, items, d = 6, 8, 3
    has = rng.random((users, items)) < 0.6
    sets = [np.flatnonzero(row | (rng.random(items) < 0.2)) for row in has]
    values = rng.random((users, items)).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(has.sum(axis=1))])
    seen_starts = np.concatenate([[0], np.cumsum([len(one) for one in sets])])
    parts = [rng.normal(0, 0.5, shape) for shape in [(users,), (items,), (users, d), (items, d), (items, d)]]
    ours = [part.astype(np.float32) for part in parts]
    order = np.array([3, 0, 5, 1, 4, 2])
    unmoved = np.full(has.sum(), 0.999)  # each swaps with itself
    descent.implicit_factors(
        order, unmoved, starts, np.nonzero(has)[1].astype(np.int32), values[has], seen_starts,
        np.concatenate(sets).astype(np.int32), np.float32(0.4), *ours, *map(np.float32, (LR, LR_BIAS, REG, REG_BIAS)),
    )  # fmt: skip
    rows = [(u, [(i, values[u, i]) for i in np.flatnonzero(has[u])]) for u in order]
    step_by_step(rows, sets, 0.4, *parts)
    for mine, theirs in zip(ours, parts, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=2e-4, atol=2e-6)


def test_one_step_by_hand() -> None:
    # One user, one item, d = 1: μ = 0, p = q = y = 1, γ = .1, λ = 0. r̂ = q (p + y) = 2; e = 3 − 2 = 1.
    # p ← 1 + .1·1·1; q ← 1 + .1·1·2; y ← 1 + .1·1·1; b ← .1.
    one = [np.zeros(1, np.float32), np.zeros(1, np.float32), *(np.ones((1, 1), np.float32) for _ in range(3))]
    descent.implicit_factors(
        np.array([0]), np.zeros(1), np.array([0, 1]), np.zeros(1, np.int32), np.full(1, 3, np.float32),
        np.array([0, 1]), np.zeros(1, np.int32), np.float32(0), *one, *map(np.float32, (0.1, 0.1, 0, 0)),
    )  # fmt: skip
    np.testing.assert_allclose(np.concatenate([part.ravel() for part in one]), [0.1, 0.1, 1.1, 1.2, 1.1], rtol=1e-6)


def test_the_order_within_a_user_is_shuffled_and_whole() -> None:
    data = log(np.arange(60, dtype=float).reshape(3, 20) / 60)
    many, same = (SVDpp(epochs=3).fit(data, Run(seed=seed)).lower() for seed in (0, 0))
    np.testing.assert_array_equal(many.items, same.items)
    assert not np.array_equal(many.items, SVDpp(epochs=3).fit(data, Run(seed=1)).lower().items)


def test_it_finds_what_was_planted() -> None:
    split = planted()
    found = error(SVDpp(factors=5, epochs=60, lr=0.02, reg=0.05).fit(split.train), split)
    assert found < 0.75 * error(Baseline().fit(split.train), split)


def test_more_factors_than_items_and_no_regularisation() -> None:
    model = SVDpp(factors=60, reg=0, reg_bias=0).fit(odd_log())
    everybody = np.arange(-1, 40, dtype=np.int32)
    assert np.isfinite(model.predict(everybody, everybody)).all()


def test_items_seen_without_a_rating_are_in_the_set() -> None:
    from dataclasses import replace

    data = odd_log()
    silent = data.events.labels["rating"].copy()
    silent[data.events.items == 5] = np.nan
    hidden = replace(data, events=replace(data.events, labels={"rating": silent}))
    without = hidden.where(data.events.items != 5)
    assert without.n_items == data.n_items
    seen = np.unique(data.events.users[data.events.items == 5])[0]
    vectors = [SVDpp(epochs=1, stddev=0.5).fit(one).lower().users[seen] for one in (hidden, without)]
    assert not np.allclose(*vectors)


def test_steps_that_run_away_are_refused() -> None:
    with pytest.raises(SerendipError, match=r"svdpp: lr must be small enough .* Got 9, .* Try a tenth of it"):
        SVDpp(lr=9, epochs=30).fit(odd_log())
    with pytest.raises(SerendipError, match="grew without bound"):  # finite, but their products are not
        SVDpp(lr=1e9, epochs=2).fit(tiny_logs()["one event"])
