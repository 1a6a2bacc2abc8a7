"""Ratings by neighbours: ``r̂_ui = c_ui + σ_t Σ_j s_tj (r_j − c_j) / σ_j / Σ_j s_tj``.

By items, the target t is the item i and j runs over the k items most like it among those that u rated; by users t is u,
and j runs over the k users most like them among those who rated i. Only those with ``s > 0`` count.

The centre c is 0 (none), the target's mean (mean; zscore with its deviation σ too, else σ = 1), or ``μ + b_u + b_i``
(baseline; see `serendip.models.baseline`). ``s`` is, over what two targets have in common,

- cosine: of the ratings;
- pearson: of the ratings less their mean over what is in common;
- adjusted_cosine: of the ratings less the mean of the other side (for items: of the user who rated);
- pearson_baseline: of the ratings less ``μ + b_u + b_i``;

times ``(n − 1) / (n − 1 + shrinkage)`` for n in common.

Source: J. Herlocker, J. Konstan, A. Borchers and J. Riedl, SIGIR 1999 (users, mean, z-scores); B. Sarwar, G. Karypis,
J. Konstan and J. Riedl, WWW 2001 (items, adjusted cosine); Y. Koren, "Factor in the neighbors", ACM TKDD 4, 2010
(baseline, shrinkage).

Deviations: without a neighbour the answer is ``μ + b_u + b_i``; predictions are clipped to the range of the training
ratings; shrinkage applies to every similarity.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.kernels import memory
from serendip.model import Config, Model, Run
from serendip.models._rated import Ratings, ratings_of
from serendip.models._room import PER_ENTRY
from serendip.models.baseline import by_turns
from serendip.scorers import RatingNeighbours
from serendip.space import OneOf, Range, declare

Values = NDArray[np.float64]


class Options(Config, frozen=True):
    """Options of `RatingKNN`."""

    by: Annotated[Literal["item", "user"], msgspec.Meta(description="Whose neighbours are asked.")] = "item"
    k: Annotated[int, msgspec.Meta(ge=1, description="How many neighbours count at most.")] = 40
    centring: Annotated[
        Literal["none", "mean", "zscore", "baseline"], msgspec.Meta(description="What ratings are taken relative to.")
    ] = "baseline"
    similarity: Annotated[
        Literal["cosine", "pearson", "adjusted_cosine", "pearson_baseline"],
        msgspec.Meta(description="How targets are compared."),
    ] = "pearson_baseline"
    shrinkage: Annotated[
        float, msgspec.Meta(ge=0, description="Larger: trust similarities that rest on few ratings in common less.")
    ] = 100.0
    min_support: Annotated[int, msgspec.Meta(ge=1, description="The least number of ratings in common.")] = 1
    keep: Annotated[
        int, msgspec.Meta(ge=1, description="How many of the most alike each target keeps; bounds the memory.")
    ] = 5000
    reg_u: Annotated[float, msgspec.Meta(ge=0, description="λ_u of b_u.")] = 15.0
    reg_i: Annotated[float, msgspec.Meta(ge=0, description="λ_i of b_i.")] = 10.0
    epochs: Annotated[int, msgspec.Meta(ge=1, description="Turns in which b_u and b_i are found.")] = 10


class RatingKNN(Model):
    """Neighbours that vote with their ratings."""

    Config = Options
    config: Options
    summary = "Predicts ratings by what the nearest items, or users, were rated; easy to explain."
    source = "Herlocker et al., SIGIR 1999; Sarwar et al., WWW 2001; Koren, ACM TKDD 2010"
    predicts_ratings = True
    space = declare(
        by=OneOf(("item", "user")),
        k=Range(5, 200, log=True, whole=True),
        centring=OneOf(("none", "mean", "zscore", "baseline")),
        similarity=OneOf(("cosine", "pearson", "adjusted_cosine", "pearson_baseline")),
        shrinkage=Range(1, 1000, log=True),
        min_support=Range(1, 10, log=True, whole=True),
    )

    def learn(self, data: Dataset, run: Run) -> RatingNeighbours:
        """Compare all targets.

        Raises:
            SerendipError: the log has no ratings, or what is alike does not fit into memory.
        """
        from serendip.kernels.alike import alike

        options, ratings = self.config, ratings_of(data, self.name)
        user, item = by_turns(ratings, options.reg_u, options.reg_i, options.epochs)
        residual = ratings.values - (ratings.mean + user[ratings.users] + item[ratings.items])
        by_item = options.by == "item"
        sides = (ratings.items, ratings.users) if by_item else (ratings.users, ratings.items)
        sizes = (data.n_items, data.n_users) if by_item else (data.n_users, data.n_items)
        compared = ratings.values.astype(np.float64)
        if options.similarity == "pearson_baseline":
            compared = residual
        elif options.similarity == "adjusted_cosine":
            compared = ratings.values - _mean(ratings.values, sides[1], sizes[1])[sides[1]]
        matrix = ratings.matrix(compared)
        _check_memory(ratings, sides[1], sizes, options)
        similar = alike(
            matrix.T.tocsr() if by_item else matrix,
            centred=options.similarity == "pearson",
            shrinkage=options.shrinkage,
            min_support=options.min_support,
            keep=options.keep,
            threads=run.threads,
        )
        centre, scale = _centres(options.centring, ratings, sides[0], sizes[0])
        votes = residual if options.centring == "baseline" else (ratings.values - centre[sides[0]]) / scale[sides[0]]
        rated = ratings.matrix(votes.astype(np.float32))
        rated = rated if by_item else rated.T.tocsr()
        rated.sort_indices()
        return RatingNeighbours(
            ratings.mean, *ratings.masked(user, item), ratings.low, ratings.high, options.by, options.k, similar, rated,
            centre.astype(np.float32), scale.astype(np.float32), options.centring == "baseline",
        )  # fmt: skip


def _check_memory(ratings: Ratings, others: NDArray[np.int32], sizes: tuple[int, int], options: Options) -> None:
    shared = int((np.bincount(others, minlength=sizes[1]).astype(np.float64) ** 2).sum())
    pairs = min(shared, sizes[0] * min(options.keep, sizes[0]))
    other = "user" if options.by == "item" else "item"
    what = f"rating_knn: what up to {pairs:,} pairs of {options.by}s have in common needs"
    memory.require(what, PER_ENTRY * pairs, f"a smaller keep, by={other!r}, or biased_mf")


def _mean(values: NDArray[np.floating], codes: NDArray[np.int32], n: int) -> Values:
    """``[n]`` the mean of the values of each code; 0 without any."""
    count = np.bincount(codes, minlength=n)
    mean: Values = np.bincount(codes, values, n) / np.maximum(count, 1)
    return mean


def _centres(centring: str, ratings: Ratings, codes: NDArray[np.int32], n: int) -> tuple[Values, Values]:
    """Centre and deviation of each target; a deviation of 0 counts as that of all ratings, and that, if 0, as 1."""
    centre, scale = np.zeros(n), np.ones(n)
    if centring in ("mean", "zscore"):
        centre = _mean(ratings.values, codes, n)
    if centring == "zscore":
        scale = np.sqrt(_mean((ratings.values - centre[codes]) ** 2, codes, n))
        overall = float(ratings.values.std(dtype=np.float64)) or 1.0
        scale = np.where(scale > 1e-6 * overall, scale, overall)
    return centre, scale
