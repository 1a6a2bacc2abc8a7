"""Vectors of items: learned for each id, worked out from features, or both.

- ids only: ``v_i = E_i``;
- both, without a tower: ``v_i = E_i + W f_i + b``;
- with a tower: ``v_i = tower( [E_i, f_i] )``, or ``tower( f_i )`` without ids;

f_i are the item's features, embedded. An item that has no id here, or lost it to id dropout, has ``E_i = 0``, so that
the features alone give a vector to one that nobody has met.

Source: towers of items after X. Yi et al., "Sampling-bias-corrected neural modeling for large corpus item
recommendations", RecSys 2019; sums of id and features after M. Kula, "Metadata embeddings for user and item cold-start
recommendations", CBRecSys 2015; id dropout after M. Volkovs, G. Yu and T. Poutanen, "DropoutNet: Addressing cold start
in recommender systems", NIPS 2017.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from serendip.nn.dropout import IdDropout
from serendip.nn.embed import FeatureEmbedding, Table
from serendip.nn.tower import Tower
from serendip.types import ABSENT, Input


class Catalogue(nn.Module):
    """The items of a vocabulary and what is known of them. Two of them where what is read and what is ranked differ."""

    def __init__(
        self,
        size: int,
        dim: int,
        *,
        ids: bool = True,
        sigma: float | None = None,
        inputs: Sequence[Input] = (),
        values: Mapping[str, NDArray[Any]] | None = None,
        tables: Mapping[str, Table] | None = None,
        feature_dim: int | None = None,
        widths: Sequence[int] | None = None,
        dropout: float = 0.0,
        id_dropout: float = 0.0,
        normalise: bool = False,
        sparse: bool = False,
    ) -> None:
        """Items ``0 … size-1``.

        Args:
            size: how many there are.
            dim: of their vectors.
            ids: learn a vector for each.
            sigma: deviation of what these start from: as for `Table`.
            inputs: features to read; none: ids alone.
            values: of the features, ``[size, …]`` by name.
            tables: of the features, where others read them too: as for `FeatureEmbedding`.
            feature_dim: of a feature's vector where it states none.
            widths: of the tower's hidden layers, ``()`` for a tower of none; None: no tower.
            dropout: of the tower.
            id_dropout: the share of ids left out in training.
            normalise: scale each vector to length 1.
            sparse: as for `Table`, of ids and features.

        Raises:
            ValueError: neither ids nor features, a feature without values, or values of another number of items.
        """
        super().__init__()
        if not (ids or inputs):
            raise ValueError("Items must have ids or features to learn from. Got neither instead.")
        self.size, self.dim, self.normalise = size, dim, normalise
        self.ids = Table(size, dim, sigma=sigma, sparse=sparse) if ids else None
        self.per_item = ("ids.weight",) if ids else ()
        self.id_dropout = IdDropout(id_dropout)
        self.features = FeatureEmbedding(inputs, feature_dim, tables=tables, sparse=sparse) if inputs else None
        width = (dim if ids else 0) + (self.features.dim if self.features else 0)
        self.tower = None if widths is None else Tower(width, widths, dim, dropout)
        plain = self.features is not None and self.tower is None
        self.project = nn.Linear(self.features.dim, dim) if self.features is not None and plain else None
        self._names = self._keep(inputs, values or {})

    def forward(self, codes: Tensor | None = None) -> Tensor:
        """The vectors of items. Where a step needs those of all and of some, ask for all and use `looked_up`.

        Args:
            codes: ``[...]``; None: of all items.

        Returns:
            ``[..., dim]``, 0 where there is no such item; or ``[size, dim]``.
        """
        if codes is None:
            return self._all()
        if self.features is None and self.tower is None:
            return self._scaled(self._own(codes))
        if not torch.compiler.is_exporting() and codes.numel() >= self.size:
            return looked_up(self._all(), codes)
        known = (codes >= 0) & (codes < self.size)
        rows = codes.long() * known
        features = {name: values[rows] for name, values in self.values().items()}
        return self.vectors(torch.where(known, rows, ABSENT), features) * known.unsqueeze(-1)

    def vectors(self, codes: Tensor, features: Mapping[str, Tensor]) -> Tensor:
        """``[..., dim]`` the vectors of items with these features, new ones (`ABSENT`) included.

        Args:
            codes: ``[...]``; without ids only the shape counts.
            features: ``[..., …]`` by name.
        """
        parts = [] if self.ids is None else [self._own(codes)]
        if self.features is not None:
            parts.append(self.features(features))
        if self.tower is not None:
            return self._scaled(self.tower(torch.cat(parts, dim=-1)))
        if self.project is not None:
            parts[-1] = self.project(parts[-1])
        return self._scaled(parts[0] if len(parts) == 1 else parts[0] + parts[1])

    def values(self) -> dict[str, Tensor]:
        """The features of all items, by name."""
        return {name: self.get_buffer(buffer) for name, buffer in self._names.items()}

    @torch.no_grad()
    def table(self) -> Table:
        """The vectors as they are now, in a table that does without the features."""
        done, training = Table(self.size, self.dim), self.training
        done.weight[1:] = self.eval()()
        self.train(training)
        return done.requires_grad_(False)

    def _all(self) -> Tensor:
        if self.features is None and self.tower is None and not self._ids_vary():
            assert self.ids is not None
            return self._scaled(self.ids.all())
        device = next(self.parameters()).device
        return self.vectors(torch.arange(self.size, device=device), self.values())

    def _ids_vary(self) -> bool:
        """Whether the ids have to be looked up, even if all are asked for."""
        return self.training and (self.id_dropout.rate > 0 or (self.ids is not None and self.ids.sparse))

    def _own(self, codes: Tensor) -> Tensor:
        assert self.ids is not None
        vectors: Tensor = self.ids(self.id_dropout(codes))
        return vectors

    def _scaled(self, vectors: Tensor) -> Tensor:
        return functional.normalize(vectors, dim=-1) if self.normalise else vectors

    def _keep(self, inputs: Sequence[Input], values: Mapping[str, NDArray[Any]]) -> dict[str, str]:
        """Keep the features beside the weights, not among them, and say under which names."""
        names = {}
        for place, one in enumerate(inputs):
            found = values.get(one.name)
            if found is None or len(found) != self.size:
                count = "none" if found is None else f"{len(found)}"
                raise ValueError(f'"{one.name}" must have a value for each of {self.size} items. Got {count} instead.')
            kind: type[np.generic] = np.float32 if one.size is None else np.int32
            tensor = torch.from_numpy(np.array(found, kind))
            names[one.name] = f"feature_{place}"
            self.register_buffer(names[one.name], tensor, persistent=False)
        return names


def looked_up(vectors: Tensor, codes: Tensor) -> Tensor:
    """``[..., d]`` of vectors ``[n, d]`` those of these codes ``[...]``; 0 for any other code, `ABSENT` among them."""
    rows = (codes.long() + 1) * ((codes >= 0) & (codes < len(vectors)))
    return functional.embedding(rows, functional.pad(vectors, (0, 0, 1, 0)), padding_idx=0)
