"""Logistic matrix factorisation: ``score = x_u · y_i + b_i``, with ``P(u takes up i) = σ(x_u · y_i + b_u + b_i)``.

``L = Σ_{u,i} [α r_ui s_ui − (1 + α r_ui) ln(1 + e^{s_ui})] − λ/2 (‖X‖² + ‖Y‖²)``,  ``s_ui = x_u · y_i + b_u + b_i``,

is climbed by turns: all users take one step along their gradient, then all items, each number by Adagrad. r_ui is what
u's events with i amount to, 0 for the pairs not observed; users and items without an event have no part in it.

Source: C. C. Johnson, "Logistic matrix factorization for implicit feedback data", NIPS 2014 workshop on distributed
machine learning and matrix computations.

Deviations: the gradient over the unobserved pairs, where there are more than ``sampled`` others, is estimated from that
many, drawn anew for each step and shared by `ROWS` rows so that it is a product of matrices. α is stated by how much
the observed pairs weigh together. What answers estimates x_u from the history (`serendip.models._history`).
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._history import answering
from serendip.models._room import factors_fit
from serendip.models._sound import sound
from serendip.models._weighting import Weight, counts_of, matrix_of
from serendip.scorers import Summed
from serendip.space import Range, declare
from serendip.types import Floats, SerendipError

ROWS = 256
"""Rows that share what is drawn of the other side."""
STRETCH = 1 << 16
"""Observed pairs handled at a time."""


class Options(Config, frozen=True):
    """Options of `LogisticMF`."""

    factors: Annotated[int, msgspec.Meta(ge=1, le=4096, description="d: dimensions of the vectors.")] = 64
    iterations: Annotated[int, msgspec.Meta(ge=1, description="How often users and items take a step in turn.")] = 30
    learning_rate: Annotated[float, msgspec.Meta(gt=0, description="γ: size of the first steps.")] = 0.3
    reg: Annotated[float, msgspec.Meta(ge=0, description="λ: how strongly vectors are held towards 0.")] = 1.0
    balance: Annotated[
        float,
        msgspec.Meta(gt=0, description="What the observed pairs weigh together, α Σ r, by the number of the others."),
    ] = 1.0
    sampled: Annotated[
        int, msgspec.Meta(ge=1, description="From how many others a row's unobserved pairs are estimated.")
    ] = 1024
    stddev: Annotated[float, msgspec.Meta(gt=0, description="σ: the first vectors have deviation σ/√d.")] = 0.1
    weight: Weight = "auto"


class LogisticMF(Model):
    """Logistic matrix factorisation."""

    Config = Options
    config: Options
    summary = "Factors that give the probability that a user takes an item up (logistic MF)."
    source = "Johnson, NIPS 2014 workshop on distributed machine learning"
    space = declare(
        factors=Range(16, 256, log=True, whole=True),
        iterations=Range(5, 100, log=True, whole=True),
        learning_rate=Range(0.03, 1, log=True),
        reg=Range(0.01, 30, log=True),
        balance=Range(0.03, 30, log=True),
    )

    def learn(self, data: Dataset, run: Run) -> Summed:
        """Climb by turns.

        Raises:
            SerendipError: the vectors do not fit into memory, or the steps are too large.
        """
        options, d = self.config, self.config.factors
        full = matrix_of(data, counts_of(data, options.weight))
        known = np.bincount(full.indices, minlength=full.shape[1]) > 0
        by_user = csr_array(full[np.diff(full.indptr) > 0][:, known])
        factors_fit(self.name, sum(by_user.shape), d, 4)
        total = float(by_user.data.sum(dtype=np.float64))
        others = float(np.prod(by_user.shape, dtype=np.float64)) - by_user.nnz
        weighed = by_user * np.float32(options.balance * max(others, 1.0) / (total or 1.0))
        by_user, by_item = csr_array(weighed), csr_array(weighed.T.tocsr())
        rng = np.random.default_rng(run.seed)
        users, items = (
            np.hstack([rng.normal(0, options.stddev / d**0.5, (n, d)), np.zeros((n, 2))]).astype(np.float32)
            for n in by_user.shape
        )
        users[:, d + 1] = items[:, d] = 1  # so that the product adds both biases
        sums = [np.zeros_like(users), np.zeros_like(items)]
        for done in range(options.iterations):
            seeds = rng.integers(0, 1 << 62, 2)
            _step(by_user, users, items, sums[0], d, options, int(seeds[0]), run.threads)
            _step(by_item, items, users, sums[1], d + 1, options, int(seeds[1]), run.threads)
            self._check(users, items)
            run.report(done + 1, options.iterations)
        bias = np.ascontiguousarray(items[:, d + 1])
        return answering(by_user, users[:, :d], items[:, :d], bias, known, rng, run.threads)

    def _check(self, *tables: Floats) -> None:
        if not sound(*tables):
            raise SerendipError(
                f"{self.name}: learning_rate must be small enough for the ascent to converge. Got "
                f"{self.config.learning_rate:g}, with which the vectors grew without bound. Try a tenth of it."
            )


def _step(
    matrix: csr_array, own: Floats, other: Floats, sums: Floats, free: int, options: Options, seed: int,
    threads: int | None,
) -> None:  # fmt: skip
    """Move all rows of ``own`` once, in place.

    Args:
        matrix: ``[rows, others]`` α r.
        own, other: ``[rows, d + 2]`` and ``[others, d + 2]``: factors and two places for the biases.
        sums: Adagrad's sums of squares, moved along.
        free: which of the two places is the bias of ``own``; the other place stays 1.
        seed: of what is drawn.
    """
    from serendip.kernels import pool

    d, factors = own.shape[1] - 2, slice(0, own.shape[1] - 2)
    rate, reg = np.float32(options.learning_rate), np.float32(options.reg)

    def some(first: int, last: int) -> None:
        rng = np.random.default_rng([seed, first])
        slope = gradient(matrix[first:last], own[first:last], other, options.sampled, rng)
        slope[:, factors] -= reg * own[first:last, factors]
        slope[:, 2 * d + 1 - free] = 0
        sums[first:last] += slope * slope
        own[first:last] += rate * slope / np.sqrt(np.maximum(sums[first:last], np.finfo(np.float32).tiny))

    with np.errstate(over="ignore", invalid="ignore"):
        pool.rows(some, len(own), chunk=ROWS, threads=threads)


def gradient(matrix: csr_array, own: Floats, other: Floats, sampled: int, rng: np.random.Generator) -> Floats:
    """Of L without the regularisation, by the vectors of some rows: ``[rows, d + 2]``.

    The pairs not observed are those of ``sampled`` others, weighted as if they were all of them.
    """
    n, rows = len(other), np.repeat(np.arange(len(own)), np.diff(matrix.indptr))
    drawn = np.arange(n) if sampled >= n else np.sort(rng.choice(n, sampled, replace=False, shuffle=False))
    place = np.minimum(np.searchsorted(drawn, matrix.indices), len(drawn) - 1)
    observed = drawn[place] == matrix.indices
    chance = _sigmoid(own @ other[drawn].T)
    chance[rows[observed], place[observed]] = 0
    left = len(drawn) - np.bincount(rows[observed], minlength=len(own))
    scale = (n - np.diff(matrix.indptr)) / np.maximum(left, 1)
    taken = np.empty(matrix.nnz, np.float32)
    for start in range(0, matrix.nnz, STRETCH):
        part = slice(start, start + STRETCH)
        taken[part] = _sigmoid(np.einsum("md,md->m", own[rows[part]], other[matrix.indices[part]]))
    pull = csr_array((matrix.data - (1 + matrix.data) * taken, matrix.indices, matrix.indptr), shape=matrix.shape)
    slope: Floats = np.asarray(pull @ other - scale[:, None].astype(np.float32) * (chance @ other[drawn]))
    return slope


def _sigmoid(scores: Floats) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.float32(1) / (np.float32(1) + np.exp(-scores))
