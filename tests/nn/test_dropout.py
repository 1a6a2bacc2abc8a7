"""What dropout leaves, how often, and what it does to gradients."""

from __future__ import annotations

import pytest
import torch

from serendip.nn.dropout import Dropout, IdDropout
from serendip.types import ABSENT


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_each_number_is_zero_or_scaled_and_their_mean_stays(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.full((401, 333), 3.0)
    found = Dropout(rate).train()(x)
    share = float((found == 0).float().mean())
    assert share == pytest.approx(rate, abs=0.005)  # four standard deviations are 0.0055 at most
    assert found[found != 0].unique().numpy() == pytest.approx([3 / (1 - rate)], rel=1e-4)


def test_numbers_are_dropped_independently() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5).train()(torch.ones(100_001)) != 0).float() - 0.5
    for ahead in (1, 2, 3, 4, 8, 64):
        assert abs(float((kept[ahead:] * kept[:-ahead]).mean())) < 0.004  # five standard deviations of ¼/√n


def test_the_gradient_goes_where_the_numbers_went() -> None:
    x = torch.ones(50, 7, requires_grad=True)
    found = Dropout(0.3).train()(x)
    found.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, found.detach())


def test_the_seed_decides() -> None:
    net, x = Dropout(0.3).train(), torch.ones(40, 3)
    first = [torch.manual_seed(seed) and net(x) for seed in (1, 1, 2)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])


def test_nothing_is_dropped_when_asked() -> None:
    x = torch.ones(5)
    assert Dropout(0.3).eval()(x) is x
    assert Dropout(0.0).train()(x) is x


def test_ids_are_dropped_in_training_only_and_never_made_up() -> None:
    torch.manual_seed(0)
    codes = torch.arange(100_000)
    found = IdDropout(0.25).train()(codes)
    gone = found == ABSENT
    assert float(gone.float().mean()) == pytest.approx(0.25, abs=0.006)
    assert torch.equal(found[~gone], codes[~gone])
    assert IdDropout(0.25).eval()(codes) is codes


@pytest.mark.parametrize("rate", [-0.1, 1.0])
@pytest.mark.parametrize("kind", [Dropout, IdDropout])
def test_a_rate_that_is_none(kind: type, rate: float) -> None:
    with pytest.raises(ValueError, match=f"from 0 to below 1. Got {rate} instead"):
        kind(rate)
