"""What the models of sequences share: options, windows of histories, losses, and what answers.

A history ``i_1 … i_n`` teaches at every place: the state after ``i_1 … i_p`` should say ``i_{p+1}``. Histories that are
longer than a model reads are cut into windows, whose edges move from epoch to epoch; windows of like length go into one
batch, so that little is computed for padding.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.models._examples import Foretell, PerUser, Weight, drawn, foretold, weights_of
from serendip.models._items import Adapted, IdDropout, ItemsBy, adapter, catalogue, later, renewed, vectors
from serendip.models._room import attention_fits
from serendip.neural import NeuralConfig, NeuralModel
from serendip.run import Run
from serendip.space import Range, declare
from serendip.types import ABSENT, Floats, Scorer, SerendipError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from serendip.nn.catalogue import Catalogue
    from serendip.nn.sequence.encoder import Encoder

Codes = NDArray[np.int64]
Share = Annotated[float, msgspec.Meta(ge=0, le=0.95)]

POOL = 32
"""Batches whose windows are sorted by length together."""
HISTORY = "history"


class SequenceConfig(NeuralConfig, frozen=True):
    """Options that the models of sequences share."""

    epochs: Annotated[int, msgspec.Meta(ge=1, description="How often training goes through the log, at most.")] = 30
    batch_size: Annotated[
        int, msgspec.Meta(ge=1, description="How many histories of average length a step learns from.")
    ] = 128
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=10, description="Size of Adam's steps.")] = 0.002
    factors: Annotated[int, msgspec.Meta(ge=1, le=4096, description="d: dimensions of the vectors.")] = 64
    length: Annotated[int, msgspec.Meta(ge=1, le=65536, description="How many of the latest events are read.")] = 100
    dropout: Annotated[Share, msgspec.Meta(description="Share of the numbers left out in training.")] = 0.2
    loss: Annotated[
        Literal["softmax", "sampled_softmax", "gbce"],
        msgspec.Meta(
            description="What is made small: the cross-entropy over all items, over some that a step draws, or gBCE."
        ),
    ] = "softmax"
    negatives: Annotated[
        int, msgspec.Meta(ge=1, description="Items that stand for all others in each step of the losses that draw.")
    ] = 1024
    per_user: PerUser = None
    weight: Weight = "auto"
    foretell: Foretell = "all"
    items_by: ItemsBy = "ids"
    id_dropout: IdDropout = 0.0
    tied: Annotated[bool, msgspec.Meta(description="Whether items are read and ranked by the same vectors.")] = True
    adapter: Adapted = False
    augment: Annotated[
        Literal["none", "crop", "mask", "reorder"],
        msgspec.Meta(description="How training changes histories: cut, thinned out, or partly in another order."),
    ] = "none"
    augment_share: Annotated[float, msgspec.Meta(gt=0, lt=1, description="Share of a history that this concerns.")] = (
        0.2
    )


Hidden = Annotated[
    Annotated[int, msgspec.Meta(ge=1)] | None,
    msgspec.Meta(description="Numbers of the layer between the encoder and the vector; none: no such layer."),
]


class RecurrentConfig(SequenceConfig, frozen=True):
    """Options of the recurrent models."""

    hidden: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="Numbers of a state; none: as many as factors."),
    ] = None
    layers: Annotated[int, msgspec.Meta(ge=1, le=16, description="Layers on top of each other.")] = 1


class AttentionConfig(SequenceConfig, frozen=True):
    """Options of the models with attention."""

    blocks: Annotated[int, msgspec.Meta(ge=1, le=8, description="Blocks of attention.")] = 2
    heads: Annotated[int, msgspec.Meta(ge=1, le=64, description="Heads of attention; they share the factors.")] = 2
    hidden: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="Numbers between the two layers of a block; none: as many as factors."),
    ] = None
    activation: Annotated[
        Literal["relu", "gelu", "swiglu"], msgspec.Meta(description="Between the two layers of a block.")
    ] = "relu"
    gated: Annotated[bool, msgspec.Meta(description="Whether what a block adds is gated by what it is added to.")] = (
        False
    )


def transformer(model: str, options: AttentionConfig, *, causal: bool) -> Encoder:
    """The encoder of a model with attention.

    Raises:
        SerendipError: heads that cannot share the factors, or more events than fit into memory.
    """
    from serendip.nn.sequence.transformer import Transformer

    o = options
    if o.factors % o.heads:
        raise SerendipError(
            f"{model}: factors must be a multiple of heads. Got {o.factors} and {o.heads} instead. "
            f"Try factors={o.heads * max(1, o.factors // o.heads)}."
        )
    attention_fits(model, o.length, o.heads)
    return Transformer(
        o.factors,
        o.blocks,
        o.heads,
        o.length + (not causal),
        o.dropout,
        hidden=o.hidden,
        activation=o.activation,
        gated=o.gated,
        causal=causal,
    )


@dataclass(frozen=True)
class Step:
    """Parts of histories of like length, padded on the right, and what a loss needs beside them.

    Attributes:
        items: ``[b, t]`` codes, oldest first.
        targets: ``[b, t]`` the item that came next; `ABSENT` where there is nothing to learn.
        drawn: ``[c]`` items that stand for all others, rising: for sampled_softmax with all targets; else empty.
        log_q: ``[c]`` for sampled_softmax the logarithm of how probable it is that an item is among them.
        among: of how many items some are drawn.
        weights: ``[b, t]`` how much each target counts; None: all alike.
    """

    items: Codes
    targets: Codes
    drawn: Codes
    log_q: NDArray[np.float32]
    among: int
    weights: Floats | None = None

    def __len__(self) -> int:
        """How many parts."""
        return len(self.items)


@dataclass(frozen=True)
class Timeline:
    """The events with interest of a log, user by user, oldest first.

    Attributes:
        items: ``[l]`` their codes.
        begins, counts: ``[users]`` where each user's begin, and how many there are.
        taught: ``[l]`` which of them an epoch learns to foretell; None: all but a user's first.
        weights: ``[l]`` how much each counts as a target; None: all alike.
    """

    items: Codes
    begins: Codes
    counts: Codes
    taught: NDArray[np.bool_] | None = None
    weights: Floats | None = None

    @classmethod
    def of(cls, data: Dataset) -> Timeline:
        """Of all events."""
        events = data.events
        keep = events.weight > 0
        counts = np.bincount(events.users[keep], minlength=data.n_users)
        return cls(events.items[keep].astype(np.int64), np.cumsum(counts) - counts, counts)

    @classmethod
    def drawn(cls, data: Dataset, config: SequenceConfig, rng: np.random.Generator) -> Timeline:
        """With what an epoch learns to foretell, and how much that counts, by the options."""
        whole, keep = cls.of(data), data.events.weight > 0
        weights = weights_of(data, np.flatnonzero(keep), config.weight)
        if config.per_user is None and config.foretell == "all":
            return replace(whole, weights=weights)
        later = foretold(data, config.foretell)[keep].copy()
        later[whole.begins[whole.counts > 0]] = False
        taught = np.zeros(len(whole.items), np.bool_)
        taught[drawn(np.flatnonzero(later), data.events.users[keep], config.per_user, rng)] = True
        return replace(whole, taught=taught, weights=weights)

    def at(self, places: Codes) -> Codes:
        """The items of these events; `ABSENT` for `ABSENT`."""
        return np.where(places >= 0, self.items[places], ABSENT)

    def targets(self, places: Codes) -> Codes:
        """As `at`, and `ABSENT` for events that are not learned to be foretold."""
        found = self.at(places)
        return found if self.taught is None else np.where(self.taught[places], found, ABSENT)

    def counting(self, places: Codes) -> Floats | None:
        """How much these events count as targets."""
        return None if self.weights is None else self.weights[places]


def windows(line: Timeline, length: int, batch: int, rng: np.random.Generator) -> Iterator[Codes]:
    """Places in a timeline ``[b, ≤ length + 1]``, padded on the right: every event is in one of these parts of
    histories, or in two as the last of one and the first of the next. Parts that teach nothing are left out."""
    first, size = cut(line.begins, line.counts - 1, length, rng)
    if line.taught is not None:
        sums = np.concatenate([[0], np.cumsum(line.taught)])
        some = sums[first + size + 1] > sums[first + 1]
        first, size = first[some], size[some]
    for rows in alike(size, batch, rng):
        place = np.arange(size[rows].max() + 1)
        yield np.where(place <= size[rows][:, None], first[rows][:, None] + place, ABSENT)


def cut(begins: Codes, sizes: Codes, length: int, rng: np.random.Generator) -> tuple[Codes, Codes]:
    """Cut runs into windows of at most so many: where each begins, and its size, 1 or more.

    A run that is too long is cut every ``length`` events, counted back from its end, as it is read when somebody asks,
    or as often from a place that is drawn.
    """
    long, moved = sizes > length, rng.random(len(sizes)) < 0.5
    ends = np.where(long & moved, rng.integers(0, length, len(sizes)), 0)
    parts = np.where(long, -(-(sizes - ends) // length) + (ends > 0), sizes > 0)
    run = np.repeat(np.arange(len(sizes)), parts)
    back = np.arange(len(run)) - np.repeat(np.cumsum(parts) - parts, parts) - (ends[run] > 0)
    stop = sizes[run] - np.where(back < 0, 0, ends[run] + back * length)
    start = np.where(back < 0, sizes[run] - ends[run], np.maximum(0, stop - length))
    return begins[run] + start, stop - start


def alike(sizes: Codes, batch: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """All rows once, in batches of rows of like size, in random order.

    A batch has about as many events as ``batch`` rows have on average, so that none of them counts for more.
    """
    order, most = rng.permutation(len(sizes)), batch * max(1.0, float(sizes.mean())) if len(sizes) else 1.0
    batches: list[NDArray[np.int64]] = []
    for start in range(0, len(order), POOL * batch):
        pool = order[start : start + POOL * batch]
        pool = pool[np.argsort(sizes[pool], kind="stable")]
        ends = np.cumsum(sizes[pool])
        parts = max(1, round(ends[-1] / most))
        part = ((ends - sizes[pool] / 2) * parts / ends[-1]).astype(np.int64)
        batches += np.split(pool, np.flatnonzero(np.diff(part)) + 1)
    for at in rng.permutation(len(batches)):
        yield batches[at]


def draw(targets: Codes, known: Codes, config: SequenceConfig, rng: np.random.Generator) -> tuple[Codes, Any]:
    """``drawn`` and ``log_q`` of a `Step`; items are drawn uniformly among those that have an event."""
    nothing = np.empty(0, np.float32)
    if config.loss == "softmax":
        return np.empty(0, np.int64), nothing
    drawn = np.unique(known[rng.integers(0, len(known), config.negatives)])
    if config.loss == "gbce":
        return drawn, nothing
    found, counts = np.unique(targets[targets >= 0], return_counts=True)
    items = np.union1d(found, drawn)
    expected = np.full(len(items), config.negatives / len(known))
    expected[np.searchsorted(items, found)] += counts
    return items, np.log(-np.expm1(-expected)).astype(np.float32)


class SequenceModel(NeuralModel):
    """A model that reads a history in its order and says what comes next."""

    config: SequenceConfig
    synthetic = "markov"
    space = declare(
        factors=Range(16, 256, log=True, whole=True),
        dropout=Range(0, 0.6),
        learning_rate=Range(0.0003, 0.01, log=True),
        epochs=Range(5, 200, log=True, whole=True),
    )

    @abstractmethod
    def encoder(self) -> Encoder:
        """What reads the vectors of a history."""

    def widths(self) -> tuple[int, ...]:
        """Of the hidden layers over the encoder."""
        return ()

    def build(self, data: Dataset) -> nn.Module:
        """The items' vectors and the encoder."""
        from serendip.nn.history import HistoryTower

        o = self.config
        read = None if o.tied else self.catalogue(data)
        rank = self.catalogue(data)
        return HistoryTower(
            rank,
            self.encoder(),
            read=read,
            widths=self.widths(),
            dropout=o.dropout,
            adapter=adapter(o.adapter, rank),
            name=HISTORY,
        )

    def batches(self, data: Dataset, rng: np.random.Generator) -> Iterator[Step]:
        """Every event with interest but a user's first is a target once, unless histories are changed or there are
        more of a user than there may be."""
        o, line = self.config, Timeline.drawn(data, self.config, rng)
        known = np.unique(line.items)
        for places in windows(line, o.length, o.batch_size, rng):
            changed = augmented(places, o, rng)
            before, after = changed[:, :-1], changed[:, 1:]
            targets = line.targets(after)
            if (targets >= 0).any():
                items = np.where(after >= 0, line.at(before), ABSENT)
                yield Step(items, targets, *draw(targets, known, o, rng), len(known), line.counting(after))

    def loss(self, net: Any, batch: Step) -> Mapping[str, Tensor]:
        """By the option."""
        import torch

        from serendip.nn.adapter import items as ranked
        from serendip.nn.adapter import queries
        from serendip.nn.losses import full_softmax, gbce, retrieval_softmax
        from serendip.nn.precision import whole_on_cpu

        kind, device = self.config.loss, next(net.parameters()).device
        items, targets, drawn = (
            torch.from_numpy(part).to(device) for part in (batch.items, batch.targets, batch.drawn)
        )
        weights = None if batch.weights is None else torch.from_numpy(batch.weights).to(device)[targets >= 0]
        with whole_on_cpu(device):
            every = net.rank() if kind == "softmax" else None
            states, wanted = net.of_codes(items, every)[targets >= 0], targets[targets >= 0]
            states = queries(net.adapter, states)
        if every is not None:
            return {kind: full_softmax(states, ranked(net.adapter, every), wanted, weights=weights)}
        candidates = ranked(net.adapter, net.rank(drawn), drawn)
        if kind == "sampled_softmax":
            log_q, place = torch.from_numpy(batch.log_q).to(device), torch.searchsorted(drawn, wanted)
            return {kind: retrieval_softmax(states, candidates, positives=place, log_q=log_q, weights=weights)}
        negative = (states @ candidates.T).masked_fill(drawn == wanted[:, None], -torch.inf)
        positive = (states * ranked(net.adapter, net.rank(wanted), wanted)).sum(dim=1)
        return {kind: gbce(positive, negative, n_items=max(2, batch.among), weights=weights)}

    def lowered(self, net: Any, data: Dataset) -> Scorer:
        """The encoder as a network, and the items' vectors; an item without an event has one from its features."""
        from serendip.nn.lower import lower_towers
        from serendip.scorers.feeds import Feed

        o, ranked = self.config, vectors(net.rank, data)
        told = None if o.tied else vectors(net.own, data)
        return lower_towers(
            net,
            [Feed(HISTORY, "history", o.length, vectors=True)],
            ranked,
            told=told,
            tied=o.tied,
            **later(net.rank, net.own, net.adapter),
        )

    def renew(self, known: Scorer, change: Change, run: Run) -> Scorer | None:
        """New events are read as they come, and new items get vectors from their features; nothing is trained."""
        return renewed(known, change)

    def catalogue(self, data: Dataset) -> Catalogue:
        """The items, by the option."""
        o = self.config
        return catalogue(self.name, data, o.factors, o.items_by, o.id_dropout, sampled=o.loss != "softmax")


def augmented(codes: Codes, config: SequenceConfig, rng: np.random.Generator) -> Codes:
    """Histories, of codes or places, changed by the option; those with fewer than 2 events left are as they were."""
    if config.augment == "none":
        return codes
    from serendip.nn.augment import crop, mask, reorder, right_padded

    share = config.augment_share
    if config.augment == "crop":
        changed = crop(codes, 1 - share, rng)
    elif config.augment == "mask":
        changed = mask(codes, share, ABSENT, rng)
    else:
        changed = reorder(codes, share, rng)
    few = (changed >= 0).sum(axis=1) < 2
    return np.where(few[:, None], codes, right_padded(changed)).astype(np.int64)
