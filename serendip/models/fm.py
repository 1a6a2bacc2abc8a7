"""A factorisation machine: ``s = b + Σ_i w_i + Σ_{i<j} ⟨v_i, v_j⟩`` over the fields of a query and an item.

Source: S. Rendle, "Factorization machines", ICDM 2010.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serendip.models._ranking import WIDE, Layout, RankingModel, VectorConfig
from serendip.space import declare

if TYPE_CHECKING:
    from torch import nn


class Options(VectorConfig, frozen=True):
    """Options of `FM`."""


class FM(RankingModel):
    """What fields say by themselves and two by two."""

    Config = Options
    config: Options
    summary = "A ranker: every two fields of a query and an item by the product of their vectors. Needs PyTorch."
    source = "Rendle, ICDM 2010"
    space = declare(**WIDE)

    def width(self, fields: int) -> int:
        """A vector and a weight."""
        return self.config.factors + 1

    def parts(self, fields: Layout) -> tuple[nn.Module, ...]:
        """Weights and pairs."""
        from serendip.nn.interact import FM as Pairs
        from serendip.nn.ranker import Vectors, Weights

        return Weights(), Vectors(Pairs())
