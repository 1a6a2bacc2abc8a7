"""Sparse linear item-to-item weights: ``score = x W`` for a user's row x.

``W = argmin ½ ‖X − X W‖² + l1 ‖W‖₁ + ½ l2 ‖W‖²`` subject to ``W ≥ 0`` and ``diag(W) = 0``, column by column.

Source: X. Ning and G. Karypis, "SLIM: sparse linear methods for top-N recommender systems", ICDM 2011; coordinate
descent: J. Friedman, T. Hastie and R. Tibshirani, Journal of Statistical Software 33, 2010.

Deviations: none in the equations. The descent goes over XᵀX, whose entries that are not 0 are kept in memory.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from scipy.sparse import csr_array

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._folding import Places, touched_items, with_rows
from serendip.models._room import pairs_fit
from serendip.models._spectrum import gram
from serendip.models._weighting import Weight, counts_of, matrix_of
from serendip.scorers import Counts, ItemToItem
from serendip.space import Range, declare
from serendip.types import Scorer, SerendipError


class Options(Config, frozen=True):
    """Options of `Slim`."""

    l1: Annotated[float, msgspec.Meta(ge=0, description="Larger: fewer weights.")] = 1.0
    l2: Annotated[float, msgspec.Meta(gt=0, description="Larger: smaller weights, spread more evenly.")] = 10.0
    iterations: Annotated[int, msgspec.Meta(ge=1, description="How often all weights are gone through at most.")] = 50
    tolerance: Annotated[
        float, msgspec.Meta(ge=0, description="Stop when no weight of a column moves by more in one pass.")
    ] = 1e-4
    weight: Weight = "auto"


class Slim(Model):
    """Item-to-item weights, not negative and mostly 0, by an elastic net."""

    Config = Options
    config: Options
    summary = "Sparse linear item-to-item weights by an elastic net; accurate, explainable and small."
    source = "Ning and Karypis, ICDM 2011"
    space = declare(
        l1=Range(0.01, 100, log=True),
        l2=Range(0.1, 1000, log=True),
    )

    def learn(self, data: Dataset, run: Run) -> ItemToItem:
        """Descend, one item after the other.

        Raises:
            SerendipError: the pairs of items that occur together do not fit into memory, or the products of the
                weights into float32.
        """
        counts = counts_of(data, self.config.weight)
        return ItemToItem(self._descended(data, counts, None, run), counts)

    def renew(self, known: Scorer, change: Change, run: Run) -> ItemToItem:
        """Descend for the items of which anything changed; what is said of the others stays."""
        counts = counts_of(change.after, self.config.weight)
        if not isinstance(known, ItemToItem) or known.counts != counts:
            return self.learn(change.after, run)
        only = touched_items(change, counts)
        fresh = csr_array(self._descended(change.after, counts, only, run).T.tocsr())
        return ItemToItem(csr_array(with_rows(csr_array(known.weights.T.tocsr()), only, fresh[only]).T.tocsr()), counts)

    def _descended(self, data: Dataset, counts: Counts, only: Places | None, run: Run) -> csr_array:
        from serendip.kernels.elastic import nonnegative

        options, ones, matrix = self.config, np.ones(data.n_items), matrix_of(data, counts)
        pairs_fit(self.name, matrix, None, "item_knn or ials")
        together = gram(matrix, ones, ones, None, run.threads)
        if not np.isfinite(together.data).all():
            raise SerendipError(
                "slim: weights must be small enough for the sums of their products to fit into float32. "
                f"Got weights up to {matrix.data.max():g} instead. Try weight='binary'."
            )
        return nonnegative(
            together,
            options.l1,
            options.l2,
            sweeps=options.iterations,
            tolerance=options.tolerance,
            only=only,
            threads=run.threads,
        )
