"""From a recipe to better options: chosen within the training part, so that the evaluation stays honest."""

from __future__ import annotations

from pathlib import Path

import msgspec

from serendip.data.dataset import Dataset
from serendip.evaluate import Split
from serendip.model import find
from serendip.recipe.learning import Watch, silently
from serendip.recipe.loading import load_data
from serendip.recipe.sections import Choice, Recipe
from serendip.recipe.splitting import seed_of, splits_of
from serendip.space import plain
from serendip.tune import Tuned, tune
from serendip.tune.judge import by_rows
from serendip.tune.search import Progress, metric_of


def tune_recipe(
    recipe: Recipe,
    *,
    data: Dataset | None = None,
    folder: str | Path | None = None,
    watch: Watch = silently,
    progress: Progress | None = None,
) -> Tuned:
    """Search the options of the recipe's model.

    The test that `evaluate_recipe` judges by is held out first and never looked at; then the same protocol is applied
    to the training part that is left. Of several folds the first one counts.

    Args:
        recipe: made by `read`. Options that its model sets are held fixed, or, where ``tune.space`` names them, are
            where the search begins.
        data: what `load_data` gives, if it was read before.
        folder: where to keep the study; a call that was cut off goes on from there. None: nowhere.
        watch: told about every step but the search.
        progress: told about every trial, as `serendip.tune.tune` does.

    Raises:
        SerendipError: data, a split, options or a space that cannot be used; see `serendip.tune.tune`.
    """
    loaded = load_data(recipe) if data is None else data
    seed, model = seed_of(recipe), find(recipe.model.name)(**recipe.model.options)
    metric = recipe.tune.metric or metric_of(model, loaded)
    rows = by_rows(metric, model)

    def holdout(part: Dataset) -> Split:
        return splits_of(recipe.evaluate, part, seed, rows=rows)[0]

    with watch("Holding events out"):
        train = holdout(loaded).train
    section = recipe.tune
    return tune(
        recipe.model.name,
        train,
        options=recipe.model.options,
        space=section.space or None,
        metric=metric,
        trials=section.trials,
        time_budget=section.time,
        holdout=holdout,
        seed=recipe.run.seed,
        threads=recipe.run.threads,
        device=recipe.run.device or "cpu",
        folder=folder,
        progress=progress,
    )


def tuned_recipe(recipe: Recipe, found: Tuned) -> Recipe:
    """The recipe with the options that were found, and with what was searched."""
    options = {name: value for name, value in found.options.items() if value is not None}
    searched = msgspec.structs.replace(recipe.tune, metric=found.metric, space=plain(found.space))
    return msgspec.structs.replace(recipe, model=Choice(recipe.model.name, options), tune=searched)
