"""Weighted approximate-rank pairwise loss: ``score = w_u · h_i + b_i``, learned where the order is wrong.

``L = Σ_{(u,i)} Φ(rank) · max(0, 1 − s_ui + s_uj)``,  ``Φ(r) = max(1, ln r)``

For each observed pair (u, i) items that u has no event with are drawn until one, j, scores above ``s_ui − 1``; after N
draws the rank of i is estimated as ``⌊(|I| − 1) / N⌋``. If none of ``max_sampled`` does, nothing is learned from the
pair in this epoch. Users and items without an event have no part in it.

Source: J. Weston, S. Bengio and N. Usunier, "WSABIE: scaling up to large vocabulary image annotation", IJCAI 2011; Φ
and Adagrad as in M. Kula's lightfm ("Metadata embeddings for user and item cold-start recommendations", 2015).

Deviations: pairs are visited in turn, those of a user near each other, and j comes from a part of the catalogue that is
drawn anew each epoch (`serendip.kernels.strata`): so the result does not depend on the number of threads. The step
falls to 0 unless told otherwise. What answers estimates w_u from the history (`serendip.models._history`). A pair
counts once, whatever its weight.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._pairwise import Descent, descend
from serendip.scorers import Summed
from serendip.space import OneOf, Range, declare
from serendip.types import Floats


class Options(Config, frozen=True):
    """Options of `WARP`."""

    factors: Annotated[int, msgspec.Meta(ge=1, le=4096, description="d: dimensions of the vectors.")] = 64
    epochs: Annotated[int, msgspec.Meta(ge=1, description="Passes over the pairs.")] = 10
    learning_rate: Annotated[float, msgspec.Meta(gt=0, description="Size of the first steps.")] = 0.1
    schedule: Annotated[
        Literal["linear", "constant"],
        msgspec.Meta(description="Whether the step size falls evenly to 0 over the epochs or stays."),
    ] = "linear"
    reg: Annotated[float, msgspec.Meta(ge=0, description="λ: how strongly vectors are held towards 0.")] = 0.03
    max_sampled: Annotated[
        int, msgspec.Meta(ge=1, le=10_000, description="How many items are drawn for a pair at most.")
    ] = 100
    item_bias: Annotated[bool, msgspec.Meta(description="Whether b_i is learned; else it is 0.")] = True
    stddev: Annotated[float, msgspec.Meta(gt=0, description="σ: the first vectors have deviation σ/√d.")] = 0.1


class WARP(Model):
    """Weighted approximate-rank pairwise loss."""

    Config = Options
    config: Options
    summary = "Factors learned where the order is wrong, the more the lower an item of the user ranks (WARP)."
    source = "Weston, Bengio and Usunier, IJCAI 2011"
    space = declare(
        factors=Range(16, 256, log=True, whole=True),
        epochs=Range(3, 60, log=True, whole=True),
        learning_rate=Range(0.01, 0.5, log=True),
        reg=Range(0.0001, 0.3, log=True),
        max_sampled=Range(10, 500, log=True, whole=True),
        item_bias=OneOf((True, False)),
    )

    def learn(self, data: Dataset, run: Run) -> Summed:
        """Descend.

        Raises:
            SerendipError: the steps are too large.
        """
        from serendip.kernels.pairwise import warp

        options = self.config
        known = int(np.count_nonzero(np.bincount(data.events.items[data.events.weight > 0])))
        weights, reg = rank_weights(known, options.max_sampled), np.float32(options.reg)

        def step(part: Any, users: Floats, user_sums: Floats, tables: list[Floats], rate: np.float32) -> None:
            items, bias, item_sums, bias_sums = tables
            warp(
                part.users, part.items, part.first, part.last, part.low, part.high, part.seed, options.item_bias,
                users, user_sums, items, item_sums, bias, bias_sums, weights, rate, reg,
            )  # fmt: skip

        descent = Descent(
            self.name, options.factors, options.epochs, options.learning_rate, options.stddev, options.schedule,
            adaptive=True,
        )  # fmt: skip
        return descend(data, run, descent, step)


def rank_weights(items: int, draws: int) -> Floats:
    """Φ(rank) by how many draws it took, less one: ``[draws]`` float32."""
    ranks = max(items - 1, 1) // np.arange(1, draws + 1)
    return np.maximum(1, np.log(np.maximum(ranks, 1))).astype(np.float32)
