"""Two towers: ``score = f(user, moment, history) · g(item)``; f may be several vectors, of which the nearest counts.

``f = tower( [ features of the user and the moment, mean of the last events' vectors ] )``,  ``g = E_i + W x_i + b``

Where the log names a target, the last events of every other kind are means beside that of the history.

A step learns from events drawn at random, each with what was known before it, by a softmax over the items of the batch:
``log Σ_j exp( f·g_j / τ − log Q_j ) − ( f·g⁺ / τ − log Q⁺ )``, with Q_j how often item j is among the candidates. They
may be joined by items drawn uniformly. The same item as a row's own is no negative of it. Vectors may be held towards
0: ``λ/2 ( Σ |f|² + Σ |g|² ) / b`` over the b events of a step and its candidates.

By the option ``loss`` each candidate is instead set against the row's own item by itself: by BPR,
``mean_j −log σ( (f·g⁺ − f·g_j) / τ )``, or by cosines, ``1 − cos⁺ + μ mean_j max(0, cos_j − θ)``.

Source: X. Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations", RecSys 2019;
items drawn beside those of the batch: J. Yang et al., "Mixed negative sampling for learning two-tower neural networks
in recommendations", WWW 2020; several vectors: C. Li et al., "Multi-interest network with dynamic routing for
recommendation at Tmall", CIKM 2019; BPR: S. Rendle et al., UAI 2009; cosines: K. Mao et al., "SimpleX: a simple and
strong baseline for collaborative filtering", CIKM 2021.

Deviation: a user is known by features and history, not by an id of their own, so that the answer follows new events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from serendip.data.dataset import Dataset
from serendip.models._past import Earlier, Others
from serendip.models._retrieval import RetrievalConfig, RetrievalModel, Step
from serendip.types import SerendipError

if TYPE_CHECKING:
    from torch import Tensor, nn


class Options(RetrievalConfig, frozen=True):
    """Options of `TwoTower`."""

    history: Annotated[
        Literal["earlier", "others"],
        msgspec.Meta(
            description="What is read of a user to learn from an event: those before it, or all others, for logs whose "
            "order says nothing."
        ),
    ] = "earlier"
    loss: Annotated[
        Literal["softmax", "bpr", "cosine_contrastive"],
        msgspec.Meta(
            description="A softmax over the items of the batch; or each of them by itself against the row's own: by "
            "BPR, or by how far its cosine is above a margin."
        ),
    ] = "softmax"
    margin: Annotated[
        float,
        msgspec.Meta(ge=-1, le=1, description="θ: the cosine from which an item counts with cosine_contrastive."),
    ] = 0.5
    negative_weight: Annotated[
        float,
        msgspec.Meta(
            gt=0,
            description="μ: how much a row's other items count together, its own counting 1, with cosine_contrastive.",
        ),
    ] = 1.0


class TwoTower(RetrievalModel):
    """A tower for queries and one for items."""

    Config = Options
    config: Options
    summary = "A tower of who asks, when and after what, and one of items: the work horse of retrieval. Needs PyTorch."
    source = "Yi et al., RecSys 2019"

    def widths(self) -> tuple[int, ...]:
        """All alike."""
        o = self.config
        return () if o.hidden is None else (o.hidden,) * o.layers

    def past(self, data: Dataset) -> Earlier | Others:
        """By the option."""
        return Earlier.of(data) if self.config.history == "earlier" else Others.of(data)

    def build(self, data: Dataset) -> nn.Module:
        """Both towers.

        Raises:
            SerendipError: a loss of cosines over vectors of any length; or neither history nor features.
        """
        if self.config.loss == "cosine_contrastive" and not self.config.normalise:
            raise SerendipError(
                f"{self.name}: loss = cosine_contrastive compares cosines, so that vectors must have length 1. "
                "Try normalise = true, or loss = softmax."
            )
        return super().build(data)

    def loss(self, net: Any, batch: Step) -> Mapping[str, Tensor]:
        """By the option."""
        if self.config.loss == "softmax":
            return super().loss(net, batch)
        return {self.config.loss: self._one_by_one(net, batch)}

    def _one_by_one(self, net: Any, batch: Step) -> Tensor:
        """The candidates of the step, each by itself against a row's own item; those that are not the hardest, if
        that is asked for, do not count."""
        import torch

        from serendip.nn.adapter import items as ranked
        from serendip.nn.adapter import queries
        from serendip.nn.losses import bpr, cosine_contrastive
        from serendip.nn.pair import held

        o, (asking, items) = self.config, self.compared(net, batch)

        def tensor(array: Any) -> Tensor:
            return torch.from_numpy(array).to(items.device)

        products = queries(net.adapter, asking) @ ranked(net.adapter, items, tensor(batch.candidates)).T
        scores = products if products.ndim == 2 else products.amax(dim=1)
        own = tensor(batch.positives)[:, None]
        positive, alone = scores.gather(1, own).squeeze(1), scores.shape[1] == 1
        others = torch.ones_like(scores, dtype=torch.bool).scatter(1, own, False)
        negative = torch.full_like(scores, -torch.inf) if alone else scores[others].view(len(scores), -1)
        if o.hard_negatives is not None:
            negative, _ = negative.topk(min(o.hard_negatives, negative.shape[1]), dim=1)
        weights = None if batch.weights is None else tensor(batch.weights)
        if o.loss == "bpr":
            found = bpr(positive / o.temperature, negative / o.temperature, weights=weights)
        else:
            how = {"margin": o.margin, "negative_weight": o.negative_weight}
            found = cosine_contrastive(positive, negative, weights=weights, **how)
        return found + held(asking, items, o.reg) if o.reg else found
