"""What many people took up, lately if so wished: ``score_i = Σ_e w_e · 2^(−(T − t_e)/h)``.

The sum runs over the item's events e, with weight ``w_e`` and time ``t_e``; ``T`` is the time of the last event of the
log and ``h`` the half-life. Without a half-life it is a plain count. Counted per person (``weight="binary"``), only the
person's last event with the item counts, so that nobody makes an item popular alone.

With ``by``, what is popular in the group of the one who asks: ``score_i Π_f (c_fi / p_i + m) / (c_f + m)`` over the
features f that are known of the user or the moment; ``c_fi`` is what i has in the group, ``c_f`` what all items have
there, ``p_i`` the item's share of all. A small group, or one that is not known, is backed off to all by m.

An item without events scores 0 and stands after all others: the list is never short, which makes it a good fallback.

Source: the standard non-personalised baseline; exponential decay as in E. Cohen and M. Strauss, "Maintaining
time-decaying stream aggregates", PODS 2003; the groups as in naive Bayes, shrunk by additive smoothing (G. Lidstone,
1920).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._asked import features_of, query_inputs
from serendip.models._weighting import Weight, counts_of
from serendip.scorers import GroupedScores, StaticScores
from serendip.scorers.feeds import Feed
from serendip.space import OneOf, declare
from serendip.types import ABSENT, Input, Scorer, SerendipError

DAY = 86_400


class Options(Config, frozen=True):
    """Options of `Popular`."""

    weight: Weight = "auto"
    half_life: Annotated[
        Annotated[float, msgspec.Meta(gt=0)] | None,
        msgspec.Meta(description="Days after which an event counts half; none: all events count alike."),
    ] = None
    by: Annotated[
        str,
        msgspec.Meta(
            description="Features of users or of the moment, separated by commas, in whose groups to count, such as "
            "country,device: what is popular among those who are alike. Empty: the same for everybody."
        ),
    ] = ""
    shrink: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            description="m: how many events from all are added to those of a group, with by: more for small groups.",
        ),
    ] = 1000.0


class Popular(Model):
    """Items by the number of people or events, newer ones counting more if so wished."""

    Config = Options
    config: Options
    summary = "What most people took up, with optional decay over time; of all, or of those in the same group (by)."
    source = "Standard baseline; decay: Cohen and Strauss, PODS 2003"
    personalised = False
    space = declare(
        half_life=OneOf((None, 1, 3, 7, 14, 30, 60, 90, 180, 365, 730)),
    )

    def learn(self, data: Dataset, run: Run) -> StaticScores | GroupedScores:
        """Count.

        Raises:
            SerendipError: a half-life is given but the log has no times, or a feature that is not declared or has no
                groups.
        """
        value = self._values(data)
        counts = np.bincount(data.events.items, value, data.n_items).astype(np.float32)
        wanted = [name.strip() for name in self.config.by.split(",") if name.strip()]
        if not wanted:
            return StaticScores(counts)
        inputs = self._inputs(data, wanted)
        found, items, parts = features_of(data), data.events.items, list[csr_array]()
        for one in inputs:
            codes = found[one.name].reshape(len(items), -1)
            event, place = np.nonzero((codes != ABSENT) & (value > 0)[:, None])
            where = (codes[event, place], items[event])
            part = csr_array((value[event].astype(np.float32), where), shape=(one.size or 0, data.n_items))
            part.sum_duplicates()
            parts.append(part)
        return GroupedScores(
            counts, csr_array(vstack(parts, "csr")), tuple(map(Feed.feature, inputs)), self.config.shrink
        )

    def _inputs(self, data: Dataset, wanted: list[str]) -> list[Input]:
        """The features to count by."""
        there = {one.name: one for one in query_inputs(data) if one.size is not None}
        for name in wanted:
            if name not in there:
                listed = ", ".join(there) or "none"
                raise SerendipError(
                    "popular: by must name features of users or of the moment that have groups (category, bucket, "
                    f"hash). Got {name!r} instead. There are: {listed}. Try: declare it in [features]."
                )
        return [there[name] for name in dict.fromkeys(wanted)]

    def _values(self, data: Dataset) -> NDArray[np.float64]:
        """``[m]`` what each event counts."""
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
        return np.asarray(value, np.float64)

    def renew(self, known: Scorer, change: Change, run: Run) -> StaticScores | GroupedScores:
        """Count again: a fit is one pass over the log."""
        return self.learn(change.after, run)
