"""An encoder by name."""

from __future__ import annotations

from typing import Any, Literal, get_args

from serendip.nn.sequence.bow import Bow
from serendip.nn.sequence.cnn import Cnn
from serendip.nn.sequence.encoder import Encoder
from serendip.nn.sequence.recurrent import Gru, Lstm
from serendip.nn.sequence.transformer import Transformer

Kind = Literal["bow", "cnn", "gru", "lstm", "transformer"]
_KINDS: dict[str, type[Encoder]] = {"bow": Bow, "cnn": Cnn, "gru": Gru, "lstm": Lstm, "transformer": Transformer}


def encoder(kind: Kind, dim: int, **options: Any) -> Encoder:
    """The encoder of that name.

    Args:
        kind: which.
        dim: of an event's vector.
        options: of its class, by name.

    Raises:
        ValueError: there is none of that name; whatever its class refuses.
    """
    if kind not in _KINDS:
        raise ValueError(f"An encoder must be one of {', '.join(get_args(Kind))}. Got {kind!r} instead.")
    return _KINDS[kind](dim, **options)
