"""Graph convolution with weights, nonlinearity and interactions: ``score = u · i`` of what all layers found.

With s the neighbours' sum of `serendip.nn.graph`, ``s_u = Σ_{i∈N(u)} i⁽ˡ⁾ / √(|N(u)| |N(i)|)``,

``u⁽ˡ⁺¹⁾ = LeakyReLU( W₁ (u⁽ˡ⁾ + s_u) + W₂ (s_u ⊙ u⁽ˡ⁾) + b )``

and the same for items; each layer but the first is scaled to length 1, and a vector is all layers one after another.
The losses are those of `serendip.models.lightgcn`; in training a part of the messages ``u⁽ˡ⁺¹⁾`` is dropped. The vector
of a user is worked out from the history at hand and their first vector, which is 0 for somebody new.

Source: X. Wang, X. He, M. Wang, F. Feng and T.-S. Chua, "Neural graph collaborative filtering", SIGIR 2019. The scaling
to length 1 and the bias are those of the authors' program.

Deviations: one dropout for messages and none for nodes; the slope of LeakyReLU is 0.2 as in the program.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.models._graph import COPIES, Batch, GraphConfig, answer, batches_of, loss_of, rows, settle, start
from serendip.models._room import factors_fit
from serendip.neural import NeuralModel
from serendip.scorers import GraphLayers
from serendip.space import Range, declare

if TYPE_CHECKING:
    from torch import Tensor, nn


class Options(GraphConfig, frozen=True):
    """Options of `NGCF`."""

    dropout: Annotated[
        float, msgspec.Meta(ge=0, lt=1, description="Share of the messages dropped in each step of training.")
    ] = 0.1


class NGCF(NeuralModel):
    """Vectors that layers with weights send along the edges of the graph."""

    Config = Options
    config: Options
    summary = "Layers with weights send vectors along the graph of who took up what. Needs PyTorch."
    source = "Wang et al., SIGIR 2019"
    space = declare(
        layers=Range(1, 4, whole=True),
        dropout=Range(0, 0.5),
        popularity=Range(0, 1),
        user_power=Range(0, 1),
        output_power=Range(0, 1.5),
        temperature=Range(0.05, 0.5, log=True),
        learning_rate=Range(0.0005, 0.05, log=True),
        epochs=Range(10, 200, log=True, whole=True),
    )

    def build(self, data: Dataset) -> nn.Module:
        """The graph, the first vectors and the layers."""
        from serendip.nn.graph import GraphConvolution

        options = self.config
        factors_fit(self.name, data.n_users + data.n_items, options.factors, COPIES)
        net = GraphConvolution(data.matrix(), options.factors, options.layers, options.dropout)
        start(net, options)
        return net

    def batches(self, data: Dataset, rng: np.random.Generator) -> Iterable[Batch]:
        """Users with all their items, or triples, by the loss."""
        return batches_of(data.matrix(), self.config, rng)

    def loss(self, net: Any, batch: Batch) -> Mapping[str, Tensor]:
        """By the option."""
        users, items = net()
        return loss_of(batch, rows(batch.users, users), items, (net.users, net.items), self.config)

    def welcome(self, net: Any, users: NDArray[np.bool_], items: NDArray[np.bool_]) -> None:
        """New rows begin with what their neighbours learned."""
        settle(net, users, items)

    def lowered(self, net: Any, data: Dataset) -> GraphLayers:
        """What each layer needs of the items to work out a user."""
        import torch

        from serendip.nn.graph import joined

        matrix = data.matrix()
        by_user, by_item = np.diff(matrix.indptr), np.bincount(matrix.indices, minlength=data.n_items)
        items = [items for _, items in net.layers()]
        weights = (
            torch.stack([layer.weight for layer in net.sums]),
            torch.stack([layer.weight for layer in net.products]),
            torch.stack([layer.bias for layer in net.sums]),
        )
        first, heads, right, *rest = (
            value.cpu().numpy() for value in (net.users, torch.stack(items[:-1]), joined(items), *weights)
        )
        known = by_item[:, None] > 0
        own = np.where(by_user[:, None] > 0, first, 0)
        left = heads / np.where(known, by_item[:, None], np.nan) ** 0.5
        own, left = (np.asarray(value, np.float32) for value in (own, left))
        sums, mixed, shifts = rest
        return GraphLayers(own, left, sums=sums, products=mixed, shifts=shifts, **answer(matrix, right, self.config))
