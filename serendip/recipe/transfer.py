"""A recipe that carries over what a bundle learned to another task: other kinds of events, towers that stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from serendip.bundle.manifest import Manifest
from serendip.data.events import Kinds
from serendip.model import Option, describe, find
from serendip.recipe.reading import RecipeError
from serendip.recipe.sections import Choice, Recipe

NEGATIVES = 1024
"""Items drawn beside those of a batch, where a task has few."""


def for_task(recipe: Recipe, made: Manifest, task: Sequence[str]) -> Recipe:
    """The recipe with these kinds of events as the target, and as all that is learned to be foretold.

    The other kinds weigh what they did for the bundle, unless the recipe says otherwise: they are read as they were, in
    the history and not in bags of their own. A model whose steps compare the items of a batch alone would never meet
    those that no event of the task has: unless the recipe says how many, `NEGATIVES` are drawn beside them.

    Args:
        recipe: for the fit that goes on.
        made: how the bundle was made.
        task: the kinds.

    Raises:
        RecipeError: no kind, a model that cannot tell what it reads from what it foretells, or one that read kinds in
            bags, of which there would be others now.
    """
    if not task or "" in task:
        raise RecipeError(f"--task must name kinds of events, such as buy. Got {', '.join(task)!r} instead.")
    if not _has(recipe, "foretell"):
        raise RecipeError(
            f"--task must go with a model that reads more than it foretells, such as two_tower or sasrec. "
            f"{recipe.model.name} does not: say what counts with --event-weights."
        )
    known = made.schema
    weights = {} if known is None else {kind: known.weight_of(kind) for kind in known.event_types}
    kept = {kind: weight for kind, weight in weights.items() if weight > 0 or kind not in task}
    data = msgspec.structs.replace(recipe.data, target=tuple(task), event_weights={**kept, **recipe.data.event_weights})
    options = {option.name: option for option in options_of(recipe)}
    alone = "negatives" in options and options["negatives"].default == 0 and "negatives" not in recipe.model.options
    drawn: dict[str, Any] = {"negatives": NEGATIVES} if alone else {}
    if "bags" in options and (known is None or set(known.target) != set(task)):
        _check_bags(made, task)
        drawn["bags"] = False
    return with_options(msgspec.structs.replace(recipe, data=data), foretell="target", **drawn)


def _check_bags(made: Manifest, task: Sequence[str]) -> None:
    model, known = made.recipe.get("model"), made.schema
    read = known.kinds.others if known is not None and known.kinds is not None else {}
    if read and isinstance(model, dict) and model.get("bags", True):
        raise RecipeError(
            "--task must go on from a fit that read all kinds of events in one history. This one foretold "
            f"{', '.join(known.target if known else ())} and read {', '.join(read)} in bags of their own, which are "
            f"others if {', '.join(task)} is foretold. Try fitting the first one with --set model.bags=false, and "
            "--event-weights for what is read."
        )


def check_kinds(recipe: Recipe, read: Sequence[str], kinds: Kinds | None) -> None:
    """That the bags of a fit that goes on are those that were learned to be read.

    Args:
        recipe: of the fit that goes on.
        read: the kinds of events that the bundle reads in bags (`Bundle.kinds_read`).
        kinds: of the events, old and new ones together.

    Raises:
        RecipeError: a kind that would be another bag.
    """
    if not read or not _has(recipe, "bags") or not recipe.model.options.get("bags", True):
        return
    fresh = [name for name in (kinds.others if kinds else ()) if name not in read]
    if fresh:
        raise RecipeError(
            f"a model that reads kinds of events in bags of their own must go on with the same kinds. It reads "
            f"{', '.join(read)}; new are {', '.join(fresh)}. Is one misspelt? Else leave those events out, or fit anew."
        )


def over_towers(recipe: Recipe, freeze: Sequence[str]) -> Recipe:
    """The recipe with something that is left to learn where the towers stay as they are."""
    if "towers" not in freeze or not _has(recipe, "adapter"):
        return recipe
    return with_options(recipe, adapter=True)


def options_of(recipe: Recipe) -> list[Option]:
    """The options that the recipe's model has."""
    return describe(find(recipe.model.name))


def _has(recipe: Recipe, name: str) -> bool:
    return any(option.name == name for option in options_of(recipe))


def with_options(recipe: Recipe, **options: Any) -> Recipe:
    """The recipe with these options of its model."""
    choice = Choice(recipe.model.name, {**recipe.model.options, **options})
    return msgspec.structs.replace(recipe, model=choice)


__all__ = ["check_kinds", "for_task", "over_towers"]
