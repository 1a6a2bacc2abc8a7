"""FinalMLP, two streams of layers over the same fields: ``s = b + w_1ᵀ o_1 + w_2ᵀ o_2 + Σ_k o_{1,k}ᵀ W_k o_{2,k}``.

A gate before each stream says how much of each number it gets, from 0 to 2: that of the first by the fields of the
query, that of the second by the fields of the item. So the streams look at different things, and what they found is
multiplied.

Source: K. Mao et al., "FinalMLP: An enhanced two-stream MLP model for CTR prediction", AAAI 2023. Both streams have
layers alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from serendip.models._ranking import DEEP, DeepConfig, Layout, RankingModel
from serendip.space import OneOf, declare

if TYPE_CHECKING:
    from torch import nn


class Options(DeepConfig, frozen=True):
    """Options of `FinalMLP`."""

    gate: Annotated[int, msgspec.Meta(ge=1, le=2048, description="Numbers of the hidden layer of each gate.")] = 64
    heads: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            le=64,
            description="Parts of what streams find, of which each is multiplied with its like; they share "
            "the hidden numbers.",
        ),
    ] = 1


class FinalMLP(RankingModel):
    """Two streams of layers, and the products of what they find."""

    Config = Options
    config: Options
    summary = "A ranker: two streams of layers over gated fields, and what they find multiplied. Needs PyTorch."
    source = "Mao et al., AAAI 2023"
    space = declare(**DEEP, gate=OneOf((16, 64, 256)))

    def width(self, fields: int) -> int:
        """A vector."""
        return self.config.factors

    def parts(self, fields: Layout) -> tuple[nn.Module, ...]:
        """Two streams, gated by the two sides."""
        from serendip.nn.scoring import Streams

        o, query, item = self.config, len(fields.query), len(fields.item)
        return (Streams(query, item, o.factors, o.widths, gate=(o.gate,), heads=o.heads, dropout=o.dropout),)
