"""What rankers share: options, what a step learns from, its loss, and what answers.

A ranker reads the fields of a query (features of the user and the moment, and the mean of the vectors of what the user
did) and of an item (itself and its features), and may let any two interact. So it costs more than a product of two
vectors and is meant for the few hundred items that retrieval names.

It learns from what the events say, by the option ``label``: each event is a row, with the label it has; or, without a
label, each event with interest is a positive, and items drawn for the same query are negatives.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.sample import Negatives, Taken, shuffled
from serendip.models._examples import PerUser, Weight, drawn, weights_of
from serendip.models._items import IdDropout, item_inputs, renewed
from serendip.models._past import HISTORY, Earlier
from serendip.models._retrieval import features_of, query_inputs
from serendip.models._room import factors_fit
from serendip.neural import NeuralConfig, NeuralModel
from serendip.run import Run
from serendip.space import OneOf, Range, declare
from serendip.types import Floats, Input, Scorer, SerendipError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from serendip.data.schema import LabelKind
    from serendip.nn.ranker import Ranker

Codes = NDArray[np.int64]
MANY = 50_000
"""Items from which a step changes only the rows of those it has."""
COPIES = 4
"""Numbers held for each that is learned: itself, its gradient and two moments of Adam's."""


class RankingConfig(NeuralConfig, frozen=True):
    """Options that rankers share."""

    epochs: Annotated[int, msgspec.Meta(ge=1, description="How often training goes through the log, at most.")] = 20
    batch_size: Annotated[int, msgspec.Meta(ge=1, description="How many events a step learns from.")] = 256
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=10, description="Size of the optimiser's steps.")] = 0.005
    label: Annotated[
        str | None,
        msgspec.Meta(
            description="The label of the events that is learned; none: interest, against items drawn as negatives."
        ),
    ] = None
    negatives: Annotated[
        int, msgspec.Meta(ge=1, le=1000, description="Items drawn against each event, where there is no label.")
    ] = 4
    popularity: Annotated[
        float,
        msgspec.Meta(ge=0, le=1, description="Power of how often an item occurs by which it is drawn; 0: all alike."),
    ] = 0.0
    items_by: Annotated[
        Literal["auto", "ids", "features", "both"],
        msgspec.Meta(
            description="Fields of an item: itself, its features, both, or auto (both, as far as it has some)."
        ),
    ] = "auto"
    id_dropout: IdDropout = 0.0
    length: Annotated[
        int,
        msgspec.Meta(
            ge=0, le=65536, description="How many of the latest events are read as a field; 0: features alone."
        ),
    ] = 50
    reg: Annotated[
        float,
        msgspec.Meta(ge=0, description="λ: half of it times the squares of the vectors read is added to the loss."),
    ] = 0.0
    per_user: PerUser = None
    weight: Weight = "auto"


class VectorConfig(RankingConfig, frozen=True):
    """Options of rankers whose fields have vectors."""

    factors: Annotated[int, msgspec.Meta(ge=1, le=512, description="d: dimensions of each field's vector.")] = 16


class DeepConfig(VectorConfig, frozen=True):
    """Options of rankers that have layers over all fields."""

    hidden: Annotated[int, msgspec.Meta(ge=1, le=2048, description="Numbers of each hidden layer over the fields.")] = (
        128
    )
    layers: Annotated[int, msgspec.Meta(ge=1, le=16, description="Hidden layers.")] = 2
    dropout: Annotated[
        float, msgspec.Meta(ge=0, le=0.95, description="Share of hidden numbers left out in training.")
    ] = 0.0

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the hidden layers."""
        return (self.hidden,) * self.layers


@dataclass(frozen=True)
class Step:
    """Queries and items.

    Attributes:
        inputs: of the queries, by name, ``[b, …]``.
        items: ``[b, c]`` codes.
        labels: ``[b, c]``.
        kind: what the labels measure.
        weights: ``[b]`` how much each query counts; None: all alike.
    """

    inputs: Mapping[str, NDArray[Any]]
    items: Codes
    labels: Floats
    kind: LabelKind = "binary"
    weights: Floats | None = None

    def __len__(self) -> int:
        """How many queries."""
        return len(self.items)


WIDE: dict[str, Range | OneOf] = {
    "factors": Range(8, 64, log=True, whole=True),
    "learning_rate": Range(0.0003, 0.03, log=True),
    "reg": OneOf((0.0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)),
    "epochs": Range(3, 40, log=True, whole=True),
}
"""What a search tries of every ranker."""
DEEP: dict[str, Range | OneOf] = {**WIDE, "hidden": Range(32, 512, log=True, whole=True), "dropout": Range(0, 0.5)}
"""And of those that have layers."""


class RankingModel(NeuralModel):
    """Fields and what scores them."""

    config: RankingConfig
    space = declare(**WIDE)

    @abstractmethod
    def parts(self, fields: int) -> tuple[nn.Module, ...]:
        """What scores so many fields: each from ``[b, f, width]`` to ``[b]``; the score is their sum."""

    @abstractmethod
    def width(self, fields: int) -> int:
        """Of the vector that each of so many fields has."""

    def build(self, data: Dataset) -> Ranker:
        """Fields, and what the model makes of them."""
        import torch

        from serendip.nn.embed import Table
        from serendip.nn.fields import SIGMA, Fields, ItemFields
        from serendip.nn.ranker import Ranker

        o, asked, own = self.config, query_inputs(data), self._item_inputs(data)
        self._taught(data)
        if o.length == 0 and not asked:
            raise SerendipError(
                f"{self.name}: length = 0 leaves the features of users and moments alone. The data have none. "
                "Declare some in the recipe's [features] section, or let length be above 0."
            )
        ids, histories = o.items_by != "features", [HISTORY] if o.length else []
        fields = len(histories) + len(asked) + len(own) + ids
        d, rows = self.width(fields), o.optimiser == "adagrad" or data.n_items > MANY
        factors_fit(self.name, data.n_items, d, COPIES)
        values = data.features.items(data.items) if own and data.features is not None else None
        net = Ranker(
            ItemFields(data.n_items, d, ids=ids, inputs=own, values=values, id_dropout=o.id_dropout, sparse=rows),
            Fields(asked, d, sparse=rows) if asked else None,
            self.parts(fields),
            histories=histories,
            read=Table(data.n_items, d, sigma=SIGMA, sparse=rows) if histories and not ids else None,
        )
        with torch.no_grad():
            net.bias.fill_(self._begin(data))
        return net

    def batches(self, data: Dataset, rng: np.random.Generator) -> Iterator[Step]:
        """Every event that is learned from once, in random order; of a user as many as there may be."""
        o, events = self.config, data.events
        labels, kind = self._labels(data)
        taught, given = self._taught(data), features_of(data)
        past = Earlier.of(data) if o.length else None
        against = self._against(data, taught)
        weights = np.ones(len(events), np.float32)
        counting = weights_of(data, taught, o.weight)
        if counting is not None:
            weights[taught] = counting
        for rows in shuffled(drawn(taught, events.users, o.per_user, rng), o.batch_size, rng):
            inputs = {name: values[rows] for name, values in given.items()}
            if past is not None:
                inputs |= past.inputs(rows, o.length)
            items = events.items[rows].astype(np.int64)[:, None]
            if labels is None:
                items = np.concatenate([items, against(events.users[rows], rng)], axis=1)
            found = np.zeros(items.shape, np.float32)
            found[:, 0] = 1 if labels is None else labels[rows]
            yield Step(inputs, items, found, kind, None if counting is None else weights[rows])

    def _against(self, data: Dataset, taught: Codes) -> Callable[[NDArray[np.integer], np.random.Generator], Codes]:
        """What draws ``[b, negatives]`` items for users ``[b]`` that they did not take up."""
        o = self.config
        counts = np.bincount(data.events.items[taught], minlength=data.n_items)
        draws, taken = Negatives.of(counts, o.popularity), Taken.of(data.matrix())
        return lambda users, rng: draws.apart(rng, users, o.negatives, taken)

    def loss(self, net: Any, batch: Step) -> Mapping[str, Tensor]:
        """How far the scores are from the labels, and how large what was read is."""
        import torch

        device = net.bias.device

        def tensor(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(device)

        fields = net.together({name: tensor(values) for name, values in batch.inputs.items()}, tensor(batch.items))
        labels = tensor(batch.labels).flatten()
        weights = None if batch.weights is None else tensor(batch.weights.repeat(batch.items.shape[1]))
        found = {"error": error_of(batch.kind)(net(fields), labels, weights)}
        if self.config.reg:
            found["reg"] = 0.5 * self.config.reg * fields.square().sum() / len(labels)
        return found

    def lowered(self, net: Any, data: Dataset) -> Scorer:
        """Two networks, one of which reads what is known of a query, and the fields of the items."""
        import torch

        from serendip.nn.lower import lower_ranker
        from serendip.scorers.feeds import Feed

        o, inputs, own = self.config, query_inputs(data), self._item_inputs(data)
        feeds = [Feed.feature(one) for one in inputs]
        told = None
        if o.length:
            feeds.append(Feed(HISTORY, "history", o.length, vectors=True))
            told = net.read.all().cpu().numpy().copy()
            told[np.bincount(data.events.items[data.events.weight > 0], minlength=data.n_items) == 0] = np.nan
        items = net.items(torch.arange(data.n_items, device=net.bias.device)).flatten(1).cpu().numpy()
        if not own:
            items[np.bincount(data.events.items[self._taught(data)], minlength=data.n_items) == 0] = np.nan
        item_feeds = [Feed.feature(one) for one in own]
        return lower_ranker(net, feeds, items, told=told, alone=bool(inputs), item_feeds=item_feeds)

    def renew(self, known: Scorer, change: Change, run: Run) -> Scorer | None:
        """New events are read as they come, and new items get fields from their features; nothing is trained."""
        return renewed(known, change)

    def _item_inputs(self, data: Dataset) -> tuple[Input, ...]:
        """The features of items that are fields, by the option.

        Raises:
            SerendipError: they are asked for, and there are none.
        """
        by = self.config.items_by
        if by == "ids" or (by == "auto" and data.features is None):
            return ()
        found = () if data.features is None else tuple(one for one in data.features.inputs if one.side == "item")
        return found if by == "auto" else item_inputs(self.name, data)

    def _labels(self, data: Dataset) -> tuple[Floats | None, LabelKind]:
        """``[m]`` what is learned of each event, NaN where it does not say, and what it measures; None: interest.

        Raises:
            SerendipError: there is no such label.
        """
        label, known = self.config.label, data.events.labels
        if label is None:
            return None, "binary"
        if label not in known:
            names = ", ".join(known) or "none"
            raise SerendipError(
                f"{self.name}: label must be one of those that the events have ({names}). Got {label!r} instead. "
                "Leave it out to learn interest, or name the column in the recipe's data.labels."
            )
        return known[label], data.schema.labels.get(label, "rating")

    def _taught(self, data: Dataset) -> Codes:
        """The events that are learned from, rising.

        Raises:
            SerendipError: there is none.
        """
        labels, _ = self._labels(data)
        found = np.flatnonzero(data.events.weight > 0 if labels is None else ~np.isnan(labels))
        if not len(found):
            what = "an event with interest" if labels is None else f"an event with the label {self.config.label!r}"
            raise SerendipError(f"{self.name} needs {what}. The data have none. Try a longer log.")
        return found

    def _begin(self, data: Dataset) -> float:
        """The score that everything has to begin with: that of the mean label."""
        labels, kind = self._labels(data)
        mean = 1 / (1 + self.config.negatives) if labels is None else float(np.nanmean(labels))
        if kind == "binary":
            mean = min(max(mean, 1e-6), 1 - 1e-6)
            return float(np.log(mean / (1 - mean)))
        return float(np.log(max(mean, 1e-6))) if kind == "count" else mean


def error_of(kind: LabelKind) -> Any:
    """The loss of labels of this kind: of scores, labels and weights ``[m]``."""
    from serendip.nn.losses import binary_cross_entropy, log_duration_error, poisson, squared_error

    return {"binary": binary_cross_entropy, "rating": squared_error, "count": poisson, "duration": log_duration_error}[
        kind
    ]
