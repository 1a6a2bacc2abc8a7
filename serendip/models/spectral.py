"""A graph filter in closed form, with co-occurrence for what it cuts off.

``score = r D_i^−δ [ c AᵀA + V diag(h(λ) − c λ) Vᵀ ] D_i^d``    with ``A = D_u^−g R D_i^−δ``

R is the users × items matrix, D_u and D_i its sums by user and by item (each over its mean), r the user's row; λ and V
are the k largest eigenvalues of ``AᵀA`` with their vectors, and

- ridge: ``h(λ) = λ / (λ + μ)``, what a ridge regression of A on itself does with each component;
- heat: ``h(λ) = 1 − exp(−λ / μ)``, diffusion over the graph for a while.

The components beyond the k are not cut off but followed by a straight line, ``h(λ) ≈ c λ`` with ``c = h(x)/x``, which
needs no eigenvector: it is co-occurrence. μ and x are multiples of λ_k (``strength`` and ``tail``), so that they mean
the same for any data; and k is held to a quarter of the users and of the items, beyond which λ_k would be noise.

Source: Y. Shen et al., "How powerful is graph convolution for recommendation?", CIKM 2021, which is the case
``g = δ = d = ½`` with h a step; J. Choi, S. Hong, N. Park and S.-B. Cho, "Blurring-sharpening process models for
collaborative filtering", SIGIR 2023, for diffusion.

Deviations: the free exponents, the ridge and the straight line are ours. The defaults are round numbers that did well
on hold-outs of the training parts of three public data sets (check-ins, music, films).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.models._room import factors_fit, pairs_fit
from serendip.models._spectrum import Doubles, degrees, eigenpairs, gram, power, scaled
from serendip.models._weighting import Weight, counts_of, matrix_of
from serendip.scorers import SparsePlusLowRank
from serendip.space import OneOf, Range, declare
from serendip.types import Floats, Scorer

Power = Annotated[float, msgspec.Meta(ge=0, le=2)]


class Options(Config, frozen=True):
    """Options of `Spectral`."""

    factors: Annotated[int, msgspec.Meta(ge=1, le=4096, description="k: how many eigenvectors are kept.")] = 64
    filter: Annotated[Literal["ridge", "heat"], msgspec.Meta(description="h: how eigenvalues are damped.")] = "ridge"
    strength: Annotated[
        float,
        msgspec.Meta(ge=1e-4, le=1e6, description="μ as a multiple of λ_k: larger keeps the leading tastes stronger."),
    ] = 1.0
    tail: Annotated[
        float, msgspec.Meta(ge=0, le=100, description="x as a multiple of λ_k: larger lets co-occurrence say less.")
    ] = 0.5
    user_power: Annotated[Power, msgspec.Meta(description="g: larger lets a user with many events say less.")] = 0.2
    item_power: Annotated[Power, msgspec.Meta(description="δ: larger lets popular items of the history say less.")] = (
        0.3
    )
    output_power: Annotated[Power, msgspec.Meta(description="d: larger lifts popular items.")] = 0.3
    neighbours: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="How many co-occurring items each item keeps; none: all of them."),
    ] = None
    weight: Weight = "auto"


class Spectral(Model):
    """Damped eigenvectors of what items have in common, and co-occurrence beyond them."""

    Config = Options
    config: Options
    summary = "A graph filter in closed form: fitted in seconds, and hard to beat on sparse logs."
    source = "Shen et al., CIKM 2021; Choi et al., SIGIR 2023"
    space = declare(
        factors=Range(16, 512, log=True, whole=True),
        filter=OneOf(("ridge", "heat")),
        strength=Range(0.01, 100, log=True),
        tail=Range(0, 2),
        user_power=Range(0, 1),
        item_power=Range(0, 1),
        output_power=Range(0, 1),
    )

    def learn(self, data: Dataset, run: Run) -> SparsePlusLowRank:
        """Find the eigenpairs and count what occurs together."""
        return self._learn(data, run, None)

    def renew(self, known: Scorer, change: Change, run: Run) -> SparsePlusLowRank:
        """As a fit, with the vectors that were known to begin with."""
        start = None
        if isinstance(known, SparsePlusLowRank):
            _, by_item = degrees(matrix_of(change.before, known.counts))
            start = np.zeros((change.after.n_items, known.right.shape[1]), np.float32)
            start[: known.n_items] = known.right * power(by_item, -self.config.output_power)[: known.n_items, None]
        return self._learn(change.after, run, start)

    def _learn(self, data: Dataset, run: Run, start: Floats | None) -> SparsePlusLowRank:
        options = self.config
        counts = counts_of(data, options.weight)
        matrix = matrix_of(data, counts)
        factors_fit(self.name, sum(matrix.shape), min(options.factors, *matrix.shape), 2)
        pairs_fit(self.name, matrix, options.neighbours, "fewer neighbours, such as 100")
        by_user, by_item = degrees(matrix)
        into, out = power(by_item, -options.item_power), power(by_item, options.output_power)
        filtered = scaled(matrix, power(by_user, -options.user_power), into)
        most = max(1, min(int((by_user > 0).sum()), int((by_item > 0).sum())) // 4)
        values, vectors = eigenpairs(filtered, min(options.factors, most), run.seed, run.threads, start)
        run.report(1, 2)
        slope, middle = _filter(values, options)
        together = gram(filtered, into * slope, out, options.neighbours, run.threads)
        run.report(2, 2)
        left, right = _beside(into, vectors, middle), _beside(out, vectors, np.ones(len(middle)))
        return SparsePlusLowRank(together, left, right, by_item > 0, counts)


def _filter(values: Doubles, options: Options) -> tuple[float, Doubles]:
    """The slope c, and ``h(λ) − c λ`` for each eigenvalue; those are measured in units of the least."""
    if len(values) == 0:
        return 1.0, values
    ratio = values / values[-1]

    def damped(x: Doubles) -> Doubles:
        return x / (x + options.strength) if options.filter == "ridge" else -np.expm1(-x / options.strength)

    slope = float(damped(np.array(options.tail))) / options.tail if options.tail else 1 / options.strength
    return slope / float(values[-1]), damped(ratio) - slope * ratio


def _beside(scale: Doubles, vectors: Floats, middle: Doubles) -> Floats:
    return np.asarray(scale[:, None] * vectors * middle, np.float32)
