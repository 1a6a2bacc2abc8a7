"""The inner product of every two fields, each as a number of its own.

``y = ( ⟨v_1, v_0⟩, ⟨v_2, v_0⟩, ⟨v_2, v_1⟩, ⟨v_3, v_0⟩, … )``

the lower triangle of ``V Vᵀ``, row by row; with self-interaction its diagonal too, each row's at the row's end.

Source: M. Naumov et al., "Deep learning recommendation model for personalization and recommendation systems", 2019.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dots(nn.Module):
    """Inner products in a fixed order. There are no parameters."""

    places: Tensor

    def __init__(self, fields: int, *, self_interaction: bool = False) -> None:
        """Over so many fields.

        Args:
            fields: how many, f.
            self_interaction: whether each field is multiplied by itself too.

        Raises:
            ValueError: there is nothing to multiply.
        """
        super().__init__()
        least = 1 if self_interaction else 2
        if fields < least:
            raise ValueError(f"There must be {least} or more fields to multiply. Got {fields} instead.")
        rows, columns = torch.tril_indices(fields, fields, 0 if self_interaction else -1)
        # They follow from the options, so that a checkpoint need not keep them.
        self.register_buffer("places", rows * fields + columns, persistent=False)
        self.out = len(rows)

    def forward(self, x: Tensor) -> Tensor:
        """``[b, f, d]`` fields → ``[b, out]``, out = f (f − 1) / 2, or f (f + 1) / 2 with self-interaction."""
        return (x @ x.transpose(1, 2)).flatten(1).index_select(1, self.places)


__all__ = ["Dots"]
