"""From a recipe to honest figures: every model fitted on the same training part, asked the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.evaluate import Bucket, Comparison, Evaluation, compare, evaluate
from serendip.evaluate.metrics import define
from serendip.recipe.fitting import Fitter, run_of
from serendip.recipe.funnel import title
from serendip.recipe.learning import Learning, Watch, check_learning, silently
from serendip.recipe.loading import load_data
from serendip.recipe.reranking import check_rerankers
from serendip.recipe.sections import OF_LISTS, Choice, Recipe
from serendip.recipe.splitting import seed_of, splits_of

ALL_FOLDS = "Deal all events at random into {} parts; hold out each in turn, learn from the others."


@dataclass(frozen=True)
class Evaluated:
    """What `evaluate_recipe` gives.

    Attributes:
        evaluations: by name, the recipe's own model first. Every model stands in the recipe's pipeline, so that all are
            compared as they would answer. Where that has a ranker, the recipe's model comes with it, then without, and
            the others without.
        comparisons: the recipe's model with each of the others, by the first metric that can decide.
    """

    evaluations: dict[str, Evaluation]
    comparisons: tuple[Comparison, ...]

    @property
    def main(self) -> Evaluation:
        """That of the recipe's own model."""
        return next(iter(self.evaluations.values()))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, without the figures of single queries."""
        return {
            "split": self.main.split,
            "description": self.main.description,
            "queries": self.main.n,
            "notes": list(self.main.notes),
            "models": {name: found.to_dict() for name, found in self.evaluations.items()},
            "comparisons": [msgspec.to_builtins(comparison) for comparison in self.comparisons],
        }


def evaluate_recipe(recipe: Recipe, *, data: Dataset | None = None, watch: Watch = silently) -> Evaluated:
    """Hold events out, fit the recipe's model and those it is compared with on the rest, and ask about what was held.

    Args:
        recipe: made by `read`.
        data: what `load_data` gives, if it was read before.
        watch: told about every step.

    Raises:
        SerendipError: data, a model, a split or a metric that cannot be used.
    """
    check_learning(recipe)
    loaded = load_data(recipe) if data is None else data
    check_rerankers(recipe, loaded)
    seed = seed_of(recipe)
    with watch("Holding events out"):
        splits = splits_of(recipe.evaluate, loaded, seed)
    choices = compared_with(recipe)
    rounds: dict[str, list[Evaluation]] = {name: [] for name in choices}
    for split in splits:
        fitter = Fitter(split.train, run_of(recipe), watch, Learning.of(recipe))
        for name, (choice, ranked) in choices.items():
            pipeline = fitter.pipeline(choice, recipe.pipeline, ranked=ranked)
            with watch(f"Evaluating {name}" + (f" on {split.name}" if len(splits) > 1 else "")) as progress:
                rounds[name].append(
                    evaluate(
                        pipeline,
                        split,
                        recipe.evaluate.metrics or OF_LISTS,
                        threads=recipe.run.threads,
                        progress=progress,
                        seed=seed,
                        name=name,
                    )
                )
    evaluations = {name: joined(found) for name, found in rounds.items()}
    with watch("Comparing"):
        return Evaluated(evaluations, tuple(_compared(list(evaluations.values()))))


def compared_with(recipe: Recipe) -> dict[str, tuple[Choice, bool]]:
    """By name, the models of an evaluation, the recipe's own first, and whether with what is beside and behind it."""
    choices = named(recipe.model, recipe.evaluate.compare)
    alone = {name: (choice, False) for name, choice in choices.items()}
    section = recipe.pipeline
    if section.rank is None and not section.sources and not section.rerank:
        return alone
    return {title(recipe): (recipe.model, True), **alone}


def named(model: Choice, others: Sequence[Choice]) -> dict[str, Choice]:
    """Models by the name they have in tables: its own, with its options where two share it. One that is listed twice
    counts once."""
    distinct = list({repr(choice.plain()): choice for choice in (model, *others)}.values())
    shared = [choice.name for choice in distinct]
    return {_name(choice) if shared.count(choice.name) > 1 else choice.name: choice for choice in distinct}


def _name(choice: Choice) -> str:
    options = ", ".join(f"{key}={value}" for key, value in choice.options.items())
    return f"{choice.name} ({options})" if options else choice.name


def _compared(found: Sequence[Evaluation]) -> list[Comparison]:
    main, *others = found
    decides = next((metric for metric in main.metrics if define(metric)[0].kind in ("rank", "scores")), None)
    return [] if decides is None else [compare(main, other, decides) for other in others]


def joined(folds: Sequence[Evaluation]) -> Evaluation:
    """The evaluations of one model on several folds as one: every query of every fold counts, totals are means."""
    first = folds[0]
    if len(folds) == 1:
        return first
    groups = tuple(group for group in first.groups if all(group in fold.groups for fold in folds))
    notes = dict.fromkeys(note for fold in folds for note in fold.notes)
    return replace(
        first,
        split=f"k_fold, {len(folds)} folds",
        description=ALL_FOLDS.format(len(folds)),
        questions="+".join(fold.questions for fold in folds),
        n=sum(fold.n for fold in folds),
        seconds=sum(fold.seconds for fold in folds),
        totals={name: float(np.mean([fold.totals[name] for fold in folds])) for name in first.totals},
        buckets=tuple(_summed([bucket for fold in folds for bucket in fold.buckets])),
        groups=groups,
        notes=(*notes, "A user counts once in every fold that holds out one of the user's events."),
        values={name: np.concatenate([fold.values[name] for fold in folds]) for name in first.values},
        segments={
            name: np.concatenate([fold.segments[name] for fold in folds]) for name in first.segments if name in groups
        },
        parts={
            part: {name: np.concatenate([fold.parts[part][name] for fold in folds]) for name in figures}
            for part, figures in first.parts.items()
            if part in groups
        },
        _intervals={},
    )


def _summed(buckets: Sequence[Bucket]) -> list[Bucket]:
    of = {bucket.name: [other for other in buckets if other.name == bucket.name] for bucket in buckets}
    counts = Bucket.__struct_fields__[1:]
    return [Bucket(name, *(sum(getattr(one, count) for one in same) for count in counts)) for name, same in of.items()]
