"""PyTorch's GRU and LSTM as the single operators that ONNX has for them.

The exporter would otherwise follow them step by step through the whole history, which takes a minute where this takes
a second.

Source: ONNX, operators ``GRU`` and ``LSTM``, whose gates stand in another order than PyTorch's.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

_GATES = {nn.GRU: (1, 0, 2), nn.LSTM: (0, 3, 1, 2)}
"""The place that each of ONNX's gates has in PyTorch: reset, update, new; input, forget, cell, output."""


class Node(nn.Module):
    """A recurrent layer of PyTorch, for export only; the weights keep their names."""

    def __init__(self, layer: nn.GRU | nn.LSTM) -> None:
        """Of one direction, with biases, the batch first."""
        super().__init__()
        self.operator = type(layer).__name__
        self.gates = _GATES[type(layer)]
        self.layers, self.hidden = layer.num_layers, layer.hidden_size
        for name, value in layer.named_parameters():
            self.register_parameter(name, value)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, None]:
        """The outputs ``[b, t, h]`` of ``x`` ``[b, t, d]``; the last state is left out."""
        if state is not None:
            raise NotImplementedError("a recurrent layer is exported without a state to begin with")
        out = x.transpose(0, 1)
        for layer in range(self.layers):
            out = self._layer(out, layer)
        return out.transpose(0, 1), None

    def _layer(self, x: Tensor, layer: int) -> Tensor:
        bias = torch.cat([self._turned(f"bias_ih_l{layer}"), self._turned(f"bias_hh_l{layer}")])
        weights = (self._turned(f"weight_ih_l{layer}"), self._turned(f"weight_hh_l{layer}"), bias)
        attributes: dict[str, Any] = {"hidden_size": self.hidden}
        if self.operator == "GRU":
            attributes["linear_before_reset"] = 1
        steps, batch = x.shape[:2]
        out: Tensor = torch.onnx.ops.symbolic(
            self.operator,
            (x, *(value.unsqueeze(0) for value in weights)),
            attributes,
            dtype=x.dtype,
            shape=(steps, 1, batch, self.hidden),
            version=18,
        )
        return out.squeeze(1)

    def _turned(self, name: str) -> Tensor:
        """A weight with its gates in ONNX's order."""
        parts = self.get_parameter(name).chunk(len(self.gates))
        return torch.cat([parts[place] for place in self.gates])


def with_nodes(module: nn.Module) -> nn.Module:
    """A copy, sharing the weights, in which the layers that ONNX has an operator for are that operator."""
    shared: dict[int, Any] = {id(value): value for value in (*module.parameters(), *module.buffers())}
    made = copy.deepcopy(module, shared)
    for name, part in list(made.named_modules()):
        if type(part) in _GATES and _plain(part):
            parent, _, last = name.rpartition(".")
            setattr(made.get_submodule(parent), last, Node(part))
    return made


def _plain(layer: Any) -> bool:
    return bool(layer.batch_first and layer.bias and not layer.bidirectional and not getattr(layer, "proj_size", 0))


__all__ = ["Node", "with_nodes"]
