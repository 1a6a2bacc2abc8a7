"""`Tuned`: what a search found, and how it came to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from serendip.space import Space, plain

if TYPE_CHECKING:
    import polars as pl

State = Literal["done", "pruned", "failed"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One set of options that was tried.

    Attributes:
        number: from 0, which is the options the search began with.
        options: of those that are searched.
        state: ``done``, ``pruned`` (given up because it was behind) or ``failed``.
        value: the figure on all queries; None unless ``done``.
        looks: the figures seen on the way, by step; steps of different trials with the same number are comparable.
        seconds: fitting and judging.
        error: why it failed, or "".
    """

    number: int
    options: Mapping[str, Any]
    state: State
    value: float | None
    looks: Mapping[int, float]
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class Tuned:
    """What a search found.

    Attributes:
        model: its name.
        metric: what the trials were judged by; ``minimise``: whether lower is better.
        fixed: the options that were given and not searched.
        space: what was searched.
        trials: in the order in which they were made.
        rule: how the options were chosen, in sentences.
        seed: of the search and of every fit.
        stopped: why it ended: ``trials`` or ``time``.
        path: of the study's file, or None.
    """

    model: str
    metric: str
    minimise: bool
    fixed: Mapping[str, Any]
    space: Space
    trials: tuple[Trial, ...]
    rule: str
    seed: int
    stopped: Literal["trials", "time"]
    path: Path | None = None

    @property
    def best(self) -> Trial:
        """The best trial; of equals the first."""
        found = best_of(self.trials, self.minimise)
        assert found is not None  # `tune` gives no `Tuned` without one
        return found

    @property
    def options(self) -> dict[str, Any]:
        """The chosen options, those given included."""
        return {**self.fixed, **self.best.options}

    @property
    def value(self) -> float:
        """The best figure. It was chosen among many, and is therefore a little better than can be expected."""
        assert self.best.value is not None
        return self.best.value

    @property
    def start(self) -> float | None:
        """The figure of the options the search began with; None where they failed."""
        return self.trials[0].value

    @property
    def seconds(self) -> float:
        """Of all trials together."""
        return sum(trial.seconds for trial in self.trials)

    def table(self) -> pl.DataFrame:
        """A row per trial: ``trial, state, <metric>, seconds``, a column per searched option, ``error``."""
        import polars as pl

        rows: dict[str, list[Any]] = {
            "trial": [trial.number for trial in self.trials],
            "state": [trial.state for trial in self.trials],
            self.metric: [trial.value for trial in self.trials],
            "seconds": [trial.seconds for trial in self.trials],
            **{name: [trial.options.get(name) for trial in self.trials] for name in self.space},
            "error": [trial.error for trial in self.trials],
        }
        return pl.DataFrame([pl.Series(name, values, strict=False) for name, values in rows.items()])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "model": self.model,
            "metric": self.metric,
            "minimise": self.minimise,
            "options": self.options,
            "value": self.value,
            "start": self.start,
            "fixed": dict(self.fixed),
            "space": plain(self.space),
            "rule": self.rule,
            "seed": self.seed,
            "stopped": self.stopped,
            "seconds": self.seconds,
            "trials": [
                {
                    "number": trial.number,
                    "options": dict(trial.options),
                    "state": trial.state,
                    "value": trial.value,
                    "looks": {str(step): value for step, value in trial.looks.items()},
                    "seconds": trial.seconds,
                    "error": trial.error,
                }
                for trial in self.trials
            ],
        }


def best_of(trials: Sequence[Trial], minimise: bool) -> Trial | None:
    """The trial with the best figure, of equals the first; None where none has one."""
    done = [trial for trial in trials if trial.value is not None]
    sign = 1 if minimise else -1
    return min(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


__all__ = ["State", "Trial", "Tuned", "best_of"]
