"""Another formula over what the tasks of a bundle's ranker foretell: another score, and nothing is learned anew."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from serendip.bundle import store
from serendip.bundle.content import encode
from serendip.bundle.errors import BundleError
from serendip.bundle.golden import record
from serendip.bundle.manifest import Manifest, version_of
from serendip.bundle.shelving import shelved
from serendip.pipeline import from_dict, retrievers, scoring, to_dict, with_indices
from serendip.scorers.tasks import TaskScorer

if TYPE_CHECKING:
    from serendip.bundle.content import Content


def rescored(made: Manifest, content: Content, formula: str, name: str | None = None) -> tuple[Manifest, Content]:
    """What a bundle with another formula is, and what it holds. See `serendip.bundle.bundle.Bundle.rescored`."""
    parts = {part.name: part.scorer for part in scoring(content.pipeline)}
    tasks = {part: scorer for part, scorer in parts.items() if isinstance(scorer, TaskScorer)}
    chosen = name or (next(iter(tasks)) if len(tasks) == 1 else "")
    if chosen not in tasks:
        raise BundleError(
            f"A formula must be for a scorer of several tasks. Got {name or 'none'} of {', '.join(parts) or 'none'}; "
            f"those of several tasks are: {', '.join(tasks) or 'none'}. Try a bundle of mmoe, esmm or joint."
        )
    pipeline = from_dict(to_dict(content.pipeline), {**parts, chosen: tasks[chosen].scored_by(formula)})
    indices = {part.name: part.index for part in retrievers(content.pipeline) if part.index is not None}
    pipeline = shelved(with_indices(pipeline, indices), content.items, content.histories)
    after = replace(content, pipeline=pipeline, golden=record(pipeline, len(content.items)))
    entries = {file: store.entry(held) for file, held in encode(after).items()}
    recipe = _said(made.recipe, chosen, formula)
    return msgspec.structs.replace(
        made, version=version_of(entries), files=entries, recipe=recipe, evaluation={}
    ), after


def _said(recipe: dict[str, Any], name: str, formula: str) -> dict[str, Any]:
    """The recipe with the formula, where the model stands in it, or the ranker behind it."""
    model, pipeline = recipe.get("model"), recipe.get("pipeline")
    if isinstance(model, dict) and model.get("name") == name:
        return {**recipe, "model": {**model, "score": formula}}
    ranker = pipeline.get("rank") if isinstance(pipeline, dict) else None
    if isinstance(pipeline, dict) and isinstance(ranker, dict) and ranker.get("name") == name:
        return {**recipe, "pipeline": {**pipeline, "rank": {**ranker, "score": formula}}}
    return recipe


__all__ = ["rescored"]
