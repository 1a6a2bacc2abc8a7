"""The two sides of a factorisation by alternating least squares, solved for in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from scipy.sparse import csr_array

from serendip.models._spectrum import times
from serendip.types import Floats, SerendipError

if TYPE_CHECKING:
    from serendip.kernels.als import Equations, Method


@dataclass(frozen=True, eq=False)
class Alternation:
    """Vectors of users and items, improved in place.

    Attributes:
        of_users, of_items: the equations of either side.
        users, items: ``[·, wide]``, the dimensions filled up with 0; both in one basis, another after every turn.
        d: the number of dimensions.
        method: how a side is solved for.
    """

    of_users: Equations
    of_items: Equations
    users: Floats
    items: Floats
    d: int
    method: Method

    @classmethod
    def begin(
        cls,
        matrix: csr_array,
        d: int,
        *,
        alpha0: float,
        reg: float,
        nu: float,
        stddev: float,
        init_passes: int,
        solver: Literal["auto", "cholesky", "cg", "block"],
        cg_steps: int,
        block_size: int,
        seed: int,
        threads: int | None = None,
    ) -> Self:
        """Random items, normal with deviation ``stddev / √d``, and users of 0.

        Args:
            matrix: users × items, of weights; each row and column has an entry.
            d: the number of dimensions.
            alpha0, reg, nu: α₀, λ and ν, see `serendip.kernels.als`.
            stddev: σ.
            init_passes: how often the items are averaged over users and back, each pair by 1 over the root of what its
                user and its item weigh in all; then they get their deviation again. Starts nearer to where the
                iterations lead, at the cost of a part of one.
            solver, cg_steps, block_size: see `serendip.models.ials`.
            seed: of the random items.
            threads: see `serendip.kernels.pool.count`.
        """
        from serendip.kernels.als import Equations, Method, cheapest, padded

        of_users, of_items = (
            Equations.of(rows, alpha0=alpha0, reg=reg, nu=nu) for rows in (matrix, csr_array(matrix.T.tocsr()))
        )
        chosen = cheapest((of_users, of_items), d, cg_steps) if solver == "auto" else solver
        drawn = np.random.default_rng(seed).normal(0, stddev / d**0.5, (len(of_items), d))
        items = padded(_averaged(matrix, drawn.astype(np.float32), init_passes, threads))
        users = np.zeros((len(of_users), items.shape[1]), np.float32)
        return cls(of_users, of_items, users, items, d, Method(chosen, cg_steps, block_size))

    def solve_users(self, threads: int | None) -> None:
        """Solve for the users, given the items.

        Raises:
            SerendipError: the regularisation is too small for the equations to be solved in float32.
        """
        self._solve(self.of_users, self.users, self.items, threads)

    def solve_items(self, threads: int | None) -> None:
        """Solve for the items, given the users.

        Raises:
            SerendipError: as `solve_users`.
        """
        self._solve(self.of_items, self.items, self.users, threads)

    def _solve(self, equations: Equations, own: Floats, other: Floats, threads: int | None) -> None:
        from serendip.kernels.als import step

        try:
            step(equations, own, other, self.d, self.method, threads)
            sound = bool(np.isfinite(own).all())
        except FloatingPointError:
            sound = False
        if not sound:
            raise SerendipError(
                f"ials: reg must be large enough for the equations to be solved in float32. Got {self.of_users.reg:g} "
                f"instead. Try {max(0.01, 10 * self.of_users.reg):g}, or weight='binary' where weights are large."
            )


def _averaged(matrix: csr_array, items: Floats, passes: int, threads: int | None) -> Floats:
    """The items after so many passes over the users and back, with the deviation that they had."""
    if passes == 0 or items.size == 0:
        return items
    deviation = items.std()
    by_user, by_item = (np.asarray(matrix.sum(axis=axis, dtype=np.float64)) for axis in (1, 0))
    of_pairs = np.repeat(by_user, np.diff(matrix.indptr)) * by_item[matrix.indices]
    shares = np.divide(matrix.data, np.sqrt(of_pairs), out=np.zeros(matrix.nnz, np.float32), where=of_pairs > 0)
    averaging = csr_array((shares, matrix.indices, matrix.indptr), shape=matrix.shape)
    back = csr_array(averaging.T.tocsr())
    for _ in range(passes):
        items = times(back, times(averaging, items, threads), threads)
    spread = items.std()
    return np.asarray(items * (deviation / spread if spread > 0 else 1), np.float32)
