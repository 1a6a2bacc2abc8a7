"""What a model of two streams needs beside its towers: each stream reads features of its own choice, and at the end
what the two found is multiplied.

``y = 2 σ( MLP( c ) ) ⊙ x``                                     `FeatureGate`, c the context
``y = w_0 + w_1ᵀ o_1 + w_2ᵀ o_2 + Σ_k o_{1,k}ᵀ W_k o_{2,k}``    `BilinearFusion`, k a part of each stream

Source: K. Mao et al., "FinalMLP: An enhanced two-stream MLP model for CTR prediction", AAAI 2023. The gate's MLP
begins as PyTorch's linear layers do, so that gates are near 1; the fusion's weights as X. Glorot and Y. Bengio have it
(AISTATS 2010, uniform), ``w_0`` at 0; a learned context with deviation 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from serendip.nn.interact.parts import by_part
from serendip.nn.tower import Activation, Tower
from serendip.types import SerendipError


class FeatureGate(nn.Module):
    """A factor from 0 to 2 for each number, by a context: some of the features, or one learned for all."""

    def __init__(
        self, dim: int, context_dim: int | None = None, hidden: Sequence[int] = (64,), activation: Activation = "relu"
    ) -> None:
        """Gates for vectors of ``dim``.

        Args:
            dim: of what is gated.
            context_dim: of the context that is given; None: none is given, one vector as wide as x is learned instead.
            hidden: widths of the gate's hidden layers.
            activation: of those.
        """
        super().__init__()
        self.context_dim = context_dim
        self.learned = nn.Parameter(torch.randn(dim)) if context_dim is None else None
        self.gates = Tower(dim if context_dim is None else context_dim, hidden, dim, activation=activation)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """``[..., dim]`` → ``[..., dim]``.

        Args:
            x: what is gated.
            context: ``[..., context_dim]``; None where it is learned. It may be x itself.

        Raises:
            ValueError: a context is missing, or given where it is learned.
        """
        if (context is None) != (self.learned is not None):
            wanted = "be given" if self.learned is None else "not be given where it is learned"
            raise ValueError(f"A context must {wanted}. Got {'none' if context is None else 'one'} instead.")
        given = self.learned if context is None else context
        assert given is not None
        return self.factors(given) * x

    def factors(self, context: Tensor) -> Tensor:
        """``[..., dim]`` of a context ``[..., context_dim]``, or of the learned one."""
        return 2 * torch.sigmoid(self.gates(context))


class BilinearFusion(nn.Module):
    """One number from two streams: linear in each, and in the products of their parts."""

    def __init__(self, one: int, other: int, heads: int = 1) -> None:
        """A fusion of vectors of these widths.

        Args:
            one: of the first stream, m.
            other: of the second, n.
            heads: parts of equal width that each stream is cut into; only parts of the same number are multiplied.

        Raises:
            SerendipError: the heads cannot share the streams.
        """
        super().__init__()
        if heads < 1 or one % heads or other % heads:
            raise SerendipError(
                f"The heads of a bilinear fusion must divide the widths of both streams, {one} and {other}. "
                f"Got {heads} heads instead. Try 1, or streams that are multiples of {heads}."
            )
        self.first, self.second = nn.Linear(one, 1), nn.Linear(other, 1, bias=False)
        self.products = nn.Parameter(torch.empty(heads, one // heads, other // heads))
        for weight in (self.first.weight, self.second.weight, *self.products):
            nn.init.xavier_uniform_(weight)
        nn.init.zeros_(self.first.bias)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """``[..., m]`` and ``[..., n]`` → ``[...]``."""
        turned = by_part(one, self.products).flatten(-2)
        linear: Tensor = self.first(one).squeeze(-1)
        return linear + ((turned + self.second.weight[0]) * other).sum(dim=-1)


__all__ = ["BilinearFusion", "FeatureGate"]
