"""Logistic regression: ``s = b + Σ_i w_i`` over the fields of a query and an item.

A weight for each value of a field, and for each number that is one: nothing depends on two things together, so that
whoever asks, the order of the items is the same where their features are. It tells what more a model of interactions
finds. A label of another kind has its own error, over the same sum.

Somebody of whom nothing is known is answered, too, and so is an item that no event has: what is not known adds nothing.

Source: M. Richardson, E. Dominowska and R. Ragno, "Predicting clicks: estimating the click-through rate for new ads",
WWW 2007.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from serendip.data.dataset import Dataset
from serendip.models._ranking import WIDE, Layout, RankingConfig, RankingModel
from serendip.space import declare

if TYPE_CHECKING:
    from torch import nn

    from serendip.scorers.ranked import RankScorer


class Options(RankingConfig, frozen=True):
    """Options of `LR`."""


class LR(RankingModel):
    """What fields say by themselves."""

    Config = Options
    config: Options
    summary = "A ranker: the weights of all fields of a query and an item, added up. Needs PyTorch."
    source = "Richardson et al., WWW 2007"
    personalised = False
    space = declare(**{name: part for name, part in WIDE.items() if name != "factors"})

    def width(self, fields: int) -> int:
        """A weight."""
        return 1

    def parts(self, fields: Layout) -> tuple[nn.Module, ...]:
        """Weights."""
        from serendip.nn.ranker import Weights

        return (Weights(),)

    def scorer(self, net: Any, data: Dataset, **parts: Any) -> RankScorer:
        """The score is what the networks say, whoever asks and whatever the item."""
        from serendip.scorers import LabelScorer, LabelWeights, WeightScorer

        found = super().scorer(net, data, **{**parts, "items": np.nan_to_num(parts["items"])})
        kind = LabelWeights if isinstance(found, LabelScorer) else WeightScorer
        return kind(**{one.name: getattr(found, one.name) for one in fields(found)})
