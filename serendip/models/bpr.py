"""Bayesian personalised ranking: ``score = w_u · h_i + b_i``, learned from pairs.

``L = Σ_{(u,i)} −ln σ(s_ui − s_uj) + λ/2 (‖w_u‖² + ‖h_i‖² + ‖h_j‖² + b_i² + b_j²)``

over the observed pairs (u, i), with an item j drawn anew each time that u has no event with; stochastic gradient
descent, one step per pair and epoch. Users and items without an event have no part in it.

Source: S. Rendle, C. Freudenthaler, Z. Gantner and L. Schmidt-Thieme, "BPR: Bayesian personalized ranking from implicit
feedback", UAI 2009; Adagrad as in J. Duchi, E. Hazan and Y. Singer, JMLR 12, 2011.

Deviations: pairs are visited in turn, not drawn with replacement, those of a user near each other, and j comes from a
part of the catalogue that is drawn anew each epoch (`serendip.kernels.strata`): so the result does not depend on the
number of threads. The step falls to 0 unless told otherwise. What answers estimates w_u from the history
(`serendip.models._history`). A pair counts once, whatever its weight.
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
    """Options of `BPR`."""

    factors: Annotated[int, msgspec.Meta(ge=1, le=4096, description="d: dimensions of the vectors.")] = 64
    epochs: Annotated[int, msgspec.Meta(ge=1, description="Passes over the pairs.")] = 30
    learning_rate: Annotated[float, msgspec.Meta(gt=0, description="Size of the first steps.")] = 0.15
    schedule: Annotated[
        Literal["linear", "constant"],
        msgspec.Meta(description="Whether the step size falls evenly to 0 over the epochs or stays."),
    ] = "linear"
    optimizer: Annotated[
        Literal["sgd", "adagrad"],
        msgspec.Meta(description="sgd: plain steps; adagrad: smaller ones where gradients were large."),
    ] = "sgd"
    reg: Annotated[float, msgspec.Meta(ge=0, description="λ: how strongly vectors are held towards 0.")] = 0.01
    negatives: Annotated[
        Literal["uniform", "popularity"],
        msgspec.Meta(description="How j is drawn: each item alike, or as often as it occurs."),
    ] = "uniform"
    item_bias: Annotated[bool, msgspec.Meta(description="Whether b_i is learned; else it is 0.")] = False
    stddev: Annotated[float, msgspec.Meta(gt=0, description="σ: the first vectors have deviation σ/√d.")] = 1.0


class BPR(Model):
    """Bayesian personalised ranking."""

    Config = Options
    config: Options
    summary = "Factors learned so that what a user took up ranks above what they did not (BPR)."
    source = "Rendle, Freudenthaler, Gantner and Schmidt-Thieme, UAI 2009"
    space = declare(
        factors=Range(16, 256, log=True, whole=True),
        epochs=Range(5, 100, log=True, whole=True),
        learning_rate=Range(0.01, 0.5, log=True),
        reg=Range(0.0001, 0.3, log=True),
        negatives=OneOf(("uniform", "popularity")),
        item_bias=OneOf((True, False)),
    )

    def learn(self, data: Dataset, run: Run) -> Summed:
        """Descend.

        Raises:
            SerendipError: the steps are too large.
        """
        from serendip.kernels.pairwise import bpr

        options = self.config
        reg = np.float32(options.reg)
        popular, biased = options.negatives == "popularity", options.item_bias

        def step(part: Any, users: Floats, user_sums: Floats, tables: list[Floats], rate: np.float32) -> None:
            items, bias, *sums = tables
            item_sums, bias_sums = sums or (user_sums, bias[:0])
            bpr(
                part.users, part.items, part.first, part.last, part.low, part.high, part.seed, popular, biased,
                users, user_sums, items, item_sums, bias, bias_sums, rate, reg,
            )  # fmt: skip

        descent = Descent(
            self.name, options.factors, options.epochs, options.learning_rate, options.stddev, options.schedule,
            adaptive=options.optimizer == "adagrad",
        )  # fmt: skip
        return descend(data, run, descent, step)
