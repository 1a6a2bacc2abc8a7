"""Cross layers: each multiplies the vector that came in, ``x_0``, by what the layer below gave, ``x_l``.

``x_{l+1} = x_0 (x_lᵀ w) + b + x_l``                                             `Cross`
``x_{l+1} = x_0 ⊙ ( a( W x_l + b ) + s x_l ) + x_l``                             `CrossV2`, W full or ``U Vᵀ``
``x_{l+1} = Σ_e g_e(x_l) · x_0 ⊙ ( U_e tanh( C_e tanh( V_eᵀ x_l ) ) + b ) + x_l``    `CrossMixture`

with a the identity and s = 0 unless stated, and the gates ``g = softmax( G x_l )``, or ``σ( G x_l )``.

Source: R. Wang et al., "Deep & cross network for ad click predictions", ADKDD 2017; R. Wang et al., "DCN V2: Improved
deep & cross network and practical lessons for web-scale learning to rank systems", WWW 2021, whose experts share the
bias too; s and a are those of the layer in TensorFlow Recommenders. Matrices begin as X. Glorot and Y. Bengio have it
(AISTATS 2010, uniform), each expert's by itself; biases at 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from serendip.nn.interact.crosses import Matrix, crosses
from serendip.nn.interact.parts import by_part
from serendip.nn.sides import Linear, Sided, product, whole
from serendip.nn.tower import Activation, activation_layer
from serendip.types import SerendipError

Gate = Literal["softmax", "sigmoid"]


class CrossLayer(nn.Module, ABC):
    """One layer: ``x_0 ⊙ f( x_l ) + x_l``, with f linear or nearly so."""

    @abstractmethod
    def forward(self, first: Tensor, x: Sided) -> Tensor:
        """``[..., d]`` what came in and ``[..., d]`` what the layer below gave → ``[..., d]``."""

    @abstractmethod
    def matrix(self) -> Tensor:
        """``[d, d]`` the weight of each product of a number of ``x_0`` (row) and one of ``x_l`` (column)."""

    @torch.no_grad()
    def pairs(self, widths: Sequence[int]) -> Tensor:
        """``[f, f]`` how strongly each two fields are crossed: the Frobenius norm of their block of `matrix`.

        Args:
            widths: of the fields, in the order in which they lie side by side in ``x_0``.

        Raises:
            ValueError: the widths do not add up to the layer's.
        """
        squares = self.matrix().square()
        if min(widths, default=0) < 1 or sum(widths) != len(squares):
            found = f"{list(widths)}, together {sum(widths)},"
            raise ValueError(f"Widths must be 1 or more and add up to {len(squares)}. Got {found} instead.")
        repeats = torch.tensor(list(widths), device=squares.device)
        fields = torch.eye(len(widths), dtype=squares.dtype, device=squares.device).repeat_interleave(repeats, dim=0)
        return (fields.T @ squares @ fields).sqrt()


class Cross(CrossLayer):
    """By one number: ``x_0 (x_lᵀ w) + b + x_l``."""

    def __init__(self, dim: int) -> None:
        """Over vectors of ``dim``."""
        super().__init__()
        self.weight = nn.Parameter(torch.empty(dim, 1))
        self.bias = nn.Parameter(torch.zeros(dim))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, first: Tensor, x: Sided) -> Tensor:
        """As `CrossLayer.forward`."""
        return torch.addcmul(whole(x) + self.bias, first, product(x, self.weight.T))

    def matrix(self) -> Tensor:
        """As `CrossLayer.matrix`: every row is ``w``."""
        return self.weight.T.expand(len(self.weight), -1)


class CrossV2(CrossLayer):
    """By a vector: ``x_0 ⊙ ( a( W x_l + b ) + s x_l ) + x_l``."""

    def __init__(
        self, dim: int, rank: int | None = None, *, diag_scale: float = 0.0, preactivation: Activation | None = None
    ) -> None:
        """Over vectors of ``dim``.

        Args:
            dim: of a vector.
            rank: of ``W = U Vᵀ``; None: W is full.
            diag_scale: s, added to the diagonal of W, but outside the activation; 0 or more.
            preactivation: a, before the product with ``x_0``; None: none.

        Raises:
            ValueError: diag_scale is below 0, or there is no such activation.
            SerendipError: the rank is below 1 or above dim.
        """
        super().__init__()
        if not diag_scale >= 0:
            raise ValueError(f"diag_scale must be 0 or more. Got {diag_scale} instead.")
        self.diag_scale = float(diag_scale)
        self.down = None if rank is None else Linear(dim, checked_rank(rank, dim), bias=False)
        self.up = Linear(rank or dim, dim)
        self.activation = None if preactivation is None else activation_layer(preactivation)
        for layer in (self.up, self.down):
            if layer is not None:
                nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, first: Tensor, x: Sided) -> Tensor:
        """As `CrossLayer.forward`."""
        y = self.up(x if self.down is None else self.down(x))
        if self.activation is not None:
            y = self.activation(y)
        if self.diag_scale:
            y = torch.add(y, whole(x), alpha=self.diag_scale)
        return torch.addcmul(whole(x), first, y)

    def matrix(self) -> Tensor:
        """As `CrossLayer.matrix`: ``W + s I``; what is within the activation counts as if there were none."""
        full = self.up.weight if self.down is None else self.up.weight @ self.down.weight
        return full + self.diag_scale * torch.eye(len(full), dtype=full.dtype, device=full.device)


class CrossMixture(CrossLayer):
    """By what experts of low rank say, each as much as its gate lets through."""

    def __init__(self, dim: int, rank: int, experts: int = 4, gate: Gate = "softmax") -> None:
        """Over vectors of ``dim``.

        Args:
            dim: of a vector.
            rank: of each expert.
            experts: how many, 1 or more.
            gate: whether the experts share what is let through (softmax), or each has a gate of its own (sigmoid).

        Raises:
            ValueError: no experts, or no such gate.
            SerendipError: the rank is below 1 or above dim.
        """
        super().__init__()
        if experts < 1 or gate not in get_args(Gate):
            found = f"{experts} of {gate!r}"
            raise ValueError(f"Experts must be 1 or more, with gates of softmax or sigmoid. Got {found} instead.")
        self.gate = gate
        self.down = Linear(dim, experts * checked_rank(rank, dim), bias=False)
        self.inner = nn.Parameter(torch.empty(experts, rank, rank))
        self.up = nn.Linear(experts * rank, dim, bias=False)
        self.bias = nn.Parameter(torch.zeros(dim))
        self.gates = Linear(dim, experts, bias=False)
        of_experts = (*self.down.weight.chunk(experts), *self.inner, *self.up.weight.chunk(experts, dim=1))
        for weight in (*of_experts, self.gates.weight):
            nn.init.xavier_uniform_(weight)

    def forward(self, first: Tensor, x: Sided) -> Tensor:
        """As `CrossLayer.forward`."""
        inside = torch.tanh(by_part(torch.tanh(self.down(x)), self.inner.transpose(1, 2)))  # [..., e, r]
        gates = self._opened(self.gates(x))
        # The matrices U lie side by side, so that one product sums over the experts.
        y = self.up((gates.unsqueeze(-1) * inside).flatten(-2))
        y = y + (self.bias if self.gate == "softmax" else gates.sum(dim=-1, keepdim=True) * self.bias)
        return torch.addcmul(whole(x), first, y)

    def matrix(self) -> Tensor:
        """As `CrossLayer.matrix`: ``Σ_e g_e(0) U_e C_e V_eᵀ``, what the experts come to where ``x_l`` is small."""
        down = self.down.weight.view(*self.inner.shape[:2], -1)  # [e, r, d]
        gates = self._opened(self.bias.new_zeros(len(self.inner)))
        inside = gates[:, None, None] * (self.inner @ down)
        return self.up.weight @ inside.flatten(0, 1)

    def _opened(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits, dim=-1) if self.gate == "softmax" else torch.sigmoid(logits)


class CrossNetwork(nn.Module):
    """Cross layers on top of each other."""

    def __init__(self, make: Callable[[], CrossLayer], layers: int = 3) -> None:
        """A network of layers of one kind.

        Args:
            make: a layer, anew each time: say ``lambda: CrossV2(dim, rank=32)``.
            layers: how many, 1 or more.

        Raises:
            ValueError: there are none.
        """
        super().__init__()
        if layers < 1:
            raise ValueError(f"Cross layers must be 1 or more. Got {layers} instead.")
        self.layers = nn.ModuleList(make() for _ in range(layers))

    def forward(self, x: Sided) -> Tensor:
        """``[..., d]`` → ``[..., d]``."""
        first = whole(x)
        plain = [layer for layer in self.layers if isinstance(layer, CrossV2) and layer.activation is None]
        learned = self.training and torch.is_grad_enabled() and first.is_cpu and first.ndim == 2
        if learned and len(plain) == len(self.layers):
            matrices = [
                Matrix(None if one.down is None else one.down.weight, one.up.weight, one.up.bias) for one in plain
            ]
            return crosses(first, matrices, [one.diag_scale for one in plain])
        for layer in self.layers:
            x = layer(first, x)
        return whole(x)

    def pairs(self, widths: Sequence[int]) -> Tensor:
        """``[f, f]`` as `CrossLayer.pairs`, of the lowest layer: only there are the columns fields, too."""
        lowest = self.layers[0]
        assert isinstance(lowest, CrossLayer)
        return lowest.pairs(widths)


def checked_rank(rank: int, dim: int) -> int:
    """The rank, if vectors of ``dim`` can have a matrix of it.

    Raises:
        SerendipError: they cannot.
    """
    if not 1 <= rank <= dim:
        raise SerendipError(
            f"The rank of a cross layer must be from 1 to {dim}, the width of what is crossed. Got {rank} instead. "
            "Try a lower rank, or none for a full matrix."
        )
    return rank


__all__ = ["Cross", "CrossLayer", "CrossMixture", "CrossNetwork", "CrossV2", "Gate"]
