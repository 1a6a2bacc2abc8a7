"""Layers on top of each other: what turns features into a vector to compare.

``h_0 = x``,  ``h_l = dropout( a( W_l h_{l-1} + b_l ) )``,  ``y = W h_L + b``

Source: P. Covington, J. Adams and E. Sargin, "Deep neural networks for YouTube recommendations", RecSys 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from serendip.nn.dropout import Dropout, keepers
from serendip.nn.layers import layers, multiplied
from serendip.nn.sides import Linear, Sided, whole
from serendip.types import SerendipError

Activation = Literal["relu", "gelu", "silu", "tanh"]
_LAYERS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


def activation_layer(name: Activation) -> nn.Module:
    """The layer of that name.

    Raises:
        ValueError: there is none.
    """
    if name not in _LAYERS:
        raise ValueError(f"An activation must be one of {', '.join(get_args(Activation))}. Got {name!r} instead.")
    return _LAYERS[name]()


class Tower(nn.Module):
    """Hidden layers and a projection; either may be left out."""

    def __init__(
        self,
        inputs_dim: int,
        widths: Sequence[int],
        out: int,
        dropout: float = 0.0,
        activation: Activation = "relu",
        normalise: bool = False,
        *,
        heads: int = 1,
        projected: bool = True,
    ) -> None:
        """A tower.

        Args:
            inputs_dim: of what comes in.
            widths: of the hidden layers, from below.
            out: of what comes out.
            dropout: the share of hidden numbers left out in training.
            activation: of the hidden layers.
            normalise: scale each vector that comes out to length 1.
            heads: how many vectors come out.
            projected: whether the last layer is a projection; if not, what goes into it comes out.

        Raises:
            SerendipError: there is no projection, and what would go into it is not as wide as what is to come out.
        """
        super().__init__()
        last = widths[-1] if widths else inputs_dim
        if not projected and last != heads * out:
            raise SerendipError(
                f"Without a projection the last layer must have {heads * out} numbers: factors times heads. Got {last} "
                f"instead. Try projected = true, or hidden = {heads * out}."
            )
        hidden: list[nn.Module] = []
        for below, width in zip((inputs_dim, *widths), widths, strict=False):
            hidden += [Linear(below, width), activation_layer(activation), Dropout(dropout)]
        self.layers = nn.Sequential(*hidden, *([Linear(last, heads * out)] if projected else []))
        self.out, self.heads, self.normalise, self.projected = out, heads, normalise, projected
        self._as_one = activation == "relu" and bool(widths)

    def forward(self, x: Sided) -> Tensor:
        """``[..., inputs_dim]`` → ``[..., out]``, or ``[..., heads, out]`` if there are several heads."""
        given = isinstance(x, Tensor) and x.is_cpu and x.ndim > 1
        as_one = self._as_one and self.training and given and torch.is_grad_enabled()
        y: Tensor = self._learning(whole(x)) if as_one else self.layers(x)
        if self.heads > 1:
            y = y.view(*y.shape[:-1], self.heads, self.out)
        return functional.normalize(y, dim=-1) if self.normalise else y

    def _learning(self, x: Tensor) -> Tensor:
        """As the layers do, as one node of the graph."""
        flat = x.reshape(-1, x.shape[-1])
        linear = [layer for layer in self.layers if isinstance(layer, nn.Linear)]
        rates = [layer.rate for layer in self.layers if isinstance(layer, Dropout)]
        shapes = [torch.empty(len(flat), len(layer.weight), dtype=multiplied(x), device="meta") for layer in linear]
        kept = [keepers(shape, rate) for shape, rate in zip(shapes, rates, strict=False)] if any(rates) else []
        weights, biases = [layer.weight for layer in linear], [layer.bias for layer in linear]
        found = layers(flat, weights, biases, kept, projected=self.projected)
        return found.view(*x.shape[:-1], found.shape[-1])
