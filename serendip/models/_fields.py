"""What models of fields share: options, what a step learns from, and what answers.

They read the fields of a query (features of the user and the moment, and the mean of the vectors of what the user did)
and of an item (itself and its features), and may let any two interact. So they cost more than a product of two vectors
and are meant for the few hundred items that retrieval names.
"""

from __future__ import annotations

import difflib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.events import bag_of
from serendip.data.examples import are_examples
from serendip.data.impressions import Passed
from serendip.data.sample import Negatives, Taken, hard, shuffled
from serendip.data.streamed import Streamed
from serendip.models._asked import features_of, query_inputs
from serendip.models._debias import DebiasConfig, against_bias
from serendip.models._examples import PerUser, Weight, drawn, weights_of
from serendip.models._items import IdDropout, item_inputs, renewed
from serendip.models._lists import Lists
from serendip.models._past import HISTORY, Earlier
from serendip.models._room import factors_fit
from serendip.neural import NeuralModel
from serendip.run import Run, Shown
from serendip.space import OneOf, Range, declare
from serendip.types import ABSENT, SOURCE, Floats, Input, Scorer, SerendipError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from serendip.data.schema import LabelKind
    from serendip.nn.ranker import Ranker
    from serendip.scorers.ranked import RankScorer

Codes = NDArray[np.int64]
MANY = 50_000
"""Items from which a step changes only the rows of those it has."""
COPIES = 4
"""Numbers held for each that is learned: itself, its gradient and two moments of Adam's."""
INTEREST = "interest"
"""What is learned of events that no label is read of."""
SURE = 1e-6
"""How near to 0 or 1 a probability may be to begin with."""

Factors = Annotated[int, msgspec.Meta(ge=1, le=512, description="d: dimensions of each field's vector.")]
Hidden = Annotated[int, msgspec.Meta(ge=1, le=2048, description="Numbers of each hidden layer over the fields.")]
Layers = Annotated[int, msgspec.Meta(ge=1, le=8, description="Hidden layers.")]
Dropout = Annotated[float, msgspec.Meta(ge=0, le=0.95, description="Share of hidden numbers left out in training.")]
Drawn = Annotated[
    int, msgspec.Meta(ge=1, le=1000, description="Items drawn against each event, where there is no label.")
]
Popularity = Annotated[
    float, msgspec.Meta(ge=0, le=1, description="Power of how often an item occurs by which it is drawn; 0: all alike.")
]


class FieldsConfig(DebiasConfig, frozen=True):
    """Options that models of fields share."""

    epochs: Annotated[int, msgspec.Meta(ge=1, description="How often training goes through the log, at most.")] = 20
    batch_size: Annotated[int, msgspec.Meta(ge=1, description="How many events a step learns from.")] = 256
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=10, description="Size of the optimiser's steps.")] = 0.005
    negatives: Drawn = 4
    popularity: Popularity = 0.0
    hard: Annotated[
        float,
        msgspec.Meta(
            ge=0, le=1, description="Share of the negatives taken from what retrieval would show, where that is known."
        ),
    ] = 0.5
    retrieved: Annotated[
        bool | None,
        msgspec.Meta(
            description="Whether the score with which retrieval names an item, and what named it, are fields, where a "
            "ranker stands behind it; none: where interest is learned. Rows asked about one by one do not have them."
        ),
    ] = None
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
    table_reg: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            description="λ: half of it times the squares of all vectors of ids and of features' values is added to the "
            "loss of every step, so that what is rarely read falls back towards 0.",
        ),
    ] = 0.0
    per_user: PerUser = None
    weight: Weight = "auto"


@dataclass(frozen=True)
class Taught:
    """What events say.

    Attributes:
        rows: the events that are learned from, rising.
        labels: ``[m, t]`` of all events; NaN where an event does not say.
        tasks: ``[t]`` what the labels measure, by name.
        drawn: ``[t]`` the labels of items that are drawn against an event; None: none are drawn.
        weighed: whether the labels are the weights of the events, which then do not count for as much besides.
    """

    rows: Codes
    labels: Floats
    tasks: Mapping[str, LabelKind]
    drawn: tuple[float, ...] | None = None
    weighed: bool = False

    @property
    def taken_up(self) -> Codes:
        """Of the events, those of which some task says more than of an item that is drawn: what is no negative."""
        assert self.drawn is not None
        against = np.array(self.drawn, np.float32)
        return self.rows[(self.labels[self.rows] > against).any(axis=1)]

    def means(self, negatives: int) -> NDArray[np.float64]:
        """``[t]`` of all that is learned, with so many items drawn against each event; 0 where nothing is known."""
        known = self.labels[self.rows].astype(np.float64)
        total, count = np.nansum(known, axis=0), (~np.isnan(known)).sum(axis=0).astype(np.float64)
        if self.drawn is not None:
            against = np.array(self.drawn)
            total = total + np.nan_to_num(against) * negatives * len(self.rows)
            count = count + ~np.isnan(against) * negatives * len(self.rows)
        return np.asarray(total / np.maximum(count, 1), np.float64)


@dataclass(frozen=True)
class Step:
    """Queries and items.

    Attributes:
        inputs: of the queries, by name, ``[b, …]``.
        items: ``[b, c]`` codes.
        labels: ``[b, c, t]``, NaN where they are not known.
        tasks: ``[t]`` what the labels measure, by name.
        weights: ``[b]`` how much each query counts; None: all alike.
        pairs: of the queries and items together, by name, ``[b, c, …]``.
        lists: which of the ``b·c`` items are compared with each other; None: each is learned by itself.
    """

    inputs: Mapping[str, NDArray[Any]]
    items: Codes
    labels: Floats
    tasks: Mapping[str, LabelKind]
    weights: Floats | None = None
    lists: Lists | None = None
    pairs: Mapping[str, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many queries."""
        return len(self.items)


@dataclass(frozen=True)
class Layout:
    """Which fields there are, in their order; None for what has a vector of its own: a history, or the item itself.

    Attributes:
        query: of who asks, and when; and of that and the item together.
        item: of what may be named.
    """

    query: tuple[Input | None, ...]
    item: tuple[Input | None, ...]

    def __len__(self) -> int:
        """How many fields."""
        return len(self.query) + len(self.item)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Which of them are numbers."""
        return tuple(at for at, one in enumerate((*self.query, *self.item)) if one is not None and one.size is None)


WIDE: dict[str, Range | OneOf] = {
    "factors": Range(8, 64, log=True, whole=True),
    "learning_rate": Range(0.0003, 0.03, log=True),
    "reg": OneOf((0.0, 1e-5, 1e-4, 1e-3, 1e-2, 0.1)),
    "epochs": Range(3, 40, log=True, whole=True),
}
"""What a search tries of every model of fields."""
DEEP: dict[str, Range | OneOf] = {**WIDE, "hidden": Range(32, 512, log=True, whole=True), "dropout": Range(0, 0.5)}
"""And of those that have layers."""


class FieldsModel(NeuralModel):
    """Fields and what is made of them."""

    config: FieldsConfig
    _given: dict[str, NDArray[Any]] | None = None
    """While it learns: the features of the events, which are the same in every epoch."""
    _shown: Shown | None = None
    """While it learns: what retrieval would have shown before each event."""
    streams: ClassVar[bool] = True
    apart: ClassVar[bool] = False
    """Whether events of a history are read one by one, before the fields, in place of a field that is their mean."""
    space = declare(**WIDE)

    @abstractmethod
    def network(self, fields: Layout, taught: Taught) -> tuple[nn.Module, ...]:
        """What is made of the fields: each from ``[b, f, width]`` to what comes out, which is the sum of all."""

    @abstractmethod
    def width(self, fields: int) -> int:
        """Of the vector that each of so many fields has."""

    @abstractmethod
    def taught(self, data: Dataset) -> Taught:
        """What is learned from.

        Raises:
            SerendipError: there is nothing.
        """

    @abstractmethod
    def errors(
        self, net: Any, scores: Tensor, labels: Tensor, tasks: Mapping[str, LabelKind], weights: Tensor | None
    ) -> dict[str, Tensor]:
        """The parts of the loss, by name, from scores of ``m`` rows, labels ``[m, t]`` and weights ``[m]``."""

    @abstractmethod
    def begin(self, taught: Taught) -> Floats:
        """The score that everything has to begin with, of the shape of what comes out for one row."""

    @abstractmethod
    def scorer(self, net: Any, data: Dataset, **parts: Any) -> RankScorer:
        """What answers, from what `serendip.nn.lower.lower_ranker` is given."""

    def build(self, data: Dataset) -> Ranker:
        """Fields, and what the model makes of them."""
        import torch

        from serendip.nn.embed import Table
        from serendip.nn.fields import SIGMA, Fields, ItemFields
        from serendip.nn.ranker import Ranker

        o, asked, own = self.config, query_inputs(data), self._item_inputs(data)
        taught = self.taught(data)
        require_interest(self.name, data, taught)
        if not isinstance(data, Streamed):
            require_positives(self.name, taught)
        if o.length == 0 and not asked:
            raise SerendipError(
                f"{self.name}: length = 0 leaves the features of users and moments alone. The data have none. "
                "Declare some in the recipe's [features] section, or let length be above 0."
            )
        ids, histories = o.items_by != "features", [HISTORY] if o.length else []
        means, both = 0 if self.apart else len(histories), (*self._retrieved(taught), *passed_by(data))
        layout = Layout((*(None,) * means, *asked, *both), (*(None,) * ids, *own))
        d, rows = self.width(len(layout)), o.optimiser == "adagrad" or data.n_items > MANY
        factors_fit(self.name, data.n_items, d, COPIES)
        if rows and o.table_reg:
            raise SerendipError(
                f"{self.name}: table_reg holds all vectors at every step, which needs optimiser = adam and {MANY:,} "
                f"items at most. Got {o.optimiser} and {data.n_items:,}. Try reg, which holds the vectors read."
            )
        values = data.features.items(data.items) if own and data.features is not None else None
        return Ranker(
            ItemFields(data.n_items, d, ids=ids, inputs=own, values=values, id_dropout=o.id_dropout, sparse=rows),
            Fields(asked, d, sparse=rows) if asked else None,
            self.network(layout, taught),
            histories=histories,
            apart=self.apart,
            read=Table(data.n_items, d, sigma=SIGMA, sparse=rows) if histories and not ids else None,
            pairs=Fields(both, d) if both else None,
            bias=torch.from_numpy(self.begin(taught)),
        )

    def learn(self, data: Dataset, run: Run) -> Scorer:
        """As of every model that the loop trains.

        Raises:
            SerendipError: what would have been shown (``run.shown``) is not that of these data.
        """
        if run.shown is not None and (isinstance(data, Streamed) or len(run.shown.at) != len(data.events)):
            raise SerendipError(
                f"{self.name}: shown must have one entry for each of the {len(data.events):,} events of data held in "
                f"memory. Got {len(run.shown.at):,}. Try: nominate for the data that are fitted."
            )
        self._shown = run.shown
        self._given = None if isinstance(data, Streamed) else features_of(data)
        try:
            return super().learn(data, run)
        finally:
            self._given = self._shown = None

    def batches(self, data: Dataset, rng: np.random.Generator) -> Iterator[Step]:
        """Every event that is learned from once, in random order; of a user as many as there may be."""
        if isinstance(data, Streamed):
            tasks = list(self.taught(data).tasks)
            for part, given in data.parts(rng):
                if any(not np.isnan(part.events.labels[name]).all() for name in tasks):  # else it says nothing
                    yield from self._batches(part, given, rng)
        else:
            yield from self._batches(data, features_of(data) if self._given is None else self._given, rng)

    def _batches(self, data: Dataset, given: Mapping[str, NDArray[Any]], rng: np.random.Generator) -> Iterator[Step]:
        o, events = self.config, data.events
        taught = self.taught(data)
        past = Earlier.of(data, apart=set(taught.tasks) != {INTEREST}) if o.length else None
        passed = Passed.of(data)
        against = None if taught.drawn is None else self._against(data, taught)
        weights = np.ones(len(events), np.float32)
        counting = None if taught.weighed else weights_of(data, taught.rows, o.weight)
        up = np.nanmax(taught.labels[taught.rows], axis=1, initial=0) > 0
        biased = against_bias(self.name, data, o, taught.rows, up)
        for each in (counting, biased):
            if each is not None:
                weights[taught.rows] *= each
        alike = counting is None and biased is None
        for rows, lists in self.dealt(drawn(taught.rows, events.users, o.per_user, rng), events.users, rng):
            inputs = {name: values[rows] for name, values in given.items()}
            if past is not None:
                inputs |= past.inputs(rows, o.length)
            items, labels = events.items[rows].astype(np.int64)[:, None], taught.labels[rows][:, None]
            if against is not None:
                others, theirs = against(rows, rng)
                items, labels = np.concatenate([items, others], axis=1), np.concatenate([labels, theirs], axis=1)
            said = passed.before(rows, items)
            if self._shown is not None and self._retrieved(taught):
                said |= self._shown.said(rows, items)
            yield Step(inputs, items, labels, taught.tasks, None if alike else weights[rows], lists, said)

    def dealt(
        self, rows: Codes, users: NDArray[np.integer[Any]], rng: np.random.Generator
    ) -> Iterator[tuple[Codes, Lists | None]]:
        """The events of each step of an epoch, and what of it is compared.

        Args:
            rows: of the events that the epoch learns from.
            users: ``[m]`` of all events, whose each is.
            rng: the source of chance.
        """
        return ((some, None) for some in shuffled(rows, self.config.batch_size, rng))

    def _against(self, data: Dataset, taught: Taught) -> Callable[[Codes, np.random.Generator], tuple[Codes, Floats]]:
        """What draws items for events ``[b]`` that their users did not take up, ``[b, negatives]``, and their labels,
        ``[b, negatives, t]``: NaN where a user who has taken up nearly everything was given one that is no negative."""
        o, users, n = self.config, data.events.users, data.n_items
        counts = np.bincount(data.events.items[taught.rows], minlength=n)
        own = taught.taken_up
        keys = users[own].astype(np.int64) * n + data.events.items[own]
        draws, taken = Negatives.of(counts, o.popularity), Taken(np.unique(keys), n)
        shown, number = self._shown, round(o.hard * o.negatives)

        def against(events: Codes, rng: np.random.Generator) -> tuple[Codes, Floats]:
            found = draws.apart(rng, users[events], o.negatives, taken)
            if shown is not None and number:
                near = hard(rng, users[events], shown.before(events), number, taken)
                found[:, : near.shape[1]] = np.where(near == ABSENT, found[:, : near.shape[1]], near)
            mine = taken.holds(np.repeat(users[events], o.negatives), found.ravel()).reshape(found.shape)
            return found, np.where(mine[:, :, None], np.float32(np.nan), np.array(taught.drawn, np.float32))

        return against

    def loss(self, net: Any, batch: Step) -> Mapping[str, Tensor]:
        """How far the scores are from the labels, and how large what was read is."""
        import torch

        from serendip.nn.embed import Table

        device = net.bias.device

        def tensor(array: NDArray[Any]) -> Tensor:
            return torch.from_numpy(array).to(device)

        inputs, pairs = (
            {name: tensor(values) for name, values in part.items()} for part in (batch.inputs, batch.pairs)
        )
        fields = net.together(inputs, tensor(batch.items), pairs)
        labels = tensor(batch.labels).flatten(0, 1)
        weights = None if batch.weights is None else tensor(batch.weights.repeat(batch.items.shape[1]))
        if batch.lists is None:
            found = self.errors(net, net(fields), labels, batch.tasks, weights)
        else:
            found = {batch.lists.loss: batch.lists.error(net(fields), labels[:, 0], weights)}
        if self.config.reg:
            found["reg"] = 0.5 * self.config.reg * fields.square().sum() / len(labels)
        if self.config.table_reg:
            held = [one.weight.square().sum() for one in net.modules() if isinstance(one, Table)]
            found["table_reg"] = 0.5 * self.config.table_reg * torch.stack(held).sum()
        return found

    def lowered(self, net: Any, data: Dataset) -> Scorer:
        """Two networks, one of which reads what is known of a query, and the fields of the items."""
        import torch

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
            items[np.bincount(data.events.items[self.taught(data).rows], minlength=data.n_items) == 0] = np.nan
        item_feeds = [Feed.feature(one) for one in own]
        passed = tuple(one.name for one in passed_by(data))
        return self.scorer(
            net, data, feeds=feeds, items=items, told=told, alone=bool(inputs), item_feeds=item_feeds, passed=passed
        )

    def renew(self, known: Scorer, change: Change, run: Run) -> Scorer | None:
        """New events are read as they come, and new items get fields from their features; nothing is trained."""
        return renewed(known, change)

    def _retrieved(self, taught: Taught) -> tuple[Input, ...]:
        """What retrieval says of an item to somebody, by the option."""
        reads = self.config.retrieved
        if self._shown is None or not (set(taught.tasks) == {INTEREST} if reads is None else reads):
            return ()
        return tuple(Input(SOURCE + name, "pair", None, 2) for name in self._shown.names)

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


def passed_by(data: Dataset) -> tuple[Input, ...]:
    """How often items were shown to somebody in vain, of each kind of impressions that the log has."""
    kinds = data.schema.kinds
    return () if kinds is None else tuple(Input(bag_of(name), "pair") for name in kinds.impressions)


def label_of(model: str, data: Dataset, label: str, option: str = "label") -> tuple[Floats, LabelKind]:
    """``[m]`` a label of the events, NaN where an event does not say, and what it measures.

    Args:
        model: its name, for errors.
        data: the log.
        label: which.
        option: of the model, that names it.

    Raises:
        SerendipError: there is no such label; it says which model asks, and by which option.
    """
    known = data.events.labels
    if label not in known:
        near = difflib.get_close_matches(label, known, n=1)
        guess = f"Did you mean {near[0]!r}? " if near else ""
        hint = "Leave it out to learn interest, or name" if option == "label" else "Otherwise name"
        raise SerendipError(
            f"{model}: {option} must be {'of ' if option == 'tasks' else 'one of '}the labels that the events have "
            f"({', '.join(known) or 'none'}). Got {label!r} instead. {guess}{hint} the column in the recipe's "
            "data.labels."
        )
    return known[label], data.schema.labels.get(label, "rating")


def some(model: str, rows: Codes, what: str) -> Codes:
    """The events, one or more.

    Raises:
        SerendipError: there is none; it says that the model needs ``what``.
    """
    if not len(rows):
        raise SerendipError(f"{model} needs {what}. The data have none. Try a longer log.")
    return rows


def require_interest(name: str, data: Dataset, taught: Taught) -> None:
    """That there are items to draw, where they are drawn against events.

    Args:
        name: of the model.
        data: the log.
        taught: what it learns.

    Raises:
        SerendipError: the rows are of no users and items.
    """
    if taught.drawn is not None and are_examples(data):
        raise SerendipError(
            f"{name}: rows without users and items show no interest in items, so that labels must be learned. They "
            f"have {', '.join(data.events.labels)}. Try model.label, or model.tasks of a model of several."
        )


def require_positives(name: str, taught: Taught) -> None:
    """That every binary label that is learned is 1 somewhere, and 0 somewhere or of items that are drawn.

    Args:
        name: of the model.
        taught: what it learns.

    Raises:
        SerendipError: one is not; it names it.
    """
    for column, (task, kind) in enumerate(taught.tasks.items()):
        if kind != "binary":
            continue
        labels = taught.labels[taught.rows, column]
        against = taught.drawn is not None and taught.drawn[column] == 0
        for value, there in ((1, bool((labels == 1).any())), (0, against or bool((labels == 0).any()))):
            if there:
                continue
            hint = (
                "Try a longer log, or leave it out."
                if value
                else "Try rows of what was shown and not taken up, or no label, against items that are drawn."
            )
            raise SerendipError(
                f"{name}: the label {task!r} must be {value} for some of the events. It is for none of "
                f"{int((~np.isnan(labels)).sum()):,}, so there is nothing to learn. {hint}"
            )


def error_of(kind: LabelKind) -> Any:
    """The loss of labels of this kind: of scores, labels, weights and a mask of those that are known, ``[m]`` each."""
    from serendip.nn.losses import binary_cross_entropy, log_duration_error, poisson, squared_error

    return {"binary": binary_cross_entropy, "rating": squared_error, "count": poisson, "duration": log_duration_error}[
        kind
    ]


def start_of(kind: LabelKind, mean: float) -> float:
    """The score of labels of this kind whose mean is that."""
    if kind == "binary":
        share = min(max(mean, SURE), 1 - SURE)
        return float(np.log(share / (1 - share)))
    if kind == "count":
        return float(np.log(max(mean, SURE)))
    return float(np.log1p(max(mean, 0.0))) if kind == "duration" else mean


__all__ = [
    "DEEP",
    "INTEREST",
    "WIDE",
    "Codes",
    "Dropout",
    "Factors",
    "FieldsConfig",
    "FieldsModel",
    "Hidden",
    "Layers",
    "Layout",
    "Step",
    "Taught",
    "error_of",
    "label_of",
    "some",
    "start_of",
]
