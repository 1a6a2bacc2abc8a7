"""A factorisation machine scores by weights and pairs, worked out by hand from what it learned."""

from __future__ import annotations

import numpy as np

from serendip.data import synthetic
from serendip.model import Run
from serendip.models.fm import FM
from serendip.types import ABSENT, Queries


def test_a_score_is_weights_and_products_of_what_was_learned() -> None:
    data = synthetic.checkerboard(users=20, items=10)
    model = FM(factors=3, epochs=2)
    scorer = model.fit(data, Run(threads=1)).lower()
    learned = model.learned()
    assert learned is not None
    items, bias = learned["items.ids.weight"][1:], learned["bias"]
    history = items[[0, 4]].mean(axis=0)
    asked = Queries(np.array([ABSENT], np.int32), np.array([[0, 4]], np.int32))
    weights = history[-1] + items[:, -1]
    expected = bias + weights + items[:, :-1] @ history[:-1]
    assert np.allclose(scorer.score(asked)[0], expected, atol=1e-5)
