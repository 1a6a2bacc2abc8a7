"""Two towers: ``score = f(user, moment, history) · g(item)``; f may be several vectors, of which the nearest counts.

``f = tower( [ features of the user and the moment, mean of the last events' vectors ] )``,  ``g = E_i + W x_i + b``

A step learns from events drawn at random, each with what was known before it, by a softmax over the items of the batch:
``log Σ_j exp( f·g_j / τ − log Q_j ) − ( f·g⁺ / τ − log Q⁺ )``, with Q_j how often item j is among the candidates. They
may be joined by items drawn uniformly. The same item as a row's own is no negative of it.

Source: X. Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations", RecSys 2019;
items drawn beside those of the batch: J. Yang et al., "Mixed negative sampling for learning two-tower neural networks
in recommendations", WWW 2020; several vectors: C. Li et al., "Multi-interest network with dynamic routing for
recommendation at Tmall", CIKM 2019.

Deviation: a user is known by features and history, not by an id of their own, so that the answer follows new events.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.sample import shuffled
from serendip.models._items import IdDropout, ItemsBy, catalogue, later, renewed, vectors
from serendip.neural import NeuralConfig, NeuralModel
from serendip.run import Run
from serendip.space import Range, declare
from serendip.types import ABSENT, Input, Scorer, SerendipError

if TYPE_CHECKING:
    from torch import Tensor, nn

Codes = NDArray[np.int64]
HISTORY = "history"


class Options(NeuralConfig, frozen=True):
    """Options of `TwoTower`."""

    epochs: Annotated[int, msgspec.Meta(ge=1, description="How often training goes through the log, at most.")] = 20
    batch_size: Annotated[int, msgspec.Meta(ge=1, description="How many events a step learns from.")] = 1024
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=10, description="Size of Adam's steps.")] = 0.003
    factors: Annotated[int, msgspec.Meta(ge=1, le=4096, description="d: dimensions of the vectors.")] = 64
    length: Annotated[
        int, msgspec.Meta(ge=0, le=65536, description="How many of the latest events are read; 0: features alone.")
    ] = 50
    history: Annotated[
        Literal["earlier", "others"],
        msgspec.Meta(
            description="What is read of a user to learn from an event: those before it, or all others, for logs whose "
            "order says nothing."
        ),
    ] = "earlier"
    tied: Annotated[bool, msgspec.Meta(description="Whether items are read and ranked by the same vectors.")] = True
    hidden: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="Numbers of each hidden layer of the query's tower; none: no hidden layer."),
    ] = 128
    layers: Annotated[int, msgspec.Meta(ge=1, le=16, description="Hidden layers, where there are any.")] = 1
    heads: Annotated[int, msgspec.Meta(ge=1, le=64, description="Vectors of a query; the nearest counts.")] = 1
    dropout: Annotated[
        float, msgspec.Meta(ge=0, le=0.95, description="Share of hidden numbers left out in training.")
    ] = 0.0
    normalise: Annotated[bool, msgspec.Meta(description="Whether vectors are scaled to length 1.")] = False
    temperature: Annotated[float, msgspec.Meta(ge=0.01, le=10, description="τ: by which products are divided.")] = 1.0
    negatives: Annotated[
        int, msgspec.Meta(ge=0, description="Items drawn uniformly beside those of the batch, for all its rows.")
    ] = 0
    hard_negatives: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="How many negatives of a row count, the highest of them; none: all."),
    ] = None
    corrected: Annotated[
        bool, msgspec.Meta(description="Whether how often an item is a candidate is made up for (logQ).")
    ] = True
    items_by: ItemsBy = "ids"
    id_dropout: IdDropout = 0.0


@dataclass(frozen=True)
class Step:
    """Events and what was known before them.

    Attributes:
        inputs: of the query tower, by name, ``[b, …]``.
        candidates: ``[c]`` items of the events and items drawn, rising, each once.
        positives: ``[b]`` the place of each event's item among them.
        log_q: ``[c]`` the logarithm of how probable it is that an item is among them.
    """

    inputs: Mapping[str, NDArray[Any]]
    candidates: Codes
    positives: Codes
    log_q: NDArray[np.float32]

    def __len__(self) -> int:
        """How many events."""
        return len(self.positives)


class TwoTower(NeuralModel):
    """A tower for queries and one for items."""

    Config = Options
    config: Options
    summary = "A tower of who asks, when and after what, and one of items: the work horse of retrieval. Needs PyTorch."
    source = "Yi et al., RecSys 2019"
    space = declare(
        factors=Range(16, 256, log=True, whole=True),
        hidden=Range(32, 512, log=True, whole=True),
        length=Range(5, 200, log=True, whole=True),
        learning_rate=Range(0.0003, 0.03, log=True),
        epochs=Range(5, 100, log=True, whole=True),
    )

    def build(self, data: Dataset) -> nn.Module:
        """Both towers."""
        from serendip.nn.query import QueryTower

        o, inputs = self.config, query_inputs(data)
        if o.length == 0 and not inputs:
            raise SerendipError(
                "two_tower: length = 0 leaves the features of users and moments alone. The data have none. "
                "Declare some in the recipe's [features] section, or let length be above 0."
            )
        items = partial(catalogue, self.name, data, o.factors, o.items_by, o.id_dropout, sampled=True)
        return QueryTower(
            items(normalise=o.normalise),
            inputs,
            () if o.hidden is None else (o.hidden,) * o.layers,
            read=None if o.tied or o.length == 0 else items(),
            history=o.length > 0,
            dropout=o.dropout,
            heads=o.heads,
            normalise=o.normalise,
            name=HISTORY,
        )

    def batches(self, data: Dataset, rng: np.random.Generator) -> Iterator[Step]:
        """Every event with interest once, in random order."""
        o, items = self.config, data.events.items.astype(np.int64)
        liked = np.flatnonzero(data.events.weight > 0)
        counts = np.bincount(items[liked], minlength=data.n_items)
        known, given = np.flatnonzero(counts), features_of(data)
        past = Earlier.of(data) if o.history == "earlier" else Others.of(data)
        for rows in shuffled(liked, o.batch_size, rng):
            inputs = {name: values[rows] for name, values in given.items()}
            if o.length:
                inputs |= past.inputs(rows, o.length)
            drawn = known[rng.integers(0, len(known), o.negatives)]
            candidates, places = np.unique(np.concatenate([items[rows], drawn]), return_inverse=True)
            expected = len(rows) * counts[candidates] / len(liked) + o.negatives / len(known)
            log_q = np.log(-np.expm1(-expected)).astype(np.float32)
            yield Step(inputs, candidates, places[: len(rows)], log_q)

    def loss(self, net: Any, batch: Step) -> Mapping[str, Tensor]:
        """The softmax over the candidates of the step."""
        import torch

        from serendip.nn.losses import retrieval_softmax

        o, device = self.config, next(net.parameters()).device

        def tensor(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(device)

        found = retrieval_softmax(
            net({name: tensor(values) for name, values in batch.inputs.items()}),
            net.rank(tensor(batch.candidates)),
            positives=tensor(batch.positives),
            temperature=o.temperature,
            log_q=tensor(batch.log_q) if o.corrected else None,
            hard_negatives=o.hard_negatives,
        )
        return {"softmax": found}

    def lowered(self, net: Any, data: Dataset) -> Scorer:
        """The query tower as a network, the items' vectors, and what gives one to new items if features are read."""
        from serendip.nn.lower import lower_towers
        from serendip.scorers.feeds import Feed

        o, inputs = self.config, query_inputs(data)
        feeds = [Feed.feature(one) for one in inputs]
        if o.length:
            feeds.append(Feed(HISTORY, "history", o.length, vectors=True))
        told = None if net.own is None else vectors(net.own, data)
        return lower_towers(
            net,
            feeds,
            vectors(net.rank, data),
            told=told,
            tied=o.length > 0 and told is None,
            alone=bool(inputs),
            **later(net.rank, net.own),
        )

    def renew(self, known: Scorer, change: Change, run: Run) -> Scorer | None:
        """New events are read as they come, and new items get vectors from their features; nothing is trained."""
        return renewed(known, change)


def query_inputs(data: Dataset) -> tuple[Input, ...]:
    """The features of users and moments that the data have."""
    return () if data.features is None else tuple(one for one in data.features.inputs if one.side != "item")


def features_of(data: Dataset) -> dict[str, NDArray[Any]]:
    """The features of the user and the moment of every event, ``[m, …]`` by name."""
    if data.features is None:
        return {}
    by_user = data.features.users(data.users)
    own = {name: values[data.events.users] for name, values in by_user.items()}
    return {**own, **data.features.examples(data)}


@dataclass(frozen=True)
class Earlier:
    """The events with interest of a log, to be asked what came before others.

    Attributes:
        items: ``[l]`` their codes, user by user.
        ahead: ``[m]`` for each event of the log, how many of them come before it.
        begins: ``[m]`` how many come before the first of its user.
    """

    items: Codes
    ahead: Codes
    begins: Codes

    @classmethod
    def of(cls, data: Dataset) -> Earlier:
        """Of all events of a log."""
        events = data.events
        liked = events.weight > 0
        ahead: Codes = np.cumsum(liked) - liked
        return cls(events.items[liked].astype(np.int64), ahead, ahead[events.indptr[events.users]])

    def inputs(self, rows: NDArray[np.integer[Any]], length: int) -> dict[str, Codes]:
        """Of the query tower."""
        return {HISTORY: self.last(rows, length)}

    def last(self, rows: NDArray[np.integer[Any]], length: int) -> Codes:
        """``[b, length]`` the items with interest before each of these events, the latest on the right."""
        places = self.ahead[rows][:, None] + np.arange(-length, 0)
        found = places >= self.begins[rows][:, None]
        return np.where(found, self.items[np.maximum(places, 0)], ABSENT)


@dataclass(frozen=True)
class Others:
    """The events with interest of a log, to be asked for all of a user's but one.

    Attributes:
        items: ``[l]`` their codes, user by user.
        place: ``[m]`` for each event of the log with interest, where it is among them.
        begins, ends: ``[m]`` where those of its user begin and end.
        n: how many items there are.
    """

    items: Codes
    place: Codes
    begins: Codes
    ends: Codes
    n: int

    @classmethod
    def of(cls, data: Dataset) -> Others:
        """Of all events of a log."""
        events = data.events
        liked = events.weight > 0
        place: Codes = np.cumsum(liked) - liked
        bounds = np.append(place, liked.sum())[events.indptr]
        begins, ends = bounds[:-1][events.users], bounds[1:][events.users]
        return cls(events.items[liked].astype(np.int64), place, begins, ends, data.n_items)

    def inputs(self, rows: NDArray[np.integer[Any]], length: int) -> dict[str, Codes]:
        """Of the query tower, as bags: the codes in them, each once; their places; where each row's begin."""
        from serendip.nn.query import BEGINS, PLACES

        codes, begins = self.bags(rows, length)
        met = np.zeros(self.n, np.bool_)
        met[codes] = True
        return {HISTORY: np.flatnonzero(met), HISTORY + PLACES: (np.cumsum(met) - 1)[codes], HISTORY + BEGINS: begins}

    def bags(self, rows: NDArray[np.integer[Any]], length: int) -> tuple[Codes, Codes]:
        """The last ``length`` items beside each of these events, one bag after the other, and where each begins."""
        place, last = self.place[rows], self.ends[rows]
        first = np.maximum(self.begins[rows], last - length - (place >= last - length))
        inside = place >= first
        sizes = last - first - inside
        starts = np.cumsum(sizes) - sizes
        found = np.repeat(first - starts, sizes) + np.arange(sizes.sum())
        found += np.repeat(inside, sizes) & (found >= np.repeat(place, sizes))
        return self.items[found], starts
