"""Convolutions over a history, and the largest of what each has found so far.

``c_p = max(0, W [x_{p-w+1} … x_p] + b)``,  ``h_p = max_{r ≤ p} c_r``    for each kernel width w, side by side

with vectors before the first event 0.

Source: the CNN encoder of the TensorFlow Lite recommendation toolkit (convolution, ReLU, maximum over time). Deviation:
kernels move by one event and look back only, so that there is a state at every position.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from serendip.nn.sequence.encoder import Encoder


class Cnn(Encoder):
    """Kernels of several widths."""

    def __init__(self, dim: int, channels: int | None = None, widths: Sequence[int] = (2, 4, 8)) -> None:
        """Kernels over vectors of ``dim``.

        Args:
            dim: of an event's vector.
            channels: found by the kernels of each width; None: ``dim``.
            widths: how many events each kernel sees.

        Raises:
            ValueError: no width, or one below 1.
        """
        super().__init__()
        if not widths or min(widths) < 1:
            raise ValueError(f"Kernels must be of 1 or more widths, each 1 or more. Got {tuple(widths)} instead.")
        self.widths = tuple(widths)
        self.kernels = nn.ModuleList(nn.Conv1d(dim, channels or dim, width) for width in widths)
        self.out = len(widths) * (channels or dim)

    def states(self, x: Tensor, present: Tensor) -> Tensor:
        """As `Encoder.states`."""
        events = x.transpose(1, 2)
        found = [
            kernel(functional.pad(events, (width - 1, 0)))
            for kernel, width in zip(self.kernels, self.widths, strict=True)
        ]
        return largest_so_far(functional.relu(torch.cat(found, dim=1))).transpose(1, 2)


def largest_so_far(x: Tensor) -> Tensor:
    """``[b, c, t]`` the largest up to each time."""
    if torch.compiler.is_exporting():  # ONNX has no operator for it
        return largest_by_doubling(x)
    largest, _ = torch.cummax(x, dim=2)
    return largest


def largest_by_doubling(x: Tensor) -> Tensor:
    """The same over spans that double, of numbers that are 0 or more; it takes longer to learn through."""
    span = 1
    while span < x.shape[2]:
        x = torch.maximum(x, functional.pad(x[:, :, :-span], (span, 0)))
        span *= 2
    return x
