"""Deep and cross network: ``x_{l+1} = x_0 ⊙ (W_l x_l + b_l) + x_l`` over all fields, ``x_0 = [v_1 … v_f]``.

Layers over the fields stand beside the crosses, ``s = b + wᵀ x_L + tower(x_0)``, or on top of them,
``s = b + tower(x_L)``. W is a full matrix, a product of two narrow ones (``rank``), or a mixture of several such
products, of which a gate decides how much each counts (``experts``).

How strongly two fields are crossed is the Frobenius norm of their block of W: `DCNV2.crosses`.

Source: R. Wang et al., "DCN V2: improved deep & cross network and practical lessons for web-scale learning to rank
systems", WWW 2021.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from serendip.data.dataset import Dataset
from serendip.models._ranking import DEEP, DeepConfig, Layout, RankingModel
from serendip.space import Range, declare
from serendip.types import SerendipError

if TYPE_CHECKING:
    from torch import nn

    from serendip.nn.interact import CrossLayer
    from serendip.scorers.crossed import Crosses
    from serendip.scorers.ranked import RankScorer


class Options(DeepConfig, frozen=True):
    """Options of `DCNV2`."""

    crosses: Annotated[int, msgspec.Meta(ge=1, le=8, description="Layers of crosses.")] = 2
    rank: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="Of the matrices of the crosses, at most; none: full matrices."),
    ] = None
    experts: Annotated[
        int, msgspec.Meta(ge=1, le=16, description="Products of narrow matrices that share a cross; they need a rank.")
    ] = 1
    structure: Annotated[
        Literal["parallel", "stacked"],
        msgspec.Meta(description="Whether the layers stand beside the crosses or on top of them."),
    ] = "parallel"


class DCNV2(RankingModel):
    """Crosses and layers over all fields."""

    Config = Options
    config: Options
    summary = "A ranker: learned crosses of features, and layers beside or on top of them. Needs PyTorch."
    source = "Wang et al., WWW 2021"
    space = declare(**DEEP, crosses=Range(1, 4, whole=True))

    def width(self, fields: int) -> int:
        """A vector."""
        return self.config.factors

    def parts(self, fields: Layout) -> tuple[nn.Module, ...]:
        """Crosses with layers."""
        from serendip.nn.interact import CrossMixture, CrossNetwork, CrossV2
        from serendip.nn.ranker import Crossed, Deep

        o = self.config
        if o.experts > 1 and o.rank is None:
            raise SerendipError(
                f"{self.name}: experts above 1 need a rank, as each is a product of narrow matrices. Got experts = "
                f"{o.experts} and no rank. Try rank = {max(1, len(fields) * o.factors // 4)}."
            )
        dim = len(fields) * o.factors
        rank = None if o.rank is None else min(o.rank, dim)

        def cross() -> CrossLayer:
            return CrossV2(dim, rank) if o.experts == 1 or rank is None else CrossMixture(dim, rank, o.experts)

        network = CrossNetwork(cross, o.crosses)
        if o.structure == "stacked":
            return (Crossed(network, dim, o.widths, o.dropout),)
        return Crossed(network, dim), Deep(len(fields), o.factors, o.widths, o.dropout)

    def scorer(self, net: Any, data: Dataset, **parts: Any) -> RankScorer:
        """With how strongly fields are crossed."""
        crosses = net.parts[0].network.pairs([self.config.factors] * len(net.names))
        return replace(super().scorer(net, data, **parts), names=net.names, crosses=crosses.cpu().numpy())

    def crosses(self) -> Crosses:
        """How strongly the fields are crossed, by the matrix W of the lowest layer.

        Raises:
            SerendipError: the model has not been fitted.
        """
        from serendip.scorers.crossed import crosses_of

        return crosses_of(self.name, self.lower())[self.name]
