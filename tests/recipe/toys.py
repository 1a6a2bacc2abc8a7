"""A model that learns a label in no time: the odds of each item, made more extreme than they are."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta

from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.scorers import StaticScores
from serendip.types import Scorer


class OddsConfig(Config, frozen=True):
    """Options of `Odds`."""

    label: Annotated[str | None, Meta(description="The label.")] = None
    boldness: Annotated[float, Meta(gt=0, description="What odds are raised to.")] = 1.0


class Odds(Model):
    """How often the label of an item is 1, as its logit."""

    Config = OddsConfig
    config: OddsConfig
    summary = "Odds of a label"
    source = "For tests"
    personalised = False

    def learn(self, data: Dataset, run: Run) -> Scorer:
        """Counts, with one of each kind added."""
        labels = data.events.labels[self.config.label or "liked"]
        ones = np.bincount(data.events.items, labels, data.n_items) + 1
        zeros = np.bincount(data.events.items, 1 - labels, data.n_items) + 1
        return StaticScores((self.config.boldness * np.log(ones / zeros)).astype(np.float32))
