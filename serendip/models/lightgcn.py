"""Graph convolution with everything left out but the averaging: ``score = u · i``.

``(u, i) = 1/(L+1) Σ_l (u⁽ˡ⁾, i⁽ˡ⁾)``,  ``u⁽ˡ⁺¹⁾ = Σ_{i∈N(u)} i⁽ˡ⁾ / √(|N(u)| |N(i)|)``,  and the same the other way
round; only the first vectors ``u⁽⁰⁾, i⁽⁰⁾`` are learned. The loss is

- bpr: ``−log σ(u·i − u·j)`` for a drawn j, and ``λ/2`` times the squares of the first vectors of all three;
- sampled_softmax: the cross-entropy of a softmax of ``cos(u, j)/τ`` over drawn items j that the users of a step share.

Since the last user vector is ``1/(L+1)`` of ``u⁽⁰⁾ + |N(u)|^−½ Σ_i Σ_{l<L} i⁽ˡ⁾ / √|N(i)|``, it is worked out from the
history at hand: new events count at once, and a new user is one whose ``u⁽⁰⁾`` is 0.

Source: X. He, K. Deng, X. Wang, Y. Li, Y. Zhang and M. Wang, "LightGCN: Simplifying and powering graph convolution
network for recommendation", SIGIR 2020; the softmax after J. Wu et al., "On the effectiveness of sampled softmax loss
for item recommendation", ACM TOIS 2024.

Deviations: in sampled_softmax each user comes with all that they took up, so that one step costs one pass over the
graph and one row of logits a user; the user's pairs weigh ``|N(u)|^−g`` each, and the candidates are drawn in
proportion to ``|N(j)|^β``, for which lists are ranked by ``cos(u, j) + τ d log |N(j)|``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.models._graph import COPIES, Batch, GraphConfig, answer, batches_of, loss_of, settle, start
from serendip.models._room import factors_fit
from serendip.neural import NeuralModel
from serendip.scorers import NeighbourSums
from serendip.space import Range, declare

if TYPE_CHECKING:
    from torch import Tensor, nn


class Options(GraphConfig, frozen=True):
    """Options of `LightGCN`."""


class LightGCN(NeuralModel):
    """The mean of vectors spread over the graph."""

    Config = Options
    config: Options
    summary = "Vectors spread over the graph of who took up what; follows new events without a refit. Needs PyTorch."
    source = "He et al., SIGIR 2020"
    space = declare(
        layers=Range(1, 4, whole=True),
        popularity=Range(0, 1),
        user_power=Range(0, 1),
        output_power=Range(0, 1.5),
        temperature=Range(0.05, 0.5, log=True),
        learning_rate=Range(0.001, 0.1, log=True),
        epochs=Range(10, 200, log=True, whole=True),
    )

    def build(self, data: Dataset) -> nn.Module:
        """The graph and the first vectors."""
        from serendip.nn.graph import GraphEmbedding

        factors_fit(self.name, data.n_users + data.n_items, self.config.factors, COPIES)
        net = GraphEmbedding(data.matrix(), self.config.factors)
        start(net, self.config)
        return net

    def batches(self, data: Dataset, rng: np.random.Generator) -> Iterable[Batch]:
        """Users with all their items, or triples, by the loss."""
        return batches_of(data.matrix(), self.config, rng)

    def loss(self, net: Any, batch: Batch) -> Mapping[str, Tensor]:
        """By the option."""
        asked, items = net.graph.mean(net.users, net.items, self.config.layers, batch.users)
        return loss_of(batch, asked, items, (net.users, net.items), self.config)

    def welcome(self, net: Any, users: NDArray[np.bool_], items: NDArray[np.bool_]) -> None:
        """New rows begin with what their neighbours learned."""
        settle(net, users, items)

    def lowered(self, net: Any, data: Dataset) -> NeighbourSums:
        """The sums over layers that a history is worked out from, and the items' last vectors."""
        layers = self.config.layers
        users, items, total = net.users, net.items, net.items
        for _ in range(layers - 1):
            users, items = net.graph.step(users, items)
            total = total + items
        _, last = net.graph.mean(net.users, net.items, layers)
        matrix = data.matrix()
        by_user, by_item = np.diff(matrix.indptr), np.bincount(matrix.indices, minlength=data.n_items)
        root = np.where(by_item > 0, by_item, np.nan)[:, None] ** 0.5
        first, left, right = (value.cpu().numpy() for value in (net.users, total, last))
        own = (np.where(by_user[:, None] > 0, first, 0) / (layers + 1)).astype(np.float32)
        left = (left / root / (layers + 1)).astype(np.float32)
        return NeighbourSums(own, left, **answer(matrix, right, self.config))
