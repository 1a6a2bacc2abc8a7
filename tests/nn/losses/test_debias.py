"""Weights against bias: by hand, by what they undo, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from serendip.nn.losses import inverse_propensity, listwise_softmax, position_propensity
from serendip.types import SerendipError


def test_inverse_propensity_by_hand() -> None:
    found = inverse_propensity([1.0, 0.5, 0.02, 0.0])
    assert found.tolist() == pytest.approx([1, 2, 50, 100]) and found.dtype == np.float32
    assert inverse_propensity([1.0, 0.5, 0.02], floor=0.1).tolist() == pytest.approx([1, 2, 10])
    assert inverse_propensity([1.0, 0.5, 0.02], most=4).tolist() == pytest.approx([1, 2, 4])
    # 1, 2 and 5 have the mean 8/3
    whole = inverse_propensity([[1.0, 0.5, 0.2]], normalise=True)
    assert whole.shape == (1, 3) and whole[0].tolist() == pytest.approx([3 / 8, 6 / 8, 15 / 8])
    assert inverse_propensity([], normalise=True).tolist() == []


def test_position_propensity_by_hand() -> None:
    assert position_propensity([1, 2, 4]).tolist() == pytest.approx([1, 0.5, 0.25])
    assert position_propensity([1, 4], power=0.5).tolist() == pytest.approx([1, 0.5])
    assert position_propensity([1, 9], power=0).tolist() == [1, 1]


def test_clicks_by_place_become_relevance() -> None:
    # how often an item is clicked is how relevant it is times how often its place is looked at
    relevance, places = np.array([0.3, 0.5, 0.4]), np.array([1, 4, 2])
    rng = np.random.default_rng(0)
    looked = rng.random((40_000, 3)) < position_propensity(places)
    clicks = looked & (rng.random((40_000, 3)) < relevance)
    assert clicks.mean(axis=0).argsort().tolist() == [1, 2, 0]  # the best looks worst
    weights = inverse_propensity(position_propensity(places))
    np.testing.assert_allclose((clicks * weights).mean(axis=0), relevance, rtol=0.04)


@pytest.mark.parametrize("weighted", [True, False])
def test_a_loss_with_the_weights_orders_items_by_relevance(weighted: bool) -> None:
    # three items of relevance 0.3, 0.5 and 0.4 at places 1, 4 and 2, shown 120 times and clicked as expected
    clicked = torch.tensor([0] * 36 + [1] * 15 + [2] * 24)
    labels = torch.nn.functional.one_hot(clicked, 3).float()
    weights = torch.from_numpy(inverse_propensity(position_propensity([1, 4, 2])))[clicked] if weighted else None
    scores = torch.zeros(3, requires_grad=True)
    descent = torch.optim.Adam([scores], lr=0.1)
    for _ in range(100):
        descent.zero_grad()
        torch.autograd.backward(listwise_softmax(scores.expand(75, 3), labels, weights))
        descent.step()
    expected = torch.tensor([0.3, 0.5, 0.4]) / 1.2 if weighted else torch.tensor([36.0, 15.0, 24.0]) / 75
    torch.testing.assert_close(scores.detach().softmax(dim=0), expected, atol=5e-3, rtol=0)


def test_self_normalised_weights_leave_the_mean_of_a_constant() -> None:
    rng = np.random.default_rng(1)
    weights = inverse_propensity(rng.uniform(0, 1, 1000), floor=0.05, normalise=True)
    assert float(weights.mean()) == pytest.approx(1, abs=1e-5)
    clipped = inverse_propensity(rng.uniform(0, 1, 1000), floor=0.05, most=3)
    assert float(clipped.max()) == 3 and float(clipped.min()) >= 1


@pytest.mark.parametrize("wrong", [-0.1, 1.5, math.nan])
def test_what_is_no_propensity_is_refused(wrong: float) -> None:
    with pytest.raises(
        SerendipError, match=rf"propensities must be from 0 to 1. Got {wrong} at place 1 instead, and 1 such in all"
    ):
        inverse_propensity([0.5, wrong, 1.0])


def test_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(SerendipError, match=r"floor must be above 0. Got 0 instead. Try 0.01"):
        inverse_propensity([0.5], floor=0)
    with pytest.raises(SerendipError, match=r"most must be above 0. Got -1 instead. Try 100"):
        inverse_propensity([0.5], most=-1)
    with pytest.raises(SerendipError, match=r"positions must be 1 or more. Got 0.0 at place 2 .* Try to add 1"):
        position_propensity([1, 2, 0])
    with pytest.raises(SerendipError, match=r"power must be 0 or more. Got -1 instead"):
        position_propensity([1], power=-1)
