"""An encoder by name."""

from __future__ import annotations

import pytest

from serendip.nn.sequence.build import encoder
from serendip.nn.sequence.cnn import Cnn
from serendip.nn.sequence.recurrent import Lstm


def test_options_reach_the_class() -> None:
    net = encoder("cnn", 4, channels=3, widths=(1, 5))
    assert isinstance(net, Cnn)
    assert (net.widths, net.out) == ((1, 5), 6)
    assert isinstance(encoder("lstm", 4), Lstm)


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(ValueError, match=r"must be one of bow, cnn, gru, lstm, transformer\. Got 'mamba' instead"):
        encoder("mamba", 4)  # type: ignore[arg-type]
