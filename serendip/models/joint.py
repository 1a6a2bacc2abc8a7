"""Retrieval and tasks on the same towers, so that what few events say is learned beside what all of them show.

``score = f(user, moment, history) · g(item)``, learned by a softmax over the items of a step as in `two_tower`; and for
each task, ``s_k = w_k · layers( [ f, g, f ⊙ g ] ) + b_k``, learned where its label is known. Served are the product, by
the name of ``retrieval``, or a formula over it and what is foretold of the tasks.

An event with a label and without interest, a low rating for example, teaches the tasks alone.

Source: the joint model of retrieval and rating in the multi-task tutorial of TensorFlow Recommenders, 2020; layers over
both vectors and their product: X. He et al., "Neural collaborative filtering", WWW 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.models._fields import INTEREST, Codes, Taught, require_positives, some, start_of
from serendip.models._retrieval import Step
from serendip.models._tasks import Balance, Score, Tasks, Weights, balance, task_errors, tasks_of
from serendip.models.two_tower import Options as TwoTowerOptions
from serendip.models.two_tower import TwoTower
from serendip.scorers.tasks import RETRIEVAL, JointScorer, TaskScorer
from serendip.types import Floats, Scorer, SerendipError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from serendip.data.schema import LabelKind


class Options(TwoTowerOptions, frozen=True):
    """Options of `Joint`."""

    tasks: Tasks = ()
    weights: Weights = {}  # noqa: RUF012  (msgspec gives each its own)
    balance: Balance = "fixed"
    score: Score = None
    head: Annotated[
        int, msgspec.Meta(ge=1, le=2048, description="Numbers of the hidden layer that the tasks share.")
    ] = 64


@dataclass(frozen=True)
class JointStep(Step):
    """A step of `two_tower`, and what its events say of tasks.

    Attributes: as of `Step`; and
        labels: ``[b, t]``, NaN where they are not known.
        tasks: ``[t]`` what they measure, by name.
    """

    labels: Floats
    tasks: Mapping[str, LabelKind]


class Joint(TwoTower):
    """Towers that retrieve, and layers over both that foretell."""

    Config = Options
    config: Options
    summary = "Two towers for retrieval, and tasks such as ratings on the same towers. Needs PyTorch."
    source = "TensorFlow Recommenders, multi-task, 2020"

    @property
    def learns_labels(self) -> bool:
        """Its tasks are labels."""
        return True

    @property
    def labels_first(self) -> bool:
        """It finds items."""
        return False

    def said(self, data: Dataset) -> Taught | None:
        """What events say of the tasks; None where there are none."""
        names = self.config.tasks or tuple(data.events.labels)
        if INTEREST in names:
            raise SerendipError(
                f"{self.name}: tasks must be labels of the events: interest is what retrieval learns. "
                f"Got {', '.join(names)} instead. Leave interest out."
            )
        return tasks_of(self.name, data, names, self.config.weights) if names else None

    def taught(self, data: Dataset) -> Codes:
        """What retrieval learns from, and what says something of a task."""
        own, said = some(self.name, super().taught(data), "an event with interest"), self.said(data)
        return own if said is None else np.union1d(own, said.rows)

    def build(self, data: Dataset) -> nn.Module:
        """Both towers, and the layers over them."""
        import torch

        from serendip.nn.experts import SharedBottom
        from serendip.nn.heads import Beside, Heads
        from serendip.scorers.formula import Formula

        o, said = self.config, self.said(data)
        if o.heads > 1 or o.adapter:
            raise SerendipError(
                f"{self.name} has one vector for a query, and no adapter. Got heads = {o.heads} and adapter = "
                f"{str(o.adapter).lower()} instead. Leave both out, or try two_tower."
            )
        net: Any = super().build(data)
        tasks = {} if said is None else said.tasks
        Formula.of(self._formula, (RETRIEVAL, *tasks))
        net.tasks = None
        if said is not None:
            require_positives(self.name, said)
            heads = Heads(SharedBottom(3 * o.factors, tuple(tasks), (o.head,)))
            for head, kind, mean in zip(heads.heads, tasks.values(), said.means(0), strict=True):
                torch.nn.init.constant_(head.bias, start_of(kind, mean))  # type: ignore[arg-type]
            net.tasks = Beside(heads)
            net.balance = balance(o.balance, said, 0)
        found: nn.Module = net
        return found

    def batches(self, data: Dataset, rng: np.random.Generator) -> Iterator[Step]:
        """Those of `two_tower`, with what the events say; one without interest counts for the tasks alone."""
        said = self.said(data)
        if said is None:
            yield from super().batches(data, rng)
            return
        retrieved = np.zeros(len(data.events), np.float32)
        retrieved[super().taught(data)] = 1
        for step in super().batches(data, rng):
            counts = retrieved[step.rows] if step.weights is None else retrieved[step.rows] * step.weights
            given = {name: getattr(step, name) for name in ("inputs", "candidates", "positives", "log_q", "rows")}
            yield JointStep(**given, weights=counts, labels=said.labels[step.rows], tasks=said.tasks)

    def loss(self, net: Any, batch: Step) -> Mapping[str, Tensor]:
        """That of retrieval, and those of the tasks."""
        import torch

        if not isinstance(batch, JointStep):
            return super().loss(net, batch)
        asking, items = self.compared(net, batch)
        labels = torch.from_numpy(batch.labels).to(items.device)
        own = items[torch.from_numpy(batch.positives).to(items.device)]
        scores = net.tasks(asking, own)
        errors = task_errors(scores, labels, batch.tasks, None, self.config.weights, net.balance)
        return {RETRIEVAL: self.softmax(net, batch, asking, items), **errors}

    def lowered(self, net: Any, data: Dataset) -> Scorer:
        """The towers, and the layers over them as a network of its own."""
        if net.tasks is None:
            return super().lowered(net, data)
        from serendip.nn.heads import Foretold, JointScores
        from serendip.nn.lower import lower_pairs

        said = self.said(data)
        assert said is not None
        kind = JointScorer if self._formula == RETRIEVAL else TaskScorer
        more: dict[str, Any] = {"kind": kind, "tasks": (RETRIEVAL, *said.tasks), "formula": self._formula}
        pairs = JointScores(net.tasks, Foretold(tuple(said.tasks.values())))
        return lower_pairs(net, pairs, **self.answering(net, data), **more)

    @property
    def _formula(self) -> str:
        return RETRIEVAL if self.config.score is None else self.config.score
