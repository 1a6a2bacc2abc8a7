"""What is watched next as a choice among all items: ``P(i | user, moment) = exp( u·v_i ) / Σ_j exp( u·v_j )``.

``u = tower( [ mean of the last watches' vectors, mean of each other kind's, features of user and moment, age ] )``, the
tower's layers being half as wide each as the one below. The vectors v by which items are ranked are not those by which
they are read. The age of an example is how long before the end of training it was, and 0 whenever somebody asks: what
is in vogue is learned as a function of time, so that fresh items come up.

Each event is foretold from what was known strictly before it, and a user teaches no more than so many of them an epoch,
so that busy ones do not decide. The sum over all items is estimated from those of the step and some thousands drawn
beside them, each logit less the logarithm of how probable its item is there.

Source: P. Covington, J. Adams and E. Sargin, "Deep neural networks for YouTube recommendations", RecSys 2016.

Deviations: what is searched for is read as the items found by it (events of that kind, as a bag), and as features of
the moment where the log has the words; a linear layer maps the last hidden one to u.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.data.features.declared import Age
from serendip.data.features.fitted import Features
from serendip.models._examples import PerUser
from serendip.models._retrieval import Hidden, Layers, Learned, Negatives, RetrievalConfig, RetrievalModel, Tied

AGE = "example.age"


class Options(RetrievalConfig, frozen=True):
    """Options of `YoutubeRetrieval`."""

    hidden: Hidden = 256
    layers: Layers = 2
    negatives: Negatives = 2048
    per_user: PerUser = 50
    tied: Tied = False
    example_age: Annotated[
        bool,
        msgspec.Meta(
            description="Whether training is told how old an example is, where events have times that are moments."
        ),
    ] = True


class YoutubeRetrieval(RetrievalModel):
    """A tower that narrows, over bags of what was watched and done."""

    Config = Options
    config: Options
    summary = "What is watched next, from bags of what was watched, searched and done; fresh items rise. Needs PyTorch."
    source = "Covington et al., RecSys 2016"

    def widths(self) -> tuple[int, ...]:
        """Each layer half as wide as the one below."""
        o = self.config
        return () if o.hidden is None else tuple(max(1, o.hidden >> layer) for layer in range(o.layers))

    def only_learned(self, data: Dataset) -> dict[str, Learned]:
        """The age of examples, unless it is one of the declared features."""
        declared = {} if data.features is None else data.features.declared
        dated = data.schema.time_kind == "unix" and data.events.time is not None
        if not (self.config.example_age and dated) or any(isinstance(one, Age) for one in declared.values()):
            return {}
        ages = Features.fit(data, {"age": Age()})
        return {AGE: Learned(ages.examples(data)["age"], ages.context(np.zeros(1, np.int64))["age"][0])}
