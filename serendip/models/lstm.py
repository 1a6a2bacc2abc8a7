"""A recurrent network over a history: ``score = s_n · v_j`` with s_n what an LSTM has come to.

Every state predicts the item after it, by the cross-entropy over all items (or a sample, or gBCE).

Source: S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural Computation 1997; the LSTM encoder of the
TensorFlow Lite recommendation toolkit.

Deviation: items are read and ranked by the same vectors, unless ``tied`` is off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serendip.models._sequence import RecurrentConfig, SequenceModel

if TYPE_CHECKING:
    from serendip.nn.sequence.encoder import Encoder


class Options(RecurrentConfig, frozen=True):
    """Options of `LSTM`."""


class LSTM(SequenceModel):
    """Long short-term memory over the history."""

    Config = Options
    config: Options
    summary = "A recurrent network (LSTM) over the history in its order. Needs PyTorch to train."
    source = "Hochreiter and Schmidhuber, Neural Computation 1997; TensorFlow Lite recommendation toolkit"

    def encoder(self) -> Encoder:
        """The layers."""
        from serendip.nn.sequence.recurrent import Lstm

        o = self.config
        return Lstm(o.factors, o.hidden, o.layers, o.dropout)
