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

from serendip.nn.sides import Sided, Sides


class BiInteraction(nn.Module):
    """The products of every two fields, summed: a vector."""

    sided = True

    def forward(self, x: Sided) -> Tensor:
        """``[b, f, d]`` fields → ``[b, d]``."""
        return 0.5 * (x.sum(dim=1).square() - x.square().sum(dim=1))


class FM(BiInteraction):
    """The inner products of every two fields, summed: a number."""

    def forward(self, x: Sided) -> Tensor:
        """``[b, f, d]`` fields → ``[b]``."""
        return super().forward(x).sum(dim=-1)


class FFM(nn.Module):
    """The inner products of every two fields, each by the vector that it has for the other, summed: a number."""

    sided = True
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

    def forward(self, x: Sided) -> Tensor:
        """``[b, f, f, d]`` → ``[b]``; at ``[:, i, j]`` is the vector of field i for field j, and i = j is not read."""
        if isinstance(x, Sides):
            return self._of_sides(x)
        vectors = x.flatten(1, 2)
        return (vectors.index_select(1, self.one) * vectors.index_select(1, self.other)).sum(dim=(1, 2))

    def _of_sides(self, x: Sides) -> Tensor:
        """The products of two fields of the query once, and then those that the item has a part in."""
        begin, many = x.lead, x.query.shape[1]
        its, others = slice(begin, begin + many), [*range(begin), *range(begin + many, x.rest.shape[1] + many)]
        within = _within(x.query[:, :, its]) if many > 1 else None
        to_rest, to_query = x.query[:, :, others], x.rest[:, :, its]
        across = (x.spread(to_rest) * to_query.transpose(1, 2)).sum(dim=(1, 2, 3))
        found = across if within is None else across + x.spread(within)
        return found + _within(x.rest[:, :, others]) if len(others) > 1 else found


def _within(x: Tensor) -> Tensor:
    """``[b]`` of ``[b, f, f, d]``: the products of every two."""
    fields = x.shape[1]
    i, j = torch.triu_indices(fields, fields, 1, device=x.device)
    vectors = x.flatten(1, 2)
    return (vectors.index_select(1, i * fields + j) * vectors.index_select(1, j * fields + i)).sum(dim=(1, 2))


__all__ = ["FFM", "FM", "BiInteraction"]
