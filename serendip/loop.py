"""THE training loop: epochs, validation with patience, checkpoints, a time budget. Every model that learns by gradient
descent goes through it. It needs PyTorch.

Each epoch draws from a source of its own, made of the seed and the number of the epoch; so a run that is continued from
a checkpoint goes exactly as one that was never interrupted. Within an epoch, the batches that were done are drawn again
and left out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import reduce
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serendip.checkpoint import Checkpoint, Plain, difference, read, write
from serendip.kernels import pool
from serendip.model import Pace, Run, Training
from serendip.nn.ahead import ahead
from serendip.nn.several import Optimiser
from serendip.nn.spare import drop
from serendip.types import Scorer, SerendipError

State = dict[str, Tensor]

FETCH = 32
"""Steps after which the losses are fetched from an accelerator, which would have to be waited for."""
BETWEEN_PACES = 0.25
"""Seconds between two words on how training is getting on, at least."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What the loop trains.

    Attributes:
        name: of the model, for errors.
        epochs: how many at most.
        net: the module; its state is what is learned.
        optimiser: over the module's parameters.
        batches: the batches of an epoch, given its source of randomness, and nothing else that changes.
        loss: the parts of the loss of a batch by name; what is made small is their sum.
        lower: what answers, from the module as it is.
        identity: all that decides how training goes, as JSON values: a checkpoint of another task is refused.
        rate: the size of a step as a share of the full one, given the epoch and the number of the step over all epochs,
            the first being 0, and after how many of the epochs before nothing was better (`Run.falls`).
        examples: how many examples a batch holds.
        clip: what is done to the gradients before a step.
        judge: what answers where it is only to be judged, on the way; None: what ``lower`` gives.
        precision: the type of numbers in which ``loss`` multiplies; what is learned is float32.
    """

    name: str
    epochs: int
    net: nn.Module
    optimiser: Optimiser
    batches: Callable[[np.random.Generator], Iterable[Any]]
    loss: Callable[[nn.Module, Any], Mapping[str, Tensor]]
    lower: Callable[[nn.Module], Scorer]
    identity: Mapping[str, Any]
    rate: Callable[[int, int, int], float] = lambda epoch, step, falls: 1.0
    examples: Callable[[Any], int] = len
    clip: Callable[[], None] = lambda: None
    judge: Callable[[nn.Module], Scorer] | None = None
    precision: str = "float32"


@dataclass
class Progress:
    """How far the loop has come.

    Attributes:
        epoch: how many are done.
        step: how many steps of the epoch under way are done.
        steps, examples: how many are done in all.
        seconds: spent on training, validation apart, over all runs.
        best: the highest figure of a validation.
        best_epoch: when it was reached.
        falls: the epochs whose validation brought nothing better.
        state: the module's state then.
        sums: of the parts of the loss over the steps of the epoch under way.
        random: PyTorch's random numbers within an epoch that is gone on with.
    """

    epoch: int = 0
    step: int = 0
    steps: int = 0
    examples: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    best_epoch: int = 0
    falls: tuple[int, ...] = ()
    state: State = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    random: State = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Trained:
    """What came of it.

    Attributes:
        scorer: what answers.
        training: how it went.
        tensors: what was learned, by name.
    """

    scorer: Scorer
    training: Training
    tensors: Mapping[str, NDArray[Any]]


def train(task: Task, run: Run) -> Trained:
    """Train, and return what answers: by the state that validated best, or, without validation, by the last.

    To be called within `settings`.

    Raises:
        SerendipError: the loss is not a number; a device that is not there; a checkpoint that cannot be read or written
            or is of another task.
    """
    device = device_of(run.device)
    task.net.to(device)
    for group in task.optimiser.param_groups:
        group.setdefault("initial_lr", group["lr"])
    watch = _Watch(task, run, device, _resume(task, run, device))
    progress = watch.progress
    deadline = math.inf if run.time_budget is None else time.monotonic() + run.time_budget
    while progress.epoch < watch.last and not _out_of_patience(progress, run):
        if not _epoch(watch, deadline):
            break
        _after(watch)
    watch.end()
    if progress.state:
        task.net.load_state_dict(progress.state)
    validated = progress.best > -math.inf
    best = progress.best if validated else None
    at = progress.best_epoch if validated else progress.epoch
    tensors = {name: _array(value) for name, value in task.net.state_dict().items()}
    training = Training(progress.epoch, at, best, progress.seconds, progress.examples, progress.falls)
    return Trained(_lower(task), training, tensors)


class _Watch:
    """A run under way: what is trained, how far it is, and the clock."""

    def __init__(self, task: Task, run: Run, device: torch.device, progress: Progress) -> None:
        self.task, self.run, self.device, self.progress = task, run, device, progress
        self.last = task.epochs if run.epochs is None else min(run.epochs, task.epochs)
        self.before = progress.examples, progress.seconds
        self.begun = self.told = self.saved = self.ticked = time.perf_counter()
        self.first = progress.epoch
        self.size = 0
        """Steps of an epoch, as the last one had them."""
        self.loss: float | None = None
        """Its mean in the last epoch."""
        self._pending: list[Tensor] = []

    def tick(self) -> None:
        """Count the time since the last tick, or since the clock was started anew, as training."""
        now = time.perf_counter()
        self.progress.seconds += now - self.ticked
        self.ticked = now

    def add(self, parts: Mapping[str, Tensor], total: Tensor) -> None:
        """The losses of a step."""
        values = {**parts, "loss": total}
        if not self.progress.sums:
            self.progress.sums = dict.fromkeys(values, 0.0)
        found = [values[name].detach() for name in self.progress.sums]
        if self.device.type == "cpu":
            self._count([float(value) for value in found])
            return
        self._pending.append(torch.stack([value.float() for value in found]))
        if len(self._pending) >= FETCH:
            self.fetch()

    def fetch(self) -> None:
        """Add up the losses of the last steps, as `_count` does."""
        if self._pending:
            for values in torch.stack(self._pending).tolist():
                self._count(values)
            self._pending.clear()

    def _count(self, values: list[float]) -> None:
        """Add the losses of a step to the sums.

        Raises:
            SerendipError: one is not a number.
        """
        sums = self.progress.sums
        for name, value in zip(sums, values, strict=True):
            sums[name] += value
        if not math.isfinite(sums["loss"]):
            raise SerendipError(
                f"{self.task.name}: the loss must be a number. Got {sums['loss']} in epoch "
                f"{self.progress.epoch + 1}. Try a smaller learning_rate."
            )

    @property
    def rate(self) -> float:
        """Examples a second in this run."""
        examples, seconds = self.before
        return (self.progress.examples - examples) / max(self.progress.seconds - seconds, 1e-9)

    def tell(self) -> None:
        """A word on how training is getting on, if it is time for one."""
        now = time.perf_counter()
        if self.run.pace is None or now - self.told < BETWEEN_PACES:
            return
        self.told = now
        self.fetch()
        progress, epochs = self.progress, self.last
        within = min(1.0, progress.step / self.size) if self.size else 0.0
        done = (progress.epoch + within) / epochs
        fresh = done - self.first / epochs
        left = (now - self.begun) / fresh * (1 - done) if self.size and fresh > 0 else None
        loss = progress.sums["loss"] / progress.step
        self.run.pace(Pace(progress.epoch + 1, epochs, done, loss, self.rate, left))

    def end(self) -> None:
        """A last word on how training got on."""
        if self.run.pace is not None and self.loss is not None:
            self.run.pace(Pace(self.progress.epoch, self.last, 1.0, self.loss, self.rate, 0.0))

    def save(self) -> None:
        """Write a checkpoint, if there is to be one."""
        if self.run.checkpoint is not None:
            self.fetch()
            write(self.run.checkpoint, _checkpoint(self.task, self.progress, self.device))
            self.saved = time.perf_counter()


def _epoch(watch: _Watch, deadline: float) -> bool:
    """One pass over the batches that are not done yet; False where time ran out."""
    task, run, progress = watch.task, watch.run, watch.progress
    _seed(run.seed, progress, watch.device)
    task.net.train()
    found: Iterable[Any] = task.batches(np.random.default_rng([run.seed, progress.epoch]))
    source = iter(found) if watch.device.type == "cpu" else ahead(found)
    watch.ticked = time.perf_counter()
    for batch in islice(source, progress.step, None):
        _step(watch, batch)
        watch.tick()
        watch.tell()
        if time.monotonic() > deadline:
            return False
        if watch.run.checkpoint is not None and time.perf_counter() - watch.saved > run.checkpoint_every:
            watch.save()
            watch.ticked = time.perf_counter()
    watch.fetch()
    watch.tick()
    return True


def _step(watch: _Watch, batch: Any) -> None:
    task, progress = watch.task, watch.progress
    falls = progress.falls if watch.run.falls is None else watch.run.falls
    share = task.rate(progress.epoch, progress.steps, sum(at <= progress.epoch for at in falls))
    for group in task.optimiser.param_groups:
        group["lr"] = group["initial_lr"] * share
    task.optimiser.zero_grad(set_to_none=True)
    mixed = task.precision == "bfloat16"
    with torch.autocast(watch.device.type, torch.bfloat16) if mixed else nullcontext():
        parts = task.loss(task.net, batch)
    total = reduce(torch.add, (value.float() for value in parts.values()))
    progress.step, progress.steps = progress.step + 1, progress.steps + 1
    progress.examples += task.examples(batch)
    watch.add(parts, total)
    total.backward()  # type: ignore[no-untyped-call]
    task.clip()
    task.optimiser.step()


def _after(watch: _Watch) -> None:
    """Count the epoch; validate, keep the best, write the checkpoint and tell whoever listens."""
    task, run, progress = watch.task, watch.run, watch.progress
    means = {name: value / progress.step for name, value in progress.sums.items()}
    watch.size, watch.loss = progress.step, means.get("loss")
    progress.epoch, progress.step, progress.sums = progress.epoch + 1, 0, {}
    done: dict[str, float] = {
        "epoch": progress.epoch,
        "seconds": progress.seconds,
        "examples_per_second": watch.rate,
        **means,
    }
    due = progress.epoch % run.validate_every == 0 or progress.epoch == watch.last
    if run.validation is not None and due:
        done["validation"] = run.validation(_lower(task, judged=True))
        if done["validation"] > progress.best:
            progress.best, progress.best_epoch = done["validation"], progress.epoch
            progress.state = {name: value.detach().clone() for name, value in task.net.state_dict().items()}
        else:
            progress.falls = (*progress.falls, progress.epoch)
    watch.save()
    if run.log is not None:
        run.log(done)
    run.report(progress.epoch, watch.last, lambda: _lower(task, judged=True))


def _seed(seed: int, progress: Progress, device: torch.device) -> None:
    """PyTorch's random numbers as they are at this step of this epoch."""
    torch.manual_seed(int(np.random.SeedSequence([seed, progress.epoch, 1]).generate_state(1)[0]))
    if progress.random:
        torch.set_rng_state(progress.random["cpu"])
        if device.type == "cuda":
            torch.cuda.set_rng_state(progress.random["cuda"], device)
        progress.random = {}


def _lower(task: Task, judged: bool = False) -> Scorer:
    task.net.eval()
    make = (task.judge if judged else None) or task.lower
    with torch.no_grad():
        return make(task.net)


def _out_of_patience(progress: Progress, run: Run) -> bool:
    if run.validation is None or run.patience is None:
        return False
    return progress.epoch - progress.best_epoch >= run.patience * run.validate_every


@contextmanager
def settings(run: Run) -> Iterator[None]:
    """PyTorch with the run's threads and seed; its random numbers and threads are as before when the block ends."""
    before = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.manual_seed(run.seed)
        try:
            torch.set_num_threads(pool.count(run.threads))
            yield
        finally:
            torch.set_num_threads(before)
            drop()


def device_of(name: str) -> torch.device:
    """The device of that name.

    Raises:
        SerendipError: there is none here.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SerendipError(
            f"device must be one that PyTorch has here. Got {name!r} instead. Try cpu. ({str(error).splitlines()[0]})"
        ) from error
    return device


# --- checkpoints


def _array(value: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = value.detach().cpu().numpy()
    return array


def _checkpoint(task: Task, progress: Progress, device: torch.device) -> Checkpoint:
    tensors = {f"net.{name}": value for name, value in task.net.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in progress.state.items()}
    values: dict[str, Plain] = {}
    for at, one in task.optimiser.state_dict()["state"].items():
        for name, value in one.items():
            if isinstance(value, Tensor):
                tensors[f"optimiser.{at}.{name}"] = value
            else:
                values[f"{at}.{name}"] = value
    if progress.step:
        tensors["random.cpu"] = torch.get_rng_state()
        if device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(device)
    return Checkpoint(
        identity=task.identity,
        epoch=progress.epoch,
        step=progress.step,
        steps=progress.steps,
        examples=progress.examples,
        seconds=progress.seconds,
        best=None if progress.best == -math.inf else progress.best,
        best_epoch=progress.best_epoch,
        falls=progress.falls,
        sums=progress.sums,
        tensors={name: _array(value) for name, value in tensors.items()},
        values=values,
    )


def _resume(task: Task, run: Run, device: torch.device) -> Progress:
    """Where a checkpoint left off, with the module and the optimiser as they were then; else the beginning."""
    if run.checkpoint is None or not run.resume or not run.checkpoint.exists():
        return Progress()
    found = read(run.checkpoint)
    if differs := difference(found.identity, task.identity):
        raise SerendipError(
            f"{run.checkpoint} must be a checkpoint of the same model, options, data and seed. It differs in {differs}."
            " Try another file, or leave resume out to begin anew."
        )
    tensors = {name: torch.tensor(value) for name, value in found.tensors.items()}
    states: dict[int, dict[str, Any]] = {}
    numbers = {**_under("optimiser.", tensors), **found.values}
    for name, value in numbers.items():
        at, _, key = name.partition(".")
        states.setdefault(int(at), {})[key] = value
    try:
        task.net.load_state_dict(_under("net.", tensors))
        task.optimiser.load_state_dict({**task.optimiser.state_dict(), "state": states})
    except (RuntimeError, ValueError, KeyError) as error:
        raise SerendipError(
            f"{run.checkpoint} must be a checkpoint of this version of {task.name}. It holds other parameters. "
            "Leave resume out to begin anew."
        ) from error
    return Progress(
        found.epoch,
        found.step,
        found.steps,
        found.examples,
        found.seconds,
        -math.inf if found.best is None else found.best,
        found.best_epoch,
        found.falls,
        {name: value.to(device) for name, value in _under("best.", tensors).items()},
        dict(found.sums),
        _under("random.", tensors),
    )


def _under(prefix: str, tensors: State) -> State:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
