"""A fit begins with what another one learned: rows by their ids, the rest by name, and some of it stays."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from serendip.nn.embed import Table
from serendip.run import Start
from serendip.types import ABSENT, SerendipError
from serendip.warm import begin, freeze, rows_of


class Tower(nn.Module):
    per_user = ("users",)
    per_item = ("items.weight", "seen")

    def __init__(self, users: int, items: int) -> None:
        super().__init__()
        self.users = nn.Parameter(torch.randn(users, 2))
        self.items = Table(items, 3)
        self.register_buffer("seen", torch.zeros(items, dtype=torch.int64))
        self.head = nn.Linear(3, 2)


class Net(nn.Module):
    def __init__(self, users: int, items: int) -> None:
        super().__init__()
        self.tower = Tower(users, items)


def learned(users: int, items: int) -> dict[str, np.ndarray]:
    torch.manual_seed(1)
    net = Net(users, items)
    with torch.no_grad():
        net.tower.get_buffer("seen").copy_(torch.arange(items) + 5)
    return {name: value.numpy().copy() for name, value in net.state_dict().items()}


START = Start(
    "other",
    learned(3, 4),
    users=np.array([2, ABSENT, 0, 1], np.int32),
    items=np.array([ABSENT, 3, 0, ABSENT, 2], np.int32),
)


def test_what_is_per_user_and_item_is_found_where_it_is_declared() -> None:
    assert rows_of(Net(2, 2)) == {"tower.users": "user", "tower.items.weight": "item", "tower.seen": "item"}
    assert rows_of(nn.Linear(2, 2)) == {}


def test_known_rows_are_taken_over_and_new_ones_stay_as_they_are() -> None:
    torch.manual_seed(2)
    net = Net(4, 5)
    fresh = {name: value.numpy().copy() for name, value in net.state_dict().items()}
    users, items = begin(net, START)
    assert users.tolist() == [False, True, False, False]
    assert items.tolist() == [True, False, False, True, False]
    found = {name: value.numpy() for name, value in net.state_dict().items()}
    old = START.tensors
    assert (found["tower.users"][[0, 2, 3]] == old["tower.users"][[2, 0, 1]]).all()
    assert (found["tower.users"][1] == fresh["tower.users"][1]).all()
    rows = found["tower.items.weight"]
    assert (rows[0] == 0).all()  # nobody's
    assert (rows[[2, 3, 5]] == old["tower.items.weight"][[4, 1, 3]]).all()
    assert (rows[[1, 4]] == fresh["tower.items.weight"][[1, 4]]).all()
    assert found["tower.seen"].tolist() == [0, 8, 5, 0, 7]
    assert (found["tower.head.weight"] == old["tower.head.weight"]).all()


def test_ids_that_came_after_the_other_fit_are_new() -> None:
    later = replace(START, items=np.array([1, 4, 0, 9, 2], np.int32))
    _, items = begin(Net(4, 5), later)
    assert items.tolist() == [False, True, False, True, False]


def test_parts_that_the_other_lacks_begin_afresh() -> None:
    few = replace(START, tensors={"tower.head.weight": START.tensors["tower.head.weight"]})
    net = Net(4, 5)
    before = net.tower.users.detach().clone()
    begin(net, few)
    assert (net.tower.users == before).all()
    assert (net.tower.head.weight.detach().numpy() == START.tensors["tower.head.weight"]).all()


@pytest.mark.parametrize(
    ("tensors", "text"),
    [
        ({"a": np.zeros(2)}, "parameters have the same names. That of other has a; this one tower.users, tower.seen"),
        (
            {**START.tensors, "adapter.bias": np.zeros(4)},
            "with all that it learned. That of other has adapter.bias, which this one lacks. Try its options.",
        ),
        ({"tower.head.bias": np.zeros(7)}, "tower.head.bias is [7] in that of other, and [2] here. Try its options."),
        ({"tower.users": np.zeros((3, 9))}, "tower.users is [3, 9] in that of other, and [4, 2] here"),
    ],
)
def test_what_does_not_fit_is_refused(tensors: dict[str, np.ndarray], text: str) -> None:
    with pytest.raises(SerendipError, match=re.escape(text)):
        begin(Net(4, 5), replace(START, tensors=tensors))


def test_names_are_frozen_by_how_they_begin() -> None:
    net = Net(2, 2)
    freeze(net, ("tower.items", "tower.head"))
    learning = [name for name, one in net.named_parameters() if one.requires_grad]
    assert learning == ["tower.users"]
    with pytest.raises(SerendipError, match=r"freeze must name parameters by how they begin: tower\.users,"):
        freeze(net, ("head",))
    with pytest.raises(SerendipError, match=r"freeze must leave something to learn\. It names all of tower\.users"):
        freeze(net, ("tower",))


class Grouped(Net):
    groups: ClassVar = {"towers": ("tower.items", "tower.users"), "nothing": ("gone.",)}


def test_a_group_is_frozen_by_its_name() -> None:
    net = Grouped(2, 2)
    freeze(net, ("towers",))
    assert [name for name, one in net.named_parameters() if one.requires_grad] == [
        "tower.head.weight",
        "tower.head.bias",
    ]
    with pytest.raises(
        SerendipError, match=r"one of the groups towers, nothing, or parameters by how they begin: tower"
    ):
        freeze(Grouped(2, 2), ("nothing",))
    with pytest.raises(SerendipError, match=r"It names all of .*\. Try the option adapter, which learns over them"):
        freeze(Grouped(2, 2), ("towers", "tower.head"))
