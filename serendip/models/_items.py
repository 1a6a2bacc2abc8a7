"""Items in models that learn vectors of them: by ids, by features or both, and new ones by their features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.models._room import factors_fit
from serendip.types import Floats, Input, Scorer, SerendipError

if TYPE_CHECKING:
    from serendip.nn.adapter import Adapter
    from serendip.nn.catalogue import Catalogue

ItemsBy = Annotated[
    Literal["ids", "features", "both"],
    msgspec.Meta(description="What gives an item its vector; features also do for items that nobody has met."),
]
IdDropout = Annotated[
    float,
    msgspec.Meta(
        ge=0, le=0.95, description="Share of the ids left out in training, for features to stand on their own."
    ),
]

Adapted = Annotated[
    bool,
    msgspec.Meta(
        description="Whether the query's vector is turned, and each item has a bias, both learned and without effect "
        "to begin with: what is left to learn over towers that stay as they are."
    ),
]

COPIES = 5
"""Numbers held for each that is learned: itself, its gradient, two moments of Adam's, and what answers."""
MANY = 50_000
"""Items from which a step of a loss that draws touches only the rows it needs."""
SIGMA = 0.02
"""Deviation of the vectors of ids to begin with: a softmax over all items learns better from small ones."""


def item_inputs(model: str, data: Dataset) -> tuple[Input, ...]:
    """The features of items that the data have.

    Raises:
        SerendipError: there are none.
    """
    inputs = () if data.features is None else tuple(one for one in data.features.inputs if one.side == "item")
    if not inputs:
        raise SerendipError(
            f"{model}: items_by = features or both needs features of items. The data have none. "
            "Declare some in the recipe's [features] section (serendip init suggests them), or leave items_by = ids."
        )
    return inputs


def catalogue(
    model: str,
    data: Dataset,
    dim: int,
    by: str,
    id_dropout: float,
    *,
    sampled: bool,
    rows: bool = False,
    normalise: bool = False,
) -> Catalogue:
    """The items of the data as a module.

    Args:
        model: its name, for errors.
        data: the items and their features.
        dim: of a vector.
        by: ids, features or both.
        id_dropout: the share of ids left out in training.
        sampled: whether a step asks for some items only.
        rows: whether it then changes no others, however few items there are.
        normalise: whether vectors have length 1.

    Raises:
        SerendipError: features are asked for, and there are none; or the vectors do not fit into memory.
    """
    from serendip.nn.catalogue import Catalogue

    factors_fit(model, data.n_items, dim, COPIES)
    inputs = () if by == "ids" else item_inputs(model, data)
    return Catalogue(
        data.n_items,
        dim,
        ids=by != "features",
        sigma=SIGMA,
        inputs=inputs,
        values=data.features.items(data.items) if inputs and data.features is not None else None,
        id_dropout=id_dropout,
        normalise=normalise,
        sparse=sampled and (rows or data.n_items > MANY),
    )


def vectors(rank: Any, data: Dataset, kinds: Sequence[int] = ()) -> Floats:
    """``[n, d]`` of all items; NaN for one that is known by its id alone and has no event with interest.

    Args:
        rank: the items.
        data: the log.
        kinds: of events that count, too.
    """
    found: Floats = rank().cpu().numpy().copy()
    if rank.features is None:
        found[np.setdiff1d(np.arange(data.n_items), _met(data, kinds))] = np.nan
    return found


def told(rank: Any, read: Any, data: Dataset, kinds: Sequence[int]) -> Floats | None:
    """``[n, d]`` what is told of the items of histories and bags; None where these are the vectors that are ranked.

    Args:
        rank: the items that are ranked.
        read: those of histories, if these have vectors of their own; or None.
        data: the log.
        kinds: of the events in bags.
    """
    if read is not None:
        return vectors(read, data, kinds)
    alike = rank.features is not None or len(_met(data, kinds)) == len(_met(data, ()))
    return None if alike else vectors(rank, data, kinds)


def _met(data: Dataset, kinds: Sequence[int]) -> NDArray[np.int32]:
    """Items with events with interest, or of these kinds."""
    events = data.events
    counts = events.weight > 0
    if events.kind is not None and len(kinds):
        counts = counts | np.isin(events.kind, kinds)
    return np.unique(events.items[counts])


def adapter(adapted: bool, rank: Catalogue, *, normalise: bool = False) -> Adapter | None:
    """The adapter over towers that rank these items, by the option."""
    from serendip.nn.adapter import Adapter

    return Adapter(rank.size, rank.dim, normalise=normalise) if adapted else None


def later(rank: Any, read: Any, adapter: Any = None) -> dict[str, Any]:
    """What `serendip.nn.lower.lower_towers` needs for the biases of items, if there are any, and for items to come:
    nothing if they are known by their ids alone.

    Args:
        rank: the items that are ranked.
        read: those of histories, if these have vectors of their own; or None.
        adapter: what has the biases, or None.
    """
    from serendip.nn.history import NewItems
    from serendip.scorers.feeds import Feed

    bias = {} if adapter is None else {"bias": adapter.bias}
    if rank.features is None:
        return bias
    new = NewItems(rank, read, biased=adapter is not None)
    return {**bias, "item": new, "item_feeds": [Feed.feature(one) for one in rank.features.inputs]}


def renewed(known: Scorer, change: Change) -> Scorer | None:
    """The scorer of networks after a change: items that are new or changed get vectors from their features, if it reads
    any."""
    from serendip.scorers import MaxSimScorer, RankScorer, TowerScorer

    return retold(known, change) if isinstance(known, TowerScorer | MaxSimScorer | RankScorer) else None


def retold(known: Scorer, change: Change) -> Scorer:
    """The scorer after a change: it knows items that are new, or described otherwise, by what is said of them now.

    One that knows items by their ids alone cannot score new ones.
    """
    from serendip.scorers.described import Said, told
    from serendip.scorers.grown import grown

    after, before, n = change.after, change.before, known.n_items
    wide = grown(known, after.n_users, after.n_items)
    columns = [name for name in before.items.columns if name in after.items.columns]
    was, now = before.items.select(columns), after.items.select(columns)
    changed = np.ones(after.n_items, np.bool_)
    changed[:n] = (was[:n].hash_rows() != now[:n].hash_rows()).to_numpy() if was.schema == now.schema else True
    codes = np.flatnonzero(changed).astype(np.int32)
    if not len(codes):
        return wide
    found = told(known, Said(codes, after.items[codes.tolist()], before.items[codes.tolist()], before.features))
    return wide if found is None else grown(found, after.n_users, after.n_items)
