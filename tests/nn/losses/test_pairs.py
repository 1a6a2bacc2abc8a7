"""Losses of positives and their own negatives, each with a number worked by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from serendip.nn.losses import binary_cross_entropy, bpr, cosine_contrastive, gbce, sampled_softmax
from serendip.types import SerendipError


def test_bpr_by_hand() -> None:
    # −ln σ(2 − 1) = ln(1 + 1/e) = 0.313262; −ln σ(0) = ln 2 = 0.693147
    found = bpr(torch.tensor([2.0, 1.0]), torch.tensor([1.0, 1.0]))
    assert float(found) == pytest.approx((0.313262 + 0.693147) / 2, abs=1e-6)
    many = bpr(torch.tensor([2.0]), torch.tensor([[1.0, 2.0]]))
    assert float(many) == pytest.approx((0.313262 + 0.693147) / 2, abs=1e-6)


def test_sampled_softmax_by_hand() -> None:
    # a positive of ln 2 against 0 and 0: −ln(2 / (2 + 1 + 1)) = ln 2
    found = sampled_softmax(torch.tensor([math.log(2)]), torch.zeros(1, 2))
    assert float(found) == pytest.approx(0.693147, abs=1e-6)
    # each negative is expected half a time, so that it stands for two: −ln(2 / (2 + 2 + 2)) = ln 3
    corrected = sampled_softmax(torch.tensor([math.log(2)]), torch.zeros(1, 2), torch.full((2,), math.log(0.5)))
    assert float(corrected) == pytest.approx(1.098612, abs=1e-6)


def test_sampled_softmax_leaves_out_what_must_not_count() -> None:
    found = sampled_softmax(torch.tensor([0.0]), torch.tensor([[0.0, -math.inf]]))
    assert float(found) == pytest.approx(math.log(2))


def test_sampled_softmax_whose_negatives_are_all_left_out() -> None:
    positive = torch.tensor([0.0], requires_grad=True)
    loss = sampled_softmax(positive, torch.full((1, 2), -math.inf))
    loss.backward()
    assert float(loss.detach()) == 0 and positive.grad.tolist() == [0.0]


def test_gbce_by_hand() -> None:
    # n = 11, k = 2: α = 2/10; t = ½: β = 0.2·(½·(1 − 5) + 5) = 0.6. With all logits 0 each term is ln 2:
    # (0.6 + 2)·ln 2 / 3 = 0.600727
    found = gbce(torch.zeros(1), torch.zeros(1, 2), n_items=11, calibration=0.5)
    assert float(found) == pytest.approx(0.600727, abs=1e-6)


def test_gbce_is_binary_cross_entropy_without_calibration_or_with_all_negatives() -> None:
    source = torch.Generator().manual_seed(0)
    positive, negative = torch.randn(5, generator=source), torch.randn(5, 4, generator=source)
    logits = torch.cat([positive[:, None], negative], dim=1)
    expected = binary_cross_entropy(logits, torch.eye(5)[:1].expand(5, 5))
    torch.testing.assert_close(gbce(positive, negative, n_items=100, calibration=0), expected)
    torch.testing.assert_close(gbce(positive, negative, n_items=5, calibration=1), expected)
    assert gbce(positive, negative, n_items=100, calibration=1) < expected


def test_gbce_makes_the_model_as_sure_as_all_negatives_would() -> None:
    # at t = 1 the best logit of one item, taken up by a share p of users, has σ(s) = p whatever k: the positive's pull
    # is β p (1 − σ), the negatives' α (1 − p) σ with α = k / (n − 1) = β
    n, k, share = 101, 10, 0.2
    logit = torch.tensor([math.log(share / (1 - share))], requires_grad=True)
    alpha = k / (n - 1)
    pull = gbce(logit, torch.full((1, k), -math.inf), n_items=n, calibration=1) * share
    push = gbce(torch.tensor([math.inf]), torch.cat([logit, torch.full((k - 1,), -math.inf)])[None], n_items=n)
    (pull + push * alpha * (1 - share)).backward()
    assert float(logit.grad) == pytest.approx(0, abs=1e-7)


def test_cosine_contrastive_by_hand() -> None:
    # 1 − 0.8 + 2·½·((0.9 − 0.5) + 0) = 0.6
    found = cosine_contrastive(torch.tensor([0.8]), torch.tensor([[0.9, 0.1]]), margin=0.5, negative_weight=2)
    assert float(found) == pytest.approx(0.6)
    # one that must not count adds nothing
    fewer = cosine_contrastive(torch.tensor([0.8]), torch.tensor([[0.9, -math.inf]]), margin=0.5, negative_weight=2)
    assert float(fewer) == pytest.approx(0.6)


LOSSES: dict[str, Callable[..., Tensor]] = {
    "bpr": bpr,
    "sampled_softmax": sampled_softmax,
    "gbce": lambda *scores, **how: gbce(*scores, n_items=50, **how),
    "cosine_contrastive": cosine_contrastive,
}


def scores(m: int = 6, k: int = 3) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    return torch.rand(m, generator=source), torch.rand(m, k, generator=source)


@pytest.mark.parametrize("name", LOSSES)
def test_each_negative_belongs_to_its_own_row(name: str) -> None:
    positive, negative = scores()
    before = LOSSES[name](positive, negative)
    changed = negative.clone()
    changed[2] += 0.6
    rows = [LOSSES[name](positive[at : at + 1], negative[at : at + 1]) for at in range(6)]
    torch.testing.assert_close(before, torch.stack(rows).mean())
    rows[2] = LOSSES[name](positive[2:3], changed[2:3])
    torch.testing.assert_close(LOSSES[name](positive, changed), torch.stack(rows).mean())


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_does_not_depend_on_how_rows_are_dealt_out(name: str) -> None:
    positive, negative = scores()
    weights = torch.tensor([1.0, 2.0, 0.5, 0.0, 1.0, 3.0])
    whole = LOSSES[name](positive, negative, weights=weights)
    parts = [LOSSES[name](positive[at::2], negative[at::2], weights=weights[at::2]) for at in range(2)]
    torch.testing.assert_close(whole, torch.stack(parts).mean())


@pytest.mark.parametrize("name", LOSSES)
def test_a_weight_of_two_is_the_row_twice(name: str) -> None:
    positive, negative = scores(2)
    weighted = LOSSES[name](positive, negative, weights=torch.tensor([2.0, 1.0])) * 2
    twice = LOSSES[name](positive[[0, 0, 1]], negative[[0, 0, 1]]) * 3
    torch.testing.assert_close(weighted, twice)


@pytest.mark.parametrize("name", LOSSES)
def test_weights_of_another_shape_are_refused(name: str) -> None:
    with pytest.raises(SerendipError, match=r"weights must be of shape \[6\], as the losses. Got \[6, 1\] instead"):
        LOSSES[name](*scores(), weights=torch.ones(6, 1))


def test_gbce_refuses_what_makes_no_sense() -> None:
    with pytest.raises(SerendipError, match=r"calibration must be from 0 to 1. Got 2 instead"):
        gbce(*scores(), n_items=50, calibration=2)
    with pytest.raises(SerendipError, match=r"n_items must be 2 or more"):
        gbce(*scores(), n_items=1)
