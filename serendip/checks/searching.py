"""What a model's declared search space must keep to, as in `serendip.checks.contract`."""

from __future__ import annotations

from typing import Any

import numpy as np

from serendip.checks.contract import Kind, expect
from serendip.model import describe
from serendip.space import Range
from serendip.types import SerendipError

DRAWS = 50


def search_space_is_accepted(model: Kind) -> None:
    """What a search may try are options, of their kind and within their bounds; a default is among it, or none."""
    options = {option.name: option for option in describe(model)}
    for name, part in model.space.items():
        expect(name in options, f"the search space must name options ({', '.join(options)}). Got {name!r}.")
        option = options[name]
        if isinstance(part, Range):
            whole = option.expected.startswith("int")
            expect(part.whole == whole, f"the range of {name} must have whole={whole}: the option is {option.type}.")
        inside = option.default is None or option.default in part
        expect(inside, f"the search space of {name} must hold its default {option.default!r}. Got {part}.")
        for value in part.samples:
            _accepted(model, {name: value})
    rng = np.random.default_rng(0)
    for _ in range(DRAWS):
        _accepted(model, {name: part.draw(rng) for name, part in model.space.items()})


def _accepted(model: Kind, options: dict[str, Any]) -> None:
    try:
        model(**options)
    except SerendipError as error:
        raise AssertionError(f"options of the search space must be accepted. Got {options}: {error}") from error
