from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from serendip.nn.reached import reached


class Part(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.inner = nn.Linear(2, 2)
        self.width = 2


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.called, self.asked, self.through, self.aside = nn.Linear(2, 2), Part(), Part(), Part()
        self.row = nn.Sequential(nn.ReLU(), nn.Linear(2, 2))
        self.kept = [self.through]

    def forward(self, x: Tensor) -> Tensor:
        return self.row(self.called(x)) * self.asked.width + self.kept[0].weight


def test_it_names_what_was_asked_for_and_nothing_else() -> None:
    module = Whole()
    kinds, names = [type(part) for part in module.modules()], {id(part): name for name, part in module.named_modules()}
    with reached(module) as found:
        assert {names[one] for one in found} == {""}
        module(torch.ones(1, 2))
    assert {names[one] for one in found} == {"", "called", "asked", "through", "row", "row.0", "row.1"}
    assert [type(part) for part in module.modules()] == kinds, "the module must be as it was"
    module.aside.weight.sum()
    assert id(module.aside) not in found, "it must have stopped to look"


def test_the_module_is_as_it_was_after_an_error() -> None:
    module = Whole()
    with pytest.raises(RuntimeError, match="shapes"), reached(module):
        module(torch.ones(1, 3))
    assert type(module) is Whole and type(module.called) is nn.Linear
