"""What factorisations of ratings by stochastic gradient descent have in common: their options, and what to try."""

from __future__ import annotations

from typing import Annotated

import msgspec

from serendip.model import Config
from serendip.space import Range, declare

Factors = Annotated[int, msgspec.Meta(ge=1, le=4096, description="d: dimensions of the vectors.")]
Step = Annotated[float, msgspec.Meta(gt=0, description="γ of descent: step size of the vectors.")]
BiasStep = Annotated[float, msgspec.Meta(gt=0, description="Step size of b_u and b_i.")]


class DescentConfig(Config, frozen=True):
    """Base of their options."""

    factors: Factors = 100
    epochs: Annotated[int, msgspec.Meta(ge=1, description="Passes over the ratings.")] = 20
    lr: Step = 0.005
    lr_bias: BiasStep = 0.005
    decay: Annotated[float, msgspec.Meta(gt=0, le=1, description="What both step sizes are times, each epoch.")] = 1.0
    reg: Annotated[float, msgspec.Meta(ge=0, description="λ of the vectors.")] = 0.02
    reg_bias: Annotated[float, msgspec.Meta(ge=0, description="λ_b of descent, of b_u and b_i.")] = 0.02
    stddev: Annotated[float, msgspec.Meta(ge=0, description="Deviation of the first vectors.")] = 0.1


SPACE = declare(
    factors=Range(4, 256, log=True, whole=True),
    epochs=Range(5, 100, log=True, whole=True),
    lr=Range(0.001, 0.05, log=True),
    lr_bias=Range(0.001, 0.05, log=True),
    reg=Range(0.001, 0.5, log=True),
    reg_bias=Range(0.001, 0.5, log=True),
)

__all__ = ["SPACE", "BiasStep", "DescentConfig", "Factors", "Step"]
