"""Golden replies notice another answer, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from serendip.bundle.errors import BundleError
from serendip.bundle.golden import COUNT, Golden, Reply, record, replay
from serendip.pipeline import first_of, retrieve
from serendip.scorers import Factors, StaticScores
from serendip.types import ABSENT, Floats, Queries, Recs, Stage

N = 40
VECTORS = np.random.default_rng(3).normal(size=(N, 6)).astype(np.float32)


def pipeline(vectors: Floats = VECTORS) -> Stage:
    popular = StaticScores(np.arange(N, dtype=np.float32))
    return first_of(
        retrieve(Factors(vectors, alpha0=0.1, reg=0.1, nu=1.0), name="als", k=5), retrieve(popular, name="popular")
    )


def test_the_queries_are_an_empty_history_single_items_and_longer_ones() -> None:
    golden = record(pipeline(), N)
    lengths = [len(reply.history) for reply in golden.replies]
    assert len(lengths) == COUNT
    assert lengths[0] == 0
    assert lengths[1:8] == [1] * 7
    assert min(lengths[8:]) > 1
    assert all(not set(reply.items) & set(reply.history) for reply in golden.replies)
    assert all(len(reply.items) == 10 for reply in golden.replies)


def test_the_replies_are_those_of_the_pipeline() -> None:
    golden = record(pipeline(), N)
    reply = golden.replies[20]
    asked = Queries.of([reply.history])
    recs = pipeline()(Queries(users=asked.users, history=asked.history, exclude=asked.history))
    assert reply.items == recs.items[0].tolist()
    assert reply.scores == pytest.approx(recs.scores[0].tolist(), abs=1e-5)
    assert reply.sources == ["als"] * 5 + ["popular"] * 5


def test_they_are_the_same_every_time_and_survive_json() -> None:
    golden = record(pipeline(), N)
    assert record(pipeline(), N) == golden
    assert msgspec.json.decode(msgspec.json.encode(golden), type=Golden) == golden


def test_an_unchanged_pipeline_passes() -> None:
    replay(pipeline(), record(pipeline(), N))
    replay(pipeline(VECTORS + np.float32(1e-7)), record(pipeline(), N))


def test_a_changed_pipeline_does_not() -> None:
    vectors = VECTORS.copy()
    vectors[:, 0] += 0.05
    with pytest.raises(
        BundleError,
        match=r"does not answer as it did when it was built: golden query \d+ .*Expected \[.*; got \[.*Try: ",
    ):
        replay(pipeline(vectors), record(pipeline(), N))


def test_an_empty_catalogue_has_one_golden_reply() -> None:
    stage = retrieve(StaticScores(np.zeros(0, np.float32)), name="none")
    golden = record(stage, 0)
    assert golden.replies == [Reply([], [], [], [])]
    replay(stage, golden)


EXPECTED = Reply([], [1, 2, 3, 4, 5, 6], [9, 8, 8, 7, 3, 3], ["a", "a", "a", "a", "b", "b"])


def answers(items: list[int], scores: list[float], sources: list[str]) -> Stage:
    def stage(queries: Queries, recs: Recs | None = None) -> Recs:
        row = np.array([items], np.int32)
        return Recs(row, np.array([scores], np.float32), {"source": np.array([sources])})

    return stage


@pytest.mark.parametrize(
    ("items", "scores"),
    [
        (EXPECTED.items, EXPECTED.scores),
        ([1, 3, 2, 4, 5, 6], EXPECTED.scores),
        ([1, 2, 3, 4, 6, 5], EXPECTED.scores),
        (EXPECTED.items, [9.0008, 8.0007, 7.9993, 7, 3, 2.9998]),
        ([1, 2, 3, 30, 5, 6], EXPECTED.scores),
        ([1, 2, 3, 4, 40, 5], EXPECTED.scores),
    ],
    ids=["same", "a tie", "a tie of the second source", "rounding", "another at the cut", "another at the second cut"],
)
def test_the_order_is_free_among_equals(items: list[int], scores: list[float]) -> None:
    replay(answers(items, scores, EXPECTED.sources), Golden(6, [EXPECTED]))


@pytest.mark.parametrize(
    ("items", "scores", "sources", "why"),
    [
        ([1, 2, 3, 4, 5, ABSENT], [9, 8, 8, 7, 3, 0], EXPECTED.sources, "has 5 items instead of 6"),
        (EXPECTED.items, [9, 8, 8, 7, 3, 3.01], EXPECTED.sources, "has other scores"),
        (EXPECTED.items, EXPECTED.scores, ["a", "a", "a", "b", "b", "b"], "takes items from other sources"),
        ([2, 1, 3, 4, 5, 6], EXPECTED.scores, EXPECTED.sources, "has item 2 in another place"),
        ([1, 2, 30, 4, 5, 6], EXPECTED.scores, EXPECTED.sources, "has item 30, which is new"),
        ([1, 2, 2, 4, 5, 6], EXPECTED.scores, EXPECTED.sources, "repeats an item"),
    ],
)
def test_a_difference_is_named(items: list[int], scores: list[float], sources: list[str], why: str) -> None:
    with pytest.raises(BundleError, match=f"golden query 0 {why}"):
        replay(answers(items, scores, sources), Golden(6, [EXPECTED]))


def test_a_pipeline_without_sources_has_empty_ones() -> None:
    stage: Callable[..., Recs] = lambda queries, recs=None: Recs(  # noqa: E731
        np.zeros((len(queries), 1), np.int32), np.ones((len(queries), 1), np.float32)
    )
    assert record(stage, 1).replies[0].sources == [""]
