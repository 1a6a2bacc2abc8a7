"""A ranker of bytes scores nearly as it did, is a good deal smaller, and survives a bundle."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from serendip.nn.fields import Fields, ItemFields
from serendip.nn.interact import CrossNetwork, CrossV2
from serendip.nn.lower import lower_ranker
from serendip.nn.quantise import quantised
from serendip.nn.ranker import Crossed, Deep, Ranker
from serendip.scorers import dump, restore
from serendip.scorers.feeds import Feed
from serendip.types import Input, Queries

N, D = 40, 8
TOWN = Input("town", "user", 5)


def test_scores_are_near_and_the_network_is_smaller(caplog: pytest.LogCaptureFixture) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        parts = Crossed(CrossNetwork(lambda: CrossV2(2 * D), 2), 2 * D), Deep(2, D, (160, 160))
        net = Ranker(ItemFields(N, D, sigma=1.0), Fields((TOWN,), D, sigma=1.0), parts).eval()
        with torch.no_grad():
            items = net.items(torch.arange(N)).flatten(1).numpy().copy()
        scorer = lower_ranker(net, [Feed.feature(TOWN)], items, alone=True)
    with caplog.at_level(logging.WARNING):
        small = quantised(scorer)
    assert not [one for one in caplog.records if one.name == "root"]
    assert small.ranker.size < 0.5 * scorer.ranker.size
    asked = Queries(np.zeros(5, np.int32), np.empty((5, 0), np.int32), features={"town": np.arange(5, dtype=np.int32)})
    exact, near = scorer.score(asked), small.score(asked)
    assert not np.array_equal(exact, near)
    assert np.corrcoef(exact.ravel(), near.ravel())[0, 1] > 0.995
    assert np.array_equal(restore(*dump(small)).score(asked), near)
