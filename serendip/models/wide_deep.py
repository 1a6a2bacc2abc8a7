"""Wide and deep learning: ``s = b + Σ_i w_i + tower( [ v_1 … v_f ] )`` over the fields of a query and an item.

The wide part is a weight for each value of a field, which remembers; the deep part are layers over the fields' vectors,
which generalise. Both are learned together, by one optimiser.

Deviation: the paper's wide part has weights of crossed columns as well. Here a cross of two columns of the same table
is a feature like any other: a column that holds both values, of the kind ``hash``. Crosses of a query's columns with an
item's, of which there are as many as pairs of their values, are left to the layers, or to `ffm` and `dcn_v2`.

Source: H.-T. Cheng et al., "Wide & deep learning for recommender systems", DLRS 2016.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serendip.models._ranking import DEEP, DeepConfig, Layout, RankingModel
from serendip.space import declare

if TYPE_CHECKING:
    from torch import nn


class Options(DeepConfig, frozen=True):
    """Options of `WideDeep`."""


class WideDeep(RankingModel):
    """Weights, and layers beside them."""

    Config = Options
    config: Options
    summary = "A ranker: the weights of all fields, and layers over their vectors. Needs PyTorch."
    source = "Cheng et al., DLRS 2016"
    space = declare(**DEEP)

    def width(self, fields: int) -> int:
        """A vector and a weight."""
        return self.config.factors + 1

    def parts(self, fields: Layout) -> tuple[nn.Module, ...]:
        """Weights, and layers."""
        from serendip.nn.ranker import Deep, Vectors, Weights

        o = self.config
        return Weights(), Vectors(Deep(len(fields), o.factors, o.widths, o.dropout))
