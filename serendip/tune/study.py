"""A search's memory: an Optuna study in a file of JSON lines, which survives whatever ends the process.

Needs Optuna; nothing else imports it. What is proposed next follows from the seed, the number of the trial and the
trials before it, so that a search that was cut off goes on as if it had not been.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from serendip.data.fetch import alone
from serendip.space import OneOf, Range, Space
from serendip.tune.tuned import State, Trial
from serendip.types import SerendipError

FILE = "study.jsonl"
IDENTITY = "serendip"
"""Key under which a study says what it is about, and a trial what Optuna does not keep."""
RANDOM = 10
"""Trials drawn at random before the sampler makes use of what was found."""
_STATES: dict[TrialState, State] = {TrialState.COMPLETE: "done", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


class Study:
    """The trials so far, and what to try next."""

    def __init__(self, study: optuna.Study, space: Space, seed: int) -> None:
        self._study, self._space, self._seed = study, space, seed
        self._distributions = {name: _distribution(part) for name, part in space.items()}
        self._asked: optuna.Trial | None = None
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)  # left by a process that ended in the middle of it
        found = [_read(trial) for trial in study.get_trials(deepcopy=False)]
        self.trials: list[Trial] = [trial for trial in found if trial is not None]

    def ask(self) -> dict[str, Any]:
        """The options of the next trial."""
        seed = np.random.SeedSequence([self._seed, len(self.trials)]).generate_state(1)[0]
        self._study.sampler = _Sampler(self._distributions, int(seed))
        self._asked = self._study.ask(self._distributions)
        return {name: part.exact(self._asked.params[name]) for name, part in self._space.items()}

    def tell(self, trial: Trial) -> None:
        """Keep a trial: the one that was asked for, or one whose options came from elsewhere."""
        more = {"number": trial.number, "options": dict(trial.options), "seconds": trial.seconds, "error": trial.error}
        state = next(state for state, name in _STATES.items() if name == trial.state)
        if self._asked is None:
            inside = all(name in trial.options and trial.options[name] in part for name, part in self._space.items())
            self._study.add_trial(
                create_trial(
                    state=state,
                    value=trial.value,
                    params=dict(trial.options) if inside else {},
                    distributions=self._distributions if inside else {},
                    user_attrs={IDENTITY: more},
                    intermediate_values=dict(trial.looks),
                )
            )
        else:
            for step, value in trial.looks.items():
                self._asked.report(value, step)
            self._asked.set_user_attr(IDENTITY, more)
            self._study.tell(self._asked, trial.value, state=state)
            self._asked = None
        self.trials.append(trial)

    def forget(self) -> None:
        """Give up the trial that was asked for, as if it had never been."""
        if self._asked is not None:
            self._study.tell(self._asked, state=TrialState.FAIL)
            self._asked = None


@contextmanager
def opened(
    folder: Path | None, identity: Mapping[str, Any], space: Space, minimise: bool, seed: int
) -> Iterator[Study]:
    """The study in a folder, begun where there is none; None: in memory. No other process may have it open.

    Raises:
        SerendipError: the folder's study is about something else, is damaged, or is open elsewhere.
    """
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        if folder is None:
            yield Study(_load(InMemoryStorage(), identity, minimise, "this study"), space, seed)
            return
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder, f"{folder} is being tuned in by another process. Wait for it, or try another folder."):
            yield Study(_from_file(folder, identity, minimise), space, seed)
    finally:
        optuna.logging.set_verbosity(verbosity)


class _Held(JournalFileOpenLock):
    """No lock of its own: the folder's is held as long as the study is open, and the system lets go of that one."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return None


class _Sampler(TPESampler):
    """TPE over all options together; trials that lack one of them (the first may) are left out, not the option."""

    def __init__(self, distributions: dict[str, BaseDistribution], seed: int) -> None:
        super().__init__(n_startup_trials=RANDOM, multivariate=True, constant_liar=False, seed=seed)
        self._all = distributions

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._all


def _from_file(folder: Path, identity: Mapping[str, Any], minimise: bool) -> optuna.Study:
    path = folder / FILE
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # the process ended in the middle of a line
            with path.open("r+b") as file:
                file.truncate(whole)
    try:
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_Held(str(path))))
        return _load(storage, identity, minimise, str(folder))
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise SerendipError(
            f"{path} is damaged, or no study of Serendip: {type(error).__name__}: {error}. Try another folder, or "
            "remove the file."
        ) from error


def _load(storage: BaseStorage, identity: Mapping[str, Any], minimise: bool, where: str) -> optuna.Study:
    study = optuna.create_study(
        storage=storage,
        study_name=IDENTITY,
        direction="minimize" if minimise else "maximize",
        load_if_exists=True,
        sampler=TPESampler(seed=0),
    )
    wanted = json.loads(json.dumps(identity))
    there = study.user_attrs.get(IDENTITY)
    if there is None and not study.get_trials(deepcopy=False):
        study.set_user_attr(IDENTITY, wanted)
    elif there != wanted:
        raise SerendipError(
            f"{where} holds a study of something else: {_difference(there, wanted)}. Try another folder, or remove "
            "that one."
        )
    return study


def _difference(there: Any, here: Mapping[str, Any]) -> str:
    if not isinstance(there, dict):
        return "it was not made by serendip tune"
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    hidden = {"data": "the data are others"}
    return "; ".join(
        hidden.get(name)
        or f"{name} is {json.dumps(there.get(name), ensure_ascii=False)} there and "
        f"{json.dumps(here.get(name), ensure_ascii=False)} here"
        for name in names
    )


def _distribution(part: Range | OneOf) -> BaseDistribution:
    if isinstance(part, OneOf):
        return CategoricalDistribution(part.values)
    if part.whole:
        return IntDistribution(int(part.low), int(part.high), log=part.log)
    return FloatDistribution(part.low, part.high, log=part.log)


def _read(trial: FrozenTrial) -> Trial | None:
    """A trial as it was told; None for one that was never finished."""
    more = trial.user_attrs.get(IDENTITY)
    if more is None or (trial.state == TrialState.FAIL and not more["error"]):
        return None
    state = _STATES[trial.state]
    return Trial(
        number=more["number"],
        options=more["options"],
        state=state,
        value=trial.value if state == "done" else None,
        looks=dict(sorted(trial.intermediate_values.items())),
        seconds=more["seconds"],
        error=more["error"],
    )


__all__ = ["FILE", "Study", "opened"]
