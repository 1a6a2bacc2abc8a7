"""THE training loop: epochs, validation with patience, checkpoints, a time budget. Every model that learns by gradient
descent goes through it. It needs PyTorch.

Each epoch draws from a source of its own, made of the seed and the number of the epoch; so a run that is continued from
a checkpoint goes exactly as one that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from serendip.checkpoint import Checkpoint, read, write
from serendip.kernels import pool
from serendip.model import Run
from serendip.types import Scorer, SerendipError

State = dict[str, Tensor]


@dataclass(frozen=True)
class Task:
    """What the loop trains.

    Attributes:
        name: of the model, for errors.
        epochs: how many at most.
        net: the module; its state is what is learned.
        optimiser: over the module's parameters.
        batches: the batches of an epoch, given its source of randomness.
        loss: the parts of the loss of a batch by name; what is made small is their sum.
        lower: what answers, from the module as it is.
        fingerprint: of options, data and seed: a checkpoint of another task is refused.
        rate: the size of the steps in an epoch, the first being 0.
    """

    name: str
    epochs: int
    net: nn.Module
    optimiser: Optimizer
    batches: Callable[[np.random.Generator], Iterable[Any]]
    loss: Callable[[nn.Module, Any], Mapping[str, Tensor]]
    lower: Callable[[nn.Module], Scorer]
    fingerprint: str
    rate: Callable[[int], float]


@dataclass
class Progress:
    """How far the loop has come.

    Attributes:
        epoch: how many are done.
        seconds: spent on training, validation apart, over all runs.
        best: the highest figure of a validation.
        best_epoch: when it was reached.
        state: the module's state then.
    """

    epoch: int = 0
    seconds: float = 0.0
    best: float = -math.inf
    best_epoch: int = 0
    state: State = field(default_factory=dict)


def train(task: Task, run: Run) -> Scorer:
    """Train, and return what answers: by the state that validated best, or, without validation, by the last.

    To be called within `settings`.

    Raises:
        SerendipError: the loss is not a number; a device that is not there; a checkpoint of another task.
    """
    device = _device(run.device)
    task.net.to(device)
    progress = _resume(task, run, device)
    deadline = math.inf if run.time_budget is None else time.monotonic() + run.time_budget
    while progress.epoch < task.epochs and not _out_of_patience(progress, run):
        begin = time.perf_counter()
        parts = _epoch(task, run.seed, progress.epoch, deadline)
        progress.seconds += time.perf_counter() - begin
        if parts is None:
            break
        progress.epoch += 1
        _after(task, run, progress, parts)
    if progress.state:
        task.net.load_state_dict(progress.state)
    return _lower(task)


def _after(task: Task, run: Run, progress: Progress, parts: Mapping[str, float]) -> None:
    """Validate, keep the best, write the checkpoint and tell whoever listens."""
    done: dict[str, float] = {"epoch": progress.epoch, "seconds": progress.seconds, **parts}
    due = progress.epoch % run.validate_every == 0 or progress.epoch == task.epochs
    if run.validation is not None and due:
        done["validation"] = run.validation(_lower(task))
        if done["validation"] > progress.best:
            progress.best, progress.best_epoch = done["validation"], progress.epoch
            progress.state = {name: value.detach().clone() for name, value in task.net.state_dict().items()}
    if run.checkpoint is not None:
        write(run.checkpoint, _checkpoint(task, progress))
    if run.log is not None:
        run.log(done)
    run.report(progress.epoch, task.epochs, lambda: _lower(task))


def _epoch(task: Task, seed: int, epoch: int, deadline: float) -> dict[str, float] | None:
    """One pass over the batches: the mean of each part of the loss, and of their sum; None where time ran out."""
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch, 1]).generate_state(1)[0]))
    for group in task.optimiser.param_groups:
        group["lr"] = task.rate(epoch)
    task.net.train()
    sums: dict[str, float] = {}
    steps = 0
    for batch in task.batches(np.random.default_rng([seed, epoch])):
        task.optimiser.zero_grad(set_to_none=True)
        parts = task.loss(task.net, batch)
        total = torch.stack(list(parts.values())).sum()
        if not bool(torch.isfinite(total)):
            raise SerendipError(
                f"{task.name}: the loss must be a number. Got {float(total.detach())} in epoch {epoch + 1}. "
                "Try a smaller learning_rate."
            )
        total.backward()  # type: ignore[no-untyped-call]
        task.optimiser.step()
        steps += 1
        for name, value in {**parts, "loss": total}.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        if time.monotonic() > deadline:
            return None
    return {name: value / steps for name, value in sums.items()}


def _lower(task: Task) -> Scorer:
    task.net.eval()
    with torch.no_grad():
        return task.lower(task.net)


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


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SerendipError(
            f"device must be one that PyTorch has here. Got {name!r} instead. Try cpu. ({str(error).splitlines()[0]})"
        ) from error
    return device


# --- checkpoints


def _checkpoint(task: Task, progress: Progress) -> Checkpoint:
    optimiser = task.optimiser.state_dict()["state"]
    tensors = {f"net.{name}": value for name, value in task.net.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in progress.state.items()}
    tensors |= {f"optimiser.{at}.{name}": value for at, one in optimiser.items() for name, value in one.items()}
    arrays = {name: value.detach().cpu().numpy() for name, value in tensors.items()}
    best = None if progress.best == -math.inf else progress.best
    return Checkpoint(task.fingerprint, progress.epoch, progress.seconds, best, progress.best_epoch, arrays)


def _resume(task: Task, run: Run, device: torch.device) -> Progress:
    """Where a checkpoint left off, with the module and the optimiser as they were then; else the beginning."""
    if run.checkpoint is None or not run.resume or not run.checkpoint.exists():
        return Progress()
    found = read(run.checkpoint)
    if found.fingerprint != task.fingerprint:
        raise SerendipError(
            f"{run.checkpoint} must be a checkpoint of the same model, options, data and seed. It is not. "
            "Try another file, or leave resume out to begin anew."
        )
    tensors = {name: torch.tensor(value) for name, value in found.tensors.items()}
    task.net.load_state_dict(_under("net.", tensors))
    states: dict[int, State] = {}
    for name, value in _under("optimiser.", tensors).items():
        at, _, key = name.partition(".")
        states.setdefault(int(at), {})[key] = value
    task.optimiser.load_state_dict({**task.optimiser.state_dict(), "state": states})
    best = {name: value.to(device) for name, value in _under("best.", tensors).items()}
    figure = -math.inf if found.best is None else found.best
    return Progress(found.epoch, found.seconds, figure, found.best_epoch, best)


def _under(prefix: str, tensors: State) -> State:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
