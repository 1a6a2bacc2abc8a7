"""`Run`: how a fit is carried out, and what it tells meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.types import ABSENT, Floats, Ids, Scorer, SerendipError, by_source


@dataclass(frozen=True, slots=True)
class Pace:
    """How training is getting on.

    Attributes:
        epoch: the one under way, from 1.
        epochs: how many there are at most.
        done: the share of all epochs that is done; within the first one unknown, and 0.
        loss: its mean over the steps of this epoch.
        rate: examples a second, since this run began.
        left: seconds to the last epoch, None where not known yet.
    """

    epoch: int
    epochs: int
    done: float
    loss: float
    rate: float
    left: float | None


@dataclass(frozen=True, slots=True)
class Training:
    """How a training went.

    Attributes:
        epochs: how many were done.
        best_epoch: after which one the validation was best; the last one, without validation.
        best: the figure of that validation, or None.
        seconds: of training, validation apart, over all runs.
        examples: how many were learned from.
        falls: the epochs whose validation brought nothing better than those before.
    """

    epochs: int
    best_epoch: int
    best: float | None
    seconds: float
    examples: int
    falls: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Start:
    """What another fit learned, from which training goes on.

    Attributes:
        model: the name of the model that learned it.
        tensors: what it learned, by name of the parameter, as `serendip.model.Model.learned` gives it.
        users, items: ``[n]`` for each code of the data to be fitted, the code it had in the other fit, or `ABSENT`.
    """

    model: str
    tensors: Mapping[str, NDArray[Any]]
    users: Ids
    items: Ids


@dataclass(frozen=True, eq=False)
class Shown:
    """What retrieval would have shown to those whose events are learned from, before each of these.

    Attributes:
        lists: ``[g, c]`` item codes, best first, `ABSENT` on the right.
        at: ``[m]`` for each event of the data the row of its list, or `ABSENT`.
        scores: ``[g, c, s]`` that the items have there by each source (`serendip.pipeline.standing`), NaN where it does
            not name them; or None.
        names: of the sources.
    """

    lists: Ids
    at: Ids
    scores: Floats | None = None
    names: tuple[str, ...] = ()

    def before(self, events: NDArray[Any]) -> Ids:
        """``[b, c]`` the lists of these events; `ABSENT` where there is none."""
        rows = self.at[events]
        if not len(self.lists):
            return np.full((len(rows), self.lists.shape[1]), ABSENT, np.int32)
        return np.where(rows[:, None] == ABSENT, np.int32(ABSENT), self.lists[np.maximum(rows, 0)])

    def said(self, events: NDArray[Any], items: NDArray[Any]) -> dict[str, Floats]:
        """What the lists of these events say of items ``[b, c]``, as `serendip.types.Queries.pairs`; of one that is not
        in a list nothing, whether it was taken up or not."""
        if self.scores is None:
            return {}
        if not self.lists.size:
            return by_source(np.full((*items.shape, len(self.names)), np.nan, np.float32), self.names)
        lists, rows = self.before(events), np.maximum(self.at[events], 0)
        place, there = np.zeros(items.shape, np.int64), np.zeros(items.shape, np.bool_)
        for column in range(items.shape[1]):
            hit = (lists == items[:, column, None]) & (lists != ABSENT)
            place[:, column], there[:, column] = hit.argmax(axis=1), hit.any(axis=1)
        scores = self.scores[rows[:, None], place]
        return by_source(np.where(there[..., None], scores, np.float32(np.nan)), self.names)


@dataclass(frozen=True)
class Run:
    """How a fit is carried out; never what is fitted.

    Attributes:
        seed: of every random choice.
        threads: how many threads the kernels and BLAS may use; None: all cores this process may run on.
        progress: called as ``progress(done, total)`` while the fit goes on, or None.
        look: called as ``look(done, total, make)`` by models that could answer before they are done: ``make()`` is
            what would answer now. It may raise, which ends the fit.

    The others are for models that the training loop trains (`serendip.neural`):

        device: where PyTorch computes, such as ``cpu`` or ``cuda``.
        validation: how good a scorer is, higher being better (say its NDCG on a part held out). The answer is then that
            of the epoch that was best by it, otherwise that of the last.
        validate_every: how many epochs lie between validations.
        patience: how many validations in a row may bring nothing better before training stops; None: any number.
        epochs: after how many epochs to stop, where that is before the model's own; the size of the steps goes as if
            training went on. None: the model's own.
        falls: the epochs after which the steps fall where the schedule is ``plateau``, as a training with a validation
            found them (`Training.falls`); None: as this one finds them.
        checkpoint: the file in which every epoch leaves where training has come to, or None.
        checkpoint_every: seconds after which a checkpoint is written within an epoch, too.
        resume: whether to go on from the checkpoint if there is one.
        time_budget: seconds after which training stops, at the latest when the step under way is done, or None.
        start: what to begin with, in place of the model's own beginning, or None.
        freeze: what stays as it begins: groups that the model's module declares, such as ``towers``, and beginnings of
            names of parameters, such as ``users``.
        shown: what rankers take some of their negatives from (option ``hard``) and read the scores of (option
            ``retrieved``), or None.
        log: called after every epoch with ``epoch``, the ``seconds`` of training so far, the ``examples_per_second`` of
            the epoch, the ``loss``, its parts and the figure of the ``validation`` if there was one; or None.
        pace: called now and then, a few times a second at most, with how training is getting on; or None.
    """

    seed: int = 0
    threads: int | None = None
    progress: Callable[[int, int], None] | None = None
    look: Callable[[int, int, Callable[[], Scorer]], None] | None = None
    device: str = "cpu"
    validation: Callable[[Scorer], float] | None = None
    validate_every: int = 1
    patience: int | None = None
    epochs: int | None = None
    falls: tuple[int, ...] | None = None
    checkpoint: Path | None = None
    checkpoint_every: float = 600.0
    resume: bool = False
    time_budget: float | None = None
    start: Start | None = None
    freeze: tuple[str, ...] = ()
    shown: Shown | None = None
    log: Callable[[Mapping[str, float]], None] | None = None
    pace: Callable[[Pace], None] | None = None

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise SerendipError(f"threads must be at least 1. Got {self.threads} instead. Leave it out for every core.")
        for name in ("validate_every", "patience", "epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SerendipError(f"{name} must be at least 1. Got {value} instead.")
        for name in ("time_budget", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SerendipError(f"{name} must be above 0. Got {value} instead.")
        if self.patience is not None and self.validation is None:
            raise SerendipError("patience needs a validation to be patient with. Give one, or leave patience out.")
        if self.resume and self.checkpoint is None:
            raise SerendipError("resume needs a checkpoint to go on from. Name its file.")

    def report(self, done: int, total: int, make: Callable[[], Scorer] | None = None) -> None:
        """Tell whoever listens that ``done`` of ``total`` steps are done.

        ``make``, where it is given, returns what would answer as it stands, at the price of a copy.
        """
        if self.progress is not None:
            self.progress(done, total)
        if self.look is not None and make is not None:
            self.look(done, total, make)
