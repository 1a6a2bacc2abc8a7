"""How models that learn in epochs are fitted: for how long, from which beginning, and what is told meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from serendip.data.dataset import Dataset
from serendip.evaluate import ROW_METRICS, Split, evaluate, evaluate_ratings, mean_figure
from serendip.evaluate.metrics import DEFINITIONS, define
from serendip.evaluate.ratings import METRICS as RATING_METRICS
from serendip.evaluate.row_measures import measure
from serendip.model import Model, Pace, Run, Start, find
from serendip.recipe.calibrating import borne_out, calibrated, in_place_of, learned_on, recoded, require_binary
from serendip.recipe.funnel import Funnel, check_funnel, learning_choices, title
from serendip.recipe.reading import RecipeError
from serendip.recipe.sections import FitSection, Recipe
from serendip.recipe.splitting import seed_of, splits_of
from serendip.scorers import Calibration
from serendip.tune.judge import by_rows
from serendip.types import Scorer, SerendipError, Stage

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
        holdout: cuts a part off the data that a model is fitted to; the second argument says whether its events are
            asked about one by one.
    """

    section: FitSection
    holdout: Callable[[Dataset, bool], Split]

    @classmethod
    def of(cls, recipe: Recipe) -> Learning:
        """As the recipe says; held out is what its protocol holds out, of the training part."""
        return cls(recipe.fit, lambda data, rows: splits_of(recipe.evaluate, data, seed_of(recipe), rows=rows)[0])


def check_learning(recipe: Recipe) -> None:
    """That what the recipe says of training goes together.

    Raises:
        RecipeError: patience or a plateau without a figure, a figure for a model that does not learn in epochs, a
            calibration or rows without users and items for one that learns no label, or a ranker that cannot be one.
    """
    check_funnel(recipe)
    models = [find(one.name)(**one.options) for one in learning_choices(recipe)]
    if recipe.data.examples is not None and not all(one.learns_labels for one in models):
        raise RecipeError(
            "data.examples has no users and items, so that the model must learn its labels: one, as deepfm does with "
            f"model.label, or several, as mmoe does. {models[0].name} learns none as it is."
        )
    if recipe.fit.calibration is not None and not any(_calibrates(one) for one in models):
        raise RecipeError(
            f"fit.calibration must go with a model that learns a label, such as dcn_v2 with model.label. "
            f"{models[-1].name} learns none: leave it out, or name the label."
        )
    if recipe.fit.validate is None:
        for one in (*models, *(find(other.name)(**other.options) for other in recipe.evaluate.compare)):
            if one.needs_validation:
                raise RecipeError(
                    f"{one.name}: schedule = plateau must come with fit.validate, a figure that tells when nothing "
                    "gets better. Try --set fit.validate=ndcg@10, or schedule = cosine."
                )
        for name, purpose in (("patience", "be patient with"), ("validate_tasks", "take of these tasks")):
            if getattr(recipe.fit, name):
                raise RecipeError(
                    f"fit.{name} must come with fit.validate, the figure to {purpose}. Try --validate ndcg@10."
                )
        return
    require_epochs(recipe, f"fit.validate = {recipe.fit.validate!r}")


def require_epochs(recipe: Recipe, what: str) -> None:
    """That the model, or the ranker, learns in epochs.

    Raises:
        RecipeError: neither does, and ``what`` is of no use to them.
    """
    if not any(find(one.name).learns_in_epochs for one in learning_choices(recipe)):
        raise RecipeError(
            f"{what} must go with a model that learns in epochs, such as lightgcn. {title(recipe)} does not: leave "
            "it out."
        )


def fitted(
    model: Model, data: Dataset, run: Run, watch: Watch, learning: Learning | None, funnel: Funnel | None = None
) -> tuple[Model, Scorer]:
    """Fit a model: for as many epochs as were best on a part held out, if that is asked for.

    Args:
        model: what is fitted.
        data: what it is fitted to.
        run: how.
        watch: told about every step.
        learning: when training stops; None: after all epochs.
        funnel: what the model stands behind, if it ranks.

    Returns:
        The fitted model, and what answers: calibrated on a part held out, if that is asked for and the model learns
        labels. That part is learned from too, once the calibration is known.

    Raises:
        SerendipError: data that nothing can be held out of; whatever the fit raises.
    """
    what = f"Fitting {model.name}"
    begun, found = run, None
    kind = learning.section.calibration if learning is not None and _calibrates(model) else None
    if kind is not None:
        require_binary(model, data)
    if learning is not None and learning.section.validate is not None and model.learns_in_epochs:
        split = _held_out(learning, data, run, rows=by_rows(learning.section.validate, model))
        found = _validated(model, data, run, watch, learning.section, split, funnel)
        best = found.training
        assert best is not None
        run = replace(run, epochs=best.best_epoch, falls=tuple(at for at in best.falls if at < best.best_epoch))
        what = f"{what} for {best.best_epoch} of {best.epochs} epochs ({learning.section.validate} was best then)"
    calibrations: dict[str, Calibration] = {}
    if learning is not None and kind is not None:
        if found is None or not by_rows(str(learning.section.validate), model):
            split = _held_out(learning, data, begun, rows=True)
            found = _part_of(model, data, run, watch, split, funnel)
        label, rows = next(iter(model.labels), None), split.rows()
        with watch(f"Calibrating by {kind}"):
            calibrations = learned_on(found.lower(), label, rows, kind)
        for said in in_place_of(kind, calibrations):
            with watch(said):
                pass
    scorer = watched(model, data, shown_by(funnel, model, data, run, watch), watch, what).lower()
    if not calibrations:
        return model, scorer
    calibrations, left = borne_out(scorer, calibrations, label, recoded(rows, data))
    for said in left:
        with watch(said):
            pass
    return model, calibrated(scorer, calibrations)


def shown_by(funnel: Funnel | None, model: Model, data: Dataset, run: Run, watch: Watch) -> Run:
    """The run with what retrieval would have shown, where the model learns from that."""
    if funnel is None or not funnel.learns_from_lists(model, data):
        return run
    with watch("Finding what would have been shown") as progress:
        return replace(run, shown=funnel.shown(data, progress))


def watched(model: Model, data: Dataset, run: Run, watch: Watch, what: str) -> Model:
    """Fit a model and tell of it: first of training, then of making what answers, which may take a while as well."""
    with ExitStack() as step:

        def trained() -> None:
            step.close()
            step.enter_context(watch(f"Exporting {model.name}"))

        progress = step.enter_context(watch(what))
        return model.fit(data, told(run, progress, what, trained))


def _calibrates(model: Model) -> bool:
    """Whether what a model says can become probabilities."""
    return model.learns_labels and not model.predicts_ratings


def _held_out(learning: Learning, data: Dataset, run: Run, *, rows: bool) -> Split:
    if run.start is None:
        return learning.holdout(data, rows)
    # What was learned speaks of features as they were fitted then.
    split = learning.holdout(data.with_features({}), rows)
    return split.of(replace(split.train, schema=data.schema, features=data.features))


def _part_of(model: Model, data: Dataset, run: Run, watch: Watch, split: Split, funnel: Funnel | None) -> Model:
    """The model fitted to the training part of a split."""
    what = f"Fitting {model.name} to what is not held out for calibration"
    plan = replace(run, checkpoint=None, resume=False, start=run.start and narrowed(run.start, data, split.train))
    plan = shown_by(funnel, model, split.train, plan, watch)
    return watched(type(model)(model.config), split.train, plan, watch, what)


def _validated(
    model: Model, data: Dataset, run: Run, watch: Watch, section: FitSection, split: Split, funnel: Funnel | None
) -> Model:
    """The model fitted to the training part of a split, and judged by the rest of it after every so many epochs; one
    that ranks, by the lists that come out of the whole."""
    what = f"Looking for the best epoch of {model.name} by {section.validate}"
    named = None if funnel is None else funnel.retrieval(split.train)
    plan = replace(
        shown_by(funnel, model, split.train, run, watch),
        validation=figure_of(
            str(section.validate),
            model,
            split,
            run.threads,
            None if funnel is None or named is None else partial(funnel.ranked, named),
            section.validate_tasks,
        ),
        validate_every=section.validate_every,
        patience=section.patience,
        checkpoint=run.checkpoint and validation_file(run.checkpoint),
        start=run.start and narrowed(run.start, data, split.train),
    )
    return watched(type(model)(model.config), split.train, plan, watch, what)


def figure_of(
    metric: str,
    model: Model,
    split: Split,
    threads: int | None,
    ranked: Callable[[Scorer], Stage] | None = None,
    tasks: Sequence[str] = (),
) -> Callable[[Scorer], float]:
    """How good a scorer is by that metric, higher being better; of several labels the mean of theirs, or of ``tasks``
    among them. Lists are those of the scorer, or what is ``ranked`` by it."""
    if by_rows(metric, model):
        higher, rows = measure(metric).higher, split.rows()
    elif metric in ROW_METRICS and metric not in (*DEFINITIONS, *RATING_METRICS):
        raise RecipeError(
            f"fit.validate = {metric} judges what a model foretells of labels, and {model.name} foretells none as it "
            "is. Try the option label or tasks, with loss = pointwise where there is such, or ndcg@10."
        )
    else:
        higher = (metric if metric in RATING_METRICS else define(metric)[0].name) not in LOWER

    def figure(scorer: Scorer) -> float:
        if by_rows(metric, model):
            found = mean_figure(scorer, rows, metric, learned=model.labels, label=tasks, threads=threads)
        elif metric in RATING_METRICS:
            found = evaluate_ratings(scorer, split, threads=threads).figure(metric)
        else:
            found = evaluate(ranked(scorer) if ranked else scorer, split, (metric,), threads=threads).mean(metric)
        if math.isnan(found):
            raise SerendipError(
                f"{metric} must have something to judge in the part held out. It has nothing there. Try another figure "
                "for fit.validate, or another split."
            )
        return found if higher else -found

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
