"""What is made of a query's fields once is what is made of them beside each item, for all that takes sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from serendip.nn.experts import PLE, MMoE, SharedBottom
from serendip.nn.fields import Fields, ItemFields
from serendip.nn.heads import Apart, Heads
from serendip.nn.interact import FFM, FM, Cross, CrossMixture, CrossNetwork, CrossV2, FieldAttention
from serendip.nn.lower import lower_ranker
from serendip.nn.ranker import Crossed, Deep, Ranker, Vectors, Weights
from serendip.nn.scoring import Attended, Products, Streams
from serendip.nn.sides import Linear, Sides, Stack, asked, product
from serendip.scorers.feeds import Feed
from serendip.types import Input, SerendipError

QUERY, REST, D, ROW = 3, 2, 4, [0, 0, 1, 2, 2]
FIELDS = QUERY + REST
FLAT = FIELDS * D
TASKS = ("click", "buy")

PARTS: dict[str, Callable[[], nn.Module]] = {
    "weights": Weights,
    "fm": lambda: Vectors(FM()),
    "ffm": lambda: Vectors(Stack(nn.Unflatten(2, (FIELDS, 3)), FFM(FIELDS))),
    "deep": lambda: Deep(FIELDS, D, (6, 5)),
    "deep of no layers": lambda: Deep(FIELDS, D, ()),
    "cross": lambda: Crossed(CrossNetwork(lambda: Cross(FLAT), 2), FLAT),
    "cross of a matrix": lambda: Crossed(CrossNetwork(lambda: CrossV2(FLAT, diag_scale=0.5), 2), FLAT, (5,)),
    "cross of a rank": lambda: Crossed(CrossNetwork(lambda: CrossV2(FLAT, 3, preactivation="tanh"), 3), FLAT),
    "cross of experts": lambda: Crossed(CrossNetwork(lambda: CrossMixture(FLAT, 3, 2), 2), FLAT),
    "attention": lambda: Stack(FieldAttention(D, 3), FieldAttention(6, 2), Deep(FIELDS, 4, ())),
    "products": lambda: Products(FIELDS, D, (6,)),
    "products, a number asks": lambda: Products(FIELDS, D, (6,), numbers=(1,), bottom=(5,)),
    "products, two numbers ask": lambda: Products(FIELDS, D, (6,), numbers=(0, 2)),
    "products, numbers of both": lambda: Products(FIELDS, D, (6,), numbers=(1, 4), bottom=(5,)),
    "streams": lambda: Streams(QUERY, REST, D, (6, 4), gate=(5,), heads=2),
    "streams, a field of both": lambda: Streams(QUERY + 1, REST - 1, D, (6, 4), gate=(5,)),
    "attended": lambda: Attended(1, REST, D, (6,), attention=5),
    "attended, features of items alone": lambda: Attended(0, REST, D, (6,), attention=5),
    "attended, a field of both": lambda: Attended(2, REST - 1, D, (6,), attention=5),
    "shared bottom": lambda: Heads(SharedBottom(FLAT, TASKS, (6, 5))),
    "mixture": lambda: Heads(MMoE(FLAT, TASKS, (6,), 3)),
    "levels": lambda: Heads(PLE(FLAT, TASKS, (6,), 1, 2, levels=2)),
    "apart": lambda: Apart(FIELDS, D, 2, (6,)),
}


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def sides(d: int = D, row: list[int] = ROW) -> Sides:
    return Sides(torch.randn(max(row) + 1, QUERY, d), torch.randn(len(row), REST, d), torch.tensor(row))


@pytest.mark.parametrize("name", PARTS)
@torch.no_grad()
def test_a_part_makes_of_sides_what_it_makes_of_the_whole(name: str) -> None:
    part = PARTS[name]().eval()
    for parameter in part.parameters():
        nn.init.normal_(parameter, std=0.5)
    assert part.sided
    for row in (ROW, [0], [0, 1, 2]):
        fields = sides(FIELDS * 3 + 1 if name == "ffm" else D, row)
        torch.testing.assert_close(asked(part, fields), part(fields.whole), rtol=1e-4, atol=1e-5)


def test_the_products_of_a_query_are_worked_out_once() -> None:
    fields, deep = sides(row=[0] * 100), Deep(FIELDS, D, (8,)).eval()

    def products(given: Tensor | Sides) -> int:
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            deep(given)
        return int(counter.get_total_flops()) // 2

    assert products(fields.whole) == 100 * (FLAT * 8 + 8)
    assert products(fields) == QUERY * D * 8 + 100 * (REST * D * 8 + 8)


def test_the_query_may_stand_behind_some_of_the_rest() -> None:
    x = Sides(torch.randn(2, 3), torch.randn(4, 5), torch.tensor([0, 1, 1, 0]), lead=2)
    weight, bias = torch.randn(6, 8), torch.randn(6)
    assert torch.equal(x.whole[1], torch.cat([x.rest[1, :2], x.query[1], x.rest[1, 2:]]))
    torch.testing.assert_close(product(x, weight, bias), x.whole @ weight.T + bias)


def test_a_part_that_makes_something_else_of_sides_is_not_lowered() -> None:
    class Odd(nn.Module):
        sided = True

        def forward(self, fields: Any) -> Tensor:
            given: Tensor = fields.rest if isinstance(fields, Sides) else fields
            return given.sum(dim=(1, 2))

    town = Input("town", "user", 3)
    net = Ranker(ItemFields(4, D, sigma=1.0), Fields((town,), D, sigma=1.0), (Odd(),)).eval()
    with pytest.raises(SerendipError, match=r"What Odd makes of a query's fields once.*Try a part that is not sided"):
        lower_ranker(net, [Feed.feature(town)], np.ones((4, D), np.float32), alone=True)


def test_a_ranker_is_tried_on_numbers_as_large_as_its_own() -> None:
    """Two large sums that cancel: of numbers of size 1, more than is left would be lost to rounding."""

    class Cancelling(nn.Module):
        sided = True

        def __init__(self) -> None:
            super().__init__()
            self.linear = Linear(2 * D, 64)
            nn.init.constant_(self.linear.weight, 300.0)

        def forward(self, fields: Any) -> Tensor:
            hidden = self.linear(fields.flatten(1))
            return hidden[:, :32].sum(dim=1) - hidden[:, 32:].sum(dim=1) + 1e-3 * hidden[:, 0]

    town = Input("town", "user", 3)
    net = Ranker(ItemFields(4, D, sigma=0.01), Fields((town,), D, sigma=0.01), (Cancelling(),)).eval()
    items = np.random.default_rng(0).normal(scale=0.01, size=(4, D)).astype(np.float32)
    assert lower_ranker(net, [Feed.feature(town)], items, alone=True).n_items == 4
