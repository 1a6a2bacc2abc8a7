"""Gradients cut to a length."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from serendip.nn.rows import merge


@torch.no_grad()
def clip(parameters: Iterable[Tensor], length: float) -> None:
    """Shorten the gradient of all parameters together to ``length`` where it is longer: ``g · min(1, length / ‖g‖)``.

    The rows that `serendip.nn.rows.gather` noted count with the sum of what was noted of each.

    Source: R. Pascanu, T. Mikolov and Y. Bengio, "On the difficulty of training recurrent neural networks", ICML 2013.
    """
    found: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is not None:
            found.append(parameter.grad)
        if (rows := merge(parameter)) is not None:
            found.append(rows.gradients)
    if not found:
        return
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(one) for one in found]))
    share = (length / norm).clamp(max=1.0)
    for one in found:
        one.mul_(share)
