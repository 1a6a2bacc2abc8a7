"""A ranker with the shape of a fitted dcn_v2 and random weights, which takes as long to ask: for timings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

QUERY_FIELDS, ITEM_FIELDS, VALUES = 12, 8, 100
"""Fields of a query and of an item, and values of each."""


@dataclass(frozen=True, eq=False)
class MadeUp:
    """What is asked.

    Attributes:
        net: the module.
        asked: the features of a query.
        table: ``[items, ITEM_FIELDS · dim]`` the vectors of the items' fields.
        scorer: as a bundle would hold it.
    """

    net: Any
    asked: Sequence[Any]
    table: Any
    scorer: Any


def made_up(items: int, crosses: int, rank: int, dim: int, hidden: Sequence[int], seed: int = 0) -> MadeUp:
    """A ranker of so many items: crosses of a rank beside layers of these widths, over vectors of ``dim``."""
    import torch

    from serendip.nn.fields import Fields, ItemFields
    from serendip.nn.interact import CrossNetwork, CrossV2
    from serendip.nn.lower import lower_ranker
    from serendip.nn.ranker import Crossed, Deep, Ranker
    from serendip.scorers.feeds import Feed
    from serendip.types import Input

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    asked = [Input(f"q{at}", "user", VALUES) for at in range(QUERY_FIELDS)]
    about = [Input(f"i{at}", "item", VALUES) for at in range(ITEM_FIELDS - 1)]
    values = {one.name: rng.integers(0, VALUES, items).astype(np.int32) for one in about}
    fields = QUERY_FIELDS + ITEM_FIELDS
    flat = fields * dim
    net = Ranker(
        ItemFields(items, dim, inputs=about, values=values, sigma=1.0),
        Fields(asked, dim, sigma=1.0),
        (Crossed(CrossNetwork(lambda: CrossV2(flat, rank), crosses), flat), Deep(fields, dim, hidden)),
    ).eval()
    with torch.no_grad():
        table = net.items(torch.arange(items)).flatten(1).numpy()
        scorer = lower_ranker(net, [Feed.feature(one) for one in asked], table, alone=True)
    return MadeUp(net, asked, table, scorer)
