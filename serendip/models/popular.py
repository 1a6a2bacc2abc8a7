"""What many people took up, lately if so wished: ``score_i = Σ_e w_e · 2^(−(T − t_e)/h)``.

The sum runs over the item's events e, with weight ``w_e`` and time ``t_e``; ``T`` is the time of the last event of the
log and ``h`` the half-life. Without a half-life it is a plain count. Counted per person (``weight="binary"``), only the
person's last event with the item counts, so that nobody makes an item popular alone.

An item without events scores 0 and stands after all others: the list is never short, which makes it a good fallback.

Source: the standard non-personalised baseline; exponential decay as in E. Cohen and M. Strauss, "Maintaining
time-decaying stream aggregates", PODS 2003.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._weighting import Weight, counts_of
from serendip.scorers import StaticScores
from serendip.space import OneOf, declare
from serendip.types import Scorer, SerendipError

DAY = 86_400


class Options(Config, frozen=True):
    """Options of `Popular`."""

    weight: Weight = "auto"
    half_life: Annotated[
        Annotated[float, msgspec.Meta(gt=0)] | None,
        msgspec.Meta(description="Days after which an event counts half; none: all events count alike."),
    ] = None


class Popular(Model):
    """Items by the number of people or events, newer ones counting more if so wished."""

    Config = Options
    config: Options
    summary = "What most people took up, with optional decay over time; the same for everybody."
    source = "Standard baseline; decay: Cohen and Strauss, PODS 2003"
    personalised = False
    space = declare(
        half_life=OneOf((None, 1, 3, 7, 14, 30, 60, 90, 180, 365, 730)),
    )

    def learn(self, data: Dataset, run: Run) -> StaticScores:
        """Count.

        Raises:
            SerendipError: a half-life is given but the log has no times.
        """
        events = data.events
        counts = counts_of(data, self.config.weight)
        value = np.where(events.weight > 0, events.weight if counts == "weight" else 1, 0).astype(np.float64)
        if counts == "binary":
            # Events are in the order of time within a user: the last occurrence of a pair is the first in reverse.
            liked = np.flatnonzero(value)
            pair = events.users[liked].astype(np.int64) * data.n_items + events.items[liked]
            _, last = np.unique(pair[::-1], return_index=True)
            value = np.zeros_like(value)
            value[liked[::-1][last]] = 1
        if self.config.half_life is not None and len(events):
            if events.time is None or data.schema.time_kind != "unix":
                raise SerendipError(
                    "popular: half_life needs the time of each event in unix seconds. "
                    f"Got a log with time of the kind {data.schema.time_kind!r} instead. "
                    "Leave half_life out, or name the column with the time."
                )
            age = (events.time.max() - events.time) / DAY
            value *= np.exp2(-age / self.config.half_life)
        return StaticScores(np.bincount(events.items, value, data.n_items).astype(np.float32))

    def renew(self, known: Scorer, change: Change, run: Run) -> StaticScores:
        """Count again: a fit is one pass over the log."""
        return self.learn(change.after, run)
