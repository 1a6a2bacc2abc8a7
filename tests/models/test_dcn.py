"""Crosses by a vector: worked out from what was learned, and learning what three fields say together."""

from __future__ import annotations

import numpy as np

from serendip.data import synthetic
from serendip.model import Run
from serendip.models.dcn import DCN
from serendip.types import ABSENT, Queries
from tests.models.fields import parity, right


def test_a_score_is_crosses_beside_layers() -> None:
    model = DCN(factors=3, epochs=2, hidden=4, layers=1, crosses=2)
    scorer = model.fit(synthetic.checkerboard(users=20, items=10), Run(threads=1)).lower()
    w = model.learned()
    assert w is not None
    items = w["items.ids.weight"][1:]
    first = np.concatenate([np.broadcast_to(items[[0, 4]].mean(axis=0), items.shape), items], axis=1)
    x = first
    for layer in ("parts.0.network.layers.0", "parts.0.network.layers.1"):
        x = first * (x @ w[f"{layer}.weight"]) + w[f"{layer}.bias"] + x
    crosses = x @ w["parts.0.tower.layers.0.weight"].T + w["parts.0.tower.layers.0.bias"]
    hidden = np.maximum(first @ w["parts.1.tower.layers.0.weight"].T + w["parts.1.tower.layers.0.bias"], 0)
    deep = hidden @ w["parts.1.tower.layers.3.weight"].T + w["parts.1.tower.layers.3.bias"]
    asked = Queries(np.array([ABSENT], np.int32), np.array([[0, 4]], np.int32))
    assert np.allclose(scorer.score(asked)[0], (crosses + deep)[:, 0] + w["bias"], atol=1e-5)


def test_crosses_learn_what_three_fields_say_together_where_the_layers_cannot() -> None:
    narrow = {"factors": 8, "hidden": 1, "layers": 1, "learning_rate": 0.05}
    assert right(parity(), "dcn", **narrow) > 0.95
    assert right(parity(), "wide_deep", **narrow) < 0.75
