"""Weights and layers: a sum of both, which learns where a number counts and for whom, as weights alone do not."""

from __future__ import annotations

import numpy as np

from serendip.data import synthetic
from serendip.data.features.declared import Number
from serendip.model import Run
from serendip.models.wide_deep import WideDeep
from serendip.types import ABSENT, Queries
from tests.models.fields import SIDES, log, right


def test_a_score_is_weights_and_layers() -> None:
    model = WideDeep(factors=3, epochs=2, hidden=4, layers=1)
    scorer = model.fit(synthetic.checkerboard(users=20, items=10), Run(threads=1)).lower()
    w = model.learned()
    assert w is not None
    items = w["items.ids.weight"][1:]
    fields = np.stack([np.broadcast_to(items[[0, 4]].mean(axis=0), items.shape), items], axis=1)
    first = fields[:, :, :-1].reshape(len(items), -1)
    hidden = np.maximum(first @ w["parts.1.inner.tower.layers.0.weight"].T + w["parts.1.inner.tower.layers.0.bias"], 0)
    deep = hidden @ w["parts.1.inner.tower.layers.3.weight"].T + w["parts.1.inner.tower.layers.3.bias"]
    asked = Queries(np.array([ABSENT], np.int32), np.array([[0, 4]], np.int32))
    assert np.allclose(scorer.score(asked)[0], fields[:, :, -1].sum(axis=1) + deep[:, 0] + w["bias"], atol=1e-5)


def test_layers_learn_where_a_number_counts_and_for_whom() -> None:
    features = {**SIDES, "age": Number(side="user", powers=False)}
    data = log(lambda user, item, moment: (user + moment) % 2 == (abs(user - 9.5) < 5), features, age=list(range(20)))
    assert right(data, "wide_deep", factors=8, hidden=32) > 0.95
    assert right(data, "lr") < 0.75
