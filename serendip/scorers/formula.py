"""A formula over what a network foretells of several tasks, as text: what makes one score of them.

``click * watch^0.5 - 3 * hide``

Numbers and tasks, ``+ - * / ^`` (or ``**``) that bind as in mathematics, parentheses, and the functions log, log1p,
exp, sqrt, min, max and clip(x, a, b).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.scorers.formula_text import MOST_CHARACTERS, MOST_DEPTH, Numbers, Operation, Step, read, sound
from serendip.types import Floats, SerendipError


@dataclass(frozen=True)
class Formula:
    """A score from several tasks' predictions; what has no finite value at some step cannot be scored.

    It is a plain value: its text and the tasks that there are, from which it can be read again.

    Attributes:
        text: as it was given.
        known: the tasks that it may read.
    """

    text: str
    known: tuple[str, ...]

    def __post_init__(self) -> None:
        _ = self.names  # reads the text

    @classmethod
    def of(cls, text: str, known: Iterable[str]) -> Formula:
        """The formula that the text says.

        Args:
            text: `MOST_CHARACTERS` at most, nested `MOST_DEPTH` deep at most.
            known: the tasks that it may read.

        Raises:
            SerendipError: the text is no formula, with the place in it; it reads a task or function that there is not,
                or no task at all; or a part of it has no finite value whatever the tasks say, as a division by 0.
        """
        return cls(text, tuple(known))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The tasks that it reads, in the order in which they first occur."""
        return tuple(dict.fromkeys(step for step in self._steps if isinstance(step, str)))

    def __call__(self, values: Mapping[str, NDArray[Any]]) -> Floats:
        """The scores, float32, of the common shape of the arrays that it reads; ``-inf`` where there is none.

        Each step is worked out in float64. A value that is not finite, given or come to at any step (a division by 0,
        the logarithm or the root of what has none, an overflow), makes the score ``-inf``, whatever follows.

        Args:
            values: numbers by task, of shapes that broadcast; tasks that it does not read may be left out.

        Raises:
            SerendipError: a task that it reads is missing.
            ValueError: the shapes do not broadcast.
        """
        lacking = [name for name in self.names if name not in values]
        if lacking:
            raise SerendipError(
                f"the formula {self.text!r} must be given a value of each task that it reads: {', '.join(self.names)}. "
                f"Got none of {', '.join(lacking)}."
            )
        with np.errstate(all="ignore"):
            given = {name: sound(np.asarray(values[name], np.float64)) for name in self.names}
            stack: list[Numbers] = []
            for step in self._steps:
                if isinstance(step, Operation):
                    taken = stack[-step.takes :]
                    del stack[-step.takes :]
                    stack.append(step.of(*taken))
                else:
                    stack.append(given[step] if isinstance(step, str) else np.asarray(step))
            score = stack.pop().astype(np.float32)
        return np.where(np.isfinite(score), score, np.float32(-np.inf))

    @cached_property
    def _steps(self) -> tuple[Step, ...]:
        return read(self.text, self.known)


__all__ = ["MOST_CHARACTERS", "MOST_DEPTH", "Formula"]
