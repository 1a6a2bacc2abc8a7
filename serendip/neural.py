"""Models that learn by gradient descent: a module, its batches and its loss. The loop is `serendip.loop`'s.

Importing this module, or a model, does not import PyTorch; fitting does.
"""

from __future__ import annotations

import hashlib
import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run
from serendip.types import Scorer, SerendipError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer


class NeuralConfig(Config, frozen=True):
    """Options of every model that the loop trains."""

    epochs: Annotated[int, msgspec.Meta(ge=1, description="How often training goes through the log, at most.")] = 100
    batch_size: Annotated[int, msgspec.Meta(ge=1, description="How many examples a step learns from.")] = 8192
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=10, description="Size of Adam's steps.")] = 0.001
    schedule: Annotated[
        Literal["cosine", "constant"],
        msgspec.Meta(
            description="Steps as they are throughout, or falling to 0 over the epochs as half a cosine does."
        ),
    ] = "cosine"


class NeuralModel(Model):
    """A model that the one training loop trains.

    A subclass says what is learned (`build`), from what (`batches`), what is made small (`loss`) and what answers
    (`lowered`).
    """

    config: NeuralConfig

    @abstractmethod
    def build(self, data: Dataset) -> nn.Module:
        """The module to train on these data. PyTorch's random numbers are seeded when this is called."""

    @abstractmethod
    def batches(self, data: Dataset, rng: np.random.Generator) -> Iterable[Any]:
        """The batches of one epoch."""

    @abstractmethod
    def loss(self, net: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        """The parts of the loss of a batch, by name; their sum is made small."""

    @abstractmethod
    def lowered(self, net: nn.Module, data: Dataset) -> Scorer:
        """What answers, from the module as it is."""

    def optimiser(self, net: nn.Module) -> Optimizer:
        """Adam over all parameters (D. Kingma and J. Ba, ICLR 2015)."""
        from torch.optim import Adam

        return Adam(net.parameters(), lr=self.config.learning_rate, fused=True)

    def learn(self, data: Dataset, run: Run) -> Scorer:
        """Train.

        Raises:
            SerendipError: PyTorch is not installed; whatever `serendip.loop.train` raises.
        """
        try:
            from serendip.loop import Task, settings, train
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise SerendipError(
                f"{self.name} learns with PyTorch, which is not installed. Try pip install 'serendip[train]'."
            ) from error

        with settings(run):
            net = self.build(data)
            task = Task(
                self.name,
                self.config.epochs,
                net,
                self.optimiser(net),
                lambda rng: self.batches(data, rng),
                self.loss,
                lambda net: self.lowered(net, data),
                self._fingerprint(data, run.seed),
                self._rate,
            )
            return train(task, run)

    def _rate(self, epoch: int) -> float:
        """The size of the steps in that epoch, the first being 0."""
        options = self.config
        if options.schedule == "constant":
            return options.learning_rate
        return options.learning_rate * 0.5 * (1 + math.cos(math.pi * epoch / options.epochs))

    def _fingerprint(self, data: Dataset, seed: int) -> str:
        """Of all that decides how training goes: the number of epochs only where the steps depend on it."""
        total = hashlib.sha256()
        options = msgspec.to_builtins(self.config)
        if self.config.schedule == "constant":
            del options["epochs"]
        total.update(msgspec.json.encode([self.name, options, seed, data.n_users, data.n_items]))
        for values in (data.events.users, data.events.items, data.events.weight):
            total.update(np.ascontiguousarray(values).data)
        return total.hexdigest()
