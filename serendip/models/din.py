"""Deep interest network, over the events h_p of a history and the fields: ``s = b + tower([Σ_p a_p h_p, v_1 … v_f])``.

What the user did is read as the item sees it: ``a_p = MLP( h_p, c, h_p − c, h_p ⊙ c )`` with c the sum of the item's
vectors, not normalised, so that a history that has much to do with the item says so. One event among many can decide,
which the mean of a history, as other rankers read it, all but loses.

Source: G. Zhou et al., "Deep interest network for click-through rate prediction", KDD 2018. Deviations: SiLU in place
of Dice in the MLP, see `serendip.nn.interact.target_attention`, and ReLU in the layers above.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from serendip.models._ranking import DEEP, DeepConfig, Layout, RankingModel
from serendip.space import Range, declare

if TYPE_CHECKING:
    from torch import nn


class Options(DeepConfig, frozen=True):
    """Options of `DIN`."""

    length: Annotated[int, msgspec.Meta(ge=1, le=1000, description="How many of the latest events are read.")] = 50
    attention: Annotated[
        int, msgspec.Meta(ge=1, le=512, description="Numbers of the hidden layer that weighs an event by the item.")
    ] = 36


class DIN(RankingModel):
    """A history as each item sees it, below layers."""

    Config = Options
    config: Options
    apart = True
    summary = "A ranker: layers over the fields and over the history, as the item weighs it. Needs PyTorch."
    source = "Zhou et al., KDD 2018"
    space = declare(**DEEP, length=Range(10, 200, log=True, whole=True))

    def width(self, fields: int) -> int:
        """A vector."""
        return self.config.factors

    def parts(self, fields: Layout) -> tuple[nn.Module, ...]:
        """Attention below layers."""
        from serendip.nn.scoring import Attended

        o, query, item = self.config, len(fields.query), len(fields.item)
        return (Attended(query, item, o.factors, o.widths, attention=o.attention, dropout=o.dropout),)
