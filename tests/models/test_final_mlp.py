"""Two streams, multiplied: of a few numbers each they learn what three fields say together; heads share the numbers."""

from __future__ import annotations

import pytest

from serendip.data import synthetic
from serendip.model import Run
from serendip.models.final_mlp import FinalMLP
from serendip.types import SerendipError
from tests.models.fields import parity, right


def test_streams_of_four_numbers_learn_what_three_fields_say_together() -> None:
    few = {"factors": 8, "hidden": 4, "layers": 1, "learning_rate": 0.05}
    assert right(parity(), "final_mlp", **few) > 0.95


def test_heads_that_cannot_share_the_numbers_are_refused() -> None:
    with pytest.raises(SerendipError, match=r"heads of a bilinear fusion must divide .*Got 3 heads instead\."):
        FinalMLP(heads=3).fit(synthetic.checkerboard(users=20, items=10), Run(threads=1))
