"""Item-based neighbours: ``score_j = Σ_i h_i s_ij`` over the items i of the history, where i and j are near neighbours.

Near: j is among the K nearest of i (``nearest_to="history"``), or i among the K nearest of j (``"candidate"``; a
candidate with few users then has K neighbours like any other, and can be scored from more histories).

With ``x`` the columns of the users × items matrix, weighted if so wished, whose rows were then divided by their length
to the power γ (1: a user with many events says less by each), and ``h_i`` what i weighs in the history, ``s_ij`` is

- cosine: ``x_i·x_j / (‖x_i‖^2α ‖x_j‖^2β + shrink)``; α = β = ½ is the cosine itself, a larger β holds popular j back;
- jaccard: ``x_i·x_j / (‖x_i‖² + ‖x_j‖² − x_i·x_j + shrink)``; for binary x and γ = 0, of all users the share in common;
- dice: ``2 x_i·x_j / (‖x_i‖² + ‖x_j‖² + 2 shrink)``.

``shrink`` > 0 trusts similarities that rest on few users less.

Source: B. Sarwar, G. Karypis, J. Konstan and J. Riedl, "Item-based collaborative filtering recommendation algorithms",
WWW 2001; M. Deshpande and G. Karypis, "Item-based top-N recommendation algorithms", ACM TOIS 22, 2004 (K nearest, rows
of unit length); α with β = 1 − α: F. Aiolli, "Efficient top-N recommendation for very large scale binary rated
datasets", RecSys 2013; weighting: G. Salton and C. Buckley, IP&M 24, 1988 (tfidf), S. Robertson and S. Walker, SIGIR
1994 (bm25), with items as documents and users as words.

Deviations: similarities are not normalised per item. Items without a user in common are no neighbours, whatever K. γ
between 0 (Sarwar et al.) and 1 (Deshpande and Karypis), or beyond, is ours, and so is a β apart from 1 − α.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np
from scipy.sparse import csr_array

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._room import neighbours_fit
from serendip.models._weighting import Weight, Weighting, counts_of, matrix_of, weighted
from serendip.scorers import ItemToItem
from serendip.space import OneOf, Range, declare
from serendip.types import Scorer


class Options(Config, frozen=True):
    """Options of `ItemKNN`."""

    neighbours: Annotated[int, msgspec.Meta(ge=1, description="K: how many neighbours each item keeps.")] = 100
    user_power: Annotated[
        float,
        msgspec.Meta(ge=0, le=4, description="γ: larger lets a user with many events say less by each; 0: alike."),
    ] = 1.0
    similarity: Annotated[Literal["cosine", "jaccard", "dice"], msgspec.Meta(description="How items are compared.")] = (
        "cosine"
    )
    alpha: Annotated[
        float, msgspec.Meta(ge=0, le=1, description="α of the cosine: smaller holds popular neighbours back.")
    ] = 0.5
    beta: Annotated[
        Annotated[float, msgspec.Meta(ge=0, le=2)] | None,
        msgspec.Meta(description="β of the cosine: larger holds popular neighbours back; none: 1 − α."),
    ] = None
    shrink: Annotated[
        float, msgspec.Meta(ge=0, description="Added to the denominator; larger: trust small overlaps less.")
    ] = 0.0
    nearest_to: Annotated[
        Literal["history", "candidate"],
        msgspec.Meta(description="Whose K nearest count: those of each item of the history, or of each candidate."),
    ] = "history"
    weighting: Weighting = "none"
    weight: Weight = "auto"


class ItemKNN(Model):
    """The nearest items by the users in common."""

    Config = Options
    config: Options
    summary = "Items whose users the history shares, by cosine; quick to fit and easy to explain."
    source = "Sarwar et al., WWW 2001; Deshpande and Karypis, TOIS 2004"
    space = declare(
        neighbours=Range(5, 1000, log=True, whole=True),
        user_power=Range(0, 2),
        alpha=Range(0, 1),
        beta=Range(0, 1),
        shrink=Range(0, 200),
        nearest_to=OneOf(("history", "candidate")),
        weighting=OneOf(("none", "tfidf", "bm25")),
    )

    def learn(self, data: Dataset, run: Run) -> ItemToItem:
        """Find the neighbours.

        Raises:
            SerendipError: they do not fit into memory.
        """
        options = self.config
        counts = counts_of(data, options.weight)
        matrix = _damped(weighted(matrix_of(data, counts), options.weighting), options.user_power)
        return ItemToItem(self._turned(self._nearest(matrix, run)), counts)

    def renew(self, known: Scorer, change: Change, run: Run) -> ItemToItem:
        """Find the neighbours again: looking for those that an event leaves alone takes longer."""
        return self.learn(change.after, run)

    def _turned(self, weights: csr_array) -> csr_array:
        """From a row per item whose neighbours were sought to a row per item of a history."""
        return weights if self.config.nearest_to == "history" else csr_array(weights.T.tocsr())

    def _nearest(self, matrix: csr_array, run: Run) -> csr_array:
        from serendip.kernels.neighbours import Denominator, nearest

        options = self.config
        binary = bool((matrix.data == 1).all())  # counting takes a fraction of adding up
        values = None if binary else np.square(matrix.data, dtype=np.float64)
        square = np.bincount(matrix.indices, values, matrix.shape[1]).astype(np.float64)
        neighbours_fit(self.name, matrix, options.neighbours, run.threads, "fewer neighbours")
        beta = 1 - options.alpha if options.beta is None else options.beta
        if options.similarity == "cosine":
            powers = (options.alpha, beta) if options.nearest_to == "history" else (beta, options.alpha)
            below = Denominator(square ** powers[0], square ** powers[1], options.shrink)
        elif options.similarity == "jaccard":
            below = Denominator(square, square, options.shrink, overlap=1)
        else:
            below = Denominator(square / 2, square / 2, options.shrink, overlap=0)
        return csr_array(nearest(matrix, options.neighbours, below, threads=run.threads))


def _damped(matrix: csr_array, power: float) -> csr_array:
    """The matrix with each row divided by its length to that power."""
    if power == 0:
        return matrix
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    square = np.bincount(rows, matrix.data.astype(np.float64) ** 2, matrix.shape[0])
    values = (matrix.data * square[rows] ** (-power / 2)).astype(np.float32)
    return csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
