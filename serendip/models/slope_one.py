"""Slope One: what an item is rated above or below each item that the user rated.

``r̂_ui = Σ_j c_ij (r_uj + dev_ij) / Σ_j c_ij``, ``dev_ij = Σ_v (r_vi − r_vj) / c_ij``

over the items j ≠ i that u rated, with ``c_ij`` the number of users v who rated both. Unweighted, every j that shares a
user with i counts alike.

Source: D. Lemire and A. Maclachlan, "Slope One predictors for online rating-based collaborative filtering", SDM 2005.

Deviations: where no j shares a user with i the answer is ``μ + b_u + b_i``; predictions are clipped to the range of the
training ratings.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from scipy.sparse import csr_array

from serendip.data.dataset import Dataset
from serendip.kernels import memory
from serendip.model import Config, Model, Run
from serendip.models._rated import Ratings, ratings_of
from serendip.models.baseline import by_turns
from serendip.scorers import Slopes
from serendip.space import OneOf, declare

PER_PAIR = 60  # bytes: the counts, two products on the way and what is kept


class Options(Config, frozen=True):
    """Options of `SlopeOne`."""

    weighted: Annotated[bool, msgspec.Meta(description="Whether differences count by how many users they rest on.")] = (
        True
    )


class SlopeOne(Model):
    """Mean differences between items."""

    Config = Options
    config: Options
    summary = "Predicts ratings by the mean difference between each two items; nothing to tune."
    source = "Lemire and Maclachlan, SDM 2005"
    predicts_ratings = True
    space = declare(
        weighted=OneOf((True, False)),
    )

    def learn(self, data: Dataset, run: Run) -> Slopes:
        """Count.

        Raises:
            SerendipError: the log has no ratings, or too many pairs of items share a user for the memory that is left.
        """
        ratings = ratings_of(data, self.name)
        _check_memory(ratings)
        values = ratings.matrix(ratings.values.astype(np.float64))
        which = ratings.matrix(np.ones(len(ratings.values)))
        shared = csr_array(which.T @ which)
        shared.setdiag(0)
        shared.eliminate_zeros()
        once = csr_array(which.T @ values)  # [j, i]: Σ_v r_vi over those who rated j too
        differences = csr_array(once - once.T)
        if not self.config.weighted:
            differences = csr_array(differences.multiply(_mapped(shared, 1 / shared.data)))
            shared = _mapped(shared, np.ones_like(shared.data))
        return Slopes(
            ratings.mean,
            *ratings.masked(*by_turns(ratings, 5.0, 3.0, 10)),
            ratings.low,
            ratings.high,
            shared.astype(np.float32),
            differences.astype(np.float32),
            ratings.matrix(),
        )


def _mapped(matrix: csr_array, values: np.ndarray) -> csr_array:
    return csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)


def _check_memory(ratings: Ratings) -> None:
    pairs = min(int((ratings.user_counts.astype(np.float64) ** 2).sum()), ratings.n_items**2)
    what = f"slope_one: the differences of up to {pairs:,} pairs of items need"
    memory.require(what, pairs * PER_PAIR, "biased_mf or svdpp")
