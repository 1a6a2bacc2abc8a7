"""The Markov chain of a Bayesian factorisation machine over blocks of features."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from serendip.models._blocks import Block
from serendip.types import Floats

Values = NDArray[np.float64]


@dataclass(slots=True, eq=False)
class Prior:
    """Normal priors with a mean and a precision for each group of features, drawn anew in each sweep.

    ``λ ~ Gamma((1 + c + 1) / 2, rate (1 + Σ (v − μ)² + μ²) / 2)`` and ``μ ~ N(Σ v / (c + 1), 1 / ((c + 1) λ))`` for a
    group of c features: libFM's hyper-priors with α₀ = β₀ = γ₀ = 1 and μ₀ = 0.

    Attributes:
        groups: ``[c]`` the group of each feature.
        sizes: ``[g]`` how many features a group has.
        mean, precision: ``[g]``.
    """

    groups: NDArray[np.int64]
    sizes: NDArray[np.int64]
    mean: Values
    precision: Values

    @classmethod
    def of(cls, groups: NDArray[np.int64], number: int) -> Prior:
        """The prior before the first sweep."""
        return cls(groups, np.bincount(groups, minlength=number), np.zeros(number), np.ones(number))

    def draw(self, values: Values, rng: np.random.Generator) -> None:
        """Draw precisions and means given the features' values ``[c]``."""
        number = len(self.sizes)
        square = np.bincount(self.groups, (values - self.mean[self.groups]) ** 2, number) + self.mean**2
        self.precision = rng.standard_gamma((2 + self.sizes) / 2) / ((1 + square) / 2)
        centre = np.bincount(self.groups, values, number) / (self.sizes + 1)
        self.mean = centre + rng.standard_normal(number) / np.sqrt((self.sizes + 1) * self.precision)


@dataclass(slots=True, eq=False)
class Part:
    """A block with the present draw of its weights ``w [c]`` and factors ``v [d, c]``.

    Attributes:
        block: the block.
        starts, rows, values: its features by column.
        counts: ``[rows]`` how many ratings each row has.
        w, v: weights and factors.
        sums: ``[d, rows]`` each row's ``Σ v x``.
        of_w, of_v: priors of the weights, and of each factor.
    """

    block: Block
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    values: Values
    counts: Values
    w: Values
    v: Values
    sums: Values
    of_w: Prior
    of_v: list[Prior]

    @classmethod
    def of(cls, block: Block, factors: int, stddev: float, rng: np.random.Generator) -> Part:
        """The block with weights 0 and small factors."""
        columns = block.features.tocsc()
        n_rows, c = block.features.shape
        v = rng.normal(0, stddev, (factors, c))
        number = len(block.names)
        return cls(
            block,
            columns.indptr.astype(np.int64),
            columns.indices.astype(np.int32),
            columns.data.astype(np.float64),
            np.bincount(block.case, minlength=n_rows).astype(np.float64),
            np.zeros(c),
            v,
            np.ascontiguousarray((block.features @ v.T).T),
            Prior.of(block.groups, number),
            [Prior.of(block.groups, number) for _ in range(factors)],
        )

    def table(self) -> Floats:
        """``[rows + 1, 1 + d]`` what each row adds to η by itself, and its ``Σ v x``; the last row is for what is not
        known: a feature of the first group, at its prior's mean."""
        features = self.block.features
        sums = features @ self.v.T
        alone = features @ self.w + 0.5 * (sums**2 - (features * features) @ (self.v.T**2)).sum(axis=1)
        unknown = [self.of_w.mean[0], *(prior.mean[0] for prior in self.of_v)]
        return np.vstack([np.column_stack([alone, sums]), unknown]).astype(np.float32)


@dataclass(slots=True, eq=False)
class Chain:
    """The state of the sampler.

    ``η_m = w₀ + Σ_j w_j x_mj + Σ_{j<l} (v_j · v_l) x_mj x_ml`` over the features of all blocks of a rating.

    Attributes:
        parts: the blocks.
        error: ``[m]`` what is explained, minus η.
        offset: w₀; stays 0 unless ``free_offset``.
        alpha: precision of the errors; stays 1 unless ``free_noise``.
    """

    parts: list[Part]
    error: Values
    free_offset: bool
    free_noise: bool
    offset: float = 0.0
    alpha: float = 1.0
    _whole: Values = field(init=False)

    def __post_init__(self) -> None:
        self._whole = np.zeros(len(self.error))
        for part in self.parts:
            alone = part.table()[:-1, 0].astype(np.float64)
            self.error = self.error - alone[part.block.case]
        for f in range(len(self.parts[0].v)):
            sums = [part.sums[f][part.block.case] for part in self.parts]
            whole = np.sum(sums, axis=0)
            self.error = self.error - 0.5 * (whole**2 - np.sum(np.square(sums), axis=0))

    def sweep(self, rng: np.random.Generator) -> None:
        """Draw everything once: the noise, the priors, the offset, all weights, all factors."""
        from serendip.kernels import gibbs

        m = len(self.error)
        if self.free_noise:
            self.alpha = float(rng.standard_gamma((1 + m) / 2) / ((1 + self.error @ self.error) / 2))
        if self.free_offset:
            drawn = self.error.mean() + self.offset + rng.standard_normal() / np.sqrt(self.alpha * m)
            self.error += self.offset - drawn
            self.offset = float(drawn)
        for part in self.parts:
            part.of_w.draw(part.w, rng)
            gibbs.linear(
                part.block.case, part.starts, part.rows, part.values, rng.standard_normal(len(part.w)),
                part.of_w.precision[part.block.groups], part.of_w.mean[part.block.groups], self.alpha, part.w,
                self.error, part.counts,
            )  # fmt: skip
        for f in range(len(self.parts[0].v)):
            self._whole[:] = 0
            for part in self.parts:
                self._whole += part.sums[f][part.block.case]
            for part in self.parts:
                prior, groups = part.of_v[f], part.block.groups
                prior.draw(part.v[f], rng)
                gibbs.factor(
                    part.block.case, part.starts, part.rows, part.values, rng.standard_normal(part.v.shape[1]),
                    prior.precision[groups], prior.mean[groups], self.alpha, part.v[f], part.sums[f], self._whole,
                    self.error, part.counts,
                )  # fmt: skip
