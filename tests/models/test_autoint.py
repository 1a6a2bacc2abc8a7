"""Attention over fields: by itself it learns what three fields say together; layers beside it may be left out."""

from __future__ import annotations

import numpy as np

from serendip.data import synthetic
from serendip.model import Run
from serendip.models.autoint import AutoInt
from serendip.types import ABSENT, Queries
from tests.models.fields import parity, right


def test_attention_alone_learns_what_three_fields_say_together() -> None:
    assert right(parity(), "autoint", factors=8, layers=0) > 0.95


def test_a_score_is_attention_beside_layers() -> None:
    model = AutoInt(factors=3, epochs=2, hidden=4, layers=1, attentions=1, heads=1, head_dim=2)
    scorer = model.fit(synthetic.checkerboard(users=20, items=10), Run(threads=1)).lower()
    w = model.learned()
    assert w is not None
    items = w["items.ids.weight"][1:]
    x = np.stack([np.broadcast_to(items[[0, 4]].mean(axis=0), items.shape), items], axis=1)  # [n, 2, 3]
    q, k, v, kept = np.split(x @ w["parts.0.0.maps.weight"].T, 4, axis=2)
    weights = np.exp(q @ k.transpose(0, 2, 1))
    mixed = (weights / weights.sum(axis=2, keepdims=True)) @ v
    y = np.maximum(mixed + kept, 0).reshape(len(items), -1)
    attended = y @ w["parts.0.1.tower.layers.0.weight"].T + w["parts.0.1.tower.layers.0.bias"]
    first = x.reshape(len(items), -1)
    hidden = np.maximum(first @ w["parts.1.tower.layers.0.weight"].T + w["parts.1.tower.layers.0.bias"], 0)
    deep = hidden @ w["parts.1.tower.layers.3.weight"].T + w["parts.1.tower.layers.3.bias"]
    asked = Queries(np.array([ABSENT], np.int32), np.array([[0, 4]], np.int32))
    assert np.allclose(scorer.score(asked)[0], (attended + deep)[:, 0] + w["bias"], atol=1e-5)
