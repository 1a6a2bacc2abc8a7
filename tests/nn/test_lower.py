from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from serendip.nn.embed import FeatureEmbedding, Table
from serendip.nn.lower import lower_towers
from serendip.nn.sequence.build import Kind, encoder
from serendip.nn.sequence.encoder import last
from serendip.nn.tower import Tower
from serendip.scorers import MaxSimScorer, TowerScorer, dump, restore
from serendip.scorers.feeds import Feed
from serendip.types import ABSENT, Input, Queries, SerendipError

N, D, T = 12, 8, 5
CODES = Feed("history", "history", T, N)
VECTORS = Feed("history", "history", T, vectors=True)
GENRE = Input("genre", "item", 3, 2, pooling="sum")
YEAR = Input("year", "item")


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class Sequence(nn.Module):
    """Histories of codes."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.table, self.encoder = Table(N, D, sparse=True), encoder(kind, D)
        self.tower = Tower(self.encoder.out, (), D)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        codes = inputs["history"]
        return self.tower(last(self.encoder(self.table(codes), codes >= 0), codes >= 0))


class Context(nn.Module):
    """Histories of vectors, with what users are and how events came about."""

    def __init__(self) -> None:
        super().__init__()
        self.user = FeatureEmbedding([Input("country", "user", 4, 0), Input("age", "user")], dim=4)
        self.kind = Table(3, D)
        self.tower = Tower(D + self.user.dim, (16,), D, 0.5)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        present = inputs["history.present"].float().unsqueeze(-1)
        events = (inputs["history"] + self.kind(inputs["kind"])) * present
        mean = events.sum(1) / present.sum(1).clamp(min=1)
        return self.tower(torch.cat([mean, self.user(inputs)], dim=1))


CONTEXT = (VECTORS, Feed("kind", "aligned", T, 3), Feed("country", "feature", 0, 4), Feed("age", "feature"))


class Item(nn.Module):
    def __init__(self, outputs: tuple[str, ...] = ("vector", "bias", "told")) -> None:
        super().__init__()
        self.features = FeatureEmbedding([GENRE, YEAR], dim=4)
        self.out = nn.ModuleDict({name: nn.Linear(self.features.dim, 1 if name == "bias" else D) for name in outputs})

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        x = self.features(inputs)
        return {name: layer(x).squeeze(-1) if name == "bias" else layer(x) for name, layer in self.out.items()}


def items(seed: int = 0) -> np.ndarray[Any, Any]:
    """Of item 1 nothing is known."""
    vectors = np.random.default_rng(seed).normal(size=(N, D)).astype(np.float32)
    vectors[1] = np.nan
    return vectors


def padded(history: list[int]) -> Tensor:
    kept = [code for code in history if 0 <= code < N and code != 1][-T:]
    return torch.tensor([[ABSENT] * (T - len(kept)) + kept])


HISTORIES = [[3], [0, 2, 4, 6, 8, 10, 11], [5, 5], [1, 7, 99, 9], list(range(12))]


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_encoder_of_histories_answers_as_in_training(kind: Kind) -> None:
    module = Sequence(kind).train()
    scorer = lower_towers(module, [CODES], items())
    assert module.training
    module.eval()
    got = scorer.score(Queries.of(HISTORIES))
    for row, history in enumerate(HISTORIES):
        with torch.no_grad():
            vector = module({"history": padded(history)}).numpy()[0]
        expected = np.where(np.isnan(items()[:, 0]), -np.inf, items() @ vector)
        np.testing.assert_allclose(got[row], expected, atol=1e-4)
        np.testing.assert_allclose(got[row], scorer.score(Queries.of([history]))[0], atol=1e-5)


def context_queries() -> Queries:
    queries = Queries.of([[3, 4], [0, 2, 4, 6, 8, 10, 11], [], [7]])
    kind = np.where(queries.history == ABSENT, ABSENT, queries.history % 3)
    features = {"country": np.array([1, 9, 2, ABSENT]), "age": np.array([0.5, np.nan, 2, np.nan])}
    return replace(queries, bags={"kind": kind}, features=features)


def test_vectors_aligned_bags_and_features_answer_as_in_training() -> None:
    module, told = Context(), torch.from_numpy(items(1)[:, :D])
    asked = context_queries()
    scorer = lower_towers(module, CONTEXT, items(), bias=np.arange(N), told=told, alone=True)
    assert isinstance(scorer, TowerScorer)
    present = torch.from_numpy(asked.history[:, -T:] != ABSENT)
    vectors = told[torch.from_numpy(asked.history[:, -T:]).long().clamp(min=0)]
    inputs = {
        "history": torch.where(present.unsqueeze(-1), vectors, 0.0),
        "history.present": present,
        "kind": torch.from_numpy(asked.bags["kind"][:, -T:]),
        "country": torch.from_numpy(np.where(asked.features["country"] > 3, ABSENT, asked.features["country"])),
        "age": torch.from_numpy(asked.features["age"]).float(),
    }
    with torch.no_grad():
        expected = module.eval()(inputs).numpy() @ items().T + np.arange(N)
    np.testing.assert_allclose(scorer.score(asked), np.where(np.isnan(expected), -np.inf, expected), atol=1e-4)
    unknown = scorer.score(Queries.of([[], [1]]))
    assert np.isneginf(unknown).all(), "nothing at all is known of them"


def test_an_item_network_gives_new_items_what_it_gives_in_training() -> None:
    module, told = Item(), items(1)
    scorer = lower_towers(
        Context(), CONTEXT, items(), bias=np.zeros(N), told=told, item=module,
        item_feeds=[Feed.feature(GENRE), Feed.feature(YEAR)],
    )  # fmt: skip
    features = {"genre": np.array([[0, 2], [1, ABSENT]]), "year": np.array([0.5, np.nan])}
    wider = restore(*dump(scorer.with_items(np.array([N, N + 1], np.int32), features)))
    assert isinstance(wider, TowerScorer)
    with torch.no_grad():
        found = module.eval()({name: torch.from_numpy(value) for name, value in features.items()})
    np.testing.assert_allclose(wider.items[N:, :D], found["vector"].numpy(), atol=1e-5)
    np.testing.assert_allclose(wider.items[N:, D], found["bias"].numpy(), atol=1e-5)
    np.testing.assert_allclose(wider.told[N:], found["told"].numpy(), atol=1e-5)


class Heads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = Table(N, 3 * D)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.table(inputs["history"]).sum(1).unflatten(1, (3, D))


def test_of_several_heads_the_nearest_counts() -> None:
    module = Heads().eval()
    scorer = lower_towers(module, [CODES], items())
    assert isinstance(scorer, MaxSimScorer)
    with torch.no_grad():
        vectors = module({"history": padded(HISTORIES[1])}).numpy()[0]
    expected = (items() @ vectors.T).max(axis=1)
    np.testing.assert_allclose(
        scorer.score(Queries.of([HISTORIES[1]]))[0], np.where(np.isnan(expected), -np.inf, expected), atol=1e-4
    )


class Tied(nn.Module):
    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return inputs["history"].sum(1) / inputs["history.present"].sum(1, keepdim=True).clamp(min=1)


def test_a_network_told_the_items_own_vectors_holds_none_of_them() -> None:
    scorer = lower_towers(Tied(), [VECTORS], items(), tied=True)
    assert isinstance(scorer, TowerScorer)
    assert scorer.query.size < 5000
    np.testing.assert_allclose(
        scorer.query_vectors(Queries.of([[0, 1, 2]]))[0], (items()[0] + items()[2]) / 2, atol=1e-5
    )


def test_with_no_items_known_nothing_is_scored() -> None:
    scorer = lower_towers(Sequence("bow"), [CODES], np.full((N, D), np.nan, np.float32))
    assert np.isneginf(scorer.score(Queries.of([[0, 1]]))).all()


def test_a_row_of_items_that_is_not_finite_cannot_be_scored() -> None:
    rows = items()
    rows[4, 2] = np.inf
    scorer = lower_towers(Sequence("bow"), [CODES], torch.from_numpy(rows), bias=np.where(np.arange(N) == 6, np.nan, 0))
    scores = scorer.score(Queries.of([[0]]))[0]
    np.testing.assert_array_equal(np.flatnonzero(np.isneginf(scores)), [1, 4, 6])


def test_vectors_of_half_precision_are_kept_in_single() -> None:
    half = torch.from_numpy(items()).bfloat16().requires_grad_()
    scorer = lower_towers(Sequence("bow"), [CODES], half)
    np.testing.assert_array_equal(scorer.items, half.detach().float().numpy())


def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"vector must be float32 of the shape \[any, 7\]"):
        lower_towers(Sequence("bow"), [CODES], items()[:, :7])
