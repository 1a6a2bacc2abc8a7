"""Non-negative factors of ratings: ``r̂_ui = p_u · q_i`` with no negative entry.

Lowers ``Σ (r_ui − p_u · q_i)² + λ_u Σ_u |I(u)| ‖p_u‖² + λ_i Σ_i |U(i)| ‖q_i‖²`` over the given ratings. In each epoch

``p_uf ← p_uf Σ_i q_if r_ui / (Σ_i q_if r̂_ui + λ_u |I(u)| p_uf)``, and ``q_if`` likewise,

the sums over u's ratings, both from the same predictions. No entry ever becomes negative.

Source: X. Luo, M. Zhou, Y. Xia and Q. Zhu, "An efficient non-negative matrix-factorization-based approach to
collaborative filtering for recommender systems", IEEE Trans. Industrial Informatics 10, 2014; after D. Lee and
H. S. Seung, NIPS 2000.

Deviations: where the lowest rating is below 0, ratings are taken from there. Where a side is not known the answer is
``μ + b_u + b_i``; predictions are clipped to the range of the training ratings.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._rated import Ratings, ratings_of
from serendip.models._room import factors_fit
from serendip.models.baseline import by_turns
from serendip.scorers import RatingFactors
from serendip.space import Range, declare

Values = NDArray[np.float64]

STRETCH = 1 << 16  # ratings whose factors are laid out at a time


class Options(Config, frozen=True):
    """Options of `NMF`."""

    factors: Annotated[int, msgspec.Meta(ge=1, le=4096, description="d: dimensions of the vectors.")] = 15
    epochs: Annotated[int, msgspec.Meta(ge=1, description="Passes over the ratings.")] = 50
    reg_u: Annotated[float, msgspec.Meta(ge=0, description="λ_u: holds users' vectors towards 0.")] = 0.06
    reg_i: Annotated[float, msgspec.Meta(ge=0, description="λ_i: holds items' vectors towards 0.")] = 0.06


class NMF(Model):
    """Non-negative matrix factorisation."""

    Config = Options
    config: Options
    summary = "Predicts ratings by factors without negative entries, which can be read as tastes."
    source = "Luo et al., IEEE Trans. Industrial Informatics 2014"
    predicts_ratings = True
    space = declare(
        factors=Range(2, 64, log=True, whole=True),
        epochs=Range(5, 200, log=True, whole=True),
        reg_u=Range(0.001, 1, log=True),
        reg_i=Range(0.001, 1, log=True),
    )

    def learn(self, data: Dataset, run: Run) -> RatingFactors:
        """Multiply.

        Raises:
            SerendipError: the log has no ratings, or the factors do not fit into memory.
        """
        options, ratings = self.config, ratings_of(data, self.name)
        factors_fit(self.name, ratings.n_users + ratings.n_items, options.factors, 10)
        shift = min(0.0, ratings.low)
        values = ratings.values.astype(np.float64) - shift
        rng = np.random.default_rng(run.seed)
        users, items = (rng.random((n, options.factors)) for n in (ratings.n_users, ratings.n_items))
        of_user, of_item = options.reg_u * ratings.user_counts, options.reg_i * ratings.item_counts
        given = ratings.matrix(values)
        by_item = given.T.tocsr()
        for done in range(options.epochs):
            found = ratings.matrix(_products(ratings, users, items))
            factor = _factor(given @ items, found @ items + of_user[:, None] * users)
            items = items * _factor(by_item @ users, found.T @ users + of_item[:, None] * items)
            users = users * factor
            run.report(done + 1, options.epochs)
        parts = (_with_shift(users, shift), _with_shift(items, 1.0 if shift else 0.0))
        return RatingFactors(
            ratings.mean, *ratings.masked(*by_turns(ratings, 5.0, 3.0, 10)), ratings.low, ratings.high, *parts, False
        )


def _products(ratings: Ratings, users: Values, items: Values) -> Values:
    """``p_u · q_i`` of each rating."""
    out = np.empty(len(ratings.values))
    for start in range(0, len(out), STRETCH):
        part = slice(start, start + STRETCH)
        np.einsum("md,md->m", users[ratings.users[part]], items[ratings.items[part]], out=out[part])
    return out


def _factor(above: Values | csr_array, below: Values) -> Values:
    """What an entry is multiplied by; 0 where there is nothing to divide by."""
    out = np.zeros_like(below)
    np.divide(above, below, out=out, where=below > 0)
    return out


def _with_shift(factors: Values, value: float) -> NDArray[np.float32]:
    """The factors with one more of this value, unless that is 0."""
    column = np.full((len(factors), 1 if value else 0), value)
    return np.hstack([factors, column]).astype(np.float32)
