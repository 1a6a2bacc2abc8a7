"""Which events an epoch learns from, and how much each counts: options that models of events and sequences share."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.data.sample import capped
from serendip.types import Floats, SerendipError

Codes = NDArray[np.int64]

PerUser = Annotated[
    Annotated[int, msgspec.Meta(ge=1)] | None,
    msgspec.Meta(description="Most events of a user that an epoch learns to foretell, drawn anew for each; none: all."),
]
Strength = Literal["auto", "binary", "weight"]
Weight = Annotated[
    Strength,
    msgspec.Meta(
        description="How much an event counts that is learned to be foretold: binary (1), weight (its weight, as a "
        "multiple of their mean), or auto (weight where the log's kinds of events have weights, else binary)."
    ),
]


Foretell = Annotated[
    Literal["all", "target"],
    msgspec.Meta(
        description="What is learned to be foretold: every event with interest, or those of the target alone, the "
        "others being read."
    ),
]


def foretold(data: Dataset, what: str) -> NDArray[np.bool_]:
    """``[m]`` which events are learned to be foretold, by the option.

    Raises:
        SerendipError: those of the target, and there are none.
    """
    if what == "all":
        return data.events.weight > 0
    if not data.wanted.any():
        kinds = ", ".join(data.schema.target) or "all kinds"
        raise SerendipError(
            f"foretell = target needs events of the target ({kinds}) with a weight above 0. The data have none. "
            "Try a log that holds some, or another target."
        )
    return data.wanted


def drawn(rows: Codes, users: NDArray[np.integer], most: int | None, rng: np.random.Generator) -> Codes:
    """The rows an epoch learns from, rising: all of them, or of each user as many as there may be.

    Args:
        rows: of events, rising.
        users: ``[m]`` of all events, whose each is.
        most: of a user, or None.
        rng: the source of chance; it is left alone where nothing is to be drawn.
    """
    return rows if most is None else rows[capped(users[rows], most, rng)]


def chances(users: NDArray[np.integer], most: int | None) -> NDArray[np.float64]:
    """``[m]`` how probable it is that an epoch learns from each of these events, given whose they are."""
    if most is None or not len(users):
        return np.ones(len(users))
    found: NDArray[np.float64] = np.minimum(1.0, most / np.bincount(users)[users])
    return found


def weights_of(data: Dataset, rows: Codes, strength: Strength) -> Floats | None:
    """How much each of these events counts, 1 in the mean, by the option; None where all count alike."""
    weight = data.events.weight[rows]
    binary = strength == "binary" or (strength == "auto" and not data.schema.event_weights)
    if binary or not len(weight) or (weight == weight[0]).all():
        return None
    return np.asarray(weight / weight.mean(dtype=np.float64), np.float32)
