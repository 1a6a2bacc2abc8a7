"""Scores of fields that are not all alike, against NumPy: numbers apart, two sides, and events one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from serendip.nn.embed import Table
from serendip.nn.fields import Fields, ItemFields
from serendip.nn.lower import lower_ranker
from serendip.nn.query import BEGINS, PLACES
from serendip.nn.ranker import Ranker
from serendip.nn.scoring import Attended, Products, Streams
from serendip.nn.tower import Tower
from serendip.scorers.feeds import PRESENT, Feed
from serendip.types import ABSENT, Floats, Input, Queries

D = 3


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def through(tower: Tower, x: Floats) -> Floats:
    """Hidden layers with ReLU, and the projection."""
    layers = [layer for layer in tower.layers if isinstance(layer, torch.nn.Linear)]
    for place, layer in enumerate(layers):
        x = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        x = np.maximum(x, 0) if place < len(layers) - 1 else x
    return x


def test_numbers_are_one_field_and_all_products_are_below_the_layers() -> None:
    net = Products(4, D, (5,), numbers=(1, 3), bottom=(6,)).eval()
    assert net.bottom is not None
    x = np.random.default_rng(0).normal(size=(2, 4, D)).astype(np.float32)
    z = through(net.bottom, np.concatenate([x[:, 1], x[:, 3]], axis=1))
    dots = [(x[:, 0] * z).sum(axis=1), (x[:, 2] * z).sum(axis=1), (x[:, 2] * x[:, 0]).sum(axis=1)]
    expected = through(net.tower, np.column_stack([z, *dots]))[:, 0]
    np.testing.assert_allclose(net(torch.from_numpy(x)).detach(), expected, atol=1e-5)


def test_without_numbers_there_are_products_alone_and_without_codes_none() -> None:
    x = torch.randn(2, 3, D)
    plain = Products(3, D, ())
    dots = torch.stack([x[:, 1] @ x[:, 0].T, x[:, 2] @ x[:, 0].T, x[:, 2] @ x[:, 1].T]).diagonal(dim1=1, dim2=2).T
    torch.testing.assert_close(plain(x), plain.tower(dots).squeeze(-1))
    numbers = Products(3, D, (), numbers=(0, 1, 2))
    assert numbers.bottom is not None
    torch.testing.assert_close(numbers(x), numbers.tower(numbers.bottom(x.flatten(1))).squeeze(-1))


def test_each_stream_is_gated_by_its_side() -> None:
    net = Streams(1, 2, D, (4,), gate=(5,), heads=2)
    x = torch.randn(2, 3, D)
    flat, sides = x.flatten(1), (x[:, 0], x[:, 1:].flatten(1))
    found = []
    for side, gate, tower in zip(sides, net.gates, net.towers, strict=True):
        gates = 2 / (1 + np.exp(-through(gate.gates, side.numpy())))  # type: ignore[arg-type]
        found.append(tower(torch.from_numpy(gates) * flat))
    torch.testing.assert_close(net(x), net.fusion(*found))


def test_events_weigh_what_the_item_says_and_zeros_add_nothing() -> None:
    net = Attended(1, 2, D, (4,), attention=5)
    fields, history = torch.randn(2, 3, D), torch.randn(2, 4, D)
    history[0, 2:] = 0
    present = torch.tensor([[True, True, False, False], [True] * 4])
    read = net.attention(fields[:, 1] + fields[:, 2], history, present)
    expected = net.tower(torch.cat([read, fields.flatten(1)], dim=1)).squeeze(-1)
    torch.testing.assert_close(net(torch.cat([history, fields], dim=1)), expected)
    nothing = net.tower(torch.cat([torch.zeros(2, D), fields.flatten(1)], dim=1)).squeeze(-1)
    torch.testing.assert_close(net(torch.cat([history[:, :0], fields], dim=1)), nothing)


def test_events_one_by_one_are_the_same_as_codes_vectors_or_bags_and_when_exported() -> None:
    town = Input("town", "user", 3)
    net = Ranker(
        ItemFields(6, D, sigma=1.0),
        Fields((town,), D, sigma=1.0),
        (Attended(1, 1, D, (4,)),),
        histories=("history",),
        apart=True,
    ).eval()
    assert net.names == ("town", "item")
    towns, items = torch.tensor([1, 0]), torch.tensor([[3, 5], [0, 2]])
    codes = torch.tensor([[ABSENT, 2, 4], [ABSENT, ABSENT, ABSENT]])
    bags = {"history": torch.tensor([2, 4]), "history" + PLACES: torch.tensor([0, 1])}
    given = [
        {"history": codes},
        {"history": net.read(codes), "history" + PRESENT: codes >= 0},
        {**bags, "history" + BEGINS: torch.tensor([0, 2])},
    ]
    scores = [net(net.together({**one, "town": towns}, items)) for one in given]
    torch.testing.assert_close(scores[0], scores[1])
    torch.testing.assert_close(scores[0], scores[2])
    feeds = [Feed.feature(town), Feed("history", "history", 3, vectors=True)]
    with torch.no_grad():
        vectors = net.items(torch.arange(6)).flatten(1).numpy()
    scorer = lower_ranker(net, feeds, vectors, told=net.read.all().detach().numpy(), alone=True)
    asked = Queries(np.arange(2, dtype=np.int32), codes.numpy().astype(np.int32), features={"town": towns.numpy()})
    found = scorer.score(asked, items.numpy().astype(np.int32)).ravel()
    np.testing.assert_allclose(found, scores[0].detach(), atol=1e-5)


def test_a_table_that_histories_alone_read_stands_in_for_items_without_ids() -> None:
    tags = Input("tags", "item", 4)
    items = ItemFields(2, D, ids=False, inputs=(tags,), values={"tags": np.array([0, 3], np.int32)})
    net = Ranker(items, None, (Attended(0, 1, D, ()),), histories=("h",), read=Table(2, D), apart=True)
    assert net.names == ("tags",)
    assert net.query({"h": torch.tensor([[0, ABSENT]])}).shape == (1, 2, D)
