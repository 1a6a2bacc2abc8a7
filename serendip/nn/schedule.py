"""How the size of training's steps goes over time."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "linear", "plateau"]

FALL = 0.1
"""What the steps are multiplied by where they fall on a plateau."""


def share(schedule: Schedule, epoch: int, epochs: int, step: int = 0, warmup: int = 0, falls: int = 0) -> float:
    """The size of a step as a share of the full one: ``w · s`` with w of the warm-up and s of the schedule.

    ``w = min(1, (step + 1) / warmup)``, and over the epochs ``s`` stays 1 (constant), falls to 0 as half a cosine does,
    ``½ (1 + cos(π epoch / epochs))``, or evenly (linear), ``1 − epoch / epochs``; or it falls to a tenth wherever
    nothing got better (plateau), ``0.1^falls``.

    Args:
        schedule: which.
        epoch: the one under way, the first being 0.
        epochs: how many there are.
        step: how many steps have been made, over all epochs.
        warmup: how many steps the warm-up takes.
        falls: after how many epochs nothing was better than before.

    Source: the cosine is that of I. Loshchilov and F. Hutter, "SGDR: Stochastic gradient descent with warm restarts",
    ICLR 2017, without restarts; the warm-up that of P. Goyal et al., "Accurate, large minibatch SGD", 2017.
    """
    warm = min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0
    done = epoch / epochs
    match schedule:
        case "constant":
            return warm
        case "cosine":
            return warm * 0.5 * (1 + math.cos(math.pi * done))
        case "linear":
            return warm * (1 - done)
        case "plateau":
            return warm * FALL**falls
