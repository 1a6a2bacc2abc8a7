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
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._alternation import Alternation
from serendip.models._room import factors_fit
from serendip.models._weighting import Weight, counts_of, matrix_of
from serendip.scorers import Counts, Factors
from serendip.space import Range, declare

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
    init_passes: Annotated[
        int, msgspec.Meta(ge=0, description="How often the first vectors are averaged over users and back over items.")
    ] = 0
    weight: Weight = "auto"
    solver: Annotated[
        Literal["auto", "cholesky", "cg", "block"],
        msgspec.Meta(
            description="How a turn is solved: exactly (cholesky), by conjugate gradients (cg), block by block "
            "(block), or auto (exactly where that costs about as little as cg, else cg)."
        ),
    ] = "auto"
    cg_steps: Annotated[int, msgspec.Meta(ge=1, description="Steps of conjugate gradients a turn, with cg.")] = 2
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
            SerendipError: the factors do not fit into memory, or the regularisation is too small for the equations to
                be solved in float32.
        """
        matrix, known, counts = occurring(data, self.config)
        factors_fit(self.name, sum(matrix.shape), self.config.factors, 2)
        alternation = begin(matrix, self.config, run.seed, run.threads)

        def answer() -> Factors:
            vectors = np.full((data.n_items, alternation.d), np.nan, np.float32)
            vectors[known] = alternation.items[:, : alternation.d]
            return Factors(vectors, alternation.of_users.alpha0, self.config.reg, self.config.nu, counts)

        for done in range(self.config.iterations):
            alternation.solve_users(run.threads)
            alternation.solve_items(run.threads)
            run.report(done + 1, self.config.iterations, answer)
        return answer()


def occurring(data: Dataset, options: Options) -> tuple[csr_array, NDArray[np.bool_], Counts]:
    """The weights of users × items that have an event, which items those are ``[n_items]``, and what is counted."""
    counts = counts_of(data, options.weight)
    matrix = matrix_of(data, counts)
    matrix = matrix[np.diff(matrix.indptr) > 0]
    known = np.bincount(matrix.indices, minlength=data.n_items) > 0
    return matrix[:, known], known, counts


def begin(matrix: csr_array, options: Options, seed: int, threads: int | None = None) -> Alternation:
    """The two sides before the first iteration, for the weights of `occurring`."""
    alpha0 = options.alpha0
    if alpha0 is None:
        alpha0 = min(1.0, PER_DENSITY * matrix.nnz / max(1, matrix.shape[0] * matrix.shape[1]))
    return Alternation.begin(
        matrix,
        options.factors,
        alpha0=alpha0,
        reg=options.reg,
        nu=options.nu,
        stddev=options.stddev,
        init_passes=options.init_passes,
        solver=options.solver,
        cg_steps=options.cg_steps,
        block_size=options.block_size,
        seed=seed,
        threads=threads,
    )
