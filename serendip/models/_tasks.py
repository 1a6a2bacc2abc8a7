"""What models of several tasks share: options, what they learn from, their losses, and the score that is served.

Tasks are labels of the events, each learned where it is known, and ``interest``: whether somebody took an item up,
learned against items drawn for the same query. What is served is a formula over what is foretold of the tasks, for
example ``click * watch^0.5 - 3 * hide``; another one needs no training.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.models._fields import (
    DEEP,
    INTEREST,
    SURE,
    Dropout,
    Factors,
    FieldsConfig,
    FieldsModel,
    Hidden,
    Layers,
    Layout,
    Taught,
    error_of,
    label_of,
    some,
    start_of,
)
from serendip.space import declare
from serendip.types import Floats, SerendipError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from serendip.data.schema import LabelKind
    from serendip.nn.experts import PLE, MMoE, SharedBottom
    from serendip.nn.losses.tasks import UncertaintyWeights
    from serendip.nn.ranker import Ranker
    from serendip.scorers.ranked import RankScorer

Score = Annotated[
    str | None, msgspec.Meta(description="Formula over what is foretold: the score that is served; none: the first.")
]


Tasks = Annotated[
    tuple[str, ...],
    msgspec.Meta(
        description="What is learned: labels, and interest; none: all labels of the events, or else interest."
    ),
]
Weights = Annotated[
    dict[str, Annotated[float, msgspec.Meta(ge=0)]],
    msgspec.Meta(description="What the loss of a task counts, by task; 1 where not named."),
]
Balance = Annotated[
    Literal["fixed", "uncertainty"],
    msgspec.Meta(description="Whether these weights stay, or what each task counts is learned with it."),
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

    tasks: Tasks = ()
    weights: Weights = {}  # noqa: RUF012  (msgspec gives each its own)
    balance: Balance = "uncertainty"


class LayersModel(FieldsModel):
    """Several numbers for a query and an item, and a formula over what they foretell."""

    config: LayersConfig
    space = declare(**DEEP)

    @property
    def learns_labels(self) -> bool:
        """All of them learn labels as tasks."""
        return True

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

    def network(self, fields: Layout, taught: Taught) -> tuple[nn.Module, ...]:
        """A weighted sum of each task's vector."""
        from serendip.nn.heads import Heads

        return (Heads(self.experts(len(fields) * self.config.factors, tuple(taught.tasks))),)

    def foretold(self, tasks: Mapping[str, LabelKind]) -> tuple[nn.Module, tuple[str, ...]]:
        """By the kinds of the labels."""
        from serendip.nn.heads import Foretold

        return Foretold(tuple(tasks.values())), tuple(tasks)

    def build(self, data: Dataset) -> Ranker:
        """With the weights of the tasks, where they are learned."""
        net, taught = super().build(data), self.taught(data)
        net.balance = balance(self.config.balance, taught, self.config.negatives)
        return net

    def errors(
        self, net: Any, scores: Tensor, labels: Tensor, tasks: Mapping[str, LabelKind], weights: Tensor | None
    ) -> dict[str, Tensor]:
        """That of each task, by the kind of its label, over the rows where it is known."""
        return task_errors(scores, labels, tasks, weights, self.config.weights, net.balance)

    def taught(self, data: Dataset) -> Taught:
        """By the option ``tasks``.

        Raises:
            SerendipError: a task that there is not, one named twice, or no event that says anything.
        """
        o = self.config
        every = tuple(name for name in data.events.labels if name not in o.biases)
        return tasks_of(self.name, data, o.tasks or every, o.weights)


SQUARED = ("rating", "duration")
"""Labels whose loss is a mean of squared errors."""


def tasks_of(model: str, data: Dataset, names: Sequence[str], weights: Mapping[str, float]) -> Taught:
    """What events say of tasks; of interest where none is named.

    Args:
        model: its name, for errors.
        data: the log.
        names: of labels, and `INTEREST`.
        weights: of some of them.

    Raises:
        SerendipError: a task that there is not, one named twice, a weight of another, or no event that says anything.
    """
    names = names or (INTEREST,)
    if len(set(names)) < len(names):
        raise SerendipError(f"{model}: tasks must be different ones. Got {', '.join(names)} instead.")
    unknown = sorted(set(weights) - set(names))
    if unknown:
        raise SerendipError(
            f"{model}: weights must be of the tasks {', '.join(names)}. Got {', '.join(unknown)} instead."
        )
    found = {name: _labels(model, data, name) for name in names}
    labels = np.column_stack([values for values, _ in found.values()]).astype(np.float32)
    rows = some(model, np.flatnonzero(~np.isnan(labels).all(axis=1)), "an event that says something of a task")
    drawn = tuple(0.0 if name == INTEREST else np.nan for name in names) if INTEREST in names else None
    return Taught(rows, labels, {name: kind for name, (_, kind) in found.items()}, drawn)


def task_errors(
    scores: Tensor,
    labels: Tensor,
    tasks: Mapping[str, LabelKind],
    weights: Tensor | None,
    counts: Mapping[str, float],
    learned: UncertaintyWeights | None,
) -> dict[str, Tensor]:
    """The loss of each task over the rows where it is known, by what it counts.

    Args:
        scores: ``[m, t]``.
        labels: ``[m, t]``, NaN where they are not known.
        tasks: ``[t]`` what they measure, by name.
        weights: ``[m]`` of the rows; None: all alike.
        counts: what a task counts, 1 where it is not named.
        learned: what makes that larger or smaller as it is learned; None: nothing does.
    """
    from serendip.nn.losses.pointwise import known
    from serendip.nn.losses.tasks import fixed_weights

    found, there = {}, []
    for at, (name, kind) in enumerate(tasks.items()):
        values, mask = known(labels[:, at])
        found[name] = error_of(kind)(scores[:, at], values, weights, mask)
        there += [name] if bool(mask.any()) else []
    if learned is not None:
        # Of a task that a step says nothing of, what it counts must stay as it is.
        found |= learned({name: found[name] for name in there})
    return fixed_weights(found, {name: counts.get(name, 1.0) for name in found})


def balance(how: str, taught: Taught, negatives: int) -> UncertaintyWeights | None:
    """What learns how much tasks count, by the option; None: nothing does.

    Args:
        how: the option.
        taught: what is learned.
        negatives: how many items are drawn against each event.
    """
    from serendip.nn.losses.tasks import UncertaintyWeights

    if how == "fixed":
        return None
    squared = [name for name, kind in taught.tasks.items() if kind in SQUARED]
    return UncertaintyWeights(tuple(taught.tasks), squared, _of_means(taught, negatives))


def _of_means(taught: Taught, negatives: int) -> dict[str, float]:
    """The loss of each task where its mean is foretold of everything."""
    import torch

    found = {}
    for at, ((name, kind), mean) in enumerate(zip(taught.tasks.items(), taught.means(negatives), strict=True)):
        if kind == "binary":  # items drawn have no row
            p = min(max(mean, SURE), 1 - SURE)
            found[name] = float(-p * np.log(p) - (1 - p) * np.log(1 - p))
            continue
        labels = taught.labels[taught.rows, at]
        known = torch.from_numpy(labels[~np.isnan(labels)])
        found[name] = float(error_of(kind)(torch.full_like(known, start_of(kind, mean)), known))
    return found


def _labels(model: str, data: Dataset, name: str) -> tuple[Floats, LabelKind]:
    if name == INTEREST and INTEREST not in data.events.labels:
        return (data.events.weight > 0).astype(np.float32), "binary"
    return label_of(model, data, name, "tasks")


__all__ = ["LayersConfig", "LayersModel", "TaskConfig", "TaskModel", "balance", "task_errors", "tasks_of"]
