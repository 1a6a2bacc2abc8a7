"""Dropout of activations and of ids.

Source: N. Srivastava et al., "Dropout: A simple way to prevent neural networks from overfitting", JMLR 2014; dropout of
ids, so that a network learns to do without them: M. Volkovs, G. Yu and T. Poutanen, "DropoutNet: Addressing cold start
in recommender systems", NIPS 2017.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from serendip.types import ABSENT

_STEPS = 1 << 16
"""Numbers that 16 random bits make: the rate is rounded to a multiple of 1 in so many."""


class Dropout(nn.Module):
    """In training each number is 0 with probability ``rate`` and otherwise ``1 / (1 - rate)`` times what it was.

    On the processor 16 random bits decide on a number, which takes a third of the time of PyTorch's own dropout.
    """

    def __init__(self, rate: float) -> None:
        """Dropout at that rate, from 0 to below 1."""
        super().__init__()
        self.rate = checked(rate)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        if not self.training or self.rate == 0:
            return x
        if x.device.type != "cpu":
            return functional.dropout(x, self.rate)
        return x * keepers(x, self.rate)

    def extra_repr(self) -> str:
        """The rate."""
        return f"{self.rate}"


class IdDropout(nn.Module):
    """In training each code becomes `ABSENT` with probability ``rate``: its vector is 0, as that of a new id is.

    What is learned from the features beside it then has to stand on its own.
    """

    def __init__(self, rate: float) -> None:
        """Dropout at that rate, from 0 to below 1."""
        super().__init__()
        self.rate = checked(rate)

    def forward(self, codes: Tensor) -> Tensor:
        """The same shape."""
        if not self.training or self.rate == 0:
            return codes
        return codes.masked_fill(torch.rand(codes.shape, device=codes.device) < self.rate, ABSENT)

    def extra_repr(self) -> str:
        """The rate."""
        return f"{self.rate}"


def checked(rate: float) -> float:
    """The rate, if it is one.

    Raises:
        ValueError: it is not from 0 to below 1.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"The rate of dropout must be from 0 to below 1. Got {rate} instead.")
    return rate


def keepers(x: Tensor, rate: float) -> Tensor:
    """Numbers of the shape and kind of ``x``: 0 with that probability, otherwise what makes their mean 1."""
    cut = round(rate * _STEPS)
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[: x.numel()].view(x.shape)
    kept = torch.empty(x.shape, dtype=x.dtype)
    return torch.ge(bits, cut - _STEPS // 2, out=kept).mul_(_STEPS / (_STEPS - cut))
