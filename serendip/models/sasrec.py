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

from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from serendip.models._sequence import SequenceConfig, SequenceModel
from serendip.types import SerendipError

if TYPE_CHECKING:
    from serendip.nn.sequence.encoder import Encoder


class Options(SequenceConfig, frozen=True):
    """Options of `SASRec`."""

    blocks: Annotated[int, msgspec.Meta(ge=1, le=64, description="Blocks of attention.")] = 2
    heads: Annotated[int, msgspec.Meta(ge=1, le=64, description="Heads of attention; they share the factors.")] = 2
    hidden: Annotated[
        Annotated[int, msgspec.Meta(ge=1)] | None,
        msgspec.Meta(description="Numbers between the two layers of a block; none: as many as factors."),
    ] = None
    activation: Annotated[
        Literal["relu", "gelu", "swiglu"], msgspec.Meta(description="Between the two layers of a block.")
    ] = "relu"
    gated: Annotated[bool, msgspec.Meta(description="Whether what a block adds is gated by what it is added to.")] = (
        False
    )


class SASRec(SequenceModel):
    """A causal transformer over the history."""

    Config = Options
    config: Options
    summary = "Self-attention over the history in its order. Needs PyTorch to train."
    source = "Kang and McAuley, ICDM 2018; Klenitskiy and Vasilev, RecSys 2023"

    def encoder(self) -> Encoder:
        """The transformer."""
        from serendip.nn.sequence.transformer import Transformer

        o = self.config
        if o.factors % o.heads:
            raise SerendipError(
                f"{self.name}: factors must be a multiple of heads. Got {o.factors} and {o.heads} instead. "
                f"Try factors={o.heads * max(1, o.factors // o.heads)}."
            )
        return Transformer(
            o.factors,
            o.blocks,
            o.heads,
            o.length,
            o.dropout,
            hidden=o.hidden,
            activation=o.activation,
            gated=o.gated,
        )
