"""How models that learn in epochs are fitted: for how long, from which beginning, and what is told meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from serendip.data.dataset import Dataset
from serendip.evaluate import Split, evaluate, evaluate_ratings
from serendip.evaluate.metrics import define
from serendip.evaluate.ratings import METRICS as RATING_METRICS
from serendip.model import Model, Pace, Run, Start, find
from serendip.recipe.reading import RecipeError
from serendip.recipe.sections import FitSection, Recipe
from serendip.recipe.splitting import seed_of, splits_of
from serendip.types import Scorer, SerendipError

LOWER = (*RATING_METRICS, "gini", "popularity")
"""Figures that are better when they are lower."""
FINE = 1000
"""Parts in which the way of training is told."""


class Progress(Protocol):
    """Tells how far something is, and perhaps in new words what it is."""

    def __call__(self, done: int, total: int, text: str | None = None, /) -> None:
        """``done`` of ``total``."""


Watch = Callable[[str], AbstractContextManager[Progress | None]]
"""Used as ``with watch("Fitting ials") as progress``: tells a reader what goes on, and how far it is."""


def silently(what: str) -> AbstractContextManager[None]:
    """A `Watch` that tells nobody."""
    return nullcontext()


@dataclass(frozen=True)
class Learning:
    """When training stops.

    Attributes:
        section: of the recipe.
        holdout: cuts a part off the data that a model is fitted to.
    """

    section: FitSection
    holdout: Callable[[Dataset], Split]

    @classmethod
    def of(cls, recipe: Recipe) -> Learning:
        """As the recipe says; held out is what its protocol holds out, of the training part."""
        return cls(recipe.fit, lambda data: splits_of(recipe.evaluate, data, seed_of(recipe))[0])


def check_learning(recipe: Recipe) -> None:
    """That what the recipe says of training goes together.

    Raises:
        RecipeError: patience without a figure, or a figure for a model that does not learn in epochs.
    """
    if recipe.fit.validate is None:
        if recipe.fit.patience is not None:
            raise RecipeError(
                "fit.patience must come with fit.validate, the figure to be patient with. Try --validate ndcg@10."
            )
        return
    require_epochs(recipe, f"fit.validate = {recipe.fit.validate!r}")


def require_epochs(recipe: Recipe, what: str) -> None:
    """That the model learns in epochs.

    Raises:
        RecipeError: it does not, and ``what`` is of no use to it.
    """
    if not find(recipe.model.name).learns_in_epochs:
        raise RecipeError(
            f"{what} must go with a model that learns in epochs, such as lightgcn. {recipe.model.name} does not: leave "
            "it out."
        )


def fitted(model: Model, data: Dataset, run: Run, watch: Watch, learning: Learning | None) -> Model:
    """Fit a model: for as many epochs as were best on a part held out, if that is asked for.

    Raises:
        SerendipError: data that nothing can be held out of; whatever the fit raises.
    """
    what = f"Fitting {model.name}"
    if learning is not None and learning.section.validate is not None and model.learns_in_epochs:
        if run.start is None:
            split = learning.holdout(data)
        else:  # what was learned speaks of features as they were fitted then
            split = learning.holdout(data.with_features({}))
            split = replace(split, train=replace(split.train, schema=data.schema, features=data.features))
        found = _validated(model, data, run, watch, learning.section, split)
        best = found.training
        assert best is not None
        run = replace(run, epochs=best.best_epoch)
        what = f"{what} for {best.best_epoch} of {best.epochs} epochs ({learning.section.validate} was best then)"
    return watched(model, data, run, watch, what)


def watched(model: Model, data: Dataset, run: Run, watch: Watch, what: str) -> Model:
    """Fit a model and tell of it: first of training, then of making what answers, which may take a while as well."""
    with ExitStack() as step:

        def trained() -> None:
            step.close()
            step.enter_context(watch(f"Exporting {model.name}"))

        progress = step.enter_context(watch(what))
        return model.fit(data, told(run, progress, what, trained))


def _validated(model: Model, data: Dataset, run: Run, watch: Watch, section: FitSection, split: Split) -> Model:
    """The model fitted to the training part of a split, and judged by the rest of it after every so many epochs."""
    what = f"Looking for the best epoch of {model.name} by {section.validate}"
    plan = replace(
        run,
        validation=_figure(str(section.validate), split, run.threads),
        validate_every=section.validate_every,
        patience=section.patience,
        checkpoint=run.checkpoint and validation_file(run.checkpoint),
        start=run.start and narrowed(run.start, data, split.train),
    )
    return watched(type(model)(model.config), split.train, plan, watch, what)


def _figure(metric: str, split: Split, threads: int | None) -> Callable[[Scorer], float]:
    """How good a scorer is by that metric, higher being better."""
    rating = metric in RATING_METRICS
    sign = -1.0 if (metric if rating else define(metric)[0].name) in LOWER else 1.0

    def figure(scorer: Scorer) -> float:
        if rating:
            found = evaluate_ratings(scorer, split, threads=threads).figure(metric)
        else:
            found = evaluate(scorer, split, (metric,), threads=threads).mean(metric)
        if math.isnan(found):
            raise SerendipError(
                f"{metric} must have something to judge in the part held out. It has nothing there. Try another figure "
                "for fit.validate, or another split."
            )
        return sign * found

    return figure


def narrowed(start: Start, data: Dataset, part: Dataset) -> Start:
    """The start of a fit to data, as that of a fit to a part of them."""
    users, items = data.user_ids.encode(part.user_ids.ids), data.item_ids.encode(part.item_ids.ids)
    return replace(start, users=start.users[users], items=start.items[items])


def told(run: Run, progress: Progress | None, what: str, trained: Callable[[], None] = lambda: None) -> Run:
    """The run, which tells how far it is; in words, where it learns in epochs. ``trained`` is called when all of them
    are done."""
    if progress is None:
        return run
    reported = 0

    def pace(now: Pace) -> None:
        # The last word on training is about an epoch that was reported before.
        over = now.epoch == reported
        progress(round(FINE * now.done), FINE, f"{what}: {worded(now)}{'; exporting' if over else ''}")
        if over:
            trained()

    def plain(done: int, total: int) -> None:
        nonlocal reported
        reported = done
        progress(done, total)

    return replace(run, progress=plain, pace=pace)


def worded(pace: Pace) -> str:
    """``epoch 3 of 20, loss 0.4321, 123,456 examples/s, 0:42 left at most``; of time, only where some is left."""
    parts = [f"epoch {pace.epoch} of {pace.epochs}", f"loss {pace.loss:.4f}", f"{pace.rate:,.0f} examples/s"]
    if pace.left:
        minutes, seconds = divmod(round(pace.left), 60)
        hours, minutes = divmod(minutes, 60)
        parts.append(f"{f'{hours}:{minutes:02}' if hours else minutes}:{seconds:02} left at most")
    return ", ".join(parts)


def validation_file(checkpoint: Path) -> Path:
    """Where the search for the best epoch leaves its own checkpoint."""
    return checkpoint.with_name(f"{checkpoint.name}.validation")
