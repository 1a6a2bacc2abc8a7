"""A history as a bag: ``score = s · v_j`` with s made of the mean of the latest events' vectors.

``s = W a( W₁ m + b₁ ) + b``,  ``m = mean of the last w vectors``

Every mean predicts the item after it, by the cross-entropy over all items (or a sample, or gBCE).

Source: P. Covington, J. Adams and E. Sargin, "Deep neural networks for YouTube recommendations", RecSys 2016; the BOW
encoder of the TensorFlow Lite recommendation toolkit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from serendip.models._sequence import Hidden, SequenceConfig, SequenceModel

if TYPE_CHECKING:
    from serendip.nn.sequence.encoder import Encoder


class Options(SequenceConfig, frozen=True):
    """Options of `BOW`."""

    window: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="w: how many of the latest events a mean is of; none: all that are read."),
    ] = 10
    hidden: Hidden = None


class BOW(SequenceModel):
    """The mean of the latest events."""

    Config = Options
    config: Options
    summary = "The mean of the latest events' vectors, and layers over it. Needs PyTorch to train."
    source = "Covington et al., RecSys 2016; TensorFlow Lite recommendation toolkit"
    synthetic = "checkerboard"

    def encoder(self) -> Encoder:
        """The mean."""
        from serendip.nn.sequence.bow import Bow

        return Bow(self.config.factors, self.config.window)

    def widths(self) -> tuple[int, ...]:
        """The one hidden layer, if there is one."""
        return () if self.config.hidden is None else (self.config.hidden,)
