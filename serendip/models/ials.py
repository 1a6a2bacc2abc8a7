"""Matrix factorisation for implicit feedback by alternating least squares: ``score = w_u · h_i``.

``L = Σ_{(u,i)∈S} c_ui (w_u·h_i − 1)² + α₀ Σ_{u,i} (w_u·h_i)²``
``    + λ [Σ_u (Σ_i c_ui + α₀ |I|)^ν ‖w_u‖² + Σ_i (Σ_u c_ui + α₀ |U|)^ν ‖h_i‖²]``

with S the observed pairs and ``c_ui`` what they weigh (1 if binary). Users and items are minimised in turn. U and I are
those with an event; everybody else has no part in the objective. Only the item factors are kept: a user's vector is
solved for exactly from the history at hand.

Each turn is solved exactly (``cholesky``), by a few steps of conjugate gradients (``cg``: several times faster, and
the vectors, stopped short of the minimum, often rank a little better), or by one sweep over blocks of dimensions
(``block``: every sweep lowers the objective, and many lead to the exact minimum).

Source: Y. Hu, Y. Koren and C. Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008; objective,
scaled regularisation (ν) and initialisation (standard deviation σ/√d) as in S. Rendle, W. Krichene, L. Zhang and
Y. Koren, "Revisiting the performance of iALS on item recommendation benchmarks", RecSys 2022; conjugate gradients as in
G. Takács, I. Pilászy and D. Tikk, RecSys 2011, and blocks as in S. Rendle, W. Krichene, L. Zhang and Y. Koren,
"iALS++", 2021, both in the eigenbasis of the fixed side, see `serendip.kernels.als`.

Deviation: pairs may differ in weight; the regularisation then grows with the sum of the weights where the source counts
pairs. With ``weight="binary"`` it is the source's.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._weighting import Weight, counts_of, matrix_of
from serendip.scorers import Factors
from serendip.space import Range, declare
from serendip.types import SerendipError

PER_DENSITY = 8.0
"""α₀ by default, in units of the share of pairs that were observed.

The unobserved part of a row's equations and of its regularisation grow as α₀ times the catalogue, the observed part as
the row's events: only in proportion to the density does one value suit small dense logs and large sparse ones alike.
"""


class Options(Config, frozen=True):
    """Options of `IALS`."""

    factors: Annotated[int, msgspec.Meta(ge=1, le=4096, description="d: dimensions of the vectors.")] = 64
    iterations: Annotated[int, msgspec.Meta(ge=1, description="How often users and items are solved for in turn.")] = 16
    alpha0: Annotated[
        Annotated[float, msgspec.Meta(ge=0)] | None,
        msgspec.Meta(
            description="α₀: weight of an unobserved pair. None: 8 times the share of observed pairs, at most 1."
        ),
    ] = None
    reg: Annotated[float, msgspec.Meta(gt=0, description="λ: how strongly vectors are held towards 0.")] = 0.01
    nu: Annotated[
        float, msgspec.Meta(ge=0, le=1, description="ν: how far the regularisation grows with the number of events.")
    ] = 1.0
    stddev: Annotated[float, msgspec.Meta(gt=0, description="σ: the first vectors have deviation σ/√d.")] = 0.1
    weight: Weight = "auto"
    solver: Annotated[
        Literal["auto", "cholesky", "cg", "block"],
        msgspec.Meta(
            description="How a turn is solved: exactly (cholesky), by conjugate gradients (cg), block by block "
            "(block), or auto (exactly where that costs about as little as cg, else cg)."
        ),
    ] = "auto"
    cg_steps: Annotated[int, msgspec.Meta(ge=1, description="Steps of conjugate gradients a turn, with cg.")] = 3
    block_size: Annotated[
        int, msgspec.Meta(ge=1, description="Dimensions of a block, with block; rounded up to whole registers.")
    ] = 128


class IALS(Model):
    """Implicit alternating least squares."""

    Config = Options
    config: Options
    summary = "Matrix factorisation by alternating least squares; scales well, and follows new events without a refit."
    source = "Hu, Koren and Volinsky, ICDM 2008; Rendle et al., RecSys 2022"
    space = declare(
        factors=Range(16, 256, log=True, whole=True),
        alpha0=Range(0.0001, 1, log=True),
        reg=Range(0.0001, 1, log=True),
        nu=Range(0, 1),
    )

    def learn(self, data: Dataset, run: Run) -> Factors:
        """Alternate.

        Raises:
            SerendipError: the regularisation is too small for the equations to be solved in float32.
        """
        from serendip.kernels.als import Equations, Method, cheapest, padded, step

        options = self.config
        counts = counts_of(data, options.weight)
        matrix = matrix_of(data, counts)
        matrix = matrix[np.diff(matrix.indptr) > 0]
        known = np.bincount(matrix.indices, minlength=data.n_items) > 0
        by_user = matrix[:, known]
        alpha0 = options.alpha0
        if alpha0 is None:
            alpha0 = min(1.0, PER_DENSITY * by_user.nnz / max(1, by_user.shape[0] * by_user.shape[1]))
        d = options.factors
        of_users, of_items = (
            Equations.of(rows, alpha0=alpha0, reg=options.reg, nu=options.nu) for rows in (by_user, by_user.T.tocsr())
        )
        solver = options.solver
        if solver == "auto":
            solver = cheapest((of_users, of_items), d, options.cg_steps)
        method = Method(solver, options.cg_steps, options.block_size)
        drawn = np.random.default_rng(run.seed).normal(0, options.stddev / d**0.5, (len(of_items), d))
        items = padded(drawn.astype(np.float32))
        users = np.zeros((len(of_users), items.shape[1]), np.float32)
        try:
            for done in range(options.iterations):
                step(of_users, users, items, d, method, run.threads)
                step(of_items, items, users, d, method, run.threads)
                run.report(done + 1, options.iterations)
            finite = bool(np.isfinite(items).all())
        except FloatingPointError:
            finite = False
        if not finite:
            raise SerendipError(
                f"ials: reg must be large enough for the equations to be solved in float32. Got {options.reg:g} "
                "instead. Try 0.01."
            )
        vectors = np.full((data.n_items, d), np.nan, np.float32)
        vectors[known] = items[:, :d]
        return Factors(vectors, alpha0, options.reg, options.nu, counts)
