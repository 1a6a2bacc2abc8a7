"""A history as a bag: ``h_p = mean of the last w vectors up to p``.

Source: averaged embeddings of P. Covington, J. Adams and E. Sargin, "Deep neural networks for YouTube
recommendations", RecSys 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor

from serendip.nn.sequence.encoder import Encoder


class Bow(Encoder):
    """The mean of the latest events; it has no parameters."""

    def __init__(self, dim: int, window: int | None = None) -> None:
        """The mean of the last ``window`` events, of all if None."""
        super().__init__()
        if window is not None and window < 1:
            raise ValueError(f"A window must be of 1 or more events. Got {window} instead.")
        self.out, self.window = dim, window

    def states(self, x: Tensor, present: Tensor) -> Tensor:
        """As `Encoder.states`: one product with the matrix of who counts for whom."""
        place = torch.arange(x.shape[1], device=x.device)
        ago = place[:, None] - place
        within = ago >= 0 if self.window is None else (ago >= 0) & (ago < self.window)
        shares = within.to(x.dtype)
        return (shares / shares.sum(dim=1, keepdim=True)) @ x
