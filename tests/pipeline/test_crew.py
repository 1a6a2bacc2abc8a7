"""Threads that take work from one queue."""

from __future__ import annotations

import threading

import pytest

from serendip.pipeline.crew import Crew


def test_work_is_done_by_so_many_threads_at_most_and_waits_or_is_cancelled() -> None:
    crew, go, at_once = Crew(2), threading.Event(), threading.Semaphore(0)

    def work() -> str:
        at_once.release()
        assert go.wait(60)
        return threading.current_thread().name

    runs = [crew.begin(work) for _ in range(4)]
    assert at_once.acquire(timeout=60) and at_once.acquire(timeout=60)
    assert not at_once.acquire(blocking=False)  # the others wait
    assert runs[3].cancel() and not runs[0].cancel()
    go.set()
    assert {run.result(60) for run in runs[:3]} == {"serendip-stage"}
    with pytest.raises(ZeroDivisionError):
        crew.begin(lambda: 1 / 0).result(60)
    assert crew.begin(lambda: threading.current_thread().daemon).result(60)


def test_a_thread_that_is_free_does_the_next() -> None:
    crew = Crew(8)
    idents = set()
    for _ in range(20):
        run = crew.begin(threading.get_ident)
        idents.add(run.result(60))
    assert len(idents) == 1
