"""A graph filter in closed form: ``score = r (PᵀP + α D_i^−½ V Vᵀ D_i^½)`` with ``P = D_u^−½ R D_i^−½``.

R is the users × items matrix, D_u and D_i its sums by user and by item, r the user's row, and V holds the k leading
right singular vectors of P: what neighbours have in common, and what the whole log has.

Source: Y. Shen, Y. Wu, Y. Zhang, C. Shan, J. Zhang, K. B. Letaief and D. Li, "How powerful is graph convolution for
recommendation?", CIKM 2021.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._room import factors_fit, pairs_fit
from serendip.models._spectrum import degrees, eigenpairs, gram, power, scaled
from serendip.models._weighting import Weight, counts_of, matrix_of
from serendip.scorers import SparsePlusLowRank
from serendip.space import Range, declare
from serendip.types import Floats, Scorer


class Options(Config, frozen=True):
    """Options of `GFCF`."""

    factors: Annotated[int, msgspec.Meta(ge=1, le=4096, description="k: how many singular vectors are kept.")] = 256
    alpha: Annotated[
        float, msgspec.Meta(ge=0, le=1e6, description="α: weight of the singular vectors beside co-occurrence.")
    ] = 0.3
    neighbours: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="How many co-occurring items each item keeps; none: all of them."),
    ] = None
    weight: Weight = "auto"


class GFCF(Model):
    """Co-occurrence with the degrees divided out, and the ideal low-pass filter beside it."""

    Config = Options
    config: Options
    summary = "Co-occurrence and an ideal low-pass filter of the graph, in closed form."
    source = "Shen et al., CIKM 2021"
    space = declare(
        factors=Range(16, 1024, log=True, whole=True),
        alpha=Range(0.01, 10, log=True),
    )

    def learn(self, data: Dataset, run: Run) -> SparsePlusLowRank:
        """Find the singular vectors and count what occurs together."""
        return self._learn(data, run, None)

    def renew(self, known: Scorer, change: Change, run: Run) -> SparsePlusLowRank:
        """As a fit, with the vectors that were known to begin with."""
        start = None
        if isinstance(known, SparsePlusLowRank):
            _, by_item = degrees(matrix_of(change.before, known.counts))
            start = np.zeros((change.after.n_items, known.right.shape[1]), np.float32)
            start[: known.n_items] = known.right * power(by_item, -0.5)[: known.n_items, None]
        return self._learn(change.after, run, start)

    def _learn(self, data: Dataset, run: Run, start: Floats | None) -> SparsePlusLowRank:
        options = self.config
        counts = counts_of(data, options.weight)
        matrix = matrix_of(data, counts)
        factors_fit(self.name, sum(matrix.shape), min(options.factors, *matrix.shape), 2)
        pairs_fit(self.name, matrix, options.neighbours, "fewer neighbours, such as 100")
        by_user, by_item = degrees(matrix)
        inverse = power(by_item, -0.5)
        filtered = scaled(matrix, power(by_user, -0.5), inverse)
        values, vectors = eigenpairs(filtered, options.factors, run.seed, run.threads, start)
        run.report(1, 2)
        # The largest singular value of P is 1: dividing by it undoes whatever constant the scaling brought in.
        unit = np.full(data.n_items, 1 / values[0] if len(values) else 1.0)
        together = gram(filtered, unit, np.ones(data.n_items), options.neighbours, run.threads)
        run.report(2, 2)
        left = (options.alpha * inverse[:, None] * vectors).astype(np.float32)
        right = (power(by_item, 0.5)[:, None] * vectors).astype(np.float32)
        return SparsePlusLowRank(together, left, right, by_item > 0, counts)
