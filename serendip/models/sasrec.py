"""Self-attention over a history: ``score = h_n · v_j`` with h_n the last state of a causal transformer.

``x_p = √d v_{i_p} + w_{n−1−p}``,  then blocks of ``x ← x + attention(norm(x))`` and ``x ← x + layers(norm(x))``

Every state predicts the item after it, by the cross-entropy over all items (or a sample, or gBCE). Items are read and
ranked by the same vectors.

Source: W.-C. Kang and J. McAuley, "Self-attentive sequential recommendation", ICDM 2018; with the loss over all items:
A. Klenitskiy and A. Vasilev, "Turning dross into gold loss: is BERT4Rec really better than SASRec?", RecSys 2023; gBCE:
A. Petrov and C. Macdonald, "gSASRec: Reducing overconfidence in sequential recommendation trained with negative
sampling", RecSys 2023.

Deviations: places count from the end of what is read; attention weights are not dropped out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serendip.models._sequence import AttentionConfig, SequenceModel, transformer

if TYPE_CHECKING:
    from serendip.nn.sequence.encoder import Encoder


class Options(AttentionConfig, frozen=True):
    """Options of `SASRec`."""


class SASRec(SequenceModel):
    """A causal transformer over the history."""

    Config = Options
    config: Options
    summary = "Self-attention over the history in its order. Needs PyTorch to train."
    source = "Kang and McAuley, ICDM 2018; Klenitskiy and Vasilev, RecSys 2023"

    def encoder(self) -> Encoder:
        """The transformer."""
        return transformer(self.name, self.config, causal=True)
