"""Two evaluations to look at."""

from __future__ import annotations

import numpy as np
import pytest

from serendip.evaluate import Evaluation, evaluate, last_out
from tests.evaluate.logs import Known, log

METRICS = ("ndcg@5", "recall@5", "gini@5", "auc")


@pytest.fixture(scope="session")
def found() -> tuple[Evaluation, Evaluation]:
    """Two evaluations of one split: a scorer that knows most of the answers, and one that guesses."""
    rng = np.random.default_rng(0)
    rows = [(u, int(i), t, 1.0) for u in range(80) for t, i in enumerate(rng.permutation(60)[: 4 + u % 9])]
    split = last_out(log(rows, items=range(70)))
    guess = rng.random((split.train.n_users, split.train.n_items))
    knows = guess.copy()
    knows[split.known[split.truth.indptr[:-1] % 3 > 0], split.truth.items[split.truth.indptr[:-1] % 3 > 0]] = 2
    return (
        evaluate(Known(knows), split, METRICS, name="knows"),
        evaluate(Known(guess), split, METRICS, name="guesses", seed=0),
    )
