"""Convolutions over a history: ``score = s · v_j`` with s made of the largest that each kernel has found.

``c_r = max(0, K [x_{r−w+1} … x_r] + b)``,  ``s = W a( W₁ max_r c_r + b₁ ) + b``    with kernels of several widths w

Every state predicts the item after it, by the cross-entropy over all items (or a sample, or gBCE).

Source: the CNN encoder of the TensorFlow Lite recommendation toolkit; kernels over histories after J. Tang and K. Wang,
"Personalized top-N sequential recommendation via convolutional sequence embedding", WSDM 2018.

Deviation: kernels move by one event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from serendip.models._sequence import Hidden, SequenceConfig, SequenceModel

if TYPE_CHECKING:
    from serendip.nn.sequence.encoder import Encoder


class Options(SequenceConfig, frozen=True):
    """Options of `CNN`."""

    channels: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="What the kernels of each width find; none: as much as factors."),
    ] = None
    kernel: Annotated[
        int, msgspec.Meta(ge=1, le=64, description="Events that the widest kernels see; others see half as many, …, 1.")
    ] = 4
    hidden: Hidden = None


class CNN(SequenceModel):
    """Kernels of several widths, and the largest that each has found."""

    Config = Options
    config: Options
    summary = "Convolutions over the history in its order. Needs PyTorch to train."
    source = "TensorFlow Lite recommendation toolkit; Tang and Wang, WSDM 2018"
    synthetic = "checkerboard"

    def encoder(self) -> Encoder:
        """The kernels."""
        from serendip.nn.sequence.cnn import Cnn

        o = self.config
        widths = [o.kernel >> power for power in range(o.kernel.bit_length())]
        return Cnn(o.factors, o.channels, widths)

    def widths(self) -> tuple[int, ...]:
        """The one hidden layer, if there is one."""
        return () if self.config.hidden is None else (self.config.hidden,)
