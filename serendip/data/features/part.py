"""`Part`: one feature after it was fitted."""

from __future__ import annotations

from typing import Any, Protocol

from numpy.typing import NDArray

from serendip.data.features.declared import Declared
from serendip.data.features.values import Source
from serendip.types import Input, SerendipError

MOST_WIDE = 64
"""Of several values of a row, how many are kept where the recipe does not say."""

Arrays = dict[str, NDArray[Any]]


class Part(Protocol):
    """A feature after it was fitted; a frozen dataclass whose fields are all that it knows, so that it can be stored.

    Fields are arrays, plain values, and what `serendip.data.features.storing` names.
    """

    @property
    def name(self) -> str:
        """As declared."""
        ...

    @property
    def declared(self) -> Declared:
        """What was asked for."""
        ...

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The arrays that it becomes."""
        ...

    def apply(self, source: Source) -> Arrays:
        """The arrays of some rows, by the names of `inputs`.

        Raises:
            SerendipError: values of another type than in training.
        """
        ...


def fitted_width(name: str, declared: Any, widest: int) -> int:
    """How many values of a row are kept: 0 for one that is no list."""
    if not declared.multivalent:
        return 0
    return int(declared.width or min(max(widest, 1), MOST_WIDE))


def require(name: str, holds: bool, what: str) -> None:
    """Refuse a part that was read and is not sound.

    Raises:
        SerendipError: it does not hold.
    """
    if not holds:
        raise SerendipError(f"features.{name}: {what}.")
