"""The lists that stand in the recipe and elsewhere are the same."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

from serendip.data import schema
from serendip.evaluate import NAMES
from serendip.model import names
from serendip.pipeline import How
from serendip.recipe import Recipe, sections


def test_kinds_and_splits_are_those_of_the_rooms_that_own_them() -> None:
    assert set(get_args(sections.TimeKind)) == set(get_args(schema.TimeKind))
    assert set(get_args(sections.LabelKind)) == set(get_args(schema.LabelKind))
    assert set(get_args(sections.SplitName)) == set(NAMES)
    assert get_args(sections.Merging) == get_args(How)


def test_the_default_models_exist() -> None:
    recipe = Recipe()
    assert {recipe.model.name, *(choice.name for choice in recipe.evaluate.compare)} <= set(names())


def test_reading_the_sections_imports_nothing_heavy() -> None:
    code = "import sys, serendip.recipe.sections; assert not {'numpy', 'polars', 'scipy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
