"""User-based neighbours: ``score_uj = Σ_v s_uv r_vj`` over the K users v most like u.

With ``x`` the rows of the users × items matrix R, whose columns were multiplied by what an item says about a user, and
``s_uv`` the likeness of u and v:

- cosine: ``x_u·x_v / (‖x_u‖^2α ‖x_v‖^2(1−α) + shrink)``; α = ½ is the cosine itself;
- jaccard: ``x_u·x_v / (‖x_u‖² + ‖x_v‖² − x_u·x_v + shrink)``;
- dice: ``2 x_u·x_v / (‖x_u‖² + ‖x_v‖² + 2 shrink)``.

What an item says about a user is ``log(1 + users / users with it)`` to the power ``idf_power``: 0 lets all items say
the same, 1 is TF-IDF. With ``weighting = "bm25"`` that is times ``(k₁ + 1) r / (k₁ (1 − b + b l_u) + r)`` instead of r,
l_u being what the user's events amount to over the mean: no number of events lifts it above ``k₁ + 1``. The votes stay
those of R. The neighbours are found when asked, from the history at hand, so that new events count at once.

Source: P. Resnick et al., "GroupLens: an open architecture for collaborative filtering of netnews", CSCW 1994;
J. S. Breese, D. Heckerman and C. Kadie, "Empirical analysis of predictive algorithms for collaborative filtering", UAI
1998 (inverse user frequency); α: F. Aiolli, "Efficient top-N recommendation for very large scale binary rated
datasets", RecSys 2013; bm25: S. Robertson and S. Walker, SIGIR 1994, with users as documents and items as words.

Deviations: votes are not divided by the sum of the similarities, which is the same for all items.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._weighting import Weight, counts_of, matrix_of
from serendip.scorers import UserNeighbours
from serendip.scorers.users import Similarity
from serendip.space import OneOf, Range, declare
from serendip.types import Scorer


class Options(Config, frozen=True):
    """Options of `UserKNN`."""

    neighbours: Annotated[int, msgspec.Meta(ge=1, description="K: how many users vote.")] = 100
    similarity: Annotated[Similarity, msgspec.Meta(description="How users are compared.")] = "cosine"
    alpha: Annotated[
        float, msgspec.Meta(ge=0, le=1, description="α of the cosine: smaller holds users with many events back.")
    ] = 0.5
    shrink: Annotated[
        float, msgspec.Meta(ge=0, description="Added to the denominator; larger: trust small overlaps less.")
    ] = 0.0
    idf_power: Annotated[
        float, msgspec.Meta(ge=0, le=4, description="Larger lets rare items say more about a user; 0: all alike.")
    ] = 1.0
    weighting: Annotated[
        Literal["tfidf", "bm25"],
        msgspec.Meta(
            description="What many events with an item say about a user: tfidf (as many times as much), or bm25 "
            "(k₁ 1.2, b 0.75: ever less, and less of a user with many). Both by idf_power; 0: without the idf."
        ),
    ] = "tfidf"
    weight: Weight = "auto"


class UserKNN(Model):
    """The nearest users by the items in common."""

    Config = Options
    config: Options
    summary = "What the users with the most in common took up; nothing to fit, and it follows every event."
    source = "Resnick et al., CSCW 1994; Breese, Heckerman and Kadie, UAI 1998"
    space = declare(
        neighbours=Range(5, 1000, log=True, whole=True),
        similarity=OneOf(("cosine", "jaccard", "dice")),
        shrink=Range(0, 200),
        idf_power=Range(0, 3),
        weighting=OneOf(("tfidf", "bm25")),
    )

    def learn(self, data: Dataset, run: Run) -> UserNeighbours:
        """Keep the rows; the neighbours are found when asked."""
        options = self.config
        counts = counts_of(data, options.weight)
        matrix = matrix_of(data, counts)
        having = np.bincount(matrix.indices, minlength=data.n_items)
        active = int((np.diff(matrix.indptr) > 0).sum())
        says = np.where(having > 0, np.log1p(active / np.maximum(having, 1)) ** options.idf_power, 0)
        bm25 = options.weighting == "bm25" and active > 0
        return UserNeighbours(
            matrix,
            says.astype(np.float32),
            options.neighbours,
            options.similarity,
            options.alpha,
            options.shrink,
            counts,
            float(matrix.data.sum(dtype=np.float64)) / active if bm25 else 0.0,
        )

    def renew(self, known: Scorer, change: Change, run: Run) -> UserNeighbours:
        """Keep the new rows: there is nothing to fit."""
        return self.learn(change.after, run)
