"""Gaps in a history are filled in from both sides: ``score = h_gap · v_j`` for a gap after the last event.

In training a share ρ of the events of each history become gaps, or the last one alone; the states at gaps predict what
was there, by the cross-entropy over all items (or a sample, or gBCE).

Source: F. Sun et al., "BERT4Rec: Sequential recommendation with bidirectional encoder representations from
transformer", CIKM 2019.

Deviations: layers are normalised before they compute, with ReLU and as many numbers within as without unless the
options say otherwise (the paper: GELU and four times as many); items are read and ranked by the same vectors unless
``tied`` is off, without layers or biases between; places count from the end; in a fifth of the histories of a step the
last event alone becomes a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.models._items import adapter
from serendip.models._sequence import (
    HISTORY,
    AttentionConfig,
    Codes,
    SequenceModel,
    Step,
    Timeline,
    augmented,
    draw,
    transformer,
    windows,
)
from serendip.types import ABSENT

if TYPE_CHECKING:
    from torch import nn

    from serendip.nn.sequence.encoder import Encoder

LAST = 0.2
"""Share of the histories of a step in which the last event alone becomes a gap, as it is when somebody asks."""


class Options(AttentionConfig, frozen=True):
    """Options of `BERT4Rec`."""

    gaps: Annotated[
        float, msgspec.Meta(gt=0, le=0.95, description="ρ: share of the events that become gaps in training.")
    ] = 0.3


class BERT4Rec(SequenceModel):
    """A transformer that looks both ways, and fills gaps."""

    Config = Options
    config: Options
    summary = "Self-attention that fills gaps in a history, the last being what comes next. Needs PyTorch to train."
    source = "Sun et al., CIKM 2019"

    def encoder(self) -> Encoder:
        """The transformer, of one place more than a history has."""
        return transformer(self.name, self.config, causal=False)

    def build(self, data: Dataset) -> nn.Module:
        """The items' vectors, the gap's and the encoder."""
        from serendip.nn.history import ClozeTower

        read = None if self.config.tied else self.catalogue(data)
        rank = self.catalogue(data)
        made = adapter(self.config.adapter, rank)
        return ClozeTower(rank, self.encoder(), read=read, adapter=made, name=HISTORY)

    def batches(self, data: Dataset, rng: np.random.Generator) -> Iterator[Step]:
        """Windows with gaps; what was there is the target."""
        o, line = self.config, Timeline.drawn(data, self.config, rng)
        known = np.unique(line.items)
        for places in windows(line, o.length, o.batch_size, rng):
            events = augmented(places, o, rng)
            wanted = line.targets(events)
            if line.taught is not None:
                wanted[:, 0] = ABSENT  # a window before has it as its last, or it is a user's first
            gaps = chosen(wanted, o.gaps, rng)
            targets = np.where(gaps, wanted, ABSENT)
            if (targets >= 0).any():
                items = np.where(gaps, data.n_items, line.at(events))
                yield Step(items, targets, *draw(targets, known, o, rng), len(known), line.counting(events))


def chosen(wanted: Codes, share: float, rng: np.random.Generator) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """``[b, t]`` which events become gaps: of those that have something to teach (``wanted`` ``[b, t]``; others are
    `ABSENT`) at least one of each history."""
    there = wanted >= 0
    places = np.arange(wanted.shape[1])
    last = there & (places == np.where(there, places, -1).max(axis=1)[:, None])
    drawn = there & (rng.random(wanted.shape) < share)
    alone = (rng.random(len(wanted)) < LAST) | ~drawn.any(axis=1)
    return np.where(alone[:, None], last, drawn)
