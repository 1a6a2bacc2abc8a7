"""NGCF: what answers from the history is what the module says of the users it was trained on."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from serendip.checks.cases import odd_log
from serendip.data.synthetic import checkerboard
from serendip.evaluate import evaluate
from serendip.evaluate.split import last_out
from serendip.model import Run
from serendip.models.ngcf import NGCF
from serendip.models.popular import Popular

DATA = odd_log()


@pytest.mark.parametrize("layers", [1, 3])
def test_what_answers_is_what_the_module_says(layers: int) -> None:
    model = NGCF(layers=layers, factors=8, dropout=0.5, loss="bpr")
    torch.manual_seed(0)
    net = model.build(DATA).eval().requires_grad_(False)
    users, items = (side.numpy() for side in net())
    scores = model.lowered(net, DATA).score(DATA.queries())
    known = np.isfinite(scores[0])
    busy = np.diff(DATA.matrix().indptr) > 0
    np.testing.assert_allclose(scores[busy][:, known], (users @ items.T)[busy][:, known], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", ["sampled_softmax", "bpr"])
def test_it_learns_the_checkerboard(loss: str) -> None:
    split = last_out(checkerboard())
    run = Run(threads=1)
    found, popular = (
        evaluate(model.fit(split.train, run), split, ("ndcg@10",)).mean("ndcg@10")
        for model in (NGCF(loss=loss, factors=8, layers=2, epochs=15), Popular())
    )
    assert found > 1.5 * popular
