"""Stages that fail or hang: what is answered all the same, and what is said of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from serendip.pipeline import (
    Guard,
    Skipped,
    before,
    chain,
    first_of,
    from_dict,
    guarded,
    limited,
    merge,
    rank,
    retrieve,
    retrievers,
    to_dict,
    unguarded,
    watched,
    with_indices,
)
from serendip.pipeline.guard import TOGETHER
from serendip.scorers import StaticScores
from serendip.types import Queries, Recs, SerendipError, Stage

POPULAR = retrieve(StaticScores(np.array([3, 2, 1], np.float32)), name="popular")
LONG = 60_000
"""Milliseconds that never pass here."""


@dataclass
class Stuck:
    """A stage that goes on once it is told to."""

    name: str = "stuck"
    go: threading.Event = field(default_factory=threading.Event)
    ended: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    begun: int = 0

    def __call__(self, queries: Queries, recs: Recs | None = None) -> Recs:
        self.begun += 1
        assert self.go.wait(60)
        answer = POPULAR(queries, recs)
        self.ended.release()
        return answer


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    stage = Stuck()
    yield stage
    stage.go.set()


def broken(error: Exception) -> Stage:
    def stage(queries: Queries, recs: Recs | None = None) -> Recs:
        raise error

    return stage


def one(k: int = 2) -> Queries:
    return Queries.of([[]], k=k)


def skipped(recs: Recs) -> list[tuple[str, str, str]]:
    return [(note.stage, note.why, str(note)) for note in recs.notes if isinstance(note, Skipped)]


def test_what_fails_is_skipped_and_the_list_is_filled_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    failing = guarded(broken(ValueError("secret")), name="taste")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            recs = first_of(failing, POPULAR)(one())
            assert recs.items.tolist() == [[0, 1]] and recs.columns["source"].tolist() == [["popular"] * 2]
            assert skipped(recs) == [("taste", "failed", "taste was skipped: it failed (ValueError)")]
    first, second = caplog.records
    assert first.exc_info is not None and first.exc_info[0] is ValueError and second.exc_info is None
    recs = chain(POPULAR, guarded(broken(SerendipError("Try pip install x.")), name="r"))(one())
    assert recs.items.tolist() == [[0, 1]]
    assert skipped(recs)[0][2] == "r was skipped: it failed: Try pip install x."


def test_all_sources_may_fail() -> None:
    parts = [guarded(broken(KeyError(name)), name=name) for name in "ab"]
    recs = first_of(merge(*parts), POPULAR)(one(3))
    assert recs.items.tolist() == [[0, 1, 2]] and [why for _, why, _ in skipped(recs)] == ["failed"] * 2
    recs = merge(*parts)(one())
    assert recs.counts.tolist() == [0] and len(skipped(recs)) == 2


def test_what_takes_too_long_is_skipped_at_once_until_it_has_ended(stuck: Stuck) -> None:
    stage = guarded(stuck, budget=1)
    recs = chain(POPULAR, stage)(one())
    assert recs.items.tolist() == [[0, 1]]
    assert skipped(recs) == [("stuck", "late", "stuck was skipped: it took more than 1 ms")]
    patient = replace(stage, budget=LONG)  # of the same guard
    assert skipped(patient(one())) == [("stuck", "busy", "stuck was skipped: it is still busy with what took too long")]
    assert stuck.begun == 1
    stuck.go.set()
    assert stuck.ended.acquire(timeout=60)
    while stage._state.abandoned:  # the thread has ended the stage, and is about to say so
        pass
    assert patient(one()).items.tolist() == [[0, 1]] and stuck.begun == 2


def test_an_answer_in_time_is_that_of_the_stage_and_a_batch_has_any_time(stuck: Stuck) -> None:
    stuck.go.set()
    for stage in (guarded(POPULAR, budget=LONG), guarded(POPULAR), limited(guarded(POPULAR), budget=LONG)):
        assert stage(one(3)).items.tolist() == POPULAR(one(3)).items.tolist()
    many = Queries.of([[]] * (TOGETHER + 1), k=1)
    main = threading.get_ident()
    seen: list[int] = []

    def where(queries: Queries, recs: Recs | None = None) -> Recs:
        seen.append(threading.get_ident())
        return POPULAR(queries, recs)

    guarded(where, name="w", budget=LONG)(many)
    limited(guarded(where, name="w"), budget=LONG)(many)
    guarded(where, name="w", budget=LONG)(one())
    assert seen[:2] == [main, main] and seen[2] != main


def test_the_time_that_stages_are_waited_for_is_told(stuck: Stuck) -> None:
    told: list[tuple[str, float]] = []
    inner = guarded(POPULAR, name="inner")
    stage = chain(
        guarded(chain(inner, inner), name="plain"), guarded(stuck, budget=30), guarded(inner, name="own", budget=LONG)
    )
    with watched(lambda name, seconds: told.append((name, seconds))):
        stage(one())
    stage(one())
    assert [name for name, _ in told] == ["inner", "inner", "plain", "stuck", "own"]
    assert all(seconds >= 0 for _, seconds in told)
    assert told[3][1] > 0.01


def test_what_a_stage_itself_calls_too_late_is_a_failure() -> None:
    recs = guarded(broken(TimeoutError()), name="t", budget=LONG)(one())
    assert skipped(recs) == [("t", "failed", "t was skipped: it failed (TimeoutError)")]


def test_all_stages_together_have_so_much_time(stuck: Stuck) -> None:
    other = Stuck("other")
    stage = limited(first_of(guarded(stuck), guarded(other), POPULAR), budget=1)
    recs = stage(one())
    assert recs.items.tolist() == [[0, 1]]
    assert [(name, why) for name, why, _ in skipped(recs)] == [("stuck", "late"), ("other", "late")]
    assert skipped(recs)[1][2] == "other was skipped: no time was left for it" and other.begun == 0
    inner = guarded(guarded(stuck, budget=1), name="around", budget=20)  # within a budget others do not count
    assert [(name, why) for name, why, _ in skipped(inner(one()))] == [("around", "late")]


def test_a_stage_from_elsewhere_is_held_to_the_rules_within_a_guard_too() -> None:
    def elsewhere(queries: Queries, recs: Recs | None = None) -> Recs:
        return Recs(np.array([[2, 1]], np.int32), np.array([[1, np.nan]], np.float32))

    assert guarded(elsewhere, name="e")(one()).items.tolist() == [[2, -1]]
    asked = replace(one(), exclude=np.array([[2]], np.int32))
    assert guarded(elsewhere, name="e", budget=LONG)(asked).counts.tolist() == [0]
    recs = guarded(lambda queries, recs=None: 3, name="e")(one())  # type: ignore[arg-type]
    assert "must return one list per query" in skipped(recs)[0][2]


def test_a_pipeline_without_its_guards_raises_what_fails() -> None:
    stage = limited(first_of(chain(merge(guarded(broken(KeyError("x")), name="a"))), POPULAR), budget=LONG)
    bare = unguarded(stage)
    assert "guard" not in repr(bare).lower()
    with pytest.raises(KeyError):
        bare(one())


def test_it_is_described_made_again_and_seen_through() -> None:
    ranker = StaticScores(np.arange(3, dtype=np.float32))
    ranked = rank(ranker, name="r")
    stage = limited(chain(first_of(guarded(POPULAR, budget=5)), guarded(ranked)), budget=9)
    header = to_dict(stage)
    assert header["stage"] == "within" and header["budget"] == 9
    again = from_dict(header, {"popular": POPULAR.scorer, "r": ranker})
    assert to_dict(again) == header
    assert [part.name for part in retrievers(again)] == ["popular"]
    named = before(stage, ranked)
    assert named is not None and named(one()).columns["source"].tolist() == [["popular"] * 2]
    assert to_dict(with_indices(stage, {})) == header
    for wrong in ({**header, "budget": 0}, {**header, "stages": []}, {**header, "stages": header["stages"] * 2}):
        with pytest.raises(SerendipError, match=r"milliseconds above 0|not valid"):
            from_dict(wrong, {"popular": POPULAR.scorer, "r": ranker})


def test_what_cannot_be_guarded_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"guarded\(budget=…\) must be milliseconds above 0\. Got -1 instead"):
        guarded(POPULAR, budget=-1)
    with pytest.raises(SerendipError, match=r"limited\(budget=…\) must be milliseconds above 0\. Got inf instead"):
        limited(POPULAR, budget=float("inf"))
    with pytest.raises(SerendipError, match=r"guarded\(name=…\) must say what a stage without a name is called"):
        guarded(first_of(POPULAR))
    with pytest.raises(SerendipError, match="guarded must be given stages"):
        guarded(3)  # type: ignore[arg-type]
    assert isinstance(guarded(POPULAR), Guard) and guarded(POPULAR).name == "popular"
