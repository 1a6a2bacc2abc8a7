"""Stages: who is asked for what, and that nothing forbidden is ever shown."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serendip.pipeline import chain, first_of, lists, retrieve, retrievers
from serendip.types import ABSENT, Embedder, Floats, Ids, Queries, Recs, SerendipError, pack_mask


@dataclass
class Table:
    """Answers row ``users[r]`` of a table of scores; a user who is not in it knows nothing."""

    scores: Floats
    rows_asked: list[int] = field(default_factory=list)

    @property
    def n_items(self) -> int:
        return int(self.scores.shape[1])

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        self.rows_asked.append(len(queries))
        known = (queries.users >= 0) & (queries.users < len(self.scores))
        return np.where(known[:, None], self.scores[np.where(known, queries.users, 0)], -np.inf).astype(np.float32)


class Vectors:
    """An embedder: the query's vector is the mean of its history's; without one it is unknown."""

    def __init__(self, vectors: Floats, delay: float = 0) -> None:
        self.vectors, self.delay, self.built = vectors, delay, 0

    @property
    def n_items(self) -> int:
        return len(self.vectors)

    def item_vectors(self) -> Floats:
        self.built += 1
        time.sleep(self.delay)
        return self.vectors

    def query_vectors(self, queries: Queries) -> Floats:
        held = queries.history != ABSENT
        total = np.where(held[..., None], self.vectors[queries.history], 0).sum(axis=1)
        count = held.sum(axis=1)[:, None]
        return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        raise AssertionError("an embedder is searched through its vectors")


@dataclass
class Spy:
    """A stage that notes what it is asked and passes it on."""

    stage: Callable[[Queries], Recs]
    asked: list[Queries] = field(default_factory=list)

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        self.asked.append(queries)
        return self.stage(queries)


def people(q: int, k: int = 3, exclude: Sequence[Sequence[int]] | None = None, allow: Any = None) -> Queries:
    shut = None if exclude is None else Queries.of(exclude).history
    return replace(Queries.of([[]] * q, users=range(q), k=k), exclude=shut, allow=allow)


def scores(rows: Sequence[Sequence[float]]) -> Table:
    return Table(np.array(rows, np.float32))


NO = -np.inf


def test_a_retriever_names_the_best_items_and_itself() -> None:
    recs = retrieve(scores([[1, 5, 3, NO], [NO, NO, 2, NO]]), name="a")(people(2))
    assert recs.items.tolist() == [[1, 2, 0], [2, ABSENT, ABSENT]]
    assert recs.scores.tolist() == [[5, 3, 1], [2, NO, NO]]
    assert recs.columns["source"].tolist() == [["a", "a", "a"], ["a", "", ""]]
    assert recs.notes == ()


def test_its_own_k_comes_before_the_query_s_and_the_catalogue_bounds_both() -> None:
    table = scores([[1, 5, 3, 4]])
    assert retrieve(table, name="a", k=2)(people(1)).items.tolist() == [[1, 3]]
    assert retrieve(table, name="a")(people(1, k=99)).items.tolist() == [[1, 3, 2, 0]]
    assert retrieve(table, name="a", k=99)(people(1)).items.shape == (1, 4)


def test_an_item_that_scores_nan_or_infinity_is_not_shown() -> None:
    assert retrieve(scores([[np.nan, 1, np.inf]]), name="a")(people(1)).items.tolist() == [[1, ABSENT, ABSENT]]


@st.composite
def situations(draw: st.DrawFn) -> tuple[Floats, Floats, Queries]:
    """Two tables of scores with gaps, and queries with exclusions and allowed items."""
    q, n = draw(st.integers(1, 4)), draw(st.integers(1, 9))
    score = st.sampled_from([NO, 0.0, 1.0, 2.0, 3.0])
    tables = [
        np.array(draw(st.lists(st.lists(score, min_size=n, max_size=n), min_size=q, max_size=q)), np.float32)
        for _ in range(2)
    ]
    exclude = draw(st.none() | st.lists(st.lists(st.integers(0, n - 1), max_size=n), min_size=q, max_size=q))
    rows = draw(st.sampled_from([0, 1, q]))
    mask = draw(st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=rows, max_size=rows))
    allow = pack_mask(np.array(mask, bool)) if rows else None
    return tables[0], tables[1], people(q, draw(st.integers(1, n + 1)), exclude, allow)


def may_show(queries: Queries, row: int, n: int) -> list[int]:
    """The items that a query allows and does not exclude, by plain Python."""
    shut = set() if queries.exclude is None else set(queries.exclude[row].tolist())
    bits = None if queries.allow is None else queries.allow[0 if len(queries.allow) == 1 else row]
    return [i for i in range(n) if i not in shut and (bits is None or bits[i // 8] >> (i % 8) & 1)]


def best(table: Floats, queries: Queries, row: int) -> list[int]:
    may = [item for item in may_show(queries, row, table.shape[1]) if table[row, item] > NO]
    return sorted(may, key=lambda item: (-table[row, item], item))


def shown(recs: Recs, row: int) -> list[int]:
    return [int(item) for item in recs.items[row] if item != ABSENT]


@given(situations())
def test_a_retriever_agrees_with_sorting_by_hand(situation: tuple[Floats, Floats, Queries]) -> None:
    table, _, queries = situation
    recs = retrieve(Table(table), name="a")(queries)
    for row in range(len(queries)):
        assert shown(recs, row) == best(table, queries, row)[: queries.k]
    empty = [row for row in range(len(queries)) if not shown(recs, row)]
    shut = [row for row in empty if not may_show(queries, row, table.shape[1])]
    q = len(queries)
    expected = [
        f"a: every item is listed already, excluded or not allowed for {len(shut)} of {q} queries",
        f"a: no item can be scored for {len(empty) - len(shut)} of {q} queries",
    ]
    assert list(recs.notes) == [
        note for note, count in zip(expected, (len(shut), len(empty) - len(shut)), strict=True) if count
    ]


@given(situations())
def test_first_of_fills_each_list_from_the_next_stage(situation: tuple[Floats, Floats, Queries]) -> None:
    one, two, queries = situation
    recs = first_of(retrieve(Table(one), name="one"), retrieve(Table(two), name="two"))(queries)
    for row in range(len(queries)):
        head = best(one, queries, row)[: queries.k]
        tail = [item for item in best(two, queries, row) if item not in head][: queries.k - len(head)]
        assert shown(recs, row) == head + tail
        sources = recs.columns["source"][row].tolist()
        assert sources == ["one"] * len(head) + ["two"] * len(tail) + [""] * (recs.items.shape[1] - len(head + tail))
        given_scores = [one[row, item] for item in head] + [two[row, item] for item in tail]
        assert recs.scores[row, : len(given_scores)].tolist() == given_scores


@given(situations())
def test_a_batch_answers_as_its_queries_one_by_one(situation: tuple[Floats, Floats, Queries]) -> None:
    one, two, queries = situation
    stage = first_of(retrieve(Table(one), name="one", k=2), retrieve(Table(two), name="two"))
    together = stage(queries)
    for row in range(len(queries)):
        alone = stage(queries.take(np.array([row])))
        assert shown(alone, 0) == shown(together, row)


def test_an_embedder_is_searched_by_its_vectors() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(50, 8)).astype(np.float32)
    vectors[7] = np.nan
    scorer = Vectors(vectors)
    assert isinstance(scorer, Embedder)
    histories = [[1, 2], [], [3]]
    queries = replace(Queries.of(histories, k=4), exclude=Queries.of(histories).history)
    recs = retrieve(scorer, name="v")(queries)
    for row, history in enumerate(histories):
        if not history:
            assert shown(recs, row) == []
            continue
        with np.errstate(invalid="ignore"):
            scored = vectors @ vectors[history].mean(axis=0)
        scored[[7, *history]] = NO
        assert shown(recs, row) == np.argsort(-scored, kind="stable")[:4].tolist()
    assert recs.notes == ("v: no item can be scored for 1 of 3 queries",)


def test_the_index_is_built_once_whichever_threads_ask() -> None:
    scorer = Vectors(np.eye(4, dtype=np.float32), delay=0.05)
    stage = retrieve(scorer, name="v")
    answers: list[list[int]] = []
    threads = [
        threading.Thread(target=lambda: answers.append(shown(stage(Queries.of([[2]], k=1)), 0))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[2]] * 8
    assert scorer.built == 1


def test_scores_are_computed_in_blocks_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(np.random.default_rng(0).normal(size=(11, 16)).astype(np.float32))
    queries = people(11, exclude=[[row] for row in range(11)], allow=pack_mask(np.arange(16) > 2))
    whole = retrieve(table, name="a")(queries)
    monkeypatch.setattr(lists, "BLOCK_BYTES", 3 * 16 * 4)
    table.rows_asked.clear()
    blocks = retrieve(table, name="a")(queries)
    assert table.rows_asked == [3, 3, 3, 2]
    assert blocks.items.tolist() == whole.items.tolist()
    assert blocks.scores.tolist() == whole.scores.tolist()


def test_a_retriever_appends_to_the_lists_it_is_given() -> None:
    given_lists = Recs(np.array([[3, 1], [0, ABSENT]], np.int32), np.array([[9, 8], [7, NO]], np.float32))
    stage = retrieve(scores([[1, 9, 2, 9], [9, NO, 2, 1]]), name="a", k=2)
    recs = stage(people(2, exclude=[[1], []]), given_lists)
    assert [shown(recs, row) for row in range(2)] == [[3, 2, 0], [0, 2, 3]]
    assert recs.columns["source"].tolist() == [["", "a", "a"], ["", "a", "a"]]


def test_a_chain_of_retrievers_collects_candidates() -> None:
    one, two = scores([[4, 3, 2, 1]]), scores([[1, 4, 2, 3]])
    recs = chain(retrieve(one, name="one", k=2), retrieve(two, name="two", k=2))(people(1))
    assert recs.items.tolist() == [[0, 1, 3, 2]]
    assert recs.columns["source"].tolist() == [["one", "one", "two", "two"]]


def test_later_stages_are_asked_only_for_short_lists_and_new_items() -> None:
    later = Spy(retrieve(scores([[3, 2, 1, 0]] * 3), name="later"))
    first = retrieve(scores([[9, 8, 7, NO], [NO, 8, NO, NO], [NO] * 4]), name="first")
    recs = first_of(first, later)(people(3, exclude=[[], [0], []]))
    (asked,) = later.asked
    assert asked.users.tolist() == [1, 2]
    assert asked.k == 3
    assert asked.exclude is not None
    assert [set(row) - {ABSENT} for row in asked.exclude.tolist()] == [{0, 1}, set()]
    assert [shown(recs, row) for row in range(3)] == [[0, 1, 2], [1, 2, 3], [0, 1, 2]]
    assert recs.notes == ("first: no item can be scored for 1 of 3 queries",)


def test_a_stage_is_not_asked_when_all_lists_are_full() -> None:
    later = Spy(retrieve(scores([[1, 2]]), name="later"))
    assert first_of(retrieve(scores([[1, 2]]), name="first"), later)(people(1, k=2)).items.tolist() == [[1, 0]]
    assert later.asked == []


def test_a_later_stage_s_own_k_counts_new_items() -> None:
    table = [[3.0, 2.0, 1.0, 0.5]]
    recs = first_of(retrieve(scores(table), name="a", k=2), retrieve(scores(table), name="b", k=1))(people(1, k=4))
    assert recs.items.tolist() == [[0, 1, 2]]


def test_first_of_fills_up_the_lists_it_is_given() -> None:
    given_lists = Recs(np.array([[2, 0, 1]], np.int32), np.array([[3, 2, 1]], np.float32))
    stage = first_of(retrieve(scores([[1, 2, 3, 4]]), name="a"))
    assert shown(stage(people(1, k=3, exclude=[[0]]), given_lists), 0) == [2, 1, 3]
    assert shown(stage(people(1, k=2), given_lists), 0) == [2, 0]


def test_a_stage_from_elsewhere_is_held_to_the_rules() -> None:
    def careless(queries: Queries, recs: Recs | None = None) -> Recs:
        items = np.tile(np.array([0, 1, 2, 3], np.int32), (len(queries), 1))
        return Recs(items, np.array([[4, 3, NO, 1]] * len(queries), np.float32))

    allow = pack_mask(np.array([[True] * 4, [True, False, True, True]]))
    queries = people(2, k=4, exclude=[[3], []], allow=allow)
    for stage in (first_of(careless), chain(careless)):
        recs = stage(queries)
        assert [shown(recs, row) for row in range(2)] == [[0, 1], [0, 3]]


@pytest.mark.parametrize(
    ("answer", "came"), [(lambda queries, recs: None, "NoneType"), (lambda queries, recs: Recs.empty(5), "5 lists")]
)
def test_a_stage_that_returns_something_else_is_named(answer: Any, came: str) -> None:
    with pytest.raises(SerendipError, match=rf"must return one list per query \(2\)\. Got {came} from"):
        chain(answer)(people(2))


@pytest.mark.parametrize("k", [0, -3])
def test_asking_for_nothing_gives_nothing(k: int) -> None:
    for stage in (
        retrieve(scores([[1, 2]]), name="a"),
        first_of(retrieve(scores([[1, 2]]), name="a")),
        chain(first_of(retrieve(scores([[1, 2]]), name="a"))),
    ):
        recs = stage(people(1, k=k))
        assert recs.counts.tolist() == [0]
        assert recs.notes == (f"a: {k} items were asked for",)


def test_no_queries_are_answered_by_no_lists() -> None:
    assert len(first_of(retrieve(scores([[1, 2]]), name="a"))(people(0))) == 0


class Fitted:
    """Has the looks of a model, not of a scorer."""

    def lower(self) -> Table:
        return scores([[1]])


A = scores([[1, 2]])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: retrieve(Fitted(), name="a"), r"Got Fitted\. Try: model\.lower\(\)"),  # type: ignore[arg-type]
        (
            lambda: retrieve(cast(Any, "als"), name="a"),
            r"must be given a scorer: an object with n_items and score\(\)\. Got str",
        ),
        (lambda: retrieve(A, name=""), r"1 to 64 letters, .* Got '' instead"),
        (lambda: retrieve(A, name="../x"), r"Got '\.\./x' instead"),
        (lambda: retrieve(A, name="a\n"), r"Got 'a\\n' instead"),
        (lambda: retrieve(A, name="a", k=0), r"retrieve\(k=…\) must be at least 1, or None .* Got 0 instead"),
        (lambda: first_of(), r"first_of must be given at least one stage\. Got none"),
        (lambda: chain(), r"chain must be given at least one stage\. Got none"),
        (lambda: first_of(A), r"Got the scorer Table instead\. Try: retrieve\(scorer, name='…'\)"),  # type: ignore[arg-type]
        (lambda: first_of(3), r"first_of must be given stages\. Got 3 instead"),  # type: ignore[arg-type]
        (lambda: chain(Recs), r"chain must be given stages\. Got <class .*Recs'> instead"),  # type: ignore[arg-type]
        (
            lambda: first_of(retrieve(A, name="a"), chain(retrieve(scores([[1, 2]]), name="A"))),
            r"must have different names \(capitals do not count\)\. Got 'a' and 'A'",
        ),
        (
            lambda: first_of(retrieve(A, name="a"), retrieve(scores([[1]]), name="b")),
            r"must know the same items\. Got 2 in 'a' and 1 in 'b'\. Try: fit them on the same data",
        ),
    ],
)
def test_a_composition_that_cannot_work_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SerendipError, match=message):
        make()


def test_one_scorer_may_stand_in_two_places_under_one_name() -> None:
    part = retrieve(A, name="a")
    assert [stage.name for stage in retrievers(first_of(chain(part), part))] == ["a", "a"]
