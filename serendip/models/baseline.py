"""What a rating is without taste: ``r̂_ui = μ + b_u + b_i``.

μ is the mean of all ratings; ``b_u`` and ``b_i`` say how far the user's and the item's ratings stand above it.

- als: minimises ``Σ (r_ui − μ − b_u − b_i)² + λ_i Σ b_i² + λ_u Σ b_u²`` by turns, beginning with ``b_u = 0``:
  ``b_i = Σ_u (r_ui − μ − b_u) / (λ_i + |U(i)|)``, then ``b_u = Σ_i (r_ui − μ − b_i) / (λ_u + |I(u)|)``. One epoch is
  the closed form of the source.
- sgd: the same sum with one λ for every rating, by stochastic gradient descent.

Source: Y. Koren, "Factor in the neighbors: scalable and accurate collaborative filtering", ACM TKDD 4, 2010,
section 2.1.

Deviation: predictions are clipped to the range of the training ratings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._rated import Ratings, finite, ratings_of
from serendip.scorers import Biases
from serendip.space import Range, declare

Values = NDArray[np.float64]


class Options(Config, frozen=True):
    """Options of `Baseline`."""

    method: Annotated[Literal["als", "sgd"], msgspec.Meta(description="How the deviations are found.")] = "als"
    reg_u: Annotated[float, msgspec.Meta(ge=0, description="λ_u of als: holds users' deviations towards 0.")] = 5.0
    reg_i: Annotated[float, msgspec.Meta(ge=0, description="λ_i of als: holds items' deviations towards 0.")] = 3.0
    epochs: Annotated[int, msgspec.Meta(ge=1, description="Passes; 1 with als: the closed form.")] = 20
    lr: Annotated[float, msgspec.Meta(gt=0, description="Step size of sgd.")] = 0.005
    reg: Annotated[float, msgspec.Meta(ge=0, description="λ of sgd.")] = 0.02


class Baseline(Model):
    """The mean with deviations of users and items."""

    Config = Options
    config: Options
    summary = "Predicts ratings by the mean and what users and items deviate from it; the yardstick for the others."
    source = "Koren, ACM TKDD 2010"
    personalised = False
    predicts_ratings = True
    space = declare(
        reg_u=Range(0.1, 100, log=True),
        reg_i=Range(0.1, 100, log=True),
        epochs=Range(1, 50, log=True, whole=True),
    )

    def learn(self, data: Dataset, run: Run) -> Biases:
        """Find the deviations.

        Raises:
            SerendipError: the log has no ratings, or sgd's steps are too large.
        """
        options = self.config
        ratings = ratings_of(data, self.name)
        if options.method == "als":
            user, item = by_turns(ratings, options.reg_u, options.reg_i, options.epochs)
        else:
            user, item = _descend(ratings, options, run)
            finite(self.name, user, item, lr=options.lr)
        return Biases(ratings.mean, *ratings.masked(user, item), ratings.low, ratings.high)


def by_turns(ratings: Ratings, reg_u: float, reg_i: float, epochs: int) -> tuple[Values, Values]:
    """``b_u`` and ``b_i`` by alternating least squares; 0 for who has no rating."""
    above = ratings.values - ratings.mean
    user, item = np.zeros(ratings.n_users), np.zeros(ratings.n_items)
    of_user, of_item = ratings.user_counts + reg_u, ratings.item_counts + reg_i
    for _ in range(epochs):
        item = _divided(np.bincount(ratings.items, above - user[ratings.users], ratings.n_items), of_item)
        user = _divided(np.bincount(ratings.users, above - item[ratings.items], ratings.n_users), of_user)
    return user, item


def _divided(above: NDArray[Any], below: NDArray[Any]) -> Values:
    out = np.zeros(len(above))
    np.divide(above, below, out=out, where=below > 0)
    return out


def _descend(ratings: Ratings, options: Options, run: Run) -> tuple[Values, Values]:
    from serendip.kernels import descent

    user, item = np.zeros(ratings.n_users), np.zeros(ratings.n_items)
    rng = np.random.default_rng(run.seed)
    for done in range(options.epochs):
        order = rng.permutation(len(ratings.values))
        descent.biases(
            ratings.users, ratings.items, ratings.values, order, ratings.mean, user, item, options.lr, options.reg
        )
        run.report(done + 1, options.epochs)
    return user, item
