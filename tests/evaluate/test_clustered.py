from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from serendip.evaluate.clustered import Clustered, Rows, clustered, clustered_difference, minimum_detectable_effect
from serendip.evaluate.rows import auc
from serendip.types import SerendipError


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-logits)))


def test_two_users_by_hand() -> None:
    # Errors of 1 and 3: a resample has the one twice, the other twice (a quarter each) or both.
    found = clustered("mae", Rows([4, 9], [0, 0]), [1, 3], level=0.6, resamples=4000)
    assert (found.value, found.low, found.high) == (2, 1, 3)
    assert found.standard_error == pytest.approx(math.sqrt(0.5), rel=0.05)
    assert (found.rows, found.users, found.undefined) == (2, 2, 0)
    assert found.minimum_detectable_effect == pytest.approx(2.8016 * found.standard_error, rel=1e-4)


def test_draws_follow_the_seed() -> None:
    rng = np.random.default_rng(0)
    rows, scores = Rows(rng.integers(0, 30, 200), rng.integers(0, 2, 200)), rng.random(200)
    one, same, other = (clustered("auc", rows, scores, resamples=50, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one.value == other.value
    assert one.low != other.low


def test_rows_of_users_who_agree_say_less_than_so_many_rows() -> None:
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(60), 30)
    taste = rng.normal(size=60)[users]
    scores = rng.normal(size=60)[users] + rng.normal(size=1800) * 0.1
    labels = rng.random(1800) < sigmoid(2 * taste + 0.5 * scores)
    for measure in ("auc", "logloss", "ece"):
        naive = clustered(measure, Rows(np.arange(1800), labels), sigmoid(scores), resamples=300)
        held = clustered(measure, Rows(users, labels), sigmoid(scores), resamples=300)
        assert held.value == pytest.approx(naive.value)
        assert held.standard_error > 2 * naive.standard_error
        assert held.high - held.low > 2 * (naive.high - naive.low)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)

    def sample(users: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        owner = np.repeat(np.arange(users), 8)
        scores = rng.normal(size=users)[owner] + rng.normal(size=len(owner))
        return owner, rng.random(len(owner)) < sigmoid(scores + rng.normal(size=users)[owner]), scores

    _, labels, scores = sample(100_000)
    truth = auc(labels, scores)
    covered = 0
    for seed in range(100):
        owner, labels, scores = sample(60)
        found = clustered("auc", Rows(owner, labels), scores, resamples=160, seed=seed)
        covered += found.low <= truth <= found.high
    assert covered >= 90


def test_a_paired_difference_is_surer_than_its_parts() -> None:
    rng = np.random.default_rng(3)
    users = np.repeat(np.arange(150), 20)
    true = rng.normal(size=150)[users] + rng.normal(size=3000)
    rows = Rows(users, rng.random(3000) < sigmoid(true))
    b = true + 0.6 * rng.normal(size=3000)
    a = b + 0.15 * (true - b)
    found = clustered_difference("auc", rows, a, b, resamples=300)
    alone = clustered("auc", rows, a, resamples=300)
    assert found.value == pytest.approx(alone.value - clustered("auc", rows, b, resamples=2).value)
    assert found.standard_error < 0.3 * alone.standard_error
    assert found.low > 0
    none = clustered_difference("auc", rows, a, a, resamples=20)
    assert (none.value, none.low, none.high, none.standard_error) == (0, 0, 0, 0)
    back = clustered_difference("auc", rows, b, a, resamples=300)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_resamples_without_a_positive_are_counted() -> None:
    found = clustered("auc", Rows(np.arange(5), [1, 0, 0, 0, 0]), [3, 1, 2, 4, 5], resamples=2000)
    assert found.undefined / 2000 == pytest.approx(0.8**5 + 0.2**5, abs=0.03)
    assert 0 <= found.low <= found.value <= found.high <= 1


@pytest.mark.parametrize("users", [[], [7], [7, 7, 7]])
def test_one_user_has_no_interval(users: list[int]) -> None:
    found = clustered("mae", Rows(users, np.zeros(len(users))), np.ones(len(users)))
    assert (found.rows, found.users, found.undefined) == (len(users), min(len(users), 1), 0)
    assert found.value == 1 if users else math.isnan(found.value)
    assert math.isnan(found.low)
    assert math.isnan(found.standard_error)
    assert math.isnan(found.minimum_detectable_effect)


def test_blocks_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(6)
    rows, scores = Rows(rng.integers(0, 30, 200), rng.integers(0, 2, 200)), rng.random(200)
    whole = clustered("auc", rows, scores, resamples=50)
    monkeypatch.setattr(sys.modules[Clustered.__module__], "_DRAWS", 100)
    assert clustered("auc", rows, scores, resamples=50) == whole


def test_minimum_detectable_effects_by_hand() -> None:
    assert minimum_detectable_effect(0.01) == pytest.approx(0.028016, abs=1e-6)
    assert minimum_detectable_effect(1, alpha=0.1, power=0.5) == pytest.approx(1.6449, abs=1e-4)
    with pytest.raises(SerendipError, match=r"alpha and power must be between 0 and 1. Got 0.05 and 1"):
        minimum_detectable_effect(1, power=1)


def test_what_is_refused() -> None:
    rows = Rows([1, 2], [1, 0])
    with pytest.raises(SerendipError, match=r"level must be between 0 and 1. Got 95 instead"):
        clustered("auc", rows, [1, 2], level=95)
    with pytest.raises(SerendipError, match=r"resamples must be at least 2. Got 1 instead"):
        clustered("auc", rows, [1, 2], resamples=1)
    with pytest.raises(SerendipError, match="users, labels and predicted must be vectors of one length"):
        clustered_difference("auc", rows, [1, 2], [1])
