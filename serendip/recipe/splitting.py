"""How a recipe holds events out."""

from __future__ import annotations

from serendip.data.dataset import Dataset
from serendip.evaluate import Split, make
from serendip.recipe.sections import EvaluateSection, Recipe

FOLDS = 5
UNSEEDED = ("last_out", "global_time")
"""Splits that leave nothing to chance."""


def seed_of(recipe: Recipe) -> int:
    """The seed of splits and of the bootstrap."""
    return recipe.run.seed if recipe.evaluate.seed is None else recipe.evaluate.seed


def splits_of(section: EvaluateSection, data: Dataset, seed: int) -> list[Split]:
    """The split that the recipe asks for, or each of the folds.

    Raises:
        SerendipError: an option that the split does not have, or data that it cannot be made from.
    """
    name = section.split or ("per_user" if data.schema.time_kind == "none" else "last_out")
    options = {key: getattr(section, key) for key in ("test", "n", "given", "folds")}
    options = {key: value for key, value in options.items() if value is not None}
    if section.repeats:
        options["repeats"] = True
    if name not in UNSEEDED:
        options["seed"] = seed
    if name != "k_fold":
        return [make(name, data, **options)]
    options.setdefault("folds", FOLDS)
    return [make(name, data, fold=fold, **options) for fold in range(options["folds"])]
