"""Estimates of a stream whose probabilities are known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from serendip.nn.frequency import Frequency
from serendip.types import ABSENT, SerendipError


def stream(n: int = 20_000) -> tuple[Tensor, Tensor]:
    chances = torch.tensor([0.5, 0.25, 0.15, 0.08, 0.02])
    return torch.multinomial(chances, n, replacement=True, generator=torch.Generator().manual_seed(0)), chances


def test_by_hand() -> None:
    found = Frequency(2, rate=0.5)
    found(torch.tensor([0, 1, 1, 0]))
    # item 0 comes first and fourth: two steps of 4/2 = 2; item 1 second and third: two of 3/2
    torch.testing.assert_close(found.between, torch.tensor([2.0, 1.5]))
    found(torch.tensor([1]))
    # a step of 5 − 3 = 2, which counts by the half of the rate rather than the third of a plain mean: 1.75
    torch.testing.assert_close(found.between, torch.tensor([2.0, 1.75]))
    found.eval()
    torch.testing.assert_close(found(torch.tensor([0, 1])), -torch.tensor([2.0, 1.75]).log())


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_it_finds_the_shares_of_a_stream(batch: int) -> None:
    codes, chances = stream(20_000 if batch > 1 else 4_000)
    found = Frequency(5, rate=0.005)
    for part in codes.split(batch):
        found(part)
    torch.testing.assert_close(found.eval()(torch.arange(5)).exp(), chances, rtol=0.25, atol=0)


def test_it_follows_a_change() -> None:
    found = Frequency(2, rate=0.05)
    found(torch.arange(1000) % 10 // 9)  # item 1 is a tenth
    assert float(found.eval()(torch.tensor([1])).exp()) == pytest.approx(0.1, rel=0.05)
    found.train()(torch.arange(1000) % 2)
    assert float(found.eval()(torch.tensor([1])).exp()) == pytest.approx(0.5, rel=0.05)


def test_one_batch_is_its_examples_one_by_one_until_the_mean_fades() -> None:
    codes, _ = stream(150)
    one, other = Frequency(5), Frequency(5)
    one(codes[codes > 0])
    for code in codes[codes > 0]:
        other(code)
    torch.testing.assert_close(one.between, other.between)


def test_what_never_came_up_counts_as_if_it_came_next() -> None:
    found = Frequency(3)
    found(torch.tensor([0, 0, 0]))
    assert float(found.eval()(torch.tensor([2])).exp()) == pytest.approx(1 / 4)


def test_absent_codes_are_not_counted() -> None:
    found = Frequency(3)
    logs = found(torch.tensor([[0, ABSENT], [ABSENT, 3]]))
    assert logs.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert int(found.examples) == 1
    found(torch.tensor([ABSENT, ABSENT]))
    assert int(found.examples) == 1


def test_asking_changes_nothing() -> None:
    found = Frequency(3)
    found(torch.tensor([0, 1]))
    before = {name: value.clone() for name, value in found.state_dict().items()}
    found.eval()(torch.tensor([0, 0, 2]))
    assert all((before[name] == value).all() for name, value in found.state_dict().items())


def test_it_goes_on_where_it_was_saved() -> None:
    codes, _ = stream(400)
    whole, again = Frequency(5), Frequency(5)
    whole(codes[:200])
    again.load_state_dict(whole.state_dict())
    torch.testing.assert_close(whole(codes[200:]), again(codes[200:]))


def test_probabilities_are_at_most_one() -> None:
    found = Frequency(1)
    assert float(found(torch.zeros(9, dtype=torch.int64)).max()) == 0.0
    assert math.isfinite(float(Frequency(2).eval()(torch.tensor([1]))))


def test_a_rate_that_is_none() -> None:
    with pytest.raises(SerendipError, match=r"rate must be above 0 and at most 1. Got 0 instead"):
        Frequency(3, rate=0)
