"""How often each item comes up in a stream of examples, estimated while it goes by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from serendip.types import SerendipError


class Frequency(nn.Module):
    """The probability that an example is about an item, as 1 over the mean number of examples from one to the next.

    ``B ← B + α (t − A − B)`` and ``A ← t`` when an item comes up as the t-th example, and ``p = 1 / B``. An item that
    comes up c times in a batch takes c such steps of one and the same length.

    Until an item has come up 1/α times, the mean is the plain one; one that never came up counts as if it came next.
    The estimate belongs to the module's state, so that it is saved and goes on where it was.

    Source: X. Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations", RecSys 2019,
    algorithm 2. There a step is a batch, so that whatever is in every batch is equally frequent; here it is an example,
    and p a share of the log.
    """

    last: Tensor
    between: Tensor
    count: Tensor
    examples: Tensor

    def __init__(self, size: int, *, rate: float = 0.01) -> None:
        """Nothing has come up.

        Args:
            size: how many items there are; any other code is nobody's, and has probability 1.
            rate: α, how much the latest step counts.

        Raises:
            SerendipError: the rate is not above 0 and at most 1.
        """
        super().__init__()
        if not 0 < rate <= 1:
            raise SerendipError(f"rate must be above 0 and at most 1. Got {rate} instead. Try 0.01.")
        self.size, self.rate = size, rate
        self.register_buffer("last", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("between", torch.zeros(size, dtype=torch.float32))
        self.register_buffer("count", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("examples", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, codes: Tensor) -> Tensor:
        """``log p`` of codes of any shape; in training they are first counted, as one example each, in their order."""
        if self.training:
            self.update(codes)
        known = (codes >= 0) & (codes < self.size)
        rows = torch.where(known, codes, 0)
        waited = (self.examples - self.last[rows] + 1).float()
        between = torch.where(self.count[rows] > 0, self.between[rows], waited)
        return torch.where(known, -between.clamp(min=1).log(), 0.0)

    @torch.no_grad()
    def update(self, codes: Tensor) -> None:
        """Count codes of any shape as one example each; `ABSENT` and others that are no item's pass uncounted."""
        flat = codes.reshape(-1)
        flat = flat[(flat >= 0) & (flat < self.size)]
        rows, places, times = torch.unique(flat, return_inverse=True, return_counts=True)
        now = self.examples + 1 + torch.arange(len(flat), device=flat.device)
        latest = torch.zeros_like(rows).scatter_reduce_(0, places, now, "amax")
        step = (latest - self.last[rows]).float() / times
        before = self.count[rows]
        plain = times / (before + times)
        fading = 1 - (1 - self.rate) ** times.float()
        between = self.between[rows]
        self.between[rows] = between + torch.maximum(plain, fading) * (step - between)
        self.last[rows] = latest
        self.count[rows] = before + times
        self.examples += len(flat)
