"""`Guard`: a stage that may fail or take too long without spoiling the answer. `Within`: time for several of them."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Literal

from serendip.pipeline.composite import Composite, asked
from serendip.pipeline.crew import crew
from serendip.pipeline.stages import checked
from serendip.types import Queries, Recs, SerendipError, Stage

TOGETHER = 64
"""Queries up to which time is limited: more are no requests that somebody waits for, but a batch."""

Why = Literal["failed", "late", "busy"]

log = logging.getLogger(__name__)

_until: ContextVar[float | None] = ContextVar("until", default=None)
"""When the time of the whole is over, on the monotonic clock."""
_timed: ContextVar[bool] = ContextVar("timed", default=False)
"""Whether this is a stage's own thread, which somebody waits for in vain if it takes too long."""
_watching: ContextVar[Callable[[str, float], None] | None] = ContextVar("watching", default=None)
"""Who is told how long stages took."""


class Skipped(str):
    """A note that a stage was skipped.

    Attributes:
        stage: its name.
        why: ``failed``: it raised; ``late``: its time was over; ``busy``: it has not ended since that happened before.
    """

    __slots__ = ("stage", "why")
    stage: str
    why: Why

    def __new__(cls, stage: str, why: Why, text: str) -> Skipped:
        """``NAME was skipped: TEXT``."""
        made = super().__new__(cls, f"{stage} was skipped: {text}")
        made.stage, made.why = stage, why
        return made


class _State:
    """What changes while a guard answers: runs that nobody waits for any more, and whether a failure was logged."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.abandoned = 0
        self.logged = False

    def abandon(self, run: Future[Recs]) -> None:
        """Count a run until it ends."""
        with self._lock:
            self.abandoned += 1
        run.add_done_callback(self._ended)

    def _ended(self, run: Future[Recs]) -> None:
        with self._lock:
            self.abandoned -= 1


@dataclass(frozen=True, eq=False)
class Guard(Composite):
    """A stage that is skipped when it fails or takes too long. Made by `serendip.pipeline.guarded`.

    Skipped means: the lists that it was handed are given back as they were, or empty ones, with a note (`Skipped`);
    what raised is logged, with a traceback the first time. Errors of what a user asks for are raised where requests
    are read, before any stage is asked, so none of those is lost here.

    With a budget the stage runs on a thread of its own, of a few that all guards share. An answer that comes too late
    is thrown away. The run itself cannot be ended: while it goes on, the stage is skipped at once, so that one that
    hangs holds as many threads as there were callers at that moment, and no more. Within a stage that has a budget,
    budgets of further guards do not count.

    Attributes:
        stages: the one that is guarded.
        name: of it, in notes.
        budget: milliseconds for an answer to at most `TOGETHER` queries; None: any time.
    """

    name: str = ""
    budget: float | None = None
    _state: _State = field(repr=False, default_factory=_State)

    @property
    def stage(self) -> Stage:
        """What is guarded."""
        return self.stages[0]

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """As the stage, or what was given."""
        seconds, watching, begun = self._seconds(len(queries)), _watching.get(), time.perf_counter()
        try:
            if seconds is None:
                return asked(self.stage, queries, recs)
            return self._in_time(queries, recs, seconds)
        except Exception as error:
            return self._skip("failed", _worded(error), queries, recs, error)
        finally:
            if watching is not None:
                watching(self.name, time.perf_counter() - begun)

    def _seconds(self, q: int) -> float | None:
        """How long it may take."""
        if q > TOGETHER or _timed.get():
            return None
        until = _until.get()
        limits = [] if self.budget is None else [self.budget / 1000]
        limits += [] if until is None else [until - time.monotonic()]
        return min(limits, default=None)

    def _in_time(self, queries: Queries, recs: Recs | None, seconds: float) -> Recs:
        if seconds <= 0:
            return self._skip("late", "no time was left for it", queries, recs)
        if self._state.abandoned:
            return self._skip("busy", "it is still busy with what took too long", queries, recs)
        run = crew().begin(lambda: _apart(self.stage, queries, recs))
        try:
            return run.result(seconds)
        except Late:
            if run.done():  # the stage itself raised it, or was ready at the last moment
                return run.result()
            if not run.cancel():
                self._state.abandon(run)
            text = f"it took more than {1000 * seconds:.4g} ms"
            return self._skip("late", text, queries, recs)

    def _skip(self, why: Why, text: str, queries: Queries, recs: Recs | None, error: Exception | None = None) -> Recs:
        note = Skipped(self.name, why, text)
        log.warning("%s", note, exc_info=None if self._state.logged else error)
        self._state.logged |= error is not None
        given = Recs.empty(len(queries)) if recs is None else recs
        return replace(given, notes=(*given.notes, note))


@dataclass(frozen=True, eq=False)
class Within(Composite):
    """A stage all of whose guards have so much time together. Made by `serendip.pipeline.limited`.

    When it is over, guards that are still busy are skipped, and so are those that come later; stages without a guard,
    such as those that fill lists at the end, are asked in any case.

    Attributes:
        stages: the one that is asked.
        budget: milliseconds for an answer to at most `TOGETHER` queries.
    """

    budget: float = 0.0

    @property
    def stage(self) -> Stage:
        """What is asked."""
        return self.stages[0]

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        """As the stage."""
        if len(queries) > TOGETHER:
            return asked(self.stage, queries, recs)
        with _time_until(time.monotonic() + self.budget / 1000):
            return asked(self.stage, queries, recs)


@contextmanager
def watched(tell: Callable[[str, float], None]) -> Iterator[None]:
    """Tell how long each guarded stage takes that is asked meanwhile on this thread: its name and the seconds, of one
    that is skipped those that it was waited for. Stages within one that has a budget are not told of."""
    token = _watching.set(tell)
    try:
        yield
    finally:
        _watching.reset(token)


@contextmanager
def _time_until(moment: float) -> Iterator[None]:
    before = _until.get()
    token = _until.set(moment if before is None else min(before, moment))
    try:
        yield
    finally:
        _until.reset(token)


def _apart(stage: Stage, queries: Queries, recs: Recs | None) -> Recs:
    """The answer of a stage, on a thread of the crew."""
    token = _timed.set(True)
    try:
        return asked(stage, queries, recs)
    finally:
        _timed.reset(token)


def _worded(error: Exception) -> str:
    """Why a stage failed, in words that anybody may read."""
    return f"it failed: {error}" if isinstance(error, SerendipError) else f"it failed ({type(error).__name__})"


def guarded(stage: Stage, *, name: str | None = None, budget: float | None = None) -> Guard:
    """A stage that is skipped, with a note, when it fails or takes too long.

    Args:
        stage: what is asked.
        name: of it, in notes; None: its own.
        budget: milliseconds for an answer to at most `TOGETHER` queries; None: any time.

    Raises:
        SerendipError: no stage, no name, or a budget that is no time.
    """
    parts = checked("guarded", (stage,))
    own = getattr(stage, "name", "") if name is None else name
    if not isinstance(own, str) or not own:
        raise SerendipError(f"guarded(name=…) must say what a stage without a name is called. Got {own!r} instead.")
    if budget is not None:
        _check_budget("guarded", budget)
    return Guard(parts, own, budget)


def limited(stage: Stage, *, budget: float) -> Within:
    """A stage all of whose guards have so much time together.

    Args:
        stage: what is asked.
        budget: milliseconds for an answer to at most `TOGETHER` queries.

    Raises:
        SerendipError: no stage, or a budget that is no time.
    """
    _check_budget("limited", budget)
    return Within(checked("limited", (stage,)), budget)


def unguarded(stage: Stage) -> Stage:
    """The stage without guards: what fails within it raises, and takes what time it takes.

    So a pipeline is judged and checked, that no failure passes for an answer.
    """
    if isinstance(stage, Guard | Within):
        return unguarded(stage.stage)
    if isinstance(stage, Composite):
        return replace(stage, stages=tuple(unguarded(part) for part in stage.stages))
    return stage


def budgeted(stage: Stage) -> bool:
    """Whether a part of the stage is skipped when it takes too long."""
    if isinstance(stage, Within) or (isinstance(stage, Guard) and stage.budget is not None):
        return True
    return isinstance(stage, Composite) and any(map(budgeted, stage.stages))


def _check_budget(what: str, budget: float) -> None:
    if not 0 < budget < math.inf:
        raise SerendipError(f"{what}(budget=…) must be milliseconds above 0. Got {budget} instead.")


__all__ = ["TOGETHER", "Guard", "Skipped", "Within", "budgeted", "guarded", "limited", "unguarded", "watched"]
