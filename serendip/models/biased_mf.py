"""Matrix factorisation of ratings with biases: ``r̂_ui = μ + b_u + b_i + p_u · q_i``.

- sgd: minimises ``Σ (r_ui − r̂_ui)² + λ_b (b_u² + b_i²) + λ (‖p_u‖² + ‖q_i‖²)`` over the ratings, in random order, by
  stochastic gradient descent.
- als: minimises ``Σ (r_ui − r̂_ui)² + λ (Σ_u |I(u)| ‖(p_u, b_u)‖² + Σ_i |U(i)| ‖(q_i, b_i)‖²)`` exactly by turns.

Source: Y. Koren, R. Bell and C. Volinsky, "Matrix factorization techniques for recommender systems", IEEE Computer 42,
2009 (sgd); Y. Zhou, D. Wilkinson, R. Schreiber and R. Pan, "Large-scale parallel collaborative filtering for the
Netflix prize", AAIM 2008 (als, weighted λ).

Deviation: predictions are clipped to the range of the training ratings.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.model import Model, Run
from serendip.models._descent import SPACE, DescentConfig
from serendip.models._rated import Ratings, finite, ratings_of
from serendip.models._room import factors_fit
from serendip.scorers import RatingFactors
from serendip.types import Floats


class Options(DescentConfig, frozen=True):
    """Options of `BiasedMF`."""

    method: Annotated[Literal["sgd", "als"], msgspec.Meta(description="How the minimum is sought.")] = "sgd"


class BiasedMF(Model):
    """Factorisation of ratings."""

    Config = Options
    config: Options
    summary = "Predicts ratings by the mean, deviations and factors; the classic of matrix factorisation."
    source = "Koren, Bell and Volinsky, IEEE Computer 2009; Zhou et al., AAIM 2008"
    predicts_ratings = True
    space = SPACE

    def learn(self, data: Dataset, run: Run) -> RatingFactors:
        """Minimise.

        Raises:
            SerendipError: the log has no ratings, the factors do not fit into memory, or the steps are too large.
        """
        options, ratings = self.config, ratings_of(data, self.name)
        copies = 5 if options.method == "als" else 3
        factors_fit(self.name, ratings.n_users + ratings.n_items, options.factors, copies)
        rng = np.random.default_rng(run.seed)
        p, q = (
            rng.normal(0, options.stddev, (n, options.factors)).astype(np.float32)
            for n in (ratings.n_users, ratings.n_items)
        )
        if options.method == "als":
            user, item, p, q = _by_turns(ratings, options, p, q, run)
        else:
            user, item = _descend(ratings, options, p, q, rng, run)
            finite(self.name, user, item, p, q, lr=options.lr)
        return RatingFactors(ratings.mean, *ratings.masked(user, item), ratings.low, ratings.high, p, q)


def _descend(
    ratings: Ratings, options: Options, p: Floats, q: Floats, rng: np.random.Generator, run: Run
) -> tuple[Floats, Floats]:
    """The biases; the factors are changed in place."""
    from serendip.kernels import descent

    user, item = np.zeros(ratings.n_users, np.float32), np.zeros(ratings.n_items, np.float32)
    regs = (np.float32(options.reg), np.float32(options.reg_bias))

    def answer() -> RatingFactors:
        sides = ratings.masked(user, item)
        return RatingFactors(ratings.mean, *sides, ratings.low, ratings.high, p.copy(), q.copy())

    for done in range(options.epochs):
        step = options.decay**done
        descent.factors(
            ratings.users, ratings.items, ratings.values, rng.permutation(len(ratings.values)),
            np.float32(ratings.mean), user, item, p, q, np.float32(options.lr * step),
            np.float32(options.lr_bias * step), *regs,
        )  # fmt: skip
        run.report(done + 1, options.epochs, answer)
    return user, item


def _by_turns(
    ratings: Ratings, options: Options, p: Floats, q: Floats, run: Run
) -> tuple[Floats, Floats, Floats, Floats]:
    """Biases and factors; each half step solves for all users, or all items, exactly."""
    from serendip.kernels.ridge import solve

    by_user = ratings.matrix(ratings.values.astype(np.float64) - ratings.mean)
    by_item = by_user.T.tocsr()
    users, items = (np.column_stack([part, np.zeros(len(part))]).astype(np.float64) for part in (p, q))
    for done in range(options.epochs):
        solve(by_user, items, options.reg, users, threads=run.threads)
        solve(by_item, users, options.reg, items, threads=run.threads)
        run.report(done + 1, options.epochs)
    split = [(part[:, -1].astype(np.float32), part[:, :-1].astype(np.float32)) for part in (users, items)]
    return split[0][0], split[1][0], split[0][1], split[1][1]
