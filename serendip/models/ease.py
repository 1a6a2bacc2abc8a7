"""EASE: item-to-item weights in closed form, ``score = x B`` for a user's row x.

``B = argmin ‖X − X B‖² + λ ‖B‖²`` subject to ``diag(B) = 0``, whose solution is ``B_ij = −P_ij / P_jj`` for i ≠ j with
``P = (XᵀX + λ I)⁻¹``.

The dense solver inverts in place by block elimination, so that memory is one dense matrix of items × items. The sparse
one solves the same problem for each column j with weights for a few items only: the K that would explain most of j
alone, by ``(XᵀX)_ij² / ((XᵀX)_ii + λ)``. Its memory grows with the pairs of items that occur together. With
``popularity_power`` p, column j is divided by the number of j's events, over the mean, to the power p. ``user_power``
g divides the rows of X by the number of the user's events, over the mean, to the power g; ``reg_power`` ν makes λ that
of an average item and lets it grow with the number of an item's events to the power ν.

Source: H. Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019; and for columns of few weights the
same, "Markov random fields for collaborative filtering", NeurIPS 2019.

Deviations: p, g and ν, all 0 as published. Items without an event stand apart from all others and score ``-inf``, and
so do, of the sparse solver, those for which nothing in the history has a weight.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.sparse import csr_array

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.kernels import memory
from serendip.kernels.pool import blas_threads
from serendip.model import Config, Model, Run
from serendip.models._folding import Places, changed, in_place, touched_items, with_rows
from serendip.models._rank import change_rows, inverse_of, pays
from serendip.models._room import neighbours_fit, pairs_fit
from serendip.models._spectrum import Doubles, degrees, gram, power
from serendip.models._weighting import Weight, counts_of, matrix_of
from serendip.scorers import Counts, DenseItemToItem, ItemToItem
from serendip.space import Range, declare
from serendip.types import Floats, Scorer, SerendipError

log = logging.getLogger("serendip.models.ease")

BLOCK = 512
DOUBLE_UP_TO = 2048  # items; beyond it twice the time and three times the memory are not worth the digits


class Options(Config, frozen=True):
    """Options of `Ease`."""

    reg: Annotated[float, msgspec.Meta(gt=0, description="λ: the larger, the closer the weights stay to 0.")] = 500.0
    weight: Weight = "auto"
    precision: Annotated[
        Literal["auto", "float32", "float64"],
        msgspec.Meta(description=f"Of the inverse; auto: float64 up to {DOUBLE_UP_TO:,} items, else float32."),
    ] = "auto"
    solver: Annotated[
        Literal["auto", "dense", "sparse"],
        msgspec.Meta(description="dense is exact, sparse an approximation; auto: dense where it fits into memory."),
    ] = "auto"
    neighbours: Annotated[
        int, msgspec.Meta(ge=1, le=4096, description="K: how many weights an item gets from the sparse solver.")
    ] = 200
    user_power: Annotated[
        float, msgspec.Meta(ge=0, le=2, description="g: larger lets a user with many events say less; 0: as published.")
    ] = 0.0
    reg_power: Annotated[
        float, msgspec.Meta(ge=0, le=2, description="ν: larger holds the weights of popular items closer to 0.")
    ] = 0.0
    popularity_power: Annotated[
        float, msgspec.Meta(ge=-1, le=2, description="p: larger holds popular items back; 0: as published.")
    ] = 0.0


class Ease(Model):
    """A linear autoencoder without a diagonal, solved exactly."""

    Config = Options
    config: Options
    summary = "Item-to-item weights in closed form: exact up to some 30,000 items, beyond by the strongest neighbours."
    source = "Steck, WWW 2019; Steck, NeurIPS 2019"
    space = declare(
        reg=Range(1, 10000, log=True),
        user_power=Range(0, 1),
        reg_power=Range(0, 1),
        popularity_power=Range(0, 1),
    )

    def learn(self, data: Dataset, run: Run) -> DenseItemToItem | ItemToItem:
        """Invert once, or solve for each item by itself.

        Raises:
            SerendipError: the dense solver was asked for and does not fit into the memory that is left, or λ is too
                small to invert the matrix; or the pairs of items that occur together do not fit either.
        """
        from serendip.kernels.gram import gram as dense_gram

        counts = counts_of(data, self.config.weight)
        double = self.config.precision == "float64" or (
            self.config.precision == "auto" and data.n_items <= DOUBLE_UP_TO
        )
        dtype = np.dtype(np.float64 if double else np.float32)
        matrix, reg, held_back = self._prepare(matrix_of(data, counts))
        if self.config.solver == "sparse" or (self.config.solver == "auto" and not _fits(data.n_items, dtype)):
            return self._sparse(matrix, reg, held_back, counts, run)
        _check_memory(data.n_items, dtype)
        known = np.bincount(matrix.indices, minlength=data.n_items) > 0
        with blas_threads(run.threads):
            work = np.empty((data.n_items, data.n_items), dtype)
            dense_gram(matrix, work, threads=run.threads)
            np.einsum("ii->i", work)[:] += reg
            if not negative_inverse(work, run.report):
                raise SerendipError(
                    f"ease: reg must be large enough for the matrix to be inverted in {dtype}. "
                    f"Got {self.config.reg:g} instead. Try {max(100.0, 10 * self.config.reg):g}"
                    f"{'' if double else ', or precision=float64'}, or weight='binary' where weights are large."
                )
            weights = _weights(work, known)
            if self.config.popularity_power != 0:
                weights *= held_back
            return DenseItemToItem(weights, known, counts)

    def renew(self, known: Scorer, change: Change, run: Run) -> DenseItemToItem | ItemToItem:
        """The dense weights exactly, from the inverse as it was if few rows changed, else by inverting again.

        Sparse weights are solved for again for the items of which anything changed; the others keep theirs.
        """
        counts = counts_of(change.after, self.config.weight)
        if isinstance(known, ItemToItem) and known.counts == counts:
            matrix, reg, held_back = self._prepare(matrix_of(change.after, counts))
            only = touched_items(change, counts)
            fresh = self._regressed(matrix, reg, held_back, only, run)
            return ItemToItem(csr_array(with_rows(csr_array(known.weights.T.tocsr()), only, fresh).T.tocsr()), counts)
        renewed = None
        if isinstance(known, DenseItemToItem) and known.counts == counts and self.config.solver != "sparse":
            renewed = self._by_rank(known, change, counts, run)
        return self.learn(change.after, run) if renewed is None else renewed

    def _by_rank(self, known: DenseItemToItem, change: Change, counts: Counts, run: Run) -> DenseItemToItem | None:
        """The exact weights by way of the rows that changed; None where that does not pay, or rounding forbids it."""
        before, reg, held_back = self._prepare(matrix_of(change.before, counts))
        after, reg_after, held_back_after = self._prepare(matrix_of(change.after, counts))
        n = change.after.n_items
        rows = np.flatnonzero(np.diff(changed(before, after).indptr))
        if not pays(len(rows), n) or not np.array_equal(reg, reg_after):
            return None
        _check_memory(n, np.dtype(np.float32))
        with blas_threads(run.threads):
            weights = np.zeros((n, n), np.float32)
            weights[: len(known.weights), : len(known.weights)] = known.weights
            weights[:, held_back > 0] /= held_back[held_back > 0]
            inverse = inverse_of(weights, before, reg)
            if inverse is None or not change_rows(inverse, before[rows], after[rows]):
                return None
            weights = -inverse / np.diagonal(inverse)
            np.einsum("ii->i", weights)[:] = 0
            if self.config.popularity_power != 0:
                weights *= held_back_after
        return DenseItemToItem(weights, np.bincount(after.indices, minlength=n) > 0, counts)

    def _prepare(self, matrix: csr_array) -> tuple[csr_array, Doubles, Floats]:
        """The matrix with its rows divided, the λ of each item, and what its column is multiplied by."""
        options = self.config
        by_user, by_item = degrees(matrix)
        if options.user_power > 0:
            rows = np.repeat(power(by_user, -options.user_power), np.diff(matrix.indptr))
            values = (matrix.data * rows).astype(np.float32)
            matrix = csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
        reg = options.reg * np.where(by_item > 0, power(by_item, options.reg_power), 1)
        return matrix, reg, power(by_item, -options.popularity_power).astype(np.float32)

    def _sparse(self, matrix: csr_array, reg: Doubles, held_back: Floats, counts: Counts, run: Run) -> ItemToItem:
        """Each item from the K others that would explain most of it alone."""
        options, n = self.config, matrix.shape[1]
        if options.solver == "auto":
            log.warning(
                "ease: the dense matrix of %s items needs %s bytes, more than are available: each item is solved for "
                "with its %s strongest neighbours instead (solver=sparse). Give solver=dense to insist.",
                f"{n:,}", f"{_needed(n, np.dtype(np.float32)):,}", options.neighbours,
            )  # fmt: skip
        return ItemToItem(csr_array(self._regressed(matrix, reg, held_back, None, run).T.tocsr()), counts)

    def _regressed(
        self, matrix: csr_array, reg: Doubles, held_back: Floats, only: Places | None, run: Run
    ) -> csr_array:
        """What is said of each item, or of these alone: a row per item, with the weights of its K neighbours."""
        from serendip.kernels.neighbours import Denominator, nearest
        from serendip.kernels.restricted import regress

        n = matrix.shape[1]
        targets = np.arange(n) if only is None else only
        ones = np.ones(n)
        pairs_fit(self.name, matrix, None, "item_knn or ials")
        neighbours_fit(self.name, matrix, self.config.neighbours, run.threads, "fewer neighbours")
        together = gram(matrix, ones, ones, None, run.threads)
        run.report(1, 3)
        strong = Denominator(ones, np.sqrt(together.diagonal().astype(np.float64) + reg))
        chosen = nearest(matrix, self.config.neighbours, strong, only=only, threads=run.threads)
        chosen.sort_indices()
        run.report(2, 3)
        values = regress(together, in_place(chosen, targets, n), reg, threads=run.threads)
        values *= np.repeat(held_back[targets], np.diff(chosen.indptr))
        run.report(3, 3)
        return csr_array((values, chosen.indices, chosen.indptr), shape=chosen.shape)


def _needed(n: int, dtype: np.dtype[Any]) -> int:
    """Bytes that the dense solver needs."""
    return n * n * (dtype.itemsize + (4 if dtype.itemsize > 4 else 0)) + 3 * n * BLOCK * dtype.itemsize


def _fits(n: int, dtype: np.dtype[Any]) -> bool:
    room = memory.available()
    return room is None or _needed(n, dtype) <= room


def _check_memory(n: int, dtype: np.dtype[Any]) -> None:
    other = " or precision='float32'" if dtype.itemsize > 4 else ""
    what = f"ease: a dense matrix of {n:,} × {n:,} items needs"
    memory.require(what, _needed(n, dtype), f"solver='sparse'{other}")


def negative_inverse(a: NDArray[Any], report: Callable[[int, int], None]) -> bool:
    """Replace the lower triangle of a symmetric positive definite matrix by that of its negative inverse, in place.

    Each step eliminates a block of variables (the sweep operator: J. H. Goodnight, The American Statistician 33, 1979),
    in ``n³`` operations altogether, nearly all of them matrix products. LAPACK's routines do the same work, but not at
    every size: the 32-bit indices of the build that comes with SciPy do not reach past some 40,000 rows.

    Returns:
        Whether the matrix was positive definite by so much that rounding left some digits of every result.
    """
    n = len(a)
    diagonal = np.diagonal(a).copy()
    starts = range(0, n, BLOCK)
    potrf, potri = lapack.get_lapack_funcs(("potrf", "potri"), (a,))
    columns, scaled, update = (np.empty(n * BLOCK, a.dtype) for _ in range(3))
    for done, start in enumerate(starts):
        stop = min(start + BLOCK, n)
        width = stop - start
        factor, failed = potrf(a[start:stop, start:stop], lower=1)
        if failed:
            return False
        lower = np.tril(potri(factor, lower=1)[0])
        inverse = lower + np.tril(lower, -1).T
        u, t = (room[: n * width].reshape(n, width) for room in (columns, scaled))
        u[:start], u[start:stop], u[stop:] = a[start:stop, :start].T, 0, a[stop:, start:stop]
        np.matmul(u, inverse, out=t)
        for first in starts:
            last = min(first + BLOCK, n)
            product = update[: (last - first) * last].reshape(last - first, last)
            a[first:last, :last] -= np.matmul(t[first:last], u[:last].T, out=product)
        a[start:stop, :start], a[stop:, start:stop], a[start:stop, start:stop] = t[:start].T, t[stop:], -inverse
        report(done + 1, len(starts))
    # What is left of each variable given all others: below the rounding error of the start there is nothing to it.
    with np.errstate(divide="ignore"):
        left = -1 / np.diagonal(a)
    return bool((left > 100 * np.finfo(a.dtype).eps * diagonal).all())


def _weights(inverse: NDArray[Any], known: NDArray[np.bool_]) -> Floats:
    """``B`` from the lower triangle of ``−P``, in the same memory where the precision allows."""
    n = len(inverse)
    scale = -np.diagonal(inverse).copy()
    weights: Floats = inverse if inverse.dtype == np.float32 else np.empty((n, n), np.float32)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        inverse[start:stop, stop:] = inverse[stop:, start:stop].T
        np.divide(inverse[start:stop], scale, out=weights[start:stop], casting="same_kind")
    np.einsum("ii->i", weights)[:] = 0
    return weights
