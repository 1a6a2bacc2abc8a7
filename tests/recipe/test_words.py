from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, inspect

from serendip.recipe.words import bare, wording


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (int, "a whole number"),
        (Annotated[int, Meta(ge=1, le=5)], "a whole number ≥ 1 and ≤ 5"),
        (Annotated[float, Meta(gt=0, lt=1)] | None, "a number > 0 and < 1"),
        (str | None, "text"),
        (bool, "true or false"),
        (Literal["b", "a"], 'one of "a", "b"'),
        (dict[str, float], "a table, each value a number"),
        (tuple[str, ...], "a list, each text"),
        (Annotated[tuple[int, ...], Meta(min_length=1)], "a list with at least one entry, each a whole number"),
        (str | tuple[str, ...], "text or a list, each text"),
    ],
)
def test_types_in_words(kind: Any, words: str) -> None:
    assert wording(inspect.type_info(kind)) == words


def test_descriptions_and_none_are_taken_off() -> None:
    kind = inspect.type_info(Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="x")])
    assert bare(kind) == inspect.IntType(ge=1)


def test_a_type_that_recipes_do_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="recipes have no keys of the type"):
        wording(inspect.type_info(bytes))
