"""`render_tuned`: what a search tried and what came of it, as one HTML page without scripts or outside parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import tomli_w
from markupsafe import Markup

from serendip.report.page import environment, installed, without_none
from serendip.report.scatter import Axis, Point, history, scatter, worth
from serendip.types import SerendipError

ENDED = {"done": "done", "pruned": "given up: behind the others", "failed": "failed"}


class _Trial(msgspec.Struct, frozen=True):
    number: int
    options: dict[str, Any]
    state: Literal["done", "pruned", "failed"]
    value: float | None
    seconds: float
    error: str = ""


class Found(msgspec.Struct, frozen=True):
    """What `serendip.tune.Tuned.to_dict` gives, with words and plots for the page."""

    model: str
    metric: str
    minimise: bool
    options: dict[str, Any]
    value: float
    start: float | None
    space: dict[str, Any]
    rule: str
    stopped: Literal["trials", "time"]
    seconds: float
    trials: list[_Trial]

    @property
    def counts(self) -> str:
        """How the trials ended."""
        counts: Counter[str] = Counter(trial.state for trial in self.trials)
        words = {"done": "judged to the end", "pruned": "given up early", "failed": "failed"}
        return ", ".join(f"{counts[state]:,} {word}" for state, word in words.items() if counts[state])

    @property
    def duration(self) -> str:
        """How long all trials took."""
        seconds = round(self.seconds)
        if seconds < 120:
            return f"{self.seconds:.1f} s"
        return f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"

    def ranked(self) -> list[_Trial]:
        """The best first, then those without a value, as they were made."""
        sign = 1 if self.minimise else -1
        order = list(ENDED)
        return sorted(self.trials, key=lambda trial: (order.index(trial.state), sign * (trial.value or 0.0)))

    def choices(self) -> Iterator[tuple[str, str, str, str]]:
        """Each option: its name, what was chosen, what the search began with, and what was searched."""
        first = self.trials[0].options
        for name, value in self.options.items():
            if name not in self.space:
                yield name, self.said(value), self.said(value), "given, not searched"
            else:
                yield name, self.said(value), self.said(first.get(name)), _searched(self.space[name])

    def said(self, value: Any) -> str:
        """A value as a reader wants to see it."""
        if value is None:
            return "none"
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    def ended(self, trial: _Trial) -> str:
        """What became of a trial."""
        return f"failed: {trial.error}" if trial.error else ENDED[trial.state]

    def history(self) -> Markup:
        """The values in the order in which they were found."""
        points = [self._point(trial, trial.number) for trial in self.trials]
        label = f"{self.metric} of {len(self.trials)} trials in their order; the best has {self.value:.4f}."
        return history(label, points, self._axis(), self.minimise)

    def plots(self) -> Iterator[tuple[str, Markup]]:
        """For each searched option its name and the values over it."""
        for name, part in self.space.items():
            points = [self._point(trial, trial.options.get(name)) for trial in self.trials]
            best = self.said(self.options.get(name))
            label = f"{self.metric} by {name}; the best trial has {name} {best}. The table below has the same."
            if isinstance(part, Mapping):
                points = [point for point in points if point.x is not None]
                yield name, scatter(label, points, self._axis(), across=Axis(part["low"], part["high"], "log" in part))
            else:
                order = [self.said(value) for value in part]
                named = [Point(self.said(point.x), point.y, point.said, point.best) for point in points]
                named.sort(key=lambda point: order.index(point.x) if point.x in order else -1)
                yield name, scatter(label, named, self._axis())

    def _axis(self) -> Axis:
        return worth([self._point(trial, 0) for trial in self.trials], self.minimise)

    def _point(self, trial: _Trial, x: Any) -> Point:
        options = ", ".join(f"{name} {self.said(value)}" for name, value in trial.options.items())
        what = self.ended(trial) if trial.value is None else f"{self.metric} {trial.value:.4f}"
        best = trial.number == self.ranked()[0].number
        return Point(x, trial.value, f"trial {trial.number}: {what}; {options}", best)


def render_tuned(
    found: Mapping[str, Any],
    *,
    recipe: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
    created: str | None = None,
) -> str:
    """The page.

    Args:
        found: what `serendip.tune.Tuned.to_dict` gives.
        recipe: with the options that were found, as plain values.
        versions: of what made it; None: of what runs now.
        created: when it was made; None: now, UTC.

    Raises:
        SerendipError: something else than a search gives.
    """
    try:
        read = msgspec.convert(dict(found), Found)
    except msgspec.ValidationError as error:
        raise SerendipError(f"The page needs what serendip tune writes. {error}. Try tuning again.") from error
    return (
        environment()
        .get_template("tuned.html")
        .render(
            title=f"The options of {read.model}",
            created=created or f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
            found=read,
            recipe=tomli_w.dumps(without_none(recipe)) if recipe else "",
            versions=installed() if versions is None else versions,
        )
    )


def _searched(part: Any) -> str:
    if isinstance(part, Mapping):
        return f"{part['low']:g} to {part['high']:g}{', by orders of magnitude' if part.get('log') else ''}"
    return ", ".join("none" if value is None else str(value) for value in part)


__all__ = ["Found", "render_tuned"]
