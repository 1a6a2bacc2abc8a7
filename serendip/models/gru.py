"""A recurrent network over a history: ``score = s_n · v_j`` with s_n what a GRU has come to.

Every state predicts the item after it, by the cross-entropy over all items (or a sample, or gBCE).

Source: B. Hidasi, A. Karatzoglou, L. Baltrunas and D. Tikk, "Session-based recommendations with recurrent neural
networks", ICLR 2016; with the loss over all items: A. Petrov and C. Macdonald, "A systematic review and replicability
study of BERT4Rec for sequential recommendation", RecSys 2022.

Deviation: items are read and ranked by the same vectors, unless ``tied`` is off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serendip.models._sequence import RecurrentConfig, SequenceModel

if TYPE_CHECKING:
    from serendip.nn.sequence.encoder import Encoder


class Options(RecurrentConfig, frozen=True):
    """Options of `GRU`."""


class GRU(SequenceModel):
    """Gated recurrent units over the history."""

    Config = Options
    config: Options
    summary = "A recurrent network (GRU) over the history in its order. Needs PyTorch to train."
    source = "Hidasi et al., ICLR 2016"

    def encoder(self) -> Encoder:
        """The layers."""
        from serendip.nn.sequence.recurrent import Gru

        o = self.config
        return Gru(o.factors, o.hidden, o.layers, o.dropout)
