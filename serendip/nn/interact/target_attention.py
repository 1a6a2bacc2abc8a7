"""A history as the candidate sees it: what is like the candidate counts more.

``a_p = MLP( h_p, c, h_p − c, h_p ⊙ c )``,  ``y = Σ_p a_p h_p``    over the events p that are present

Weights are not normalised, so that a history that has much in common with the candidate says so; with ``normalise``
they are a softmax over the history.

Source: G. Zhou et al., "Deep interest network for click-through rate prediction", KDD 2018; the four parts are those of
its authors' program. Deviation: the hidden layer has SiLU, which is what their Dice begins as for numbers of mean 0 and
variance 1, so that nothing depends on the rest of a batch. The MLP begins as PyTorch's linear layers do.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from serendip.nn.tower import Activation, Tower, activation_layer


class TargetAttention(nn.Module):
    """One vector of a history for each candidate."""

    def __init__(
        self, dim: int, hidden: Sequence[int] = (36,), activation: Activation = "silu", *, normalise: bool = False
    ) -> None:
        """Attention over vectors of ``dim``.

        Args:
            dim: of a candidate and of an event.
            hidden: widths of the MLP's hidden layers, 1 or more.
            activation: of those.
            normalise: whether the weights of a history are a softmax.

        Raises:
            ValueError: there is no hidden layer.
        """
        super().__init__()
        if not hidden:
            raise ValueError("Weights by a candidate must have 1 or more hidden layers. Got none instead.")
        self.first = nn.Linear(4 * dim, hidden[0])
        self.rest = nn.Sequential(activation_layer(activation), Tower(hidden[0], hidden[1:], 1, activation=activation))
        self.normalise = normalise

    def forward(self, candidates: Tensor, history: Tensor, present: Tensor, row: Tensor | None = None) -> Tensor:
        """``[b, d]`` for one candidate each, ``[b, c, d]`` for c of them. A history without events gives 0.

        Args:
            candidates: ``[b, d]`` or ``[b, c, d]``.
            history: ``[b, t, d]``; what is not present may be anything.
            present: ``[b, t]`` which events there are.
            row: ``[b]`` which history is that of each candidate ``[b, d]``, where there are fewer; None: its own.
        """
        history = history.masked_fill(~present.unsqueeze(-1), 0)
        if row is not None:
            weights = self.weights(candidates.unsqueeze(1), history, present, row)
            return (weights @ history.index_select(0, row)).squeeze(1)
        if candidates.dim() == 2:
            return (self.weights(candidates.unsqueeze(1), history, present) @ history).squeeze(1)
        return self.weights(candidates, history, present) @ history

    def weights(self, candidates: Tensor, history: Tensor, present: Tensor, row: Tensor | None = None) -> Tensor:
        """``[b, c, t]`` how much each event counts for each of the candidates ``[b, c, d]``; what is absent has 0.

        Only products are worked out for every two of them: what is linear in one is worked out once, and added.
        """
        events, own, difference, product = self.first.weight.chunk(4, dim=1)  # [hidden, d] each
        of_events = nn.functional.linear(history, events + difference, self.first.bias)  # [b, t, hidden]
        if row is not None:
            of_events, history, present = (one.index_select(0, row) for one in (of_events, history, present))
        of_candidates = nn.functional.linear(candidates, own - difference)  # [b, c, hidden]
        both = nn.functional.linear(candidates.unsqueeze(2) * history.unsqueeze(1), product)  # [b, c, t, hidden]
        weights: Tensor = self.rest(both + of_events.unsqueeze(1) + of_candidates.unsqueeze(2)).squeeze(-1)
        absent = ~present.unsqueeze(1)
        if self.normalise:
            # Finite, so that a history of nothing has numbers, which are then made 0.
            weights = torch.softmax(weights.masked_fill(absent, torch.finfo(weights.dtype).min), dim=-1)
        return weights.masked_fill(absent, 0)


__all__ = ["TargetAttention"]
