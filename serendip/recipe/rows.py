"""From a recipe to figures of held-out events, one by one: for models that learn labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from serendip.data.dataset import Dataset
from serendip.evaluate import ROW_METRICS, Comparison, RowEvaluation, Split, compare_rows, evaluate_rows
from serendip.evaluate.foretold import labels_of
from serendip.evaluate.row_evaluation import joined_rows
from serendip.evaluate.row_measures import measure
from serendip.model import Model, find
from serendip.recipe.calibrating import uncalibrated
from serendip.recipe.evaluating import ALL_FOLDS, Evaluated, evaluate_recipe, named
from serendip.recipe.fitting import Fitter, run_of
from serendip.recipe.funnel import judged_choice
from serendip.recipe.learning import Learning, Watch, check_learning, silently
from serendip.recipe.loading import load_data
from serendip.recipe.reading import RecipeError
from serendip.recipe.sections import OF_EVENTS, OF_LISTS, Choice, Recipe
from serendip.recipe.splitting import seed_of, splits_of
from serendip.types import SerendipError

RAW = "{}, not calibrated"
"""What a model is called without its calibration."""


@dataclass(frozen=True)
class EvaluatedRows:
    """What `evaluate_labels` gives.

    Attributes:
        evaluations: by label and then by name, the recipe's own model first; of one that is calibrated also how it was
            before.
        comparisons: by label, the recipe's model with each of the others, by the first figure that both have.
        notes: what a reader should know.
    """

    evaluations: dict[str, dict[str, RowEvaluation]]
    comparisons: dict[str, tuple[Comparison, ...]]
    notes: tuple[str, ...] = ()

    @property
    def main(self) -> RowEvaluation:
        """That of the recipe's own model, of its first label."""
        return next(iter(next(iter(self.evaluations.values())).values()))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the rows."""
        return {
            "split": self.main.split,
            "description": self.main.description,
            "notes": list(self.notes),
            "labels": {
                label: {
                    "models": {name: one.to_dict() for name, one in found.items()},
                    "comparisons": [msgspec.to_builtins(one) for one in self.comparisons[label]],
                }
                for label, found in self.evaluations.items()
            },
        }


def judge_recipe(recipe: Recipe, *, data: Dataset | None = None, watch: Watch = silently) -> Evaluated | EvaluatedRows:
    """`evaluate_recipe` or `evaluate_labels`, as the recipe's figures ask for, or else as `by_labels` says.

    Raises:
        SerendipError: ``auc`` of lists; whatever they raise.
    """
    if recipe.evaluate.metrics is not None:
        judge = evaluate_labels if of_rows(recipe) else evaluate_recipe
        if judge is evaluate_recipe and "auc" in recipe.evaluate.metrics:
            raise RecipeError(
                "evaluate.metrics: auc is of events one by one, for a model that learns a label, such as dcn_v2 with "
                "model.label; lists are judged by figures such as ndcg@10. Try leaving auc out, or evaluating twice."
            )
    else:
        check_learning(recipe)
        data = load_data(recipe) if data is None else data
        judge = evaluate_labels if by_labels(recipe, data) else evaluate_recipe
    return judge(recipe, data=data, watch=watch)


def by_labels(recipe: Recipe, data: Dataset) -> bool:
    """Whether a recipe that names no figures is judged event by event: its model learns a label of these events, is not
    meant to find items, and nothing names items before it or moves them behind it."""
    section, model = recipe.pipeline, _model(recipe.model)
    if section.rank is not None or section.sources or section.rerank or not model.labels_first:
        return False
    learned = model.labels or getattr(model.config, "tasks", ()) or tuple(data.events.labels)
    return any(one in data.events.labels for one in learned)


def of_rows(recipe: Recipe) -> bool:
    """Whether the recipe's figures are of events one by one. ``auc`` is, where the model learns labels.

    Raises:
        RecipeError: figures of both kinds.
    """
    metrics = recipe.evaluate.metrics or OF_LISTS
    own = [one for one in metrics if one in ROW_METRICS]
    sure = [one for one in own if one != "auc"]
    others = [one for one in metrics if one not in ROW_METRICS]
    if sure and others:
        raise RecipeError(
            f"evaluate.metrics must be figures of lists, such as {others[0]}, or of events one by one, such as "
            f"{sure[0]}. Got both. Try evaluating twice."
        )
    return bool(sure) or (not others and _model(judged_choice(recipe)).learns_labels)


def evaluate_labels(recipe: Recipe, *, data: Dataset | None = None, watch: Watch = silently) -> EvaluatedRows:
    """Hold events out, fit the recipe's model and those it is compared with on the rest, and judge by the labels of the
    model what each says of every event that was held out. Where the recipe has a ranker, that is its model here.

    Args:
        recipe: made by `read`.
        data: what `load_data` gives, if it was read before.
        watch: told about every step.

    Raises:
        SerendipError: data, a model, a split or a metric that cannot be used; a model that learns no label.
    """
    check_learning(recipe)
    own_model, metrics = judged_choice(recipe), recipe.evaluate.metrics or OF_EVENTS
    if not _model(own_model).learns_labels:
        raise RecipeError(
            f"{', '.join(metrics)} judge models that learn a label. {own_model.name} learns none. "
            "Try model.label, or a model of several tasks."
        )
    loaded = load_data(recipe) if data is None else data
    seed = seed_of(recipe)
    with watch("Holding events out"):
        splits = splits_of(recipe.evaluate, loaded, seed, rows=True)
    choices = named(own_model, recipe.evaluate.compare)
    rounds: dict[str, dict[str, list[RowEvaluation]]] = {}
    notes: list[str] = []
    for split in splits:
        fitter = Fitter(split.train, run_of(recipe), watch, Learning.of(recipe))
        wanted: tuple[str, ...] = ()
        for name, choice in choices.items():
            if not _able(choice, metrics):
                notes.append(f"{name} ranks and foretells nothing, so it has none of {', '.join(metrics)}.")
                continue
            scorer = fitter.scorer(choice)
            own = _model(choice).labels or labels_of(scorer)
            own = tuple(one for one in own if one in loaded.events.labels)
            wanted = wanted or own
            labels = tuple(one for one in wanted if not own or one in own)
            versions = {name: (scorer, own)}
            if (before := uncalibrated(scorer)) is not None:
                versions[RAW.format(name)] = (before, own)
            with watch(f"Evaluating {name}" + (f" on {split.name}" if len(splits) > 1 else "")):
                for called, (one, known) in versions.items():
                    for label in labels:
                        found = _judged(one, split, recipe, label, known, called, seed)
                        rounds.setdefault(label, {}).setdefault(called, []).append(found)
    if not rounds:
        raise SerendipError(
            f"none of the labels that {own_model.name} learns is one of the events "
            f"({', '.join(loaded.events.labels) or 'they have none'})."
        )
    evaluations = {label: {name: _joined(parts) for name, parts in models.items()} for label, models in rounds.items()}
    with watch("Comparing"):
        comparisons = {label: _compared(list(models.values())) for label, models in evaluations.items()}
    told = dict.fromkeys(
        [*notes, *(note for models in evaluations.values() for one in models.values() for note in one.notes)]
    )
    return EvaluatedRows(evaluations, comparisons, tuple(told))


def _judged(
    scorer: Any, split: Split, recipe: Recipe, label: str, own: Sequence[str], name: str, seed: int
) -> RowEvaluation:
    found: Mapping[str, RowEvaluation] = evaluate_rows(
        scorer,
        split,
        recipe.evaluate.metrics or OF_EVENTS,
        label=label,
        learned=own,
        threads=recipe.run.threads,
        seed=seed,
        name=name,
    )
    return found[label]


def _model(choice: Choice) -> Model:
    return find(choice.name)(**choice.options)


def _able(choice: Choice, metrics: Sequence[str]) -> bool:
    """Whether a model can have one of the figures."""
    return _model(choice).learns_labels or any(not measure(one).meant for one in metrics)


def _joined(folds: Sequence[RowEvaluation]) -> RowEvaluation:
    if len(folds) == 1:
        return folds[0]
    return joined_rows(folds, f"k_fold, {len(folds)} folds", ALL_FOLDS.format(len(folds)))


def _compared(found: Sequence[RowEvaluation]) -> tuple[Comparison, ...]:
    main, *others = found
    sure = [one for one in main.metrics if not math.isnan(main.figure(one))]
    pairs = [(other, [one for one in sure if one in other.metrics]) for other in others]
    return tuple(compare_rows(main, other, shared[0]) for other, shared in pairs if shared)


__all__ = ["EvaluatedRows", "evaluate_labels", "judge_recipe", "of_rows"]
