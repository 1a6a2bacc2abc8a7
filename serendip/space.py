"""What a search may try: for each option a range of numbers or a few values."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from serendip.types import SerendipError

if TYPE_CHECKING:
    import numpy as np

DIGITS = 4
"""Significant digits of a drawn number: what is searched is written into recipes, and read by people."""
_KEYS = {"low", "high", "log", "whole"}


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from ``low`` to ``high``, both included.

    Attributes:
        low, high: the ends.
        log: whether orders of magnitude are equally likely, rather than numbers.
        whole: whether only whole numbers are meant.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        ends = f"{self.low!r} … {self.high!r}"
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise SerendipError(f"a range must go from a finite number up to a larger one. Got {ends} instead.")
        if self.log and self.low <= 0:
            raise SerendipError(f"a logarithmic range must begin above 0. Got {ends} instead. Leave out log.")
        if self.whole and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise SerendipError(f"a range of whole numbers must have whole ends. Got {ends} instead.")

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return self.low <= value <= self.high and (not self.whole or float(value).is_integer())

    def __str__(self) -> str:
        return f"{self.low:g} … {self.high:g}{', log' if self.log else ''}"

    @property
    def samples(self) -> tuple[float, float]:
        """Both ends."""
        return self.exact(self.low), self.exact(self.high)

    def exact(self, value: float) -> float:
        """The number of the range that stands for ``value``: whole, or with few digits."""
        if self.whole:
            return round(value)
        return float(min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high))

    def draw(self, rng: np.random.Generator) -> float:
        """A number at random."""
        if self.log:
            return self.exact(math.exp(rng.uniform(math.log(self.low), math.log(self.high))))
        return self.exact(rng.uniform(self.low, self.high))

    def plain(self) -> dict[str, Any]:
        """As a recipe writes it."""
        low, high = self.samples
        return {"low": low, "high": high, **({"log": True} if self.log else {})}


@dataclass(frozen=True, slots=True)
class OneOf:
    """A few values without an order; None stands for an option that is left open."""

    values: tuple[str | int | float | bool | None, ...]

    def __post_init__(self) -> None:
        if len(set(map(repr, self.values))) != len(self.values) or len(self.values) < 2:
            raise SerendipError(f"a choice must be of two different values or more. Got {list(self.values)} instead.")

    def __contains__(self, value: object) -> bool:
        return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in self.values)

    def __str__(self) -> str:
        return " | ".join("none" if value is None else str(value) for value in self.values)

    @property
    def samples(self) -> tuple[Any, ...]:
        """All of them."""
        return self.values

    def exact(self, value: Any) -> Any:
        """The value itself."""
        return value

    def draw(self, rng: np.random.Generator) -> Any:
        """One at random."""
        return self.values[int(rng.integers(len(self.values)))]

    def plain(self) -> list[Any]:
        """As a recipe writes it."""
        return list(self.values)


Space = Mapping[str, Range | OneOf]
"""What a search may try, by option."""


def declare(**parts: Range | OneOf) -> Space:
    """The space of these options, as models declare it."""
    return MappingProxyType(parts)


def parse(given: Mapping[str, Any], whole: Container[str] = ()) -> Space:
    """A space from plain values: ``{low = 1, high = 100, log = true}`` for a range, a list for a choice.

    Args:
        given: by option; values that are parts of a space already stay.
        whole: the options that are whole numbers, whose ranges need not say so.

    Raises:
        SerendipError: a value that is neither, or a range or choice that cannot be: which option, and what came.
    """
    return {name: _part(name, value, name in whole) for name, value in given.items()}


def _part(name: str, value: Any, whole: bool) -> Range | OneOf:
    if isinstance(value, Range | OneOf):
        return value
    try:
        if isinstance(value, list | tuple):
            return OneOf(tuple(value))
        if isinstance(value, Mapping) and {"low", "high"} <= set(value) <= _KEYS:
            low, high = value["low"], value["high"]
            if all(isinstance(end, int | float) and not isinstance(end, bool) for end in (low, high)):
                return Range(low, high, log=bool(value.get("log")), whole=whole or bool(value.get("whole")))
    except SerendipError as error:
        raise SerendipError(f"the search space of {name}: {error}") from error
    raise SerendipError(
        f"the search space of {name} must be a range, such as {{low = 1, high = 100, log = true}}, or a list of "
        f"values. Got {value!r} instead."
    )


def plain(space: Space) -> dict[str, Any]:
    """The inverse of `parse`, for files."""
    return {name: part.plain() for name, part in space.items()}


__all__ = ["OneOf", "Range", "Space", "declare", "parse", "plain"]
