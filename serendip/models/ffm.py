"""A field-aware factorisation machine: ``s = b + Σ_i w_i + Σ_{i<j} ⟨v_{i,j}, v_{j,i}⟩`` over the fields of a query and
an item.

A field has a vector of its own for each other field. So what an item says as the last one of a history and what it says
as a candidate are different vectors: that b follows a is not that a follows b, as it is to `fm`.

Source: Y. Juan, Y. Zhuang, W.-S. Chin and C.-J. Lin, "Field-aware factorization machines for CTR prediction", RecSys
2016. Deviations: weights of fields by themselves, as the factorisation machine has them; rows are not made of length 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from serendip.models._ranking import WIDE, Layout, RankingConfig, RankingModel
from serendip.space import Range, declare

if TYPE_CHECKING:
    from torch import nn


class Options(RankingConfig, frozen=True):
    """Options of `FFM`."""

    factors: Annotated[
        int, msgspec.Meta(ge=1, le=128, description="d: dimensions of the vector that a field has for another.")
    ] = 4


class FFM(RankingModel):
    """What fields say by themselves and two by two, each with vectors for the other."""

    Config = Options
    config: Options
    summary = "A ranker: every two fields of a query and an item, each by its vector for the other. Needs PyTorch."
    source = "Juan et al., RecSys 2016"
    space = declare(**{**WIDE, "factors": Range(2, 16, log=True, whole=True)})

    def width(self, fields: int) -> int:
        """A vector for each field, and a weight."""
        return fields * self.config.factors + 1

    def parts(self, fields: Layout) -> tuple[nn.Module, ...]:
        """Weights and pairs."""
        from torch import nn

        from serendip.nn.interact import FFM as Pairs
        from serendip.nn.ranker import Vectors, Weights
        from serendip.nn.sides import Stack

        by_field = nn.Unflatten(2, (len(fields), self.config.factors))  # [b, f, f · d] → [b, f, f, d]
        return Weights(), Vectors(Stack(by_field, Pairs(len(fields))))
