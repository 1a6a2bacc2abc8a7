"""A walk of three steps over the graph of users and items: ``score_j = Σ_i h_i w_ij``.

``w_ij = Σ_u (r_ui / |i|)^α (r_uj / |u|)^α / |j|^β`` for the K items j of the largest, with |·| the sum of what a
user's or an item's events amount to: the chance to go from i to one of its users u and on to j, the less the more
popular j is.

Source: B. Paudel, F. Christoffel, C. Newell and A. Bernstein, "Updatable, accurate, diverse, and scalable
recommendations for interactive applications", ACM TiiS 7, 2017.

Deviations: the first step, from the asker to the items of the history, is left out: it is the same for all j.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from scipy.sparse import csr_array

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._room import neighbours_fit
from serendip.models._weighting import Weight, counts_of, matrix_of
from serendip.scorers import ItemToItem
from serendip.space import Range, declare
from serendip.types import Scorer


class Options(Config, frozen=True):
    """Options of `RP3Beta`."""

    neighbours: Annotated[int, msgspec.Meta(ge=1, description="K: how many neighbours each item keeps.")] = 100
    alpha: Annotated[
        float,
        msgspec.Meta(ge=0, le=4, description="α: power of the chance to go each step; larger: trust likely ones."),
    ] = 1.0
    beta: Annotated[float, msgspec.Meta(ge=0, le=4, description="β: larger holds popular neighbours back.")] = 0.5
    weight: Weight = "auto"


class RP3Beta(Model):
    """Items by the chance to reach them in three steps, popular ones held back."""

    Config = Options
    config: Options
    summary = "A random walk from the history by way of its users, popular items held back."
    source = "Paudel, Christoffel, Newell and Bernstein, TiiS 2017"
    space = declare(
        neighbours=Range(5, 1000, log=True, whole=True),
        alpha=Range(0.2, 2),
        beta=Range(0, 1),
    )

    def learn(self, data: Dataset, run: Run) -> ItemToItem:
        """Find the items most likely reached from each.

        Raises:
            SerendipError: they do not fit into memory.
        """
        from serendip.kernels.neighbours import Denominator, nearest

        options = self.config
        counts = counts_of(data, options.weight)
        matrix = matrix_of(data, counts)
        neighbours_fit(self.name, matrix, options.neighbours, run.threads, "fewer neighbours")
        users = np.repeat(np.arange(data.n_users), np.diff(matrix.indptr))
        by_user = np.bincount(users, matrix.data, data.n_users)
        by_item = np.bincount(matrix.indices, matrix.data, data.n_items)
        half = (matrix.data / np.sqrt(by_user[users])) ** options.alpha
        walked = csr_array((half.astype(np.float32), matrix.indices, matrix.indptr), shape=matrix.shape)
        below = Denominator(by_item**options.alpha, by_item**options.beta)
        return ItemToItem(nearest(walked, options.neighbours, below, threads=run.threads), counts)

    def renew(self, known: Scorer, change: Change, run: Run) -> ItemToItem:
        """Walk again: every chance depends on how many events there are."""
        return self.learn(change.after, run)
