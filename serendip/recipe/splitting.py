"""How a recipe holds events out."""

from __future__ import annotations

from dataclasses import replace

from serendip.data.dataset import Dataset
from serendip.data.streamed import Streamed
from serendip.evaluate import Split, make
from serendip.evaluate.split import given
from serendip.recipe.sections import EvaluateSection, Recipe
from serendip.types import SerendipError

FOLDS = 5
SHARE = 0.2
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
    if isinstance(data, Streamed):
        return [_of_pieces(section, data, seed)]
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


def _of_pieces(section: EvaluateSection, data: Streamed, seed: int) -> Split:
    if section.split not in (None, "at_random"):
        raise SerendipError(
            f"evaluate.split must be at_random, or left out, where data.streamed is set. Got {section.split!r} instead."
        )
    train, test = data.held_out(SHARE if section.test is None else section.test, seed)
    said = (
        f"Hold out {len(test.events):,} of {data.rows:,} rows, in pieces of {train.piece:,} from all over the file "
        f"(seed {seed}); learn from the rest."
    )
    return replace(given(train, test, name="at_random", repeats=True), description=said)


def _suited(data: Dataset, *, rows: bool) -> str:
    kind = data.schema.time_kind
    if rows:
        return "global_time" if kind == "unix" else "at_random"
    return "per_user" if kind == "none" else "last_out"
