"""`Recipe`: what to read, fit, evaluate and write, as one file; and the calls that carry it out.

The names are loaded when first used: the command line reads `sections` for its help and must not wait for the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serendip.recipe.drafting import Draft, draft
    from serendip.recipe.evaluating import Evaluated, evaluate_recipe
    from serendip.recipe.fitting import fit, run_recipe
    from serendip.recipe.loading import DataError, load_data
    from serendip.recipe.published import json_schema
    from serendip.recipe.reading import RecipeError, override, read
    from serendip.recipe.rows import EvaluatedRows, evaluate_labels, judge_recipe
    from serendip.recipe.sections import (
        Choice,
        DataSection,
        EvaluateSection,
        FitSection,
        PipelineSection,
        Recipe,
        RunSection,
        TuneSection,
    )
    from serendip.recipe.tuning import tune_recipe, tuned_recipe

_HOME = {
    "Choice": "sections",
    "DataError": "loading",
    "DataSection": "sections",
    "Draft": "drafting",
    "Evaluated": "evaluating",
    "EvaluatedRows": "rows",
    "EvaluateSection": "sections",
    "FitSection": "sections",
    "PipelineSection": "sections",
    "Recipe": "sections",
    "RecipeError": "reading",
    "RunSection": "sections",
    "TuneSection": "sections",
    "draft": "drafting",
    "evaluate_labels": "rows",
    "evaluate_recipe": "evaluating",
    "fit": "fitting",
    "json_schema": "published",
    "judge_recipe": "rows",
    "load_data": "loading",
    "override": "reading",
    "read": "reading",
    "run_recipe": "fitting",
    "tune_recipe": "tuning",
    "tuned_recipe": "tuning",
}

__all__ = [
    "Choice",
    "DataError",
    "DataSection",
    "Draft",
    "EvaluateSection",
    "Evaluated",
    "EvaluatedRows",
    "FitSection",
    "PipelineSection",
    "Recipe",
    "RecipeError",
    "RunSection",
    "TuneSection",
    "draft",
    "evaluate_labels",
    "evaluate_recipe",
    "fit",
    "json_schema",
    "judge_recipe",
    "load_data",
    "override",
    "read",
    "run_recipe",
    "tune_recipe",
    "tuned_recipe",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'serendip.recipe' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"serendip.recipe.{_HOME[name]}"), name)
    globals()[name] = value
    return value
