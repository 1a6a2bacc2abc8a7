"""Two towers: ``score = f(user, moment, history) · g(item)``; f may be several vectors, of which the nearest counts.

``f = tower( [ features of the user and the moment, mean of the last events' vectors ] )``,  ``g = E_i + W x_i + b``

Where the log names a target, the last events of every other kind are means beside that of the history.

A step learns from events drawn at random, each with what was known before it, by a softmax over the items of the batch:
``log Σ_j exp( f·g_j / τ − log Q_j ) − ( f·g⁺ / τ − log Q⁺ )``, with Q_j how often item j is among the candidates. They
may be joined by items drawn uniformly. The same item as a row's own is no negative of it. Vectors may be held towards
0: ``λ/2 ( Σ |f|² + Σ |g|² ) / b`` over the b events of a step and its candidates.

Source: X. Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations", RecSys 2019;
items drawn beside those of the batch: J. Yang et al., "Mixed negative sampling for learning two-tower neural networks
in recommendations", WWW 2020; several vectors: C. Li et al., "Multi-interest network with dynamic routing for
recommendation at Tmall", CIKM 2019.

Deviation: a user is known by features and history, not by an id of their own, so that the answer follows new events.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from serendip.data.dataset import Dataset
from serendip.models._past import Earlier, Others
from serendip.models._retrieval import RetrievalConfig, RetrievalModel


class Options(RetrievalConfig, frozen=True):
    """Options of `TwoTower`."""

    history: Annotated[
        Literal["earlier", "others"],
        msgspec.Meta(
            description="What is read of a user to learn from an event: those before it, or all others, for logs whose "
            "order says nothing."
        ),
    ] = "earlier"


class TwoTower(RetrievalModel):
    """A tower for queries and one for items."""

    Config = Options
    config: Options
    summary = "A tower of who asks, when and after what, and one of items: the work horse of retrieval. Needs PyTorch."
    source = "Yi et al., RecSys 2019"

    def widths(self) -> tuple[int, ...]:
        """All alike."""
        o = self.config
        return () if o.hidden is None else (o.hidden,) * o.layers

    def past(self, data: Dataset) -> Earlier | Others:
        """By the option."""
        return Earlier.of(data) if self.config.history == "earlier" else Others.of(data)
