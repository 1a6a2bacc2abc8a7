"""Item-based neighbours: ``score_j = Σ_i h_i s_ij`` over the K nearest neighbours j of each item i of the history.

``s_ij = x_i·x_j / (‖x_i‖ ‖x_j‖ + shrink)`` for the columns ``x`` of the users × items matrix (cosine; ``shrink`` > 0
trusts similarities that rest on few users less), and ``h_i`` is what i weighs in the history.

Source: B. Sarwar, G. Karypis, J. Konstan and J. Riedl, "Item-based collaborative filtering recommendation algorithms",
WWW 2001; M. Deshpande and G. Karypis, "Item-based top-N recommendation algorithms", ACM TOIS 22, 2004.

Deviations: similarities are not normalised per item. Items that no user has in common are no neighbours, whatever K.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from scipy.sparse import csr_array

from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._weighting import Weight, counts_of, matrix_of
from serendip.scorers import ItemToItem


class Options(Config, frozen=True):
    """Options of `ItemKNN`."""

    neighbours: Annotated[int, msgspec.Meta(ge=1, description="K: how many neighbours each item keeps.")] = 100
    shrink: Annotated[
        float, msgspec.Meta(ge=0, description="Added to the denominator; larger: trust small overlaps less.")
    ] = 0.0
    weight: Weight = "auto"


class ItemKNN(Model):
    """The nearest items by the users in common."""

    Config = Options
    config: Options
    summary = "Items whose users the history shares, by cosine; quick to fit and easy to explain."
    source = "Sarwar et al., WWW 2001; Deshpande and Karypis, TOIS 2004"

    def learn(self, data: Dataset, run: Run) -> ItemToItem:
        """Find the neighbours."""
        counts = counts_of(data, self.config.weight)
        matrix = matrix_of(data, counts)
        norm = np.sqrt(np.bincount(matrix.indices, matrix.data.astype(np.float64) ** 2, data.n_items))
        together = csr_array(matrix.T @ matrix)
        together.setdiag(0)
        together.eliminate_zeros()
        row = np.repeat(np.arange(data.n_items), np.diff(together.indptr))
        together.data /= (norm[row] * norm[together.indices] + self.config.shrink).astype(np.float32)
        order = np.lexsort((together.indices, -together.data, row))
        place = np.arange(len(order)) - together.indptr[row]
        kept = order[place < self.config.neighbours]
        return ItemToItem(
            csr_array((together.data[kept], (row[kept], together.indices[kept])), shape=together.shape), counts
        )
