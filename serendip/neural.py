"""Models that learn by gradient descent: a module, its batches and its loss. The loop is `serendip.loop`'s.

Importing this module, or a model, does not import PyTorch; fitting does.
"""

from __future__ import annotations

import hashlib
import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.model import Config, Model, Run, Training
from serendip.types import Scorer, SerendipError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from serendip.data.features import Features
    from serendip.nn.several import Optimiser


class NeuralConfig(Config, frozen=True):
    """Options of every model that the loop trains."""

    epochs: Annotated[int, msgspec.Meta(ge=1, description="How often training goes through the log, at most.")] = 100
    batch_size: Annotated[int, msgspec.Meta(ge=1, description="How many examples a step learns from.")] = 8192
    optimiser: Annotated[
        Literal["adam", "adagrad"],
        msgspec.Meta(
            description="What a step goes by: means of the last gradients and of their squares, or the sum of all "
            "squares, for which it need not look at the rows of a table that it does not touch."
        ),
    ] = "adam"
    learning_rate: Annotated[float, msgspec.Meta(gt=0, le=10, description="Size of the optimiser's steps.")] = 0.001
    schedule: Annotated[
        Literal["constant", "cosine", "linear", "plateau"],
        msgspec.Meta(
            description="Steps as they are throughout; or falling to 0 over the epochs, as half a cosine or evenly; or "
            "falling to a tenth after each validation that brought nothing better, which needs one."
        ),
    ] = "cosine"
    warmup_steps: Annotated[
        int, msgspec.Meta(ge=0, description="Over how many first steps their size rises evenly to the full one.")
    ] = 0
    clip_norm: Annotated[
        Annotated[float, msgspec.Meta(gt=0)] | None,
        msgspec.Meta(description="Length to which the gradient of a step is cut where it is longer."),
    ] = None
    precision: Annotated[
        Literal["float32", "bfloat16"],
        msgspec.Meta(description="Numbers that training multiplies; what is learned is float32 in any case."),
    ] = "float32"


class NeuralModel(Model):
    """A model that the one training loop trains.

    A subclass says what is learned (`build`), from what (`batches`), what is made small (`loss`) and what answers
    (`lowered`).

    A module of the net says which of its parameters have one row per user or per item, by their names within it:
    ``per_user = ("users",)``, ``per_item = ("items.weight",)``. So the rows of ids that are known find their place when
    a fit goes on from another one. Row 0 of a parameter with one row more stands for nobody. The net itself may give
    parts of it a name for `Run.freeze`, as beginnings of its parameters' names: ``groups = {"towers": ("rank.", …)}``.
    """

    config: NeuralConfig
    learns_in_epochs: ClassVar[bool] = True
    _training: Training | None = None
    _tensors: Mapping[str, NDArray[Any]] | None = None

    @abstractmethod
    def build(self, data: Dataset) -> nn.Module:
        """The module to train on these data. PyTorch's random numbers are seeded when this is called."""

    @abstractmethod
    def batches(self, data: Dataset, rng: np.random.Generator) -> Iterable[Any]:
        """The batches of one epoch; ``rng`` is the only source of chance. It may run in another thread than `loss`."""

    @abstractmethod
    def loss(self, net: nn.Module, batch: Any) -> Mapping[str, Tensor]:
        """The parts of the loss of a batch, by name; their sum is made small."""

    @abstractmethod
    def lowered(self, net: nn.Module, data: Dataset) -> Scorer:
        """What answers, from the module as it is."""

    def judged(self, net: nn.Module, data: Dataset) -> Scorer:
        """What answers where training only asks how good it is: where `lowered` takes long, something that ranks alike
        but is ready at once."""
        return self.lowered(net, data)

    def welcome(self, net: nn.Module, users: NDArray[np.bool_], items: NDArray[np.bool_]) -> None:
        """Begin with the rows of new ids, ``[n]`` each, where a fit goes on: the others are in place. By default they
        stay as `build` made them."""

    def examples(self, batch: Any) -> int:
        """How many examples a batch holds: by default its length, or that of the first array in it."""
        while isinstance(batch, Mapping | tuple | list):
            batch = next(iter(batch.values() if isinstance(batch, Mapping) else batch))
        return len(batch)

    def optimiser(self, net: nn.Module) -> Optimiser:
        """What the option names, over all parameters that learn; of a module that says ``sparse = True`` of its
        ``weight``, over the rows that a step touches.

        Sources: Adam: D. Kingma and J. Ba, ICLR 2015; Adagrad: J. Duchi, E. Hazan and Y. Singer, JMLR 12, 2011.
        """
        from torch.optim import Adagrad, Adam

        from serendip.nn.rows import RowAdagrad, RowAdam
        from serendip.nn.several import Several

        rate, adam = self.config.learning_rate, self.config.optimiser == "adam"
        tables = {id(one.weight) for one in net.modules() if getattr(one, "sparse", False)}
        learning = [one for one in net.parameters() if one.requires_grad]
        dense, rows = ([one for one in learning if (id(one) in tables) == chosen] for chosen in (False, True))
        parts: list[Optimiser] = []
        if dense:
            parts.append(Adam(dense, lr=rate, fused=True) if adam else Adagrad(dense, lr=rate, fused=True))
        if rows:
            parts.append(RowAdam(rows, lr=rate) if adam else RowAdagrad(rows, lr=rate))
        return parts[0] if len(parts) == 1 else Several(*parts)

    @property
    def needs_validation(self) -> bool:
        """Where the steps are to fall on a plateau."""
        return self.config.schedule == "plateau"

    @property
    def training(self) -> Training | None:
        """How the last fit went."""
        return self._training

    def learned(self) -> Mapping[str, NDArray[Any]] | None:
        """What the last fit learned, by name of the parameter."""
        return self._tensors

    def learn(self, data: Dataset, run: Run) -> Scorer:
        """Train.

        Raises:
            SerendipError: PyTorch is not installed; a start or names to freeze that do not fit the model; a schedule
                that needs a validation, without one; whatever `serendip.loop.train` raises.
        """
        if self.needs_validation and run.validation is None and run.falls is None:
            raise SerendipError(
                f"{self.name}: schedule = plateau needs a validation that tells when nothing gets better. Try a "
                "Run with one, --validate ndcg@10 or a recipe's fit.validate; or schedule = cosine."
            )
        # Threads of PyTorch's that have nothing to do would turn round on the cores that kernels of ours run on.
        # Whoever imported it earlier, or set the variable, has decided already.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        try:
            from serendip.loop import Task, settings, train
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise SerendipError(
                f"{self.name} learns with PyTorch, which is not installed. Try pip install 'serendip[train]'."
            ) from error

        with settings(run):
            trained = train(Task(**self._task(data, run)), run)
        self._training, self._tensors = trained.training, trained.tensors
        return trained.scorer

    def _task(self, data: Dataset, run: Run) -> dict[str, Any]:
        """What the loop is to train, the beginning and what stays as it is being settled."""
        from serendip.nn.clip import clip
        from serendip.nn.schedule import share
        from serendip.nn.unmet import silence
        from serendip.warm import begin, freeze

        options, net = self.config, self.build(data)
        silence(net, _met(data))
        if run.start is not None:
            self.welcome(net, *begin(net, run.start))
        freeze(net, run.freeze)
        learning = [one for one in net.parameters() if one.requires_grad]

        def shorten() -> None:
            if options.clip_norm is not None:
                clip(learning, options.clip_norm)

        return {
            "name": self.name,
            "epochs": options.epochs,
            "net": net,
            "optimiser": self.optimiser(net),
            "batches": lambda rng: self.batches(data, rng),
            "loss": self.loss,
            "lower": lambda net: self.lowered(net, data),
            "judge": lambda net: self.judged(net, data),
            "identity": self._identity(data, run),
            "rate": lambda epoch, step, falls: share(
                options.schedule, epoch, options.epochs, step, options.warmup_steps, falls
            ),
            "examples": self.examples,
            "clip": shorten,
            "precision": options.precision,
        }

    def _identity(self, data: Dataset, run: Run) -> dict[str, Any]:
        """All that decides how training goes: the number of epochs only where the steps depend on it."""
        options = msgspec.to_builtins(self.config)
        if self.config.schedule in ("constant", "plateau"):
            del options["epochs"]
        if self.config.schedule == "plateau":
            options |= {"validate_every": run.validate_every, "falls": run.falls}
        begun = () if run.start is None else (*run.start.tensors.values(), run.start.users, run.start.items)
        return {
            "model": self.name,
            **options,
            "seed": run.seed,
            "start": _digest(begun) if begun else None,
            "freeze": list(run.freeze),
            "data.events": len(data.events),
            "data.users": data.n_users,
            "data.items": data.n_items,
            "data": _digest(_contents(data)),
            "features": None if data.features is None else _digest(_stored(data.features)),
        }


def _met(data: Dataset) -> dict[str, NDArray[Any]]:
    """The values of features that the events, their users and their items have, by name."""
    if data.features is None:
        return {}
    users, items = np.unique(data.events.users), np.unique(data.events.items)
    sides = (data.features.users(data.users[users.tolist()]), data.features.items(data.items[items.tolist()]))
    return {**sides[0], **sides[1], **data.features.examples(data)}


def _contents(data: Dataset) -> Iterator[Any]:
    """Everything that a model may learn from, as buffers."""
    events = data.events
    yield repr(data.schema.target).encode() if data.schema.target else b""
    for values in (events.users, events.items, events.weight, events.time, events.kind):
        yield b"" if values is None else values
    for name, column in sorted({**events.labels, **events.context}.items()):
        yield name.encode()
        yield repr(column.tolist()).encode() if column.dtype == object else column
    for _, table in sorted({"users": data.users, "items": data.items, **data.relations}.items()):
        # The newer layout keeps long texts in an order of its own, which is another in every process.
        yield table.write_ipc(None, compat_level=pl.CompatLevel.oldest()).getvalue()


def _stored(features: Features) -> Iterator[Any]:
    """All that fitted features are made of, as buffers."""
    tensors, header = features.pack()
    yield msgspec.json.encode(header)
    for name, tensor in sorted(tensors.items()):
        yield name.encode()
        yield tensor


def _digest(parts: Iterable[Any]) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part if isinstance(part, bytes) else np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
    return total.hexdigest()[:16]
