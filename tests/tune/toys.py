"""Models whose best options are known, and a log to tune them on."""

from __future__ import annotations

import time
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
from scipy.sparse import csr_array

from serendip.data.dataset import Dataset
from serendip.data.synthetic import checkerboard
from serendip.model import Config, Model, Run
from serendip.scorers import ItemToItem
from serendip.space import OneOf, Range, declare
from serendip.types import Scorer, SerendipError

BEST = 0.02


def log() -> Dataset:
    return checkerboard(users=120, items=40)


class Options(Config, frozen=True):
    """Options of `Planted`."""

    reg: Annotated[float, msgspec.Meta(gt=0, description="Best at 0.02.")] = 1.0
    how: Annotated[Literal["well", "badly"], msgspec.Meta(description="Best well.")] = "badly"
    pause: Annotated[float, msgspec.Meta(ge=0, description="Seconds that a fit takes.")] = 0.0


class Planted(Model):
    """Co-occurrence with noise that grows with the distance of the options from the best ones."""

    Config = Options
    config: Options
    summary = "Best where it was planted."
    source = "A test"
    space = declare(reg=Range(0.0001, 10, log=True), how=OneOf(("well", "badly")))
    steps: ClassVar[int] = 0

    def learn(self, data: Dataset, run: Run) -> Scorer:
        time.sleep(self.config.pause)
        scorer = self.scorer(data)
        for done in range(self.steps):
            run.report(done + 1, self.steps, lambda: scorer)
        return scorer

    def scorer(self, data: Dataset) -> Scorer:
        seen = data.matrix()
        together = csr_array(seen.T @ seen).toarray()
        np.fill_diagonal(together, 0)
        off = abs(np.log10(self.config.reg / BEST)) + 2 * (self.config.how == "badly")
        noise = np.random.default_rng(0).random(together.shape)
        return ItemToItem(csr_array((together / together.max() + 0.5 * off * noise).astype(np.float32)))


class Stepwise(Planted):
    """The same, which can answer before it is done."""

    steps = 8


class Fragile(Planted):
    """Fails above 0.5, for want of memory above 5."""

    def learn(self, data: Dataset, run: Run) -> Scorer:
        if self.config.reg > 5:
            raise MemoryError
        if self.config.reg > 0.5:
            raise SerendipError(f"reg must be at most 0.5. Got {self.config.reg} instead.")
        return super().learn(data, run)


class Ticking(Planted):
    """A fit of ten steps, each of which takes what `durations` says of this trial by the clock that it holds."""

    now: ClassVar[float] = 0.0
    durations: ClassVar[list[float]] = [1.0]
    fits: ClassVar[int] = 0

    def learn(self, data: Dataset, run: Run) -> Scorer:
        step = self.durations[min(type(self).fits, len(self.durations) - 1)] / 10
        type(self).fits += 1
        for done in range(10):
            Ticking.now += step
            run.report(done + 1, 10)
        return self.scorer(data)
