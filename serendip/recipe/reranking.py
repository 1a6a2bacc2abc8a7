"""Whether what a recipe says of re-ranking fits its data: better known before the models are fitted."""

from __future__ import annotations

import numpy as np

from serendip.bundle.content import titled
from serendip.data.dataset import Dataset
from serendip.model import nearest
from serendip.recipe.funnel import fallback_of, stage_name
from serendip.recipe.reading import RecipeError
from serendip.recipe.sections import Recipe
from serendip.rerank import Pin, Shelf, bind
from serendip.types import ABSENT, SerendipError


def check_rerankers(recipe: Recipe, data: Dataset) -> None:
    """That the re-rankers find their columns, items and models. What models that are not fitted yet can do, is seen
    when they are.

    Raises:
        RecipeError: which of them does not, with what there is.
    """
    section = recipe.pipeline
    if not section.rerank:
        return
    ranker = () if section.rank is None else (section.rank,)
    fallback = fallback_of(recipe.model, section, data)
    models = (recipe.model, *(one.model for one in section.sources), *fallback, *ranker)
    unix = data.schema.time_kind == "unix" and data.events.time is not None and len(data.events) > 0
    shelf = Shelf(
        titled(data),
        np.zeros(data.n_items, np.int64),
        {stage_name(one): None for one in models},
        int(data.events.time.max()) if unix and data.events.time is not None else None,
    )
    for place, one in enumerate(section.rerank):
        key = f"pipeline.rerank[{place}]"
        try:
            bind(one, shelf)
        except SerendipError as error:
            raise RecipeError(f"{key}: {error}") from error
        if isinstance(one, Pin):
            unknown = [item for item in one.items if data.item_ids.find(item) == ABSENT]
            if unknown:
                near = nearest(str(unknown[0]), map(str, data.item_ids.ids.to_list()))
                hint = f" Did you mean {near!r}?" if near else ""
                raise RecipeError(f"{key}: pin.items must be items of the data. Got {unknown[0]!r}.{hint}")


__all__ = ["check_rerankers"]
