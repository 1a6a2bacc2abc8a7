"""What the models of retrieval share: options, what a step learns from, its loss, and what answers.

``score = f(user, moment, history, bags) · g(item)``: f reads features, and means of the vectors of what the user did. A
step learns from events drawn at random, each with what was known before it, by a softmax over the items of the step.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.events import bag_of
from serendip.data.sample import shuffled
from serendip.models._asked import features_of, query_inputs
from serendip.models._examples import Foretell, PerUser, Weight, chances, drawn, foretold, weights_of
from serendip.models._items import (
    MANY,
    SIGMA,
    Adapted,
    IdDropout,
    ItemsBy,
    adapter,
    catalogue,
    later,
    renewed,
    told,
    vectors,
)
from serendip.models._past import HISTORY, Earlier, Others
from serendip.neural import NeuralConfig, NeuralModel
from serendip.run import Run
from serendip.space import Range, declare
from serendip.types import Floats, Scorer, SerendipError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from serendip.nn.query import QueryTower
    from serendip.nn.several import Optimiser

_DENSE = 64
"""Items of the catalogue for each of a step, up to which to look at all takes less than to sort those of the step."""

Codes = NDArray[np.int64]
Arrays = dict[str, NDArray[Any]]

Tied = Annotated[bool, msgspec.Meta(description="Whether items are read and ranked by the same vectors.")]
Hidden = Annotated[
    Annotated[int, msgspec.Meta(ge=1)] | None,
    msgspec.Meta(description="Numbers of the first hidden layer of the query's tower; none: no hidden layer."),
]
Layers = Annotated[int, msgspec.Meta(ge=1, le=16, description="Hidden layers, where there are any.")]
Negatives = Annotated[
    int, msgspec.Meta(ge=0, description="Items drawn uniformly beside those of the batch, for all its rows.")
]


class RetrievalConfig(NeuralConfig, frozen=True):
    """Options that the models of retrieval share."""

    epochs: Annotated[int, msgspec.Meta(ge=1, description="How often training goes through the log, at most.")] = 20
    batch_size: Annotated[int, msgspec.Meta(ge=1, description="How many events a step learns from.")] = 1024
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=10, description="Size of the optimiser's steps.")] = 0.003
    initial_accumulator_value: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            description="What Adagrad's sums of squares begin with in the rows of tables, for gradients of one event: "
            "above 0, the first steps are not the longest.",
        ),
    ] = 0.1
    initializer_range: Annotated[
        Annotated[float, msgspec.Meta(gt=0)] | None,
        msgspec.Meta(
            description="Deviation of the vectors of ids and of features' values to begin with; none: 0.02, and of "
            "values that layers read one over the root of their dimensions."
        ),
    ] = None
    reg: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            description="λ: half of it times the squared lengths of a step's vectors is added to the loss, for each of "
            "its events and each item beside them.",
        ),
    ] = 0.0
    factors: Annotated[int, msgspec.Meta(ge=1, le=4096, description="d: dimensions of the vectors.")] = 64
    length: Annotated[
        int,
        msgspec.Meta(
            ge=0, le=65536, description="How many of the latest events are read, of each bag too; 0: features alone."
        ),
    ] = 50
    bags: Annotated[
        bool,
        msgspec.Meta(
            description="Whether events of kinds that are not the target are read, the latest of each kind as a bag."
        ),
    ] = True
    tied: Tied = True
    hidden: Hidden = 128
    layers: Layers = 1
    projected: Annotated[
        bool,
        msgspec.Meta(
            description="Whether a linear map comes last. Without it, what is read or the last hidden layer is the "
            "query's vector, and must be as wide as factors times heads."
        ),
    ] = True
    heads: Annotated[int, msgspec.Meta(ge=1, le=64, description="Vectors of a query; the nearest counts.")] = 1
    dropout: Annotated[
        float, msgspec.Meta(ge=0, le=0.95, description="Share of hidden numbers left out in training.")
    ] = 0.0
    normalise: Annotated[bool, msgspec.Meta(description="Whether vectors are scaled to length 1.")] = False
    temperature: Annotated[float, msgspec.Meta(ge=0.01, le=10, description="τ: by which products are divided.")] = 1.0
    negatives: Negatives = 0
    hard_negatives: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="How many negatives of a row count, the highest of them; none: all."),
    ] = None
    corrected: Annotated[
        bool, msgspec.Meta(description="Whether how often an item is a candidate is made up for (logQ).")
    ] = True
    per_user: PerUser = None
    weight: Weight = "auto"
    items_by: ItemsBy = "ids"
    id_dropout: IdDropout = 0.0
    foretell: Foretell = "all"
    adapter: Adapted = False


@dataclass(frozen=True)
class Step:
    """Events and what was known before them.

    Attributes:
        inputs: of the query tower, by name, ``[b, …]``.
        candidates: ``[c]`` items of the events and items drawn, rising, each once.
        positives: ``[b]`` the place of each event's item among them.
        log_q: ``[c]`` the logarithm of how probable it is that an item is among them.
        weights: ``[b]`` how much each event counts; None: all alike.
        rows: ``[b]`` which events they are.
    """

    inputs: Mapping[str, NDArray[Any]]
    candidates: Codes
    positives: Codes
    log_q: Floats
    weights: Floats | None
    rows: Codes

    def __len__(self) -> int:
        """How many events."""
        return len(self.positives)


class Candidates:
    """Items of a step, among which its events' own are to be found."""

    def __init__(self, shares: NDArray[np.float64], known: Codes, negatives: int) -> None:
        """Those of the step's events, and so many drawn uniformly from ``known``.

        Args:
            shares: ``[n]`` how probable it is that an event is of an item.
            known: the items that are drawn.
            negatives: how many are drawn.
        """
        self.shares, self.known, self.negatives = shares, known, negatives
        self._place: Codes = np.zeros(len(shares), np.int64)

    def among(self, items: Codes, rng: np.random.Generator) -> tuple[Codes, Codes, Floats]:
        """The ``candidates, positives, log_q`` of a `Step` whose events are of these items."""
        more = self.known[rng.integers(0, len(self.known), self.negatives)] if self.negatives else self.known[:0]
        chosen = _each_once(np.concatenate([items, more]), len(self.shares))
        self._place[chosen] = np.arange(len(chosen))
        expected = len(items) * self.shares[chosen] + self.negatives / len(self.known)
        return chosen, self._place[items], np.log(-np.expm1(-expected)).astype(np.float32)


def _each_once(codes: Codes, n: int) -> Codes:
    """Which codes there are, rising; each is below n."""
    if n > _DENSE * len(codes):
        return np.unique(codes)
    there = np.zeros(n, np.bool_)
    there[codes] = True
    return np.flatnonzero(there)


@dataclass(frozen=True)
class Learned:
    """An input that tells training what nobody asks with.

    Attributes:
        values: ``[m, w]`` of each event.
        asked: ``[w]`` what stands for it whenever somebody asks.
    """

    values: Floats
    asked: Floats


class RetrievalModel(NeuralModel):
    """A tower for queries and one for items."""

    config: RetrievalConfig
    space = declare(
        factors=Range(16, 256, log=True, whole=True),
        hidden=Range(32, 512, log=True, whole=True),
        length=Range(5, 200, log=True, whole=True),
        learning_rate=Range(0.0003, 0.03, log=True),
        epochs=Range(5, 100, log=True, whole=True),
    )

    @abstractmethod
    def widths(self) -> tuple[int, ...]:
        """Of the hidden layers."""

    def past(self, data: Dataset) -> Earlier | Others:
        """What is read of a user's history to learn from an event."""
        return Earlier.of(data)

    def only_learned(self, data: Dataset) -> dict[str, Learned]:
        """Inputs that only training has, by name."""
        return {}

    def kinds(self, data: Dataset) -> dict[str, int]:
        """The kinds of events that are read beside the history, and their codes."""
        kinds = data.schema.kinds
        read = self.config.bags and self.config.length > 0 and kinds is not None and data.events.kind is not None
        return kinds.others if kinds is not None and read else {}

    def build(self, data: Dataset) -> nn.Module:
        """Both towers."""
        import torch

        from serendip.nn.query import QueryTower

        o, inputs = self.config, query_inputs(data)
        if o.length == 0 and not inputs:
            raise SerendipError(
                f"{self.name}: length = 0 leaves the features of users and moments alone. The data have none. "
                "Declare some in the recipe's [features] section, or let length be above 0."
            )
        rows = o.optimiser == "adagrad"
        items = partial(catalogue, self.name, data, o.factors, o.items_by, o.id_dropout, sampled=True, rows=rows)
        rank = items(normalise=o.normalise)
        net = QueryTower(
            rank,
            inputs,
            self.widths(),
            read=None if o.tied or o.length == 0 else items(),
            histories=[*([HISTORY] if o.length else []), *map(bag_of, self.kinds(data))],
            asked={name: torch.from_numpy(one.asked) for name, one in self.only_learned(data).items()},
            dropout=o.dropout,
            heads=o.heads,
            normalise=o.normalise,
            adapter=adapter(o.adapter, rank, normalise=o.normalise),
            projected=o.projected,
            sparse=rows or any((one.size or 0) > MANY for one in inputs),
        )
        self._draw(net)
        return net

    def _draw(self, net: QueryTower) -> None:
        """Let the vectors of tables begin as the option says; without it, small if they are compared as they are."""
        from serendip.nn.embed import Table

        o, sigma = self.config, self.config.initializer_range
        parts = net.modules()
        if sigma is None and net.features is not None and not (o.projected or self.widths() or o.normalise):
            sigma, parts = SIGMA, net.features.modules()
        for table in parts:
            if sigma is not None and isinstance(table, Table):
                table.start(sigma)

    def optimiser(self, net: nn.Module) -> Optimiser:
        """As the options say. Gradients are those of a mean over a step's events: of one they are so much smaller."""
        o, made = self.config, super().optimiser(net)
        for group in made.param_groups:
            if "initial" in group:
                group["initial"] = o.initial_accumulator_value / o.batch_size**2
        return made

    def taught(self, data: Dataset) -> Codes:
        """The events that are learned from, rising."""
        return np.flatnonzero(foretold(data, self.config.foretell))

    def batches(self, data: Dataset, rng: np.random.Generator) -> Iterator[Step]:
        """Every event that is learned to be foretold once, in random order; of a user as many as there may be."""
        o, events = self.config, data.events
        items, taught = events.items.astype(np.int64), self.taught(data)
        chance = chances(events.users[taught], o.per_user)
        shares = np.bincount(items[taught], chance, minlength=data.n_items) / max(chance.sum(), 1e-300)
        known = np.flatnonzero(np.bincount(items[events.weight > 0], minlength=data.n_items))
        candidates, weights = Candidates(shares, known, o.negatives), np.empty(len(events), np.float32)
        given = {**features_of(data), **{name: one.values for name, one in self.only_learned(data).items()}}
        past = [self.past(data), *(Earlier.of(data, code) for code in self.kinds(data).values())] if o.length else []
        counting = weights_of(data, taught, o.weight)
        if counting is not None:
            weights[taught] = counting
        for rows in shuffled(drawn(taught, events.users, o.per_user, rng), o.batch_size, rng):
            inputs: Arrays = {name: values[rows] for name, values in given.items()}
            for one in past:
                inputs |= one.inputs(rows, o.length)
            counted = None if counting is None else weights[rows]
            yield Step(inputs, *candidates.among(items[rows], rng), counted, rows)

    def loss(self, net: Any, batch: Step) -> Mapping[str, Tensor]:
        """The softmax over the candidates of the step, and what holds its vectors towards 0."""
        from serendip.nn.pair import pair, pair_softmax

        o = self.config
        tables = pair(net) if o.hard_negatives is None else None
        if tables is None:
            return {"softmax": self.softmax(net, batch, *self.compared(net, batch))}
        log_q = batch.log_q if o.corrected else None
        how: dict[str, Any] = {"temperature": o.temperature, "log_q": log_q, "weights": batch.weights, "reg": o.reg}
        return {"softmax": pair_softmax(tables, batch.inputs, batch.candidates, batch.positives, **how)}

    def compared(self, net: Any, batch: Step) -> tuple[Tensor, Tensor]:
        """The vectors of a step's queries, ``[b, d]`` or ``[b, heads, d]``, and of its candidates, ``[c, d]``."""
        import torch

        device = next(net.parameters()).device
        inputs = {name: torch.from_numpy(values).to(device) for name, values in batch.inputs.items()}
        return net(inputs), net.rank(torch.from_numpy(batch.candidates).to(device))

    def softmax(self, net: Any, batch: Step, asking: Tensor, items: Tensor) -> Tensor:
        """The softmax over the candidates, and what holds the vectors towards 0."""
        import torch

        from serendip.nn.adapter import items as ranked
        from serendip.nn.adapter import queries
        from serendip.nn.losses import retrieval_softmax
        from serendip.nn.pair import held

        o = self.config

        def tensor(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(items.device)

        found = retrieval_softmax(
            queries(net.adapter, asking),
            ranked(net.adapter, items, tensor(batch.candidates)),
            positives=tensor(batch.positives),
            temperature=o.temperature,
            log_q=tensor(batch.log_q) if o.corrected else None,
            hard_negatives=o.hard_negatives,
            weights=None if batch.weights is None else tensor(batch.weights),
        )
        return found + held(asking, items, o.reg) if o.reg else found

    def lowered(self, net: Any, data: Dataset) -> Scorer:
        """The query tower as a network, the items' vectors, and what gives one to new items if features are read."""
        from serendip.nn.lower import lower_towers

        return lower_towers(net, **self.answering(net, data))

    def answering(self, net: Any, data: Dataset) -> dict[str, Any]:
        """What `serendip.nn.lower.lower_towers` is given beside the query tower."""
        from serendip.scorers.feeds import Feed

        o, inputs, kinds = self.config, query_inputs(data), self.kinds(data)
        feeds = [Feed.feature(one) for one in inputs]
        if o.length:
            feeds.append(Feed(HISTORY, "history", o.length, vectors=True))
            feeds += [Feed(bag_of(name), "bag", o.length, vectors=True) for name in kinds]
        read = told(net.rank, net.own, data, tuple(kinds.values()))
        return {
            "feeds": feeds,
            "items": vectors(net.rank, data),
            "told": read,
            "tied": o.length > 0 and read is None,
            "alone": bool(inputs or kinds),
            **later(net.rank, net.own, net.adapter),
        }

    def renew(self, known: Scorer, change: Change, run: Run) -> Scorer | None:
        """New events are read as they come, and new items get vectors from their features; nothing is trained."""
        return renewed(known, change)
