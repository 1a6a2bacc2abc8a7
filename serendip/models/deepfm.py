"""DeepFM: ``s = b + Σ_i w_i + Σ_{i<j} ⟨v_i, v_j⟩ + tower( [ v_1 … v_f ] )`` over the fields of a query and an item.

The factorisation machine and the layers over the fields share their vectors.

Source: H. Guo, R. Tang, Y. Ye, Z. Li and X. He, "DeepFM: a factorization-machine based neural network for CTR
prediction", IJCAI 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serendip.models._ranking import DEEP, DeepConfig, Layout, RankingModel
from serendip.space import declare

if TYPE_CHECKING:
    from torch import nn


class Options(DeepConfig, frozen=True):
    """Options of `DeepFM`."""


class DeepFM(RankingModel):
    """A factorisation machine and a tower beside each other."""

    Config = Options
    config: Options
    summary = "A ranker: a factorisation machine and layers over the same fields. Needs PyTorch."
    source = "Guo et al., IJCAI 2017"
    space = declare(**DEEP)

    def width(self, fields: int) -> int:
        """A vector and a weight."""
        return self.config.factors + 1

    def parts(self, fields: Layout) -> tuple[nn.Module, ...]:
        """Weights, pairs, and layers."""
        from serendip.nn.interact import FM
        from serendip.nn.ranker import Deep, Vectors, Weights

        o = self.config
        return Weights(), Vectors(FM()), Vectors(Deep(len(fields), o.factors, o.widths, o.dropout))
