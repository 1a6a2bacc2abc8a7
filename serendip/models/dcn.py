"""Deep and cross network, as it was first published: ``x_{l+1} = x_0 (x_lᵀ w_l) + b_l + x_l`` over all fields,
``x_0 = [v_1 … v_f]``, beside layers over the same: ``s = b + wᵀ x_L + tower(x_0)``.

A cross multiplies ``x_0`` by one number, so that a layer has two parameters for each number of ``x_0``; `dcn_v2` has a
matrix there.

Source: R. Wang, B. Fu, G. Fu and M. Wang, "Deep & cross network for ad click predictions", ADKDD 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from serendip.models._ranking import DEEP, DeepConfig, Layout, RankingModel
from serendip.space import Range, declare

if TYPE_CHECKING:
    from torch import nn


class Options(DeepConfig, frozen=True):
    """Options of `DCN`."""

    crosses: Annotated[int, msgspec.Meta(ge=1, le=8, description="Layers of crosses.")] = 2


class DCN(RankingModel):
    """Crosses by a vector, and layers beside them."""

    Config = Options
    config: Options
    summary = "A ranker: crosses of features by a vector each, and layers beside them. Needs PyTorch."
    source = "Wang et al., ADKDD 2017"
    space = declare(**DEEP, crosses=Range(1, 4, whole=True))

    def width(self, fields: int) -> int:
        """A vector."""
        return self.config.factors

    def parts(self, fields: Layout) -> tuple[nn.Module, ...]:
        """Crosses, and layers."""
        from serendip.nn.interact import Cross, CrossNetwork
        from serendip.nn.ranker import Crossed, Deep

        o = self.config
        dim = len(fields) * o.factors
        crosses = Crossed(CrossNetwork(lambda: Cross(dim), o.crosses), dim)
        return crosses, Deep(len(fields), o.factors, o.widths, o.dropout)
