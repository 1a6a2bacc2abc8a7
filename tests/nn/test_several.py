"""Several optimisers as one: what each alone would do, and a state that goes on where it left off."""

from __future__ import annotations

import torch
from torch import Tensor

from serendip.nn.several import Several


def made() -> tuple[list[Tensor], Several]:
    torch.manual_seed(0)
    values = [torch.randn(3, requires_grad=True) for _ in range(3)]
    parts = torch.optim.Adam(values[:2], lr=0.1), torch.optim.Adagrad(values[2:], lr=0.5)
    return values, Several(*parts)


def steps(values: list[Tensor], optimiser: Several, count: int) -> None:
    for _ in range(count):
        optimiser.zero_grad()
        sum((value - 1).square().sum() for value in values).backward()  # type: ignore[union-attr]
        optimiser.step()


def test_each_part_steps_as_it_would_alone() -> None:
    values, optimiser = made()
    steps(values, optimiser, 5)
    alone, _ = made()
    adam, adagrad = torch.optim.Adam(alone[:2], lr=0.1), torch.optim.Adagrad(alone[2:], lr=0.5)
    for _ in range(5):
        for part in (adam, adagrad):
            part.zero_grad()
        sum((value - 1).square().sum() for value in alone).backward()  # type: ignore[union-attr]
        adam.step()
        adagrad.step()
    assert all((one == other).all() for one, other in zip(values, alone, strict=True))


def test_its_state_goes_on_where_it_left_off() -> None:
    whole, optimiser = made()
    steps(whole, optimiser, 8)
    first, before = made()
    steps(first, before, 5)
    state = before.state_dict()
    assert sorted(state["state"]) == [0, 1, 2]
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2]]
    rest, after = made()
    with torch.no_grad():
        for value, known in zip(rest, first, strict=True):
            value.copy_(known)
    after.load_state_dict(state)
    steps(rest, after, 3)
    assert all((one == other).all() for one, other in zip(whole, rest, strict=True))


def test_what_is_changed_in_the_groups_counts() -> None:
    values, optimiser = made()
    before = [value.detach().clone() for value in values]
    for group in optimiser.param_groups:
        group["lr"] = 0.0
    steps(values, optimiser, 2)
    assert all((one == other).all() for one, other in zip(values, before, strict=True))
