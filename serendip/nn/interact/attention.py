"""Self-attention over fields: each field becomes a mean of all, weighed by how they go together.

``α_{m,k} = softmax_k( ⟨W_Q e_m, W_K e_k⟩ )``,  ``ẽ_m = Σ_k α_{m,k} W_V e_k``    in each head, side by side
``y_m = max(0, ẽ_m + W_R e_m)``

Source: W. Song et al., "AutoInt: Automatic feature interaction learning via self-attentive neural networks", CIKM 2019.
Matrices begin as X. Glorot and Y. Bengio have it (AISTATS 2010, uniform), each head's beside the others as one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from serendip.nn.sides import Sided, Sides


class FieldAttention(nn.Module):
    """One layer; several may lie on top of each other."""

    sided = True

    def __init__(self, dim: int, width: int, heads: int = 2, *, scaled: bool = False) -> None:
        """Attention over fields of ``dim``.

        Args:
            dim: of a field's vector that comes in.
            width: of what a head gives.
            heads: how many; a field's vector that comes out is heads times width wide.
            scaled: divide the inner products by ``√width``; not so as published.

        Raises:
            ValueError: a size is below 1.
        """
        super().__init__()
        if min(dim, width, heads) < 1:
            raise ValueError(f"dim, width and heads must be 1 or more. Got {dim}, {width} and {heads} instead.")
        self.width, self.out, self.scaled = width, heads * width, scaled
        self.maps = nn.Linear(dim, 4 * self.out, bias=False)  # queries, keys, values, and what is kept
        for weight in self.maps.weight.chunk(4):
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Sided) -> Tensor:
        """``[b, f, dim]`` fields → ``[b, f, heads · width]``."""
        mapped = x.each(self.maps).whole if isinstance(x, Sides) else self.maps(x)
        *parts, kept = mapped.split(self.out, dim=-1)
        q, k, v = (part.unflatten(-1, (-1, self.width)).transpose(1, 2) for part in parts)  # [b, heads, f, width]
        logits = q @ k.transpose(2, 3)
        if self.scaled:
            logits = logits * self.width**-0.5
        mixed = torch.softmax(logits, dim=-1) @ v
        return torch.relu(kept + mixed.transpose(1, 2).flatten(2))


__all__ = ["FieldAttention"]
