"""A ranker that keeps what it was told to learn by."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.scorers import StaticScores
from serendip.types import Scorer


class WatchingConfig(Config, frozen=True):
    """Options of `Watching`."""

    hard: Annotated[float, Meta(ge=0, le=1, description="As of rankers.")] = 0.5


class Watching(Model):
    """Scores nothing."""

    Config = WatchingConfig
    config: WatchingConfig
    summary = "Keeps how it was fitted"
    source = "For tests"
    personalised = False
    runs: ClassVar[list[Run]] = []

    def learn(self, data: Dataset, run: Run) -> Scorer:
        """All alike."""
        self.runs.append(run)
        return StaticScores(np.zeros(data.n_items, np.float32))
