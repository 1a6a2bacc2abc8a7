"""AutoInt, self-attention over the fields of a query and an item: ``s = b + wᵀ [y_1 … y_f] + tower( [v_1 … v_f] )``.

``y`` is what the last of several layers of attention gives: in each a field becomes a mean of all fields, weighed by
how they go together, and keeps what it was. The layers over the same vectors beside it make it the paper's AutoInt+;
``layers = 0`` leaves them out.

Source: W. Song et al., "AutoInt: Automatic feature interaction learning via self-attentive neural networks", CIKM 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from serendip.models._ranking import DEEP, DeepConfig, Layout, RankingModel
from serendip.space import Range, declare

if TYPE_CHECKING:
    from torch import nn


class Options(DeepConfig, frozen=True):
    """Options of `AutoInt`."""

    attentions: Annotated[int, msgspec.Meta(ge=1, le=4, description="Layers of attention.")] = 2
    heads: Annotated[int, msgspec.Meta(ge=1, le=16, description="Of each layer of attention.")] = 2
    head_dim: Annotated[int, msgspec.Meta(ge=1, le=256, description="Numbers that a head gives of a field.")] = 8
    layers: Annotated[
        int, msgspec.Meta(ge=0, le=8, description="Hidden layers beside the attention; 0: attention alone.")
    ] = 2


class AutoInt(RankingModel):
    """Attention over the fields, and layers beside it."""

    Config = Options
    config: Options
    summary = "A ranker: self-attention over all fields, and layers beside it. Needs PyTorch."
    source = "Song et al., CIKM 2019"
    space = declare(**DEEP, attentions=Range(1, 4, whole=True), head_dim=Range(4, 64, log=True, whole=True))

    def width(self, fields: int) -> int:
        """A vector."""
        return self.config.factors

    def parts(self, fields: Layout) -> tuple[nn.Module, ...]:
        """Attention, and layers."""
        from serendip.nn.interact import FieldAttention
        from serendip.nn.ranker import Deep
        from serendip.nn.sides import Stack

        o = self.config
        out = o.heads * o.head_dim
        dims = (o.factors, *(out,) * (o.attentions - 1))
        attention = Stack(*(FieldAttention(dim, o.head_dim, o.heads) for dim in dims), Deep(len(fields), out, ()))
        return (attention, Deep(len(fields), o.factors, o.widths, o.dropout)) if o.layers else (attention,)
