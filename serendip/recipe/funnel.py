"""Retrieval and a ranker behind it: what names items, and what would have been shown to learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from serendip.data.dataset import Dataset
from serendip.model import Model, describe
from serendip.pipeline import chain, rank
from serendip.recipe.nominating import cuts_of, nominated
from serendip.recipe.reading import RecipeError
from serendip.recipe.sections import Choice, PipelineSection, Recipe
from serendip.run import Shown
from serendip.types import Scorer, Stage


@dataclass(frozen=True)
class Funnel:
    """What a ranker stands behind.

    Attributes:
        section: of the recipe, with a ranker.
        retrieval: names so many items as the section says, fitted to the data it is given.
    """

    section: PipelineSection
    retrieval: Callable[[Dataset], Stage]

    def ranked(self, named: Stage, scorer: Scorer) -> Stage:
        """What is ``named``, in the order of a scorer."""
        assert self.section.rank is not None
        return chain(named, rank(scorer, name=stage_name(self.section.rank), named=self.section.named))

    def learns_from_lists(self, model: Model, data: Dataset) -> bool:
        """Whether a ranker learns from what would have been shown: it can, and the log says when things were done."""
        able = any(option.name == "hard" for option in describe(type(model)))
        return able and self.section.moments > 0 and data.schema.time_kind == "unix"

    def shown(self, data: Dataset, progress: Callable[[int, int], None] | None) -> Shown:
        """What would have been shown, point in time; see `serendip.recipe.nominating.nominated`.

        Raises:
            SerendipError: whatever a fit to a part of the data raises.
        """
        cuts = cuts_of(data, self.section.moments)
        return nominated(data, self.retrieval, cuts, self.section.candidates, progress)


def stage_name(choice: Choice) -> str:
    """What the model's stage of a pipeline is called."""
    return choice.name.replace(":", ".")


def title(recipe: Recipe) -> str:
    """The model of a recipe, and the ranker behind it."""
    ranker = recipe.pipeline.rank
    return recipe.model.name if ranker is None else f"{recipe.model.name} → {ranker.name}"


def learning_choices(recipe: Recipe) -> tuple[Choice, ...]:
    """The models that a recipe is about: its own, and the ranker."""
    ranker = recipe.pipeline.rank
    return (recipe.model,) if ranker is None else (recipe.model, ranker)


def judged_choice(recipe: Recipe) -> Choice:
    """The model whose labels are judged: the ranker, where there is one."""
    return learning_choices(recipe)[-1]


def check_funnel(recipe: Recipe) -> None:
    """That what the recipe says of ranking goes together.

    Raises:
        RecipeError: options of a ranker without one, one that names items too, or one for a table of examples.
    """
    section, default = recipe.pipeline, PipelineSection()
    if section.rank is None:
        given = [key for key in ("candidates", "named", "moments") if getattr(section, key) != getattr(default, key)]
        if given:
            raise RecipeError(
                f"pipeline.{given[0]} must come with pipeline.rank, the model that ranks, such as deepfm. Got none."
            )
        return
    if recipe.data.examples is not None:
        raise RecipeError(
            "pipeline.rank needs items to rank. data.examples has none: name the ranker as the model instead."
        )
    others = (recipe.model, *(section.fallback or ()))
    if any(stage_name(section.rank) == stage_name(one) for one in others):
        raise RecipeError(
            f"pipeline.rank must be another model than those that name the items "
            f"({', '.join(one.name for one in others)}). Got {section.rank.name!r} instead."
        )


__all__ = ["Funnel", "check_funnel", "judged_choice", "learning_choices", "stage_name", "title"]
