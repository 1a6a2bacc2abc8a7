"""Memory that a step of training hands on to the next: to have pages given anew costs up to a seventh of a step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_free: list[Tensor] = []


class Lent:
    """Arrays that are taken one by one and given back together, at the latest when nobody holds this any more."""

    def __init__(self) -> None:
        self._taken: list[Tensor] = []

    def take(self, *shape: int, kind: torch.dtype = torch.float32) -> Tensor:
        """Numbers of any value; not to be used once they are given back."""
        count = math.prod(shape)
        fitting = [place for place, one in enumerate(_free) if one.dtype == kind and len(one) >= count]
        best = min(fitting, key=lambda place: len(_free[place]), default=None)
        whole = torch.empty(count, dtype=kind) if best is None else _free.pop(best)
        self._taken.append(whole)
        return whole[:count].view(shape)

    def back(self) -> None:
        """Give all of it back."""
        _free.extend(self._taken)
        self._taken = []

    def __del__(self) -> None:
        self.back()


def drop() -> None:
    """Let the system have what nobody uses."""
    _free.clear()


__all__ = ["Lent", "drop"]
