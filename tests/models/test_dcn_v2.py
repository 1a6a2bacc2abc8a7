"""Crosses: worked out from what was learned, in every form, and what cannot be built is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serendip.data import synthetic
from serendip.model import Run
from serendip.models.dcn_v2 import DCNV2
from serendip.scorers import dump, restore
from serendip.scorers.crossed import crosses_of
from serendip.types import ABSENT, Queries, SerendipError
from tests.models.fields import FEW, log

DATA = synthetic.checkerboard(users=20, items=10)
SMALL: dict[str, Any] = {"factors": 3, "epochs": 2, "hidden": 4, "layers": 1}
ASKED = Queries(np.array([ABSENT], np.int32), np.array([[0, 4]], np.int32))


def test_a_stacked_network_is_crosses_below_layers() -> None:
    model = DCNV2(**SMALL, crosses=2, rank=2, structure="stacked")
    scorer = model.fit(DATA, Run(threads=1)).lower()
    w = model.learned()
    assert w is not None
    items = w["items.ids.weight"][1:]
    first = np.concatenate([np.broadcast_to(items[[0, 4]].mean(axis=0), items.shape), items], axis=1)
    x = first
    for layer in ("parts.0.network.layers.0", "parts.0.network.layers.1"):
        narrow = x @ w[f"{layer}.down.weight"].T
        x = first * (narrow @ w[f"{layer}.up.weight"].T + w[f"{layer}.up.bias"]) + x
    hidden = np.maximum(x @ w["parts.0.tower.layers.0.weight"].T + w["parts.0.tower.layers.0.bias"], 0)
    expected = hidden @ w["parts.0.tower.layers.3.weight"].T + w["parts.0.tower.layers.3.bias"]
    assert np.allclose(scorer.score(ASKED)[0], expected[:, 0] + w["bias"], atol=1e-5)


def test_crosses_of_several_experts_answer() -> None:
    scorer = DCNV2(**SMALL, rank=2, experts=3).fit(DATA, Run(threads=1)).lower()
    assert np.isfinite(scorer.score(ASKED)).all()


def test_experts_without_a_rank_are_refused() -> None:
    with pytest.raises(SerendipError, match=r"experts above 1 need a rank.* Try rank = 1\."):
        DCNV2(**SMALL, experts=2).fit(DATA, Run(threads=1))


def test_the_two_fields_that_decide_together_are_crossed_most() -> None:
    data = log(lambda user, item, moment: (user + moment) % 2)
    model = DCNV2(**{**FEW, "factors": 8, "hidden": 1, "layers": 1, "epochs": 20}).fit(data, Run(threads=1))
    found = model.crosses()
    assert found.names == ("side", "moment", "item") and found.strengths.shape == (3, 3)
    (one, other, most), (*_, second), _ = found.pairs()
    assert {one, other} == {"side", "moment"} and most > 1.2 * second
    w = model.learned()
    assert w is not None
    block = w["parts.0.network.layers.0.up.weight"][:8, 8:16]  # numbers of the first field by those of the second
    assert np.isclose(found.strengths[0, 1], np.sqrt(np.square(block).sum()), atol=1e-5)
    tensors, header = dump(model.lower())
    again = crosses_of("kept", restore(tensors, header))["kept"]
    assert again.names == found.names and np.array_equal(again.strengths, found.strengths)
    for wrong in ({"crosses": tensors["crosses"][:2]}, {"crosses": -tensors["crosses"]}):
        with pytest.raises(SerendipError, match="crosses must be"):
            restore({**tensors, **wrong}, header)
