"""SVD++: factors of a user from what they rated how, and from what they rated at all.

``r̂_ui = μ + b_u + b_i + q_i · (p_u + |N(u)|^-½ Σ_{j∈N(u)} y_j)``

with N(u) the items of the user's events, those without a rating too. Minimises

``Σ (r_ui − r̂_ui)² + λ_b (b_u² + b_i²) + λ (‖p_u‖² + ‖q_i‖² + Σ_{j∈N(u)} ‖y_j‖²)``

by stochastic gradient descent: users in random order, the ratings of a user one after the other, in random order too.

Source: Y. Koren, "Factorization meets the neighborhood: a multifaceted collaborative filtering model", KDD 2008.

Deviations: predictions are clipped to the range of the training ratings. The steps are the source's; that all y_j of a
user move alike makes the cost of one ``O(d)`` where updating each of them takes ``O(|N(u)| d)``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.model import Model, Run
from serendip.models._descent import SPACE, BiasStep, DescentConfig, Factors, Step
from serendip.models._rated import finite, ratings_of
from serendip.models._room import factors_fit
from serendip.scorers import RatingFactors
from serendip.types import Floats


class Options(DescentConfig, frozen=True):
    """Options of `SVDpp`."""

    factors: Factors = 20
    lr: Step = 0.007
    lr_bias: BiasStep = 0.007


class SVDpp(Model):
    """Factorisation of ratings with implicit feedback."""

    Config = Options
    config: Options
    summary = "Predicts ratings by factors that also see which items a user rated; accurate among plain factorisations."
    source = "Koren, KDD 2008"
    predicts_ratings = True
    space = SPACE

    def learn(self, data: Dataset, run: Run) -> RatingFactors:
        """Descend.

        Raises:
            SerendipError: the log has no ratings, the factors do not fit into memory, or the steps are too large.
        """
        from serendip.kernels import descent

        options, ratings = self.config, ratings_of(data, self.name)
        factors_fit(self.name, ratings.n_users + 2 * ratings.n_items, options.factors, 3)
        rng = np.random.default_rng(run.seed)
        p, q, y = (
            rng.normal(0, options.stddev, (n, options.factors)).astype(np.float32)
            for n in (ratings.n_users, ratings.n_items, ratings.n_items)
        )
        user, item = np.zeros(ratings.n_users, np.float32), np.zeros(ratings.n_items, np.float32)
        seen_starts, seen = _sets(data)
        regs = (np.float32(options.reg), np.float32(options.reg_bias))

        def answer() -> RatingFactors:
            finite(self.name, user, item, p, q, y, lr=options.lr)
            users = p + _means(seen_starts, seen, y)
            sides = ratings.masked(user, item)
            return RatingFactors(ratings.mean, *sides, ratings.low, ratings.high, users, q.copy())

        for done in range(options.epochs):
            order = rng.permutation(np.flatnonzero(ratings.user_counts))
            step = options.decay**done
            lrs = (np.float32(options.lr * step), np.float32(options.lr_bias * step))
            descent.implicit_factors(
                order, rng.random(len(ratings.items)), ratings.starts, ratings.items, ratings.values, seen_starts,
                seen, np.float32(ratings.mean), user, item, p, q, y, *lrs, *regs,
            )  # fmt: skip
            run.report(done + 1, options.epochs, answer)
        return answer()


def _sets(data: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """N(u) of each user as one flat array and where each begins: distinct items, ascending."""
    events = data.events
    pairs = np.unique(events.users.astype(np.int64) * data.n_items + events.items)
    counts = np.bincount(pairs // max(data.n_items, 1), minlength=data.n_users)
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return starts, (pairs % max(data.n_items, 1)).astype(np.int32)


def _means(starts: NDArray[np.int64], seen: NDArray[np.int32], y: Floats) -> Floats:
    """``[users, d]`` the sums of ``|N|^-½ y_j``."""
    from scipy.sparse import csr_array

    counts = np.diff(starts)
    weights = np.repeat(np.maximum(counts, 1) ** -0.5, counts).astype(np.float32)
    return np.asarray(csr_array((weights, seen, starts), shape=(len(counts), len(y))) @ y)
