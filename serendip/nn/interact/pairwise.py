"""Second-order terms: every two fields' vectors multiplied.

``Σ_{i<j} v_i ⊙ v_j = ½ ( (Σ_i v_i)² − Σ_i v_i² )``    `BiInteraction`, in time that grows with f·d, not f²·d
``Σ_{i<j} ⟨v_i, v_j⟩``                                 `FM`: the sum of that over dimensions
``Σ_{i<j} ⟨v_{i,j}, v_{j,i}⟩``                         `FFM`: field i has a vector of its own for each field j

A field's vector has been multiplied by its number, where it has one: ``v_i x_i``. No layer has parameters.

Source: S. Rendle, "Factorization machines", ICDM 2010; X. He and T.-S. Chua, "Neural factorization machines for sparse
predictive analytics", SIGIR 2017; Y. Juan et al., "Field-aware factorization machines for CTR prediction", RecSys 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BiInteraction(nn.Module):
    """The products of every two fields, summed: a vector."""

    def forward(self, x: Tensor) -> Tensor:
        """``[b, f, d]`` fields → ``[b, d]``."""
        return 0.5 * (x.sum(dim=1).square() - x.square().sum(dim=1))


class FM(BiInteraction):
    """The inner products of every two fields, summed: a number."""

    def forward(self, x: Tensor) -> Tensor:
        """``[b, f, d]`` fields → ``[b]``."""
        return super().forward(x).sum(dim=-1)


class FFM(nn.Module):
    """The inner products of every two fields, each by the vector that it has for the other, summed: a number."""

    one: Tensor
    other: Tensor

    def __init__(self, fields: int) -> None:
        """Over so many fields.

        Raises:
            ValueError: there are fewer than 2.
        """
        super().__init__()
        if fields < 2:
            raise ValueError(f"There must be 2 or more fields to multiply. Got {fields} instead.")
        i, j = torch.triu_indices(fields, fields, 1)
        # They follow from the number of fields, so that a checkpoint need not keep them.
        self.register_buffer("one", i * fields + j, persistent=False)
        self.register_buffer("other", j * fields + i, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """``[b, f, f, d]`` → ``[b]``; at ``[:, i, j]`` is the vector of field i for field j, and i = j is not read."""
        vectors = x.flatten(1, 2)
        return (vectors.index_select(1, self.one) * vectors.index_select(1, self.other)).sum(dim=(1, 2))


__all__ = ["FFM", "FM", "BiInteraction"]
