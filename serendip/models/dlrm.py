"""DLRM: numbers through layers of their own to one vector z, and layers over it and over all inner products:
``s = b + tower( [ z, ⟨z, v_1⟩, ⟨v_2, v_1⟩, … ] )`` with ``z = bottom( numbers )`` and the vectors of the other fields.

Without numbers there is no z. The numbers of a feature come as a product with a matrix, which is the first, linear part
of the bottom layers.

Source: M. Naumov et al., "Deep learning recommendation model for personalization and recommendation systems", 2019.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from serendip.models._ranking import DEEP, DeepConfig, Layout, RankingModel
from serendip.space import Range, declare

if TYPE_CHECKING:
    from torch import nn


class Options(DeepConfig, frozen=True):
    """Options of `DLRM`."""

    bottom: Annotated[
        int, msgspec.Meta(ge=1, le=2048, description="Numbers of each hidden layer over the fields that are numbers.")
    ] = 64
    bottom_layers: Annotated[int, msgspec.Meta(ge=0, le=8, description="Hidden layers over these.")] = 1


class DLRM(RankingModel):
    """Inner products of every two fields, the numbers as one field, below layers."""

    Config = Options
    config: Options
    summary = "A ranker: layers over the products of every two fields, all numbers as one. Needs PyTorch."
    source = "Naumov et al., 2019"
    space = declare(**DEEP, bottom=Range(16, 512, log=True, whole=True))

    def width(self, fields: int) -> int:
        """A vector."""
        return self.config.factors

    def parts(self, fields: Layout) -> tuple[nn.Module, ...]:
        """Products below layers."""
        from serendip.nn.scoring import Products

        o = self.config
        below = (o.bottom,) * o.bottom_layers
        products = Products(len(fields), o.factors, o.widths, numbers=fields.numbers, bottom=below, dropout=o.dropout)
        return (products,)
