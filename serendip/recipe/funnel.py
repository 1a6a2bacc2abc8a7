"""Sources, what fills their lists and a ranker behind them: how a recipe's stages are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np

from serendip.data.dataset import Dataset
from serendip.data.streamed import Streamed
from serendip.model import Model, describe
from serendip.pipeline import Quota, chain, first_of, guarded, in_turn, limited, merge, rank, reranked, retrieve
from serendip.recipe.nominating import cuts_of, nominated
from serendip.recipe.reading import RecipeError
from serendip.recipe.sections import Choice, PipelineSection, QuotaSection, Recipe, SourceSection
from serendip.run import Shown
from serendip.scorers import StaticScores
from serendip.types import Scorer, Stage

Kind = Literal["source", "rank", "rerank"]
"""Of stages, as budgets name them."""


@dataclass(frozen=True)
class Funnel:
    """What a ranker stands behind.

    Attributes:
        section: of the recipe, with a ranker.
        retrieval: names so many items as the section says, fitted to the data it is given.
    """

    section: PipelineSection
    retrieval: Callable[[Dataset], Stage]

    def ranked(self, named: Stage, scorer: Scorer, *, serving: bool = False) -> Stage:
        """What is ``named``, in the order of a scorer; ``serving`` as of `named_by`."""
        assert self.section.rank is not None
        stage = rank(scorer, name=stage_name(self.section.rank), named=self.section.named)
        return chain(named, _guarded(self.section, "rank", serving)(stage))

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


def named_by(
    model: Choice,
    section: PipelineSection,
    fallback: Sequence[Choice],
    scorer: Callable[[Choice], Scorer],
    *,
    serving: bool = False,
) -> Stage:
    """What names items: the model, or the sources merged, their lists filled by the fallbacks.

    Args:
        model: the first that names items.
        section: of the recipe, that says which others do, and how many are named for a ranker.
        fallback: what fills, in this order.
        scorer: of each of them.
        serving: whether stages are guarded, as they are where somebody waits for an answer. A pipeline that is judged
            has no guards: there a stage that fails must not pass for one that names nothing.
    """
    guard = _guarded(section, "source", serving)
    sources = sources_of(model, section)
    parts = [guard(retrieve(scorer(one.model), name=stage_name(one.model), k=one.k)) for one in sources]
    first: Stage = parts[0]
    if section.sources:
        quotas = [None if one.quota is None else Quota(one.quota.least, one.quota.most) for one in sources]
        weights = [one.weight for one in sources]
        first = merge(*parts, how=section.merge, weights=weights, quotas=quotas, least=section.candidates)
    stages = (first, *(retrieve(scorer(one), name=stage_name(one)) for one in fallback))
    if section.rank is not None:
        return first_of(*stages, least=section.candidates)
    return first_of(*stages) if len(stages) > 1 else first


def sources_of(model: Choice, section: PipelineSection) -> tuple[SourceSection, ...]:
    """What names items: the model, with what ``pipeline.sources`` says of it, then the others."""
    own = [one for one in section.sources if stage_name(one.model) == stage_name(model)]
    first = msgspec.structs.replace(own[0], model=model) if own else SourceSection(model)
    return (first, *(one for one in section.sources if one not in own))


def behind(stage: Stage, section: PipelineSection, *, serving: bool = False) -> Stage:
    """What a stage names, re-ranked as the section says; ``serving`` as of `named_by`. The re-rankers do not know their
    items yet."""
    if not section.rerank:
        return stage
    guard = _guarded(section, "rerank", serving)
    return reranked(stage, *(guard(step) for step in in_turn(section.rerank)), candidates=section.candidates)


def in_time(stage: Stage, section: PipelineSection, *, serving: bool) -> Stage:
    """The whole pipeline, within the time that it has; ``serving`` as of `named_by`."""
    whole = None if section.budget is None else section.budget.whole
    return stage if whole is None or not serving else limited(stage, budget=whole)


def is_funnel(section: PipelineSection) -> bool:
    """Whether there is more than a model and what fills its lists: then its stages are guarded."""
    return bool(section.sources or section.rank is not None or section.rerank or section.budget is not None)


def alone(section: PipelineSection) -> PipelineSection:
    """The section without what stands beside and behind the model, but for what fills its lists."""
    default = PipelineSection()
    return msgspec.structs.replace(
        section, sources=(), merge=default.merge, rank=None, named=default.named, rerank=(), budget=None
    )


def fallback_of(model: Choice, section: PipelineSection, data: Dataset | Streamed) -> tuple[Choice, ...]:
    """What fills lists: as the recipe says; else `automatic_fallback`, with the options that a source of that name
    has. A model that is compared with the recipe's is not filled by one of its own name with other options: what the
    two are worth would not be told apart."""
    if section.fallback is not None:
        return tuple(one for one in section.fallback if one == model or stage_name(one) != stage_name(model))
    named = {stage_name(one.model): one.model for one in sources_of(model, section)}
    return tuple(named.get(stage_name(one), one) for one in automatic_fallback(model, data))


def automatic_fallback(model: Choice, data: Dataset | Streamed) -> tuple[Choice, ...]:
    """Content where the items have categories or text, then popular; none for popular, which is never short, nor where
    rows are read piece by piece, of which it cannot learn."""
    if model.name == "popular" or isinstance(data, Streamed):
        return ()
    described = bool(data.schema.categories or data.schema.text) and bool(data.items_listed.any())
    names = (*(["content"] if described and model.name != "content" else []), "popular")
    return tuple(Choice(name) for name in names)


def outline(recipe: Recipe, data: Dataset | Streamed) -> Stage:
    """The pipeline as it will be served, of stages that know nothing yet: for telling what it is."""
    section, nothing = recipe.pipeline, dict[str, Scorer]()

    def scorer(choice: Choice) -> Scorer:
        return nothing.setdefault(stage_name(choice), StaticScores(np.zeros(1, np.float32)))

    fallback = fallback_of(recipe.model, section, data)
    stage = named_by(recipe.model, section, fallback, scorer, serving=is_funnel(section))
    if section.rank is not None:
        stage = Funnel(section, lambda part: stage).ranked(stage, scorer(section.rank), serving=True)
    return in_time(behind(stage, section, serving=True), section, serving=True)


def _guarded(section: PipelineSection, kind: Kind, serving: bool) -> Callable[[Stage], Stage]:
    """What puts a guard around stages of a kind, with the time that they have; nothing where nobody waits."""
    if not serving or not is_funnel(section):
        return lambda stage: stage
    budget = None if section.budget is None else getattr(section.budget, kind)
    return lambda stage: guarded(stage, budget=budget)


def stage_name(choice: Choice) -> str:
    """What the model's stage of a pipeline is called."""
    return choice.name.replace(":", ".")


def title(recipe: Recipe) -> str:
    """The models of a recipe that name items, and the ranker and the re-rankers behind them."""
    section = recipe.pipeline
    named = " + ".join(one.model.name for one in sources_of(recipe.model, section))
    ranker = [] if section.rank is None else [section.rank.name]
    return " → ".join((named, *ranker, *(step.name for step in in_turn(section.rerank))))


def learning_choices(recipe: Recipe) -> tuple[Choice, ...]:
    """The models that a recipe is about: its own, and the ranker."""
    ranker = recipe.pipeline.rank
    return (recipe.model,) if ranker is None else (recipe.model, ranker)


def judged_choice(recipe: Recipe) -> Choice:
    """The model whose labels are judged: the ranker, where there is one."""
    return learning_choices(recipe)[-1]


def check_funnel(recipe: Recipe) -> None:
    """That what the recipe says of sources and ranking goes together.

    Raises:
        RecipeError: options of a ranker or of sources without such, a model in two places, one for a table of
            examples, or quotas that no list can keep.
    """
    section = recipe.pipeline
    for what in ("rank", "sources", "rerank") if recipe.data.examples is not None else ():
        if getattr(section, what):
            raise RecipeError(
                f"pipeline.{what} needs items to {'name' if what == 'sources' else 'rank'}. data.examples has none: "
                "name the ranker as the model instead."
            )
    _check_alone(section)
    _check_names(recipe)
    least = 0
    for place, one in enumerate(section.sources):
        key, quota = f"pipeline.sources[{place}]", one.quota or QuotaSection()
        least += quota.least
        if one.weight != 1 and section.merge == "round_robin":
            raise RecipeError(
                f"{key}.weight must go with pipeline.merge = normalised or fused. round_robin takes the lists in turn."
            )
        if quota.most is not None and quota.most < quota.least:
            raise RecipeError(f"{key}.quota must have most ≥ least. Got most = {quota.most}, least = {quota.least}.")
        if one.k is not None and one.k < quota.least:
            raise RecipeError(f"{key}.quota.least must be at most k = {one.k}. Got {quota.least} instead.")
    if least > section.candidates:
        raise RecipeError(
            f"The quotas of pipeline.sources must leave room: least must sum to at most pipeline.candidates = "
            f"{section.candidates}. Got {least} instead."
        )


def _check_alone(section: PipelineSection) -> None:
    """That no key is set that is about what is not there."""
    default, lacking = PipelineSection(), dict[str, str]()
    if section.rank is None:
        lacking |= dict.fromkeys(("named", "moments"), "pipeline.rank, the model that ranks, such as deepfm")
        if not section.sources and not section.rerank:
            lacking["candidates"] = (
                "pipeline.rank, the model that ranks, such as deepfm, or pipeline.sources or pipeline.rerank"
            )
        if section.budget is not None and section.budget.rank is not None:
            raise RecipeError("pipeline.budget.rank must come with pipeline.rank, the model that ranks. Got none.")
    if not section.rerank and section.budget is not None and section.budget.rerank is not None:
        raise RecipeError("pipeline.budget.rerank must come with pipeline.rerank, such as mmr. Got none.")
    if not section.sources:
        lacking["merge"] = "pipeline.sources, further models that name items, such as item_knn"
    for key, wanted in lacking.items():
        if getattr(section, key) != getattr(default, key):
            raise RecipeError(f"pipeline.{key} must come with {wanted}. Got none.")


def _check_names(recipe: Recipe) -> None:
    """That every model has one place: names items, or ranks; and that one which also fills is the same."""
    section, own = recipe.pipeline, stage_name(recipe.model)
    known, told = {own: recipe.model}, False
    for place, one in enumerate(section.sources):
        name = stage_name(one.model)
        if name == own and not told and one != SourceSection(one.model):
            told = True
            if one.model.options and one.model != recipe.model:
                raise RecipeError(
                    f"pipeline.sources[{place}].model must be {own!r} without options, for they stand in [model]. "
                    f"Got {one.model.plain()} instead."
                )
            continue
        if name in known:
            raise RecipeError(
                f"pipeline.sources must be other models than {', '.join(known)}, each named once; that of [model] may "
                f"be named to say its k, weight or quota. Got {one.model.name!r} again in pipeline.sources[{place}]."
            )
        known[name] = one.model
    for fill in section.fallback or ():
        other = known.get(stage_name(fill), fill)
        if other != fill:
            raise RecipeError(
                f"pipeline.fallback must have the options that {fill.name!r} has where it names items. Got "
                f"{fill.plain()} and {other.plain()}."
            )
    others = (*known.values(), *(section.fallback or ()))
    if section.rank is not None and any(stage_name(section.rank) == stage_name(one) for one in others):
        raise RecipeError(
            f"pipeline.rank must be another model than those that name the items "
            f"({', '.join(one.name for one in others)}). Got {section.rank.name!r} instead."
        )


__all__ = [
    "Funnel",
    "alone",
    "automatic_fallback",
    "behind",
    "check_funnel",
    "fallback_of",
    "in_time",
    "is_funnel",
    "judged_choice",
    "learning_choices",
    "named_by",
    "outline",
    "sources_of",
    "stage_name",
    "title",
]
