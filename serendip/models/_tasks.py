"""What models of several tasks share: options, what they learn from, their losses, and the score that is served.

Tasks are labels of the events, each learned where it is known, and ``interest``: whether somebody took an item up,
learned against items drawn for the same query. What is served is a formula over what is foretold of the tasks, for
example ``click * watch^0.5 - 3 * hide``; another one needs no training.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.models._fields import (
    DEEP,
    INTEREST,
    Dropout,
    Factors,
    FieldsConfig,
    FieldsModel,
    Hidden,
    Layers,
    Taught,
    error_of,
    start_of,
)
from serendip.space import declare
from serendip.types import Floats, SerendipError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from serendip.data.schema import LabelKind
    from serendip.nn.experts import PLE, MMoE, SharedBottom
    from serendip.nn.ranker import Ranker
    from serendip.scorers.ranked import RankScorer

Score = Annotated[
    str | None, msgspec.Meta(description="Formula over what is foretold: the score that is served; none: the first.")
]


class LayersConfig(FieldsConfig, frozen=True):
    """Options of models of tasks that have layers over all fields."""

    factors: Factors = 16
    hidden: Hidden = 128
    layers: Layers = 2
    dropout: Dropout = 0.0
    score: Score = None

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the hidden layers."""
        return (self.hidden,) * self.layers


class TaskConfig(LayersConfig, frozen=True):
    """Options of models of any tasks."""

    tasks: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="What is learned: labels, and interest; none: all labels of the events, or else interest."
        ),
    ] = ()
    weights: Annotated[
        dict[str, Annotated[float, msgspec.Meta(ge=0)]],
        msgspec.Meta(description="What the loss of a task counts, by task; 1 where not named."),
    ] = {}  # noqa: RUF012  (msgspec gives each its own)
    balance: Annotated[
        Literal["fixed", "uncertainty"],
        msgspec.Meta(description="Whether these weights stay, or what each task counts is learned with it."),
    ] = "fixed"


class LayersModel(FieldsModel):
    """Several numbers for a query and an item, and a formula over what they foretell."""

    config: LayersConfig
    space = declare(**DEEP)

    @abstractmethod
    def foretold(self, tasks: Mapping[str, LabelKind]) -> tuple[nn.Module, tuple[str, ...]]:
        """What makes ``[b, t]`` of the scores, and the names of the t, from the tasks."""

    def width(self, fields: int) -> int:
        """A vector."""
        return self.config.factors

    def begin(self, taught: Taught) -> Floats:
        """Those of the mean labels."""
        means = taught.means(self.config.negatives)
        return np.array(
            [start_of(kind, mean) for kind, mean in zip(taught.tasks.values(), means, strict=True)], np.float32
        )

    def scorer(self, net: Any, data: Dataset, **parts: Any) -> RankScorer:
        """What is foretold, and the formula over it."""
        from serendip.nn.lower import lower_ranker

        foretells, names = self.foretold(self.taught(data).tasks)
        return lower_ranker(net, foretells=foretells, tasks=names, formula=self._formula(names), **parts)

    def build(self, data: Dataset) -> Ranker:
        """As of all models of fields, once the formula is known to be one over the tasks."""
        from serendip.scorers.formula import Formula

        _, names = self.foretold(self.taught(data).tasks)
        Formula.of(self._formula(names), names)
        return super().build(data)

    def _formula(self, names: tuple[str, ...]) -> str:
        return names[0] if self.config.score is None else self.config.score


class TaskModel(LayersModel):
    """Any tasks, over what experts make of the fields."""

    config: TaskConfig

    @abstractmethod
    def experts(self, dim: int, tasks: tuple[str, ...]) -> SharedBottom | MMoE | PLE:
        """What makes a vector for each task of the fields side by side, ``[b, dim]``."""

    def network(self, fields: int, taught: Taught) -> tuple[nn.Module, ...]:
        """A weighted sum of each task's vector."""
        from serendip.nn.heads import Heads

        return (Heads(self.experts(fields * self.config.factors, tuple(taught.tasks))),)

    def foretold(self, tasks: Mapping[str, LabelKind]) -> tuple[nn.Module, tuple[str, ...]]:
        """By the kinds of the labels."""
        from serendip.nn.heads import Foretold

        return Foretold(tuple(tasks.values())), tuple(tasks)

    def build(self, data: Dataset) -> Ranker:
        """With the weights of the tasks, where they are learned."""
        from serendip.nn.losses.tasks import UncertaintyWeights

        net, tasks = super().build(data), self.taught(data).tasks
        if self.config.balance == "uncertainty":
            net.balance = UncertaintyWeights(tuple(tasks), [name for name, kind in tasks.items() if kind in SQUARED])
        return net

    def errors(
        self, net: Any, scores: Tensor, labels: Tensor, tasks: Mapping[str, LabelKind], weights: Tensor | None
    ) -> dict[str, Tensor]:
        """That of each task, by the kind of its label, over the rows where it is known."""
        from serendip.nn.losses.pointwise import known
        from serendip.nn.losses.tasks import fixed_weights

        found = {}
        for at, (name, kind) in enumerate(tasks.items()):
            values, mask = known(labels[:, at])
            if not bool(mask.any()):
                continue
            found[name] = error_of(kind)(scores[:, at], values, weights, mask)
        weighted = fixed_weights(found, {name: self.config.weights.get(name, 1.0) for name in found})
        return weighted if self.config.balance == "fixed" else dict(net.balance(weighted))

    def taught(self, data: Dataset) -> Taught:
        """By the option ``tasks``.

        Raises:
            SerendipError: a task that there is not, one named twice, or no event that says anything.
        """
        names = self.config.tasks or tuple(data.events.labels) or (INTEREST,)
        if len(set(names)) < len(names):
            raise SerendipError(f"{self.name}: tasks must be different ones. Got {', '.join(names)} instead.")
        unknown = sorted(set(self.config.weights) - set(names))
        if unknown:
            raise SerendipError(
                f"{self.name}: weights must be of the tasks {', '.join(names)}. Got {', '.join(unknown)} instead."
            )
        found = {name: self._one(data, name) for name in names}
        labels = np.column_stack([values for values, _ in found.values()]).astype(np.float32)
        rows = self.some(np.flatnonzero(~np.isnan(labels).all(axis=1)), "an event that says something of a task")
        drawn = tuple(0.0 if name == INTEREST else np.nan for name in names) if INTEREST in names else None
        return Taught(rows, labels, {name: kind for name, (_, kind) in found.items()}, drawn)

    def _one(self, data: Dataset, name: str) -> tuple[Floats, LabelKind]:
        if name == INTEREST and INTEREST not in data.events.labels:
            return (data.events.weight > 0).astype(np.float32), "binary"
        return self.labels_of(data, name)


SQUARED = ("rating", "duration")
"""Labels whose loss is a mean of squared errors."""

__all__ = ["LayersConfig", "LayersModel", "TaskConfig", "TaskModel"]
