from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from serendip.checks.cases import odd_log
from serendip.data.dataset import Dataset
from serendip.data.synthetic import planted_factors
from serendip.model import Run
from serendip.models._blocks import Block, attribute, chosen_columns, one_each, sets
from serendip.models._chain import Chain, Part, Prior
from serendip.models._cuts import Cuts
from serendip.models.baseline import Baseline
from serendip.models.bayesian_fm import BayesianFM
from serendip.types import Queries, SerendipError
from tests.models.rated import NAN, SCHEMA, error, log, planted

SHORT: dict[str, Any] = {"factors": 4, "iterations": 60, "burn_in": 10}


def test_it_finds_what_was_planted() -> None:
    split = planted()
    found = error(BayesianFM(**SHORT).fit(split.train), split)
    assert found < 0.7 * error(Baseline().fit(split.train), split)


def test_levels_are_found_by_the_ordered_probit() -> None:
    split = planted(seed=1)
    edges = [-0.8, 0.3, 0.9]

    def levelled(values: Any) -> Any:
        return np.array([1, 2, 3, 7], np.float32)[np.digitize(values, edges)]

    events = split.train.events
    train = replace(split.train, events=replace(events, labels={"rating": levelled(events.labels["rating"])}))
    test = replace(split.test, labels={"rating": levelled(split.test.labels["rating"])})
    split = replace(split, train=train, test=test)
    model = BayesianFM(**SHORT).fit(train)
    np.testing.assert_array_equal(model.lower().levels, [1, 2, 3, 7])
    ordered, plain = error(model, split), error(BayesianFM(**SHORT, likelihood="regression").fit(train), split)
    assert ordered < plain < error(Baseline().fit(train), split)


def test_the_error_stays_what_the_parameters_say() -> None:
    rng = np.random.default_rng(0)
    blocks = [
        Block.of(rng.integers(0, 6, 50), [("id", one_each(6)), ("set", sets(*rng.integers(0, 6, (2, 9)), (6, 6)))]),
        Block.of(rng.integers(0, 4, 50), [("id", one_each(4))]),
    ]
    truth = rng.normal(0, 1, 50)
    chain = Chain([Part.of(block, 3, 0.5, rng) for block in blocks], truth.copy(), True, True)
    for _ in range(30):
        chain.sweep(rng)
    dense = np.hstack([block.features.toarray()[block.case] for block in blocks])
    w, v = np.concatenate([part.w for part in chain.parts]), np.hstack([part.v for part in chain.parts])
    pairs = 0.5 * ((dense @ v.T) ** 2 - dense**2 @ (v**2).T).sum(axis=1)
    np.testing.assert_allclose(chain.error, truth - (chain.offset + dense @ w + pairs), atol=1e-8)
    left, right = (part.table()[:-1][part.block.case].astype(float) for part in chain.parts)
    eta = chain.offset + left[:, 0] + right[:, 0] + (left[:, 1:] * right[:, 1:]).sum(axis=1)
    np.testing.assert_allclose(truth - chain.error, eta, atol=1e-4)


def test_the_prior_is_drawn_from_its_conditionals() -> None:
    # Three features of one group at 1, 2 and 3, μ = 0: λ ~ Gamma(5/2, rate (1 + 14)/2), of mean 1/3;
    # given λ, μ ~ N(6/4, 1/(4 λ)).
    rng = np.random.default_rng(0)
    draws = []
    for _ in range(20_000):
        prior = Prior.of(np.zeros(3, np.int64), 1)
        prior.draw(np.array([1.0, 2, 3]), rng)
        draws.append((prior.precision[0], (prior.mean[0] - 1.5) * np.sqrt(4 * prior.precision[0])))
    precision, standard = np.array(draws).T
    assert precision.mean() == pytest.approx(1 / 3, rel=0.02)
    assert standard.mean() == pytest.approx(0, abs=0.03)
    assert standard.std() == pytest.approx(1, rel=0.02)


def test_cuts_are_drawn_from_their_posterior() -> None:
    rng = np.random.default_rng(0)
    level = np.repeat(np.arange(2, dtype=np.int32), [9, 4])
    centre = rng.normal(0, 0.5, 13)
    grid = np.linspace(-4, 4, 2001)
    below = norm.cdf(grid[:, None] - centre)
    weight = np.exp(np.where(level == 0, np.log(below), np.log1p(-below)).sum(axis=1))
    weight /= weight.sum()
    cuts = Cuts.of(level)
    draws, taken = [], 0
    for _ in range(4000):
        taken += cuts.draw(centre, rng)
        draws.append(cuts.values[0])
    mean = grid @ weight
    assert taken > 3000
    assert np.mean(draws) == pytest.approx(mean, abs=0.03)
    assert np.std(draws) == pytest.approx(np.sqrt((grid - mean) ** 2 @ weight), rel=0.05)


def test_several_cuts_keep_their_order_and_find_the_levels() -> None:
    rng = np.random.default_rng(0)
    centre = rng.normal(0, 1, 5000)
    truth = np.array([-1.5, -0.2, 0.1, 1.0])
    level = np.searchsorted(truth, centre + rng.normal(0, 1, 5000)).astype(np.int32)
    cuts = Cuts.of(level)
    draws = []
    for _ in range(60):
        cuts.draw(centre, rng)
        assert (np.diff(cuts.values) > 0).all()
        draws.append(cuts.values)
    np.testing.assert_allclose(np.mean(draws[10:], axis=0), truth, atol=0.08)


def cold() -> tuple[Dataset, Any]:
    """Ratings by the user's colour, apart from one user of each colour who rated nothing."""
    rng = np.random.default_rng(0)
    colour = np.arange(40) % 2
    table = 2.0 + 2 * colour[:, None] + rng.normal(0, 0.1, (40, 12))
    table[:2] = NAN
    users = pl.DataFrame({"user_id": np.arange(40), "colour": np.where(colour == 1, "red", "blue")})
    return log(table, users=users), colour


def test_somebody_without_ratings_is_known_by_a_column() -> None:
    data, _ = cold()
    model = BayesianFM(**SHORT).fit(data)
    blue, red = model.predict(np.array([0, 1], np.int32), np.array([3, 3], np.int32))
    assert blue < 2.5
    assert red > 3.5
    assert np.isfinite(model.score(Queries.of([[]], users=[0]))).all()
    without = BayesianFM(**SHORT, user_columns="none").fit(data)
    assert abs(np.diff(without.predict(np.array([0, 1], np.int32), np.array([3, 3], np.int32)))[0]) < 0.3
    assert np.isneginf(without.score(Queries.of([[]], users=[0]))).all()


def test_the_day_of_a_rating_counts_where_it_is_known() -> None:
    rng = np.random.default_rng(0)
    day = rng.integers(0, 4, 600)
    events = pl.DataFrame(
        {
            "user_id": np.arange(600) // 15,
            "item_id": np.arange(600) % 15,
            "rating": 2.0 + day + rng.normal(0, 0.1, 600),
            "timestamp": (12_000 + day) * 86_400 + rng.integers(0, 86_400, 600),
        }
    )
    data = Dataset.from_frames(events, schema=SCHEMA)
    one = np.zeros(4, np.int32)
    model = BayesianFM(**SHORT).fit(data)
    found = model.predict(one, one, (12_000 + np.arange(4)) * 86_400 + 7)
    np.testing.assert_allclose(found, [2, 3, 4, 5], atol=0.3)
    undated = BayesianFM(**SHORT, dates=False).fit(data)
    np.testing.assert_array_equal(undated.predict(one, one, np.arange(4) * 86_400), undated.predict(one, one))


def test_attributes_become_features() -> None:
    texts = attribute(pl.Series("c", ["a", None, "b", "a"]), False).toarray()
    np.testing.assert_array_equal(texts, [[1, 0], [0, 0], [0, 1], [1, 0]])
    lists = attribute(pl.Series("c", [["x", "y"], [], ["y"]]), False).toarray()
    np.testing.assert_allclose(lists, [[0.5**0.5, 0.5**0.5], [0, 0], [0, 1]])
    split = attribute(pl.Series("c", ["x|y", None, "y"]), True).toarray()
    np.testing.assert_allclose(split, lists)
    numbers = attribute(pl.Series("c", [*range(100), None]), False)
    assert numbers.shape == (101, 10)
    np.testing.assert_array_equal(numbers.sum(axis=0), [10] * 10)
    assert numbers[[100]].nnz == 0


def test_sets_weigh_by_the_root_of_their_size() -> None:
    matrix = sets(np.array([0, 0, 0, 2]), np.array([1, 3, 1, 0]), (3, 4)).toarray()
    np.testing.assert_allclose(matrix, [[0, 0.5**0.5, 0, 0.5**0.5], [0] * 4, [1, 0, 0, 0]])


def test_columns_are_chosen() -> None:
    table = pl.DataFrame(
        {
            "item_id": range(8),
            "url": [f"a{row}" for row in range(8)],
            "kind": list("aabbccdd"),
            "year": range(8),
            "title": list("aaaabbbb"),
            "none": pl.Series([None] * 8, dtype=pl.String),
        }
    )
    assert chosen_columns("m", "o", "auto", table, ("title",)) == ["kind", "year"]
    assert chosen_columns("m", "o", "none", table, ()) == []
    assert chosen_columns("m", "o", "url, kind", table, ()) == ["url", "kind"]
    with pytest.raises(SerendipError, match=r"m: o must name columns of the table. Got 'colour' instead. It has: url,"):
        chosen_columns("m", "o", "colour", table, ())


def test_too_many_levels_are_refused() -> None:
    data = planted_factors(users=20, items=20, events=10).data
    with pytest.raises(SerendipError, match=r"ordered_probit' needs at most 50 distinct ratings\. Got 200 instead"):
        BayesianFM(likelihood="ordered_probit").fit(data)


def test_draws_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serendip.models.bayesian_fm.memory.available", lambda: 1000)
    with pytest.raises(SerendipError, match=r"the draws kept need [\d,]+ bytes, but only 1,000 are available"):
        BayesianFM().fit(odd_log())


def test_seeds_progress_and_the_number_of_draws() -> None:
    seen: list[tuple[int, int]] = []
    options: dict[str, Any] = {"iterations": 7, "burn_in": 2, "samples": 3, "chains": 2, "factors": 50}
    run = Run(seed=1, progress=lambda done, total: seen.append((done, total)))
    first, other = BayesianFM(**options).fit(odd_log(), run), BayesianFM(**options).fit(odd_log(), Run(seed=2))
    assert seen == [(done, 18) for done in range(1, 19)]
    assert len(first.lower().offset) == 4
    assert len(np.unique(first.lower().users[:, 0, 0])) == 4
    assert not np.array_equal(first.lower().users, other.lower().users)
