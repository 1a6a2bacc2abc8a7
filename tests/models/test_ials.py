from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.checks.cases import NOTHING, odd_log
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.data.synthetic import checkerboard, planted_factors
from serendip.model import Run
from serendip.models.ials import IALS, begin, occurring
from serendip.types import Queries, SerendipError

SOLVERS = ["cholesky", "cg", "block"]
OPTIONS: dict[str, Any] = {"factors": 5, "alpha0": 0.2, "reg": 0.05, "nu": 0.7, "solver": "cholesky"}


def objective(dense: Any, users: Any, items: Any, alpha0: float, reg: float, nu: float) -> float:
    """L as the model's page gives it, over users and items that have an event."""
    users, items, dense = (np.asarray(part, np.float64) for part in (users, items, dense))
    scores = users @ items.T
    observed = (dense * (scores - 1) ** 2).sum() + alpha0 * (scores**2).sum()
    of_user = (dense.sum(axis=1) + alpha0 * dense.shape[1]) ** nu * (users**2).sum(axis=1)
    of_item = (dense.sum(axis=0) + alpha0 * dense.shape[0]) ** nu * (items**2).sum(axis=1)
    return float(observed + reg * (of_user.sum() + of_item.sum()))


def fitted(data: Dataset, iterations: int, **changes: Any) -> tuple[Any, Any, Any]:
    """The matrix and the vectors of users and items that have an event."""
    scorer = IALS(**{**OPTIONS, "iterations": iterations, **changes}).fit(data, Run(seed=1)).lower()
    matrix = data.matrix(None if scorer.counts == "binary" else scorer.counts)
    active = np.flatnonzero(np.diff(matrix.indptr)).astype(np.int32)
    known = np.bincount(matrix.indices, minlength=data.n_items) > 0
    assert np.isnan(scorer.items[~known]).all()
    return matrix[active][:, known].toarray(), scorer.query_vectors(data.queries(active)), scorer.items[known]


@pytest.mark.parametrize("weight", ["binary", "count", "weight"])
def test_each_iteration_lowers_the_objective_to_a_minimum(weight: str) -> None:
    data = odd_log()
    settings = {name: OPTIONS[name] for name in ("alpha0", "reg", "nu")}
    values = [objective(*fitted(data, count, weight=weight), **settings) for count in (1, 2, 4, 8, 64, 200)]
    assert all(later <= value * (1 + 1e-7) for value, later in itertools.pairwise(values))
    assert values[-2] == pytest.approx(values[-1], rel=1e-2)
    dense, users, items = fitted(data, 200, weight=weight)
    best = objective(dense, users, items, **settings)
    rng = np.random.default_rng(0)
    for _ in range(20):
        moved = (part + 0.01 * rng.normal(0, 1, part.shape) for part in (users, items))
        assert objective(dense, *moved, **settings) > best


def test_the_users_vector_is_the_exact_minimiser() -> None:
    dense, users, items = fitted(checkerboard(), 3)
    settings = {name: OPTIONS[name] for name in ("alpha0", "reg", "nu")}
    best = objective(dense, users, items, **settings)
    step = 1e-3
    for axis in range(OPTIONS["factors"]):
        sides = []
        for sign in (-1, 1):
            moved = users.astype(np.float64)
            moved[0, axis] += sign * step
            sides.append(objective(dense, moved, items, **settings) - best)
        assert min(sides) > 0
        assert sides[0] == pytest.approx(sides[1], rel=0.02)  # the slope is 0


def test_one_factor_by_hand() -> None:
    # One pair, d = 1, α₀ = 1, λ = 1, ν = 1, |I| = |U| = 1: for a fixed h the user's w = h / (h² + h² + 2).
    scorer = IALS(factors=1, iterations=1, alpha0=1, reg=1, nu=1).fit(lone_pair(), Run(seed=4)).lower()
    first = np.float32(np.random.default_rng(4).normal(0, 0.1, (1, 1)))[0, 0]
    user = first / (2 * first**2 + 2)
    item = user / (2 * user**2 + 2)
    assert scorer.items[0, 0] == pytest.approx(item, rel=1e-5)
    again = item / (2 * item**2 + 2)
    np.testing.assert_allclose(scorer.query_vectors(Queries.of([[0]])), [[again]], rtol=1e-5)


def lone_pair() -> Dataset:
    both = Dataset.from_frames(pl.DataFrame({"user_id": [0, 1], "item_id": [0, 1]}), schema=Schema())
    return both.where(np.array([True, False]))


def test_first_vectors_averaged_over_users() -> None:
    # Items 0 and 1 of user 0, item 1 of user 1: each pair by 1 / √(events of the user · events of the item).
    log = Dataset.from_frames(pl.DataFrame({"user_id": [0, 0, 1], "item_id": [0, 1, 1]}))
    shares = np.array([[2**-0.5, 2**-0.5 * 2**-0.5], [0, 2**-0.5]])
    drawn = np.random.default_rng(2).normal(0, 0.1 / 4**0.5, (2, 4))
    expected = shares.T @ (shares @ (shares.T @ (shares @ drawn)))
    expected *= drawn.std() / expected.std()
    matrix, _, _ = occurring(log, IALS(init_passes=2).config)
    started = begin(matrix, IALS(factors=4, init_passes=2).config, seed=2)
    np.testing.assert_allclose(started.items[:, :4], expected, rtol=1e-4)


def test_the_unobserved_weight_follows_the_density() -> None:
    # 3 events of 2 users on 3 items: half of the pairs are observed, and 8 × 0.5 is above 1.
    few = Dataset.from_frames(pl.DataFrame({"user_id": [0, 0, 1], "item_id": [0, 1, 2]}))
    assert IALS(factors=2).fit(few).lower().alpha0 == 1
    # Of 40 × 40 pairs, each user has one of his own and one shared by all: 79 pairs, or 79 / 1600 of them.
    users = np.repeat(np.arange(40), 2)
    sparse = pl.DataFrame({"user_id": users, "item_id": np.where(np.arange(80) % 2, users, 0)})
    data = Dataset.from_frames(sparse)
    assert IALS(factors=2).fit(data).lower().alpha0 == pytest.approx(8 * 79 / 1600)
    assert IALS(factors=2, alpha0=0.3).fit(data).lower().alpha0 == 0.3


def test_the_planted_order_is_recovered() -> None:
    planted = planted_factors(users=400, items=120, dims=4, events=40, sharpness=3)
    scores = IALS(factors=8, alpha0=0.3, reg=0.01).fit(planted.data).score(planted.data.queries())
    unseen = planted.data.matrix().toarray() == 0
    better = [
        np.corrcoef(row[free], truth[free])[0, 1]
        for row, truth, free in zip(scores, planted.scores, unseen, strict=True)
    ]
    assert np.median(better) > 0.6


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_answer_follows_new_events(solver: Any) -> None:
    model = IALS(factors=2, solver=solver).fit(checkerboard())
    even, odd = model.score(Queries.of([[0, 2, 4], [1, 3, 5]]))
    assert even[6::2].min() > even[7::2].max()
    assert odd[7::2].min() > odd[6::2].max()


@pytest.mark.parametrize("solver", SOLVERS)
def test_more_factors_than_items_or_users(solver: Any) -> None:
    scorer = IALS(factors=40, solver=solver).fit(odd_log()).lower()
    scores = scorer.score(Queries.of([[0]]))
    assert np.isfinite(scores[0, : NOTHING - 1]).all()
    assert scores[0, NOTHING] == -np.inf


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_event(solver: Any) -> None:
    scores = IALS(factors=3, solver=solver).fit(lone_pair()).score(Queries.of([[0], [5]]))
    assert np.isfinite(scores[0]).all()
    assert (scores[1] == -np.inf).all()


def test_blocks_and_many_steps_lead_to_the_exact_minimum() -> None:
    data = odd_log()
    settings = {name: OPTIONS[name] for name in ("alpha0", "reg", "nu")}
    exact, steps, blocks = (
        objective(*fitted(data, 300, factors=20, **changes), **settings)
        for changes in ({"solver": "cholesky"}, {"solver": "cg", "cg_steps": 30}, {"solver": "block", "block_size": 16})
    )
    assert steps == pytest.approx(exact, rel=1e-3)
    assert blocks == pytest.approx(exact, rel=1e-3)


def test_seeds_and_progress() -> None:
    seen: list[tuple[int, int]] = []
    data = checkerboard()
    first = IALS(iterations=3).fit(data, Run(seed=1, progress=lambda done, total: seen.append((done, total)))).lower()
    other = IALS(iterations=3).fit(data, Run(seed=2)).lower()
    assert seen[-1] == (3, 3)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert not np.array_equal(first.items, other.items)


@pytest.mark.parametrize("solver", SOLVERS)
def test_too_little_regularisation_is_refused(solver: Any) -> None:
    with pytest.raises(SerendipError, match=r"ials: reg must be large enough .* float32. Got 1e-44 instead. Try 0.01"):
        IALS(reg=1e-44, alpha0=0, factors=64, solver=solver).fit(checkerboard())
