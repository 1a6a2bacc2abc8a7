"""What the graph models share: batches that hold every pair once, negatives, and the first vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from serendip.checks.cases import odd_log
from serendip.models._graph import GraphConfig, Groups, answer, batches_of, groups, start, triples
from serendip.nn.graph import GraphEmbedding
from serendip.types import SerendipError

MATRIX = odd_log().matrix()


def pairs() -> set[tuple[int, int]]:
    rows = np.repeat(np.arange(MATRIX.shape[0]), np.diff(MATRIX.indptr))
    return set(zip(rows.tolist(), MATRIX.indices.tolist(), strict=True))


def test_groups_hold_every_pair_once() -> None:
    made = list(groups(MATRIX, 40, 7, 0.0, np.random.default_rng(0)))
    assert len(made) > 3
    seen = []
    for batch in made:
        assert len(batch.candidates) == 7
        rows = np.repeat(batch.users, np.diff(batch.positives.indptr))
        seen += list(zip(rows.tolist(), batch.positives.indices.tolist(), strict=True))
        assert batch.positives.nnz < 80
    assert len(seen) == len(set(seen))
    assert set(seen) == pairs()


def test_negatives_are_drawn_by_popularity() -> None:
    counts = np.bincount(MATRIX.indices, minlength=MATRIX.shape[1]).astype(float)
    for power in (0.0, 1.0):
        (batch,) = groups(MATRIX, 10**6, 200_000, power, np.random.default_rng(0))
        share = np.bincount(batch.candidates, minlength=len(counts)) / len(batch.candidates)
        expected = np.where(counts > 0, counts**power, 0)
        np.testing.assert_allclose(share, expected / expected.sum(), atol=0.005)


def test_triples_hold_every_pair_once_with_an_item_that_was_not_taken() -> None:
    made = list(triples(MATRIX, 50, np.random.default_rng(0)))
    seen = [pair for batch in made for pair in zip(batch.users.tolist(), batch.items.tolist(), strict=True)]
    assert len(seen) == len(pairs())
    assert set(seen) == pairs()
    others = {pair for batch in made for pair in zip(batch.users.tolist(), batch.others.tolist(), strict=True)}
    assert not others & pairs()
    drawn = np.concatenate([batch.others for batch in made])
    assert np.bincount(MATRIX.indices, minlength=MATRIX.shape[1])[drawn].all()


def test_the_loss_decides_the_batches() -> None:
    kinds = {
        loss: type(next(iter(batches_of(MATRIX, GraphConfig(loss=loss), np.random.default_rng(0))))).__name__
        for loss in ("sampled_softmax", "bpr")
    }
    assert kinds == {"sampled_softmax": "Groups", "bpr": "Triples"}


def test_the_first_vectors_span_what_the_graph_has_in_common() -> None:
    torch.manual_seed(0)
    net = GraphEmbedding(MATRIX, 4)
    start(net, GraphConfig(factors=4))
    exact = np.linalg.svd(net.graph.to_users.toarray().astype(np.float64), full_matrices=False)
    made = net.users.detach().numpy() @ net.items.detach().numpy().T
    best = (exact[0][:, :4] * exact[1][:4]) @ exact[2][:4]
    np.testing.assert_allclose(made / np.linalg.norm(made), best / np.linalg.norm(best), atol=1e-3)
    both = torch.cat([net.users, net.items]).detach()
    assert abs(float(both.square().mean().sqrt()) - 0.1) < 1e-4


def test_a_users_pairs_weigh_less_the_more_there_are() -> None:
    config = GraphConfig(user_power=0.5, batch_size=10**6)
    (batch,) = batches_of(MATRIX, config, np.random.default_rng(0))
    assert isinstance(batch, Groups)
    counts = np.diff(batch.positives.indptr)
    np.testing.assert_allclose(batch.positives.sum(axis=1), counts**0.5, rtol=1e-5)


def test_vectors_that_ran_away_are_refused() -> None:
    matrix = odd_log().matrix()
    last = np.ones((matrix.shape[1], 2), np.float32)
    assert np.isfinite(answer(matrix, last, GraphConfig())["bias"]).all()
    last[0, 1] = np.nan
    with pytest.raises(SerendipError, match=r"learning_rate must be small enough .* Got 7 instead\. Try a tenth"):
        answer(matrix, last, GraphConfig(learning_rate=7))
