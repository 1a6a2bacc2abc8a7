"""`tune`: try options on a hold-out of the training data, give up early on what falls behind, keep the best."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np
import polars as pl

from serendip.data.dataset import Dataset
from serendip.evaluate import Split, at_random, global_time, last_out, per_user
from serendip.model import Model, Run, configure, describe, find, name_of, nearest
from serendip.space import Space, parse, plain
from serendip.tune.judge import Judge, behind, by_rows, judge_of
from serendip.tune.tuned import Trial, Tuned, best_of
from serendip.types import Scorer, SerendipError

if TYPE_CHECKING:
    from serendip.tune.study import Study

TRIALS = 50
LEAST = 5
"""Trials that must have come as far before another one is given up for being behind them."""
SHARES = (0.25, 0.5)
"""How much of its iterations a model that can answer before it is done has made when it is looked at."""
RATINGS_HELD = 0.1
"""Share of the ratings held out where no other hold-out is asked for."""

HoldOut = Callable[[Dataset], Split]
Progress = Callable[[int, int, Trial | None], None]


class _Behind(Exception):
    """The trial is worse than the median of the others at this step."""


class _OutOfTime(Exception):
    """The time budget is spent in the middle of a trial."""


def tune(
    model: str | type[Model],
    data: Dataset,
    *,
    options: Mapping[str, Any] | None = None,
    space: Mapping[str, Any] | None = None,
    metric: str | None = None,
    trials: int = TRIALS,
    time_budget: float | None = None,
    holdout: HoldOut | None = None,
    seed: int = 0,
    threads: int | None = None,
    device: str = "cpu",
    folder: str | Path | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Tuned:
    """Search the options of a model on a part held out of its training data.

    The first trial takes the options as they are given, with the defaults of the others: what is found is never worse
    on the hold-out than that. Then Optuna's TPE proposes. Every trial is judged first on some of the questions, and
    models that can answer before they are done also on the way; one that is behind the median of the others there is
    given up.

    Args:
        model: its name, or the class.
        data: what may be learnt from. A test part has no place in it: tune on ``split.train``.
        options: given ones. Those that ``space`` does not name are held fixed.
        space: what to search, as `serendip.space.parse` takes it; None: what the model declares, without the options
            that are given.
        metric: to choose by; None: what `metric_of` says.
        trials: how many in all, those of an earlier call in the same folder included.
        time_budget: seconds for all trials together, likewise. A trial that would probably not end in time is not
            begun, and one that runs over is given up; the first one is always finished.
        holdout: makes the split to judge by; None: each user's last new item where the log has times, else a fifth of
            each user's items; a tenth of the ratings for models that predict them; where events are judged one by one,
            the last fifth of them where the log has moments, else a fifth.
        seed: of the search and of every fit.
        threads: for fitting and scoring; None: all cores this process may run on.
        device: where models that need PyTorch are trained.
        folder: where to keep the study, so that a call that was cut off goes on; None: nowhere.
        progress: called as ``progress(trials done, trials, the best so far)``.
        clock: seconds, from any beginning.

    Raises:
        SerendipError: Optuna is not installed; options, a space, a metric or a hold-out that cannot be used; a folder
            with a study of something else; or every trial failed (the text is the last one's).
    """
    opened = _optuna()
    kind = find(model) if isinstance(model, str) else model
    _require(
        isinstance(data, Dataset),
        f"data must be a Dataset. Got {type(data).__name__} instead. Try: serendip.Dataset.from_frames(events).",
    )
    for what, value, least in (("trials", trials, 1), ("seed", seed, 0)):
        sound = isinstance(value, int) and not isinstance(value, bool) and value >= least
        _require(sound, f"{what} must be a whole number, {least} or more. Got {value!r} instead.")
    _require(time_budget is None or time_budget > 0, f"time_budget must be above 0 seconds. Got {time_budget} instead.")
    fixed = dict(options or {})
    searched = _space_of(kind, space, fixed)
    fitting = kind(**fixed)
    _require(
        not fitting.needs_validation and "plateau" not in searched.get("schedule", ()),
        f"{name_of(kind)}: schedule = plateau needs a validation within the fit, and a trial is judged at its end: it "
        "searches the number of epochs instead. Try schedule = cosine, and compare the two by serendip evaluate.",
    )
    name = metric or metric_of(fitting, data)
    split = (holdout or _default(fitting, name))(data)
    judge = judge_of(name, split, fitting, seed=seed, threads=threads)
    identity = {
        "model": name_of(kind),
        "options": msgspec.to_builtins(fixed),
        "space": plain(searched),
        "metric": name,
        "seed": seed,
        "holdout": split.description,
        "data": _digest(split),
    }
    place = None if folder is None else Path(folder)
    with opened(place, identity, searched, judge.minimise, seed) as study:
        search = _Search(
            kind, fixed, searched, split, judge, Run(seed=seed, threads=threads, device=device), study, clock
        )
        stopped = search.go(trials, time_budget, progress)
        return Tuned(
            model=name_of(kind),
            metric=name,
            minimise=judge.minimise,
            fixed={key: value for key, value in fixed.items() if key not in searched},
            space=searched,
            trials=tuple(study.trials),
            rule=_rule(split, judge, seed),
            seed=seed,
            stopped=stopped,
            path=search.path(place),
        )


@dataclass
class _Search:
    """One search: what stays the same from trial to trial, and when it ends."""

    kind: type[Model]
    fixed: Mapping[str, Any]
    space: Space
    split: Split
    judge: Judge
    run: Run
    study: Study
    clock: Callable[[], float]
    until: float | None = field(default=None, init=False)

    def go(self, trials: int, budget: float | None, progress: Progress | None) -> Literal["trials", "time"]:
        """Make the trials that are missing; returns what ended it.

        Raises:
            SerendipError: every trial failed.
        """
        made = self.study.trials
        if budget is not None:
            self.until = self.clock() + budget - sum(trial.seconds for trial in made)
        stopped: Literal["trials", "time"] = "trials"
        while True:
            best = best_of(made, self.judge.minimise)
            if progress is not None:
                progress(len(made), trials, best)
            if len(made) >= trials:
                break
            if made and self._too_late():
                stopped = "time"
                break
            options = self.study.ask() if made else self._start()
            trial = self._try(options)
            if trial is None:
                self.study.forget()
                stopped = "time"
                break
            self.study.tell(trial)
        if best is None:
            raise SerendipError(
                f"{name_of(self.kind)}: none of {len(made)} trials could be judged. The last one said: {made[-1].error}"
            )
        return stopped

    def path(self, folder: Path | None) -> Path | None:
        """The study's file."""
        from serendip.tune.study import FILE

        return None if folder is None else folder / FILE

    def _start(self) -> dict[str, Any]:
        """The options as given, with the defaults of the others; None is left out where the space does not know it."""
        config = self.kind(**self.fixed).config
        values = {name: getattr(config, name) for name in self.space}
        return {name: value for name, value in values.items() if value is not None or None in self.space[name]}

    def _too_late(self) -> bool:
        """Whether another trial, as long as they usually are, would end after the budget."""
        if self.until is None:
            return False
        later = [trial.seconds for trial in self.study.trials[1:]]  # the first one may have compiled
        return self.clock() + (float(np.median(later)) if later else 0.0) > self.until

    def _try(self, options: dict[str, Any]) -> Trial | None:
        """Make a trial; None where the time was over before it ended. What was tried before is not fitted again."""
        number = len(self.study.trials)
        for trial in self.study.trials:
            if trial.options == options:
                return replace(trial, number=number, seconds=0.0)
        begin = self.clock()
        looks: dict[int, float] = {}
        value: float | None = None
        error = ""
        try:
            value = self._figure({**self.fixed, **options}, looks)
        except _OutOfTime:
            return None
        except _Behind:
            pass
        except (SerendipError, MemoryError) as caught:
            error = str(caught) or "There is not enough memory for this."
        return Trial(
            number=number,
            options=options,
            state="done" if value is not None else "failed" if error else "pruned",
            value=value,
            looks=looks,
            seconds=self.clock() - begin,
            error=error,
        )

    def _figure(self, options: dict[str, Any], looks: dict[int, float]) -> float:
        """Fit, then judge by ever more questions: the figure on all of them."""

        def look(done: int, total: int, make: Callable[[], Scorer]) -> None:
            due = [step for step, share in enumerate(SHARES) if step not in looks and share <= done / total < 1]
            if due:
                figure = next(iter(self.judge.looks(make())))
                for step in due:
                    self._note(step, figure, looks)

        run = replace(self.run, progress=lambda done, total: self._tick(), look=look)
        scorer = self.kind(**options).fit(self.split.train, run).lower()
        figure = float("nan")
        last = len(SHARES) + len(self.judge.sizes) - 1
        for step, figure in enumerate(self.judge.looks(scorer), len(SHARES)):
            self._note(step, figure, looks, final=step == last)
            self._tick()
        return figure

    def _note(self, step: int, figure: float, looks: dict[int, float], *, final: bool = False) -> None:
        """Keep a figure, and give the trial up where it is behind the others at this step."""
        if not np.isfinite(figure):
            raise SerendipError(f"{self.judge.metric} must be a number. Got {figure}: no question has a figure.")
        looks[step] = figure
        others = [trial.looks[step] for trial in self.study.trials if step in trial.looks]
        if not final and behind(figure, others, self.judge.minimise, LEAST):
            raise _Behind

    def _tick(self) -> None:
        """End a trial that runs over the budget, unless there would be no result without it."""
        done = any(trial.state == "done" for trial in self.study.trials)
        if done and self.until is not None and self.clock() > self.until:
            raise _OutOfTime


def _optuna() -> Any:
    try:
        from serendip.tune.study import opened
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("serendip"):
            raise
        raise SerendipError(f'tune needs {error.name}. Try: pip install "serendip[tune]"') from error
    return opened


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise SerendipError(text)


def _space_of(kind: type[Model], given: Mapping[str, Any] | None, fixed: Mapping[str, Any]) -> Space:
    """What is searched, checked against the model's options."""
    name = name_of(kind)
    configure(kind, dict(fixed))
    if given is None:
        searched: Space = {key: part for key, part in kind.space.items() if key not in fixed}
        if not searched:
            what = "declares no search space" if not kind.space else "declares a space of options that are all given"
            raise SerendipError(f"{name} {what} ({', '.join(kind.space) or 'none'}). Try naming what to search: space.")
        return searched
    _require(bool(given), f"space must name at least one option of {name}. Got none.")
    known = {option.name: option for option in describe(kind)}
    for key in given:
        if key not in known:
            near = nearest(key, known)
            guess = f"Did you mean {near!r}? " if near else ""
            raise SerendipError(f"space: {name} has no option {key!r}. {guess}It has: {', '.join(known) or 'none'}.")
    searched = parse(given, whole=[key for key, option in known.items() if option.expected.startswith("int")])
    for key, part in searched.items():
        for value in part.samples:
            configure(kind, {key: value})
    return searched


def metric_of(model: Model, data: Dataset) -> str:
    """What is chosen by where no metric is named: ``rmse`` for models that predict ratings, else ``ndcg@10``; for those
    that learn labels of the events ``auc``, ``rmse`` or ``xauc``, the first that a label has."""
    if model.predicts_ratings:
        return "rmse"
    known = {name: data.schema.labels.get(name, "rating") for name in data.events.labels}
    kinds = {kind for name, kind in known.items() if name in (model.labels or known)} if model.learns_labels else set()
    by_kind = {"binary": "auc", "rating": "rmse", "count": "xauc", "duration": "xauc"}
    return next((metric for kind, metric in by_kind.items() if kind in kinds), "ndcg@10")


def _default(model: Model, metric: str) -> HoldOut:
    def holdout(data: Dataset) -> Split:
        if by_rows(metric, model):
            moments = data.schema.time_kind == "unix"
            return global_time(data, repeats=True) if moments else at_random(data, repeats=True)
        if model.predicts_ratings:
            return at_random(data, RATINGS_HELD)
        return per_user(data) if data.schema.time_kind == "none" else last_out(data)

    return holdout


def _rule(split: Split, judge: Judge, seed: int) -> str:
    """How the options are chosen, in sentences."""
    first, last = judge.sizes[0], judge.sizes[-1]
    some = f"on {first:,} of {last:,} questions or " if len(judge.sizes) > 1 else ""
    return (
        f"Judged by {judge.metric} on a part held out of the training data. {split.description} The first trial takes "
        f"the options as they were; the others are proposed by Optuna's TPE sampler (seed {seed}). One that is behind "
        f"the median of the others {some}on the way, if the model can answer before it is done, is given up. The best "
        "on the whole part is chosen."
    )


def _digest(split: Split) -> str:
    """Of everything a trial depends on: what is learnt from, and what is asked."""
    digest = hashlib.blake2b(digest_size=16)

    def feed(value: Any) -> None:
        if isinstance(value, np.ndarray):
            digest.update(f"{value.dtype}{value.shape}".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        elif isinstance(value, pl.DataFrame | pl.Series):
            frame = value.to_frame() if isinstance(value, pl.Series) else value
            digest.update(frame.write_ipc(None).getvalue())
        elif isinstance(value, Mapping):
            for key in sorted(value):
                digest.update(str(key).encode())
                feed(value[key])
        else:
            digest.update(repr(value).encode())

    train, events, test = split.train, split.train.events, split.test
    learnt = (events.users, events.items, events.weight, events.time, events.kind, events.labels, events.context)
    known = (train.user_ids.ids, train.item_ids.ids, train.users, train.items, train.relations)
    asked = (split.users, split.known, split.truth.indptr, split.truth.items, test.users, test.items, test.labels)
    for part in (*learnt, *known, *asked, split.repeats):
        feed(part)
    return digest.hexdigest()


__all__ = ["TRIALS", "HoldOut", "Progress", "metric_of", "tune"]
