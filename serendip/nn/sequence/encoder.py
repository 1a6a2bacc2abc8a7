"""What every encoder of histories keeps to.

A history may be padded on either side or have holes: an encoder first moves what is present to the front, in its order,
and puts the states back at the end. What stands behind a position cannot touch it, so that no padding can either.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """A state for every position of a history, from what is there up to and including it.

    Attributes:
        out: dimensions of a state.
    """

    out: int

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """``[b, t, out]`` states, 0 where nothing is present.

        Args:
            x: ``[b, t, d]`` the vector of each event, oldest first.
            present: ``[b, t]`` which positions hold an event; the others' vectors do not matter. Histories that are
                padded on the right only are spared being moved.
        """
        if not torch.compiler.is_exporting() and not bool((present[:, 1:] & ~present[:, :-1]).any()):
            return self.states(x, present) * present.unsqueeze(-1)
        places = front_places(present)
        moved = picked(x, inverse(places))
        there = torch.arange(x.shape[1], device=x.device) < present.sum(dim=1, keepdim=True)
        return picked(self.states(moved, there), places) * present.unsqueeze(-1)

    @abstractmethod
    def states(self, x: Tensor, present: Tensor) -> Tensor:
        """``[b, t, out]`` states of histories that are padded on the right, if at all; anything where padded."""


def front_places(present: Tensor) -> Tensor:
    """``[b, t]`` where each position comes to stand if what is present moves to the front; the others follow."""
    ahead = present.long().cumsum(dim=1)
    behind = (~present).long().cumsum(dim=1) + ahead[:, -1:]
    return torch.where(present, ahead, behind) - 1


def inverse(places: Tensor) -> Tensor:
    """The permutation ``[b, t]`` that undoes this one."""
    counting = torch.arange(places.shape[1], device=places.device).expand(places.shape)
    return torch.zeros_like(places).scatter(1, places, counting)


def picked(x: Tensor, places: Tensor) -> Tensor:
    """``[b, t, d]`` the vectors at these places ``[b, t]`` of each row."""
    return x.gather(1, places.unsqueeze(-1).expand(-1, -1, x.shape[2]))


def last(states: Tensor, present: Tensor) -> Tensor:
    """``[b, d]`` the state at the last position that is present; 0 where none is.

    Args:
        states: ``[b, t, d]`` as an encoder gives them.
        present: ``[b, t]``.
    """
    place = (torch.arange(1, present.shape[1] + 1, device=present.device) * present).amax(dim=1, keepdim=True) - 1
    found = picked(states, place.clamp(min=0)).squeeze(1)
    return found * (place >= 0)
