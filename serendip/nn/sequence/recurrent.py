"""Recurrent encoders: the state after an event follows from the event and the state before it.

GRU: ``r, z = σ( W x + U h )``,  ``c = tanh( W_c x + r ⊙ U_c h )``,  ``h ← (1 - z) ⊙ c + z ⊙ h``

LSTM: ``i, f, o = σ(W x + U h)``,  ``g = tanh(W_g x + U_g h)``,  ``c ← f ⊙ c + i ⊙ g``,  ``h ← o ⊙ tanh(c)``

each product with a bias of its own; states start from 0, the biases too, but for those of f, which start from 1.

Source: K. Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014 (GRU); S. Hochreiter and
J. Schmidhuber, "Long short-term memory", Neural Computation 1997; for histories: B. Hidasi, A. Karatzoglou,
L. Baltrunas and D. Tikk, "Session-based recommendations with recurrent neural networks", ICLR 2016.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from serendip.nn.dropout import Dropout
from serendip.nn.sequence.encoder import Encoder


class _Recurrent(Encoder):
    layer: type[nn.GRU] | type[nn.LSTM]

    def __init__(self, dim: int, hidden: int | None = None, layers: int = 1, dropout: float = 0.0) -> None:
        """Layers on top of each other.

        Args:
            dim: of an event's vector.
            hidden: of a state; None: ``dim``.
            layers: how many.
            dropout: the share left out in training of what goes into each layer.
        """
        super().__init__()
        self.out = hidden or dim
        self.layers = nn.ModuleList(
            started(self.layer(dim if place == 0 else self.out, self.out, batch_first=True)) for place in range(layers)
        )
        self.dropout = Dropout(dropout)

    def states(self, x: Tensor, present: Tensor) -> Tensor:
        """As `Encoder.states`."""
        for layer in self.layers:
            x, _ = layer(self.dropout(x))
        return x


class Gru(_Recurrent):
    """Gated recurrent units."""

    layer = nn.GRU


class Lstm(_Recurrent):
    """Long short-term memory; a state is what it lets out."""

    layer = nn.LSTM


@torch.no_grad()
def started(layer: Any) -> nn.Module:
    """A layer of PyTorch's whose inner products keep lengths about as they are, each gate by itself."""
    gates = 4 if isinstance(layer, nn.LSTM) else 3
    for one, other in zip(layer.weight_ih_l0.chunk(gates), layer.weight_hh_l0.chunk(gates), strict=True):
        nn.init.xavier_uniform_(one)
        nn.init.orthogonal_(other)
    nn.init.zeros_(layer.bias_ih_l0)
    nn.init.zeros_(layer.bias_hh_l0)
    if gates == 4:
        layer.bias_ih_l0[layer.hidden_size : 2 * layer.hidden_size] = 1
    done: nn.Module = layer
    return done
