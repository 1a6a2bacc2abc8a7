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


def splits_of(section: EvaluateSection, data: Dataset, seed: int, *, rows: bool = False) -> list[Split]:
    """The split that the recipe asks for, or each of the folds.

    Args:
        section: of the recipe.
        data: what is split.
        seed: of splits that leave something to chance.
        rows: whether events are asked about one by one: then each is dealt out by itself, however often its pair of
            user and item occurs.

    Raises:
        SerendipError: an option that the split does not have, or data that it cannot be made from.
    """
    name = section.split or _suited(data, rows=rows)
    options = {key: getattr(section, key) for key in ("test", "n", "given", "folds")}
    options = {key: value for key, value in options.items() if value is not None}
    if section.repeats or (rows and name != "cold_items"):
        options["repeats"] = True
    if name not in UNSEEDED:
        options["seed"] = seed
    if name != "k_fold":
        return [make(name, data, **options)]
    options.setdefault("folds", FOLDS)
    return [make(name, data, fold=fold, **options) for fold in range(options["folds"])]


def _suited(data: Dataset, *, rows: bool) -> str:
    kind = data.schema.time_kind
    if rows:
        return "global_time" if kind == "unix" else "at_random"
    return "per_user" if kind == "none" else "last_out"
