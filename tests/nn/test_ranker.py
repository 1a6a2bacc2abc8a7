"""A ranker scores pairs: by hand, alike whether histories come as codes, vectors or bags, and as exported."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from serendip.nn.embed import Table
from serendip.nn.fields import Fields, ItemFields
from serendip.nn.interact import FM, CrossNetwork, CrossV2
from serendip.nn.lower import lower_ranker
from serendip.nn.query import BEGINS, PLACES
from serendip.nn.ranker import Crossed, Deep, Ranker, Vectors, Weights
from serendip.scorers import dump, restore
from serendip.scorers.feeds import PRESENT, Feed
from serendip.types import ABSENT, Input, Queries, SerendipError

N, D, T = 6, 4, 3
TOWN = Input("town", "user", 3)
TAGS = Input("tags", "item", 4, 2)
VALUES = np.array([[0, 1], [2, ABSENT], [3, 0], [1, 2], [ABSENT, ABSENT], [3, 3]], np.int32)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def ranker(*parts: nn.Module, ids: bool = True) -> Ranker:
    """Two fields of queries and two of items, or one without ids."""
    items = ItemFields(N, D, ids=ids, inputs=(TAGS,), values={"tags": VALUES}, sigma=1.0)
    read = None if ids else Table(N, D, sigma=1.0)
    return Ranker(items, Fields((TOWN,), D, sigma=1.0), parts, histories=("history",), read=read).eval()


def test_a_score_is_the_sum_of_its_parts_worked_out_by_hand() -> None:
    fields = torch.tensor([[[1.0, 2.0, 0.5], [3.0, -1.0, 0.25]]])
    assert Weights()(fields).tolist() == [0.75]
    assert Vectors(FM())(fields).tolist() == [1.0]  # 1·3 + 2·(−1)
    net = Ranker(ItemFields(2, 3), Fields((TOWN,), 3), (Weights(), Vectors(FM())))
    with torch.no_grad():
        net.bias.fill_(10)
    assert net(fields).tolist() == [11.75]
    deep = Deep(2, 2, (), 0.0)
    with torch.no_grad():
        deep.tower.layers[0].weight[:] = torch.tensor([[1.0, 1.0, 2.0, 3.0]])
        deep.tower.layers[0].bias.fill_(0.5)
    assert deep(fields[:, :, :2]).tolist() == [6.5]  # 1 + 2 + 2·3 + 3·(−1) + ½


def test_a_history_counts_the_same_as_codes_vectors_or_bags() -> None:
    net = ranker(Vectors(FM()))
    town = torch.tensor([1, 0])
    codes = torch.tensor([[ABSENT, 2, 4], [ABSENT, ABSENT, ABSENT]])
    as_codes = net.query({"history": codes, "town": town})
    vectors = net.read(codes)
    as_vectors = net.query({"history": vectors, "history" + PRESENT: codes >= 0, "town": town})
    bags = {"history": torch.tensor([2, 4]), "history" + PLACES: torch.tensor([0, 1])}
    as_bags = net.query({**bags, "history" + BEGINS: torch.tensor([0, 2]), "town": town})
    assert torch.allclose(as_codes, as_vectors) and torch.allclose(as_codes, as_bags)
    assert torch.allclose(as_codes[0, 0], (net.read.weight[3] + net.read.weight[5]) / 2)
    assert not as_codes[1, 0].any()


def test_a_ranker_needs_something_known_of_queries() -> None:
    with pytest.raises(ValueError, match="Queries must have histories or features"):
        Ranker(ItemFields(N, D), None, (Weights(),))
    features = ItemFields(N, D, ids=False, inputs=(TAGS,), values={"tags": VALUES})
    with pytest.raises(ValueError, match="A history must be of items with vectors"):
        Ranker(features, None, (Weights(),), histories=("history",))


@pytest.mark.parametrize("ids", [True, False])
def test_what_is_exported_scores_as_the_module_and_survives_a_bundle(ids: bool) -> None:
    net = ranker(Weights(), Crossed(CrossNetwork(lambda: CrossV2(D * (3 + ids)), 2), D * (3 + ids), (8,)), ids=ids)
    with torch.no_grad():
        items = net.items(torch.arange(N)).flatten(1).numpy().copy()
        told = net.read.all().numpy().copy()
    items[4], told[4] = np.nan, np.nan
    feeds = [Feed.feature(TOWN), Feed("history", "history", T, vectors=True)]
    scorer = lower_ranker(net, feeds, items, told=told, alone=True, item_feeds=[Feed.feature(TAGS)])
    history = np.array([[ABSENT, 1, 4, 2], [5, 3, 0, 1], [ABSENT] * 4], np.int32)
    asked = Queries(np.arange(3, dtype=np.int32), history, features={"town": np.array([2, ABSENT, ABSENT])})
    found = scorer.score(asked)
    assert (found[:, 4] == -np.inf).all() and (found[2] == -np.inf).all()
    read = torch.tensor([[ABSENT, 1, 2], [3, 0, 1]])  # of items that are known, the last three
    with torch.no_grad():
        wanted = net(net.together({"history": read, "town": torch.tensor([2, ABSENT])}, torch.arange(N).expand(2, N)))
    expected = wanted.view(2, N).numpy()
    known = [0, 1, 2, 3, 5]
    assert np.allclose(found[:2, known], expected[:, known], atol=1e-5)
    again = restore(*dump(scorer))
    chosen = np.array([[5, 0, ABSENT, 99], [1, 4, 2, 2], [0, 1, 2, 3]], np.int32)
    some = again.score(asked, chosen)
    assert np.allclose(some[0, :2], found[0, [5, 0]]) and (some[0, 2:] == -np.inf).all()
    assert np.allclose(some[1, [0, 2, 3]], found[1, [1, 2, 2]]) and some[1, 1] == -np.inf
    assert again.score(asked, chosen[:, :0]).shape == (3, 0)

    later = scorer.with_items(np.array([N], np.int32), {"tags": VALUES[:1]})
    assert later.n_items == N + 1 and np.isfinite(later.score(asked)[0, N])
    if not ids:
        assert np.allclose(later.score(asked)[:2, N], found[:2, 0], atol=1e-5)  # the same features, the same score


def test_what_is_known_of_a_query_and_an_item_is_a_field_between_theirs() -> None:
    both = Fields((Input("source.found", "pair", None, 2), Input("times", "pair")), D, sigma=1.0)
    items = ItemFields(N, D, sigma=1.0)
    net = Ranker(
        items, Fields((TOWN,), D, sigma=1.0), (Crossed(CrossNetwork(lambda: CrossV2(D * 4), 2), D * 4),), pairs=both
    )
    assert net.names == ("town", "source.found", "times", "item")
    vectors = items(torch.arange(N)).flatten(1).detach().numpy()
    scorer: Any = restore(*dump(lower_ranker(net, [Feed.feature(TOWN)], vectors, alone=True)))
    assert scorer.pair_names == ("source.found", "times")
    codes = np.array([[3, 1], [0, 5]], np.int32)
    said = {
        "source.found": np.array([[[1, 0.5], [np.nan, np.nan]], [[1, -2], [1, 0]]], np.float32),
        "times": np.array([[2, np.nan], [0, 1]], np.float32),
    }
    asked = Queries(
        np.array([0, 1], np.int32), np.empty((2, 0), np.int32), features={"town": np.array([2, 0])}, pairs=said
    )
    with torch.no_grad():
        tensors = {name: torch.from_numpy(value) for name, value in said.items()}
        wanted = net(net.together({"town": torch.tensor([2, 0])}, torch.from_numpy(codes), tensors)).view(2, 2)
    assert np.allclose(scorer.score(asked, codes), wanted.numpy(), atol=1e-5)
    (alone,) = scorer.score(asked.take(np.array([1])), codes[1:])
    assert np.allclose(alone, wanted[1].numpy(), atol=1e-5)
    unknown = replace(asked, pairs={})
    blank = replace(asked, pairs={name: np.full_like(value, np.nan) for name, value in said.items()})
    assert np.allclose(scorer.score(unknown, codes), scorer.score(blank, codes))
    assert scorer.score(unknown).shape == (2, N)
    with pytest.raises(SerendipError, match=r"pairs\['source.found'\] must have numbers for each item .* \[2, 6, 2\]"):
        scorer.score(asked)
    tensors_, header = dump(scorer)
    wrong = [{**feed, "of": "feature"} for feed in header["pair_feeds"]]
    with pytest.raises(SerendipError, match="must be numbers of the pair"):
        restore(tensors_, {**header, "pair_feeds": wrong})


def test_networks_that_do_not_fit_together_are_refused() -> None:
    net = ranker(Weights())
    items = net.items(torch.arange(N)).flatten(1).detach().numpy()
    feeds = [Feed.feature(TOWN), Feed("history", "history", T, vectors=True)]
    scorer = lower_ranker(net, feeds, items, told=net.read.all().detach().numpy(), alone=True)
    tensors, header = dump(scorer)
    with pytest.raises(SerendipError, match="item must be float32 of the shape"):
        restore({**tensors, "items": items[:, : D + 1]}, header)
    with pytest.raises(SerendipError, match="must have the inputs item, query, row"):
        restore({**tensors, "ranker": tensors["query"]}, header)
    with pytest.raises(SerendipError, match="it has no biases"):
        restore(tensors, {**header, "biased": True})
