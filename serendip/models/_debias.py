"""Options of models of fields against the bias of logs: how much more an event counts that was seldom logged or seen.

What an event says of it is a label: something that training knows and nobody asks with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.neural import NeuralConfig
from serendip.types import Floats, SerendipError


class DebiasConfig(NeuralConfig, frozen=True):
    """Options that say what of a log's bias is made up for."""

    propensity: Annotated[
        str | None,
        msgspec.Meta(
            description="The label that says how probable it was that an event was logged, above 0 and at most 1: each "
            "counts 1 / that; none: all alike."
        ),
    ] = None
    position: Annotated[
        str | None,
        msgspec.Meta(
            description="The label that says at what place an event was shown, 1 being the first: what was taken up "
            "there counts place^position_power, as it was looked at so much less often; none: all alike."
        ),
    ] = None
    position_power: Annotated[
        float, msgspec.Meta(ge=0, le=4, description="How fast attention falls with the place; 0: not at all.")
    ] = 1.0
    most_weight: Annotated[
        float,
        msgspec.Meta(
            gt=0, description="Most that an event counts by propensity or position, which bounds the variance."
        ),
    ] = 100.0

    @property
    def biases(self) -> tuple[str, ...]:
        """The labels that are read against bias, and are none to learn."""
        return tuple(name for name in (self.propensity, self.position) if name is not None)


def against_bias(
    model: str, data: Dataset, options: DebiasConfig, rows: NDArray[np.int64], up: NDArray[np.bool_]
) -> Floats | None:
    """How much each of ``rows`` counts, as a multiple of their mean; None: all alike.

    Args:
        model: who asks, for errors.
        data: with the labels of the options.
        options: of the model.
        rows: ``[m]`` events.
        up: ``[m]`` which of them were taken up: a place says something of these alone.

    Raises:
        SerendipError: there is no such label, or it has values that are no propensity or place.
    """
    if not options.biases:
        return None
    from serendip.nn.losses.debias import inverse_propensity, position_propensity

    counts = np.ones(len(rows))
    if options.propensity is not None:
        known = _known(model, "propensity", options.propensity, data)[rows]
        counts *= _said(model, "propensity", inverse_propensity, known, most=options.most_weight, floor=1e-9)
    if options.position is not None:
        places = _known(model, "position", options.position, data)[rows[up]]
        looked_at = _said(model, "position", position_propensity, places, power=options.position_power)
        counts[up] *= inverse_propensity(looked_at, most=options.most_weight, floor=1e-9)
    share: Floats = (counts / counts.mean()).astype(np.float32)
    return share


def _known(model: str, option: str, label: str, data: Dataset) -> Floats:
    known = data.events.labels
    if label not in known:
        raise SerendipError(
            f"{model}: {option} must be one of the labels that the events have ({', '.join(known) or 'none'}). Got "
            f"{label!r} instead. Try to name the column in the recipe's data.labels."
        )
    return known[label]


def _said(model: str, option: str, weigh: Callable[..., Floats], values: Floats, **how: float) -> Floats:
    try:
        return weigh(values, **how)
    except SerendipError as error:
        raise SerendipError(f"{model}: {option}: {error}") from error
