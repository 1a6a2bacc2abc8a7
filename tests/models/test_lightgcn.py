"""LightGCN: what answers is what was learned, by the equation written out; new events and new users are followed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from serendip.checks.cases import odd_log
from serendip.data.synthetic import checkerboard
from serendip.evaluate import evaluate
from serendip.evaluate.split import last_out
from serendip.model import Run
from serendip.models.lightgcn import LightGCN
from serendip.models.popular import Popular
from serendip.types import Queries

DATA = odd_log()


def dense_answer(net: Any, layers: int) -> np.ndarray:
    """The scores ``[users, items]`` of the mean over layers, from the whole adjacency written out."""
    taken = (DATA.matrix().toarray() > 0).astype(np.float64)
    users, items = taken.shape
    whole = np.block([[np.zeros((users, users)), taken], [taken.T, np.zeros((items, items))]])
    degree = whole.sum(axis=1)
    root = np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    step = root[:, None] * whole * root
    vectors = [torch.cat([net.users, net.items]).detach().double().numpy()]
    for _ in range(layers):
        vectors.append(step @ vectors[-1])
    mean = np.mean(vectors, axis=0)
    return np.asarray(mean[:users] @ mean[users:].T)


@pytest.mark.parametrize("layers", [1, 3])
def test_what_answers_is_the_mean_over_layers(layers: int) -> None:
    model = LightGCN(layers=layers, factors=8, loss="bpr")
    torch.manual_seed(0)
    net = model.build(DATA)
    scorer = model.lowered(net.eval().requires_grad_(False), DATA)
    queries = DATA.queries()
    scores = scorer.score(queries)
    known = np.isfinite(scores[0])
    expected = dense_answer(net, layers)
    busy = np.diff(DATA.matrix().indptr) > 0
    np.testing.assert_allclose(scores[busy][:, known], expected[busy][:, known], rtol=1e-4, atol=1e-6)


def test_softmax_lists_are_ranked_by_cosines_and_popularity() -> None:
    model = LightGCN(factors=8, temperature=0.2, output_power=0.5)
    torch.manual_seed(0)
    net = model.build(DATA)
    scores = model.lowered(net.eval().requires_grad_(False), DATA).score(DATA.queries())
    users, items = (side.detach().double().numpy() for side in net.graph.mean(net.users, net.items, 3))
    busy, known = np.diff(DATA.matrix().indptr) > 0, np.isfinite(scores[0])
    counts = np.bincount(DATA.matrix().indices, minlength=DATA.n_items)
    with np.errstate(divide="ignore", invalid="ignore"):
        cosines = users @ items.T / np.linalg.norm(users, axis=1)[:, None] / np.linalg.norm(items, axis=1)
        expected = cosines + 0.2 * 0.5 * np.log(counts)
    np.testing.assert_allclose(scores[busy][:, known], expected[busy][:, known], atol=1e-5)


@pytest.mark.parametrize("loss", ["sampled_softmax", "bpr"])
@pytest.mark.parametrize("init", ["svd", "normal"])
def test_it_learns_the_checkerboard(loss: str, init: str) -> None:
    split = last_out(checkerboard())
    run = Run(threads=1)
    found, popular = (
        evaluate(model.fit(split.train, run), split, ("ndcg@10",)).mean("ndcg@10")
        for model in (LightGCN(loss=loss, init=init, factors=8, epochs=15), Popular())
    )
    assert found > 1.5 * popular


def test_new_events_count_at_once() -> None:
    model = LightGCN(factors=8, epochs=10).fit(DATA, Run(threads=1))
    plain, more = model.score(Queries.of([[0, 2]])), model.score(Queries.of([[0, 2, 4]]))
    assert (plain != more)[np.isfinite(plain)].all()
    same_taste = np.nanmean(np.where(np.arange(24) % 2 == 0, plain[0, :24], np.nan))
    other_taste = np.nanmean(np.where(np.arange(24) % 2 == 1, plain[0, :24], np.nan))
    assert same_taste > other_taste


def test_training_lowers_the_loss_of_both_kinds() -> None:
    for loss in ("sampled_softmax", "bpr"):
        log: list[float] = []
        LightGCN(loss=loss, init="normal", factors=8, epochs=10).fit(
            DATA, Run(threads=1, log=lambda one, log=log: log.append(one["loss"]))
        )
        assert log[-1] < log[0]
