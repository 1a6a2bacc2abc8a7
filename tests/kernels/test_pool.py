import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from serendip.kernels import pool
from serendip.types import SerendipError

ROOT = Path(__file__).resolve().parents[2]


def blas() -> set[int]:
    np.ones((2, 2)) @ np.ones((2, 2))
    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {library["num_threads"] for library in found if "faiss" not in library["filepath"]}  # which brings its own


@pytest.mark.parametrize("n", [0, 1, 9, 10, 11, 100])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_chunks_cover_each_row_once(n, threads):
    hits = np.zeros(n, int)

    def task(start, stop):
        assert 0 < stop - start <= 10
        hits[start:stop] += 1

    pool.rows(task, n, chunk=10, threads=threads)
    assert (hits == 1).all()


def test_really_runs_side_by_side():
    barrier = threading.Barrier(2, timeout=20)
    pool.rows(lambda start, stop: barrier.wait() and None, 2, chunk=1, threads=2)


def test_an_error_reaches_the_caller():
    def task(start, stop):
        raise OSError(f"row {start}")

    with pytest.raises(OSError, match="row 0"):
        pool.rows(task, 4, chunk=1, threads=2)


def test_after_an_error_chunks_not_begun_are_left_out():
    begun = []

    def task(start, stop):
        begun.append(start)
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        pool.rows(task, 1000, chunk=1, threads=2)
    assert len(begun) <= 2
    pool.rows(lambda start, stop: begun.append(start), 2, chunk=1, threads=2)  # and the next call goes as ever


def test_tasks_may_deal_out_work_themselves():
    hits = np.zeros((40, 40), int)

    def outer(start, stop):
        def inner(first, last):
            hits[start:stop, first:last] += 1

        pool.rows(inner, 40, chunk=1, threads=4)

    pool.rows(outer, 40, chunk=1, threads=4)
    assert (hits == 1).all()


def test_callers_do_not_wait_for_each_other(monkeypatch):
    monkeypatch.setattr(pool, "_MOST", 1)
    pool._helpers.cache_clear()
    release, done = threading.Event(), []
    try:
        with ThreadPoolExecutor(1) as other:
            busy = other.submit(pool.rows, lambda start, stop: release.wait(20), 2, chunk=1, threads=2)
            pool.rows(lambda start, stop: done.append(start), 5, chunk=1, threads=2)
            assert len(done) == 5 and not busy.done()
            release.set()
            busy.result(20)
    finally:
        release.set()
        pool._helpers.cache_clear()


def test_a_forked_process_has_threads_of_its_own():
    code = """
import os, threading
from serendip.kernels import pool
meet = lambda: pool.rows(lambda start, stop: barrier.wait() and None, 2, chunk=1, threads=2)
barrier = threading.Barrier(2, timeout=20)
meet()
child = os.fork()
barrier = threading.Barrier(2, timeout=20)
meet()
if child:
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit(0)
"""
    if not hasattr(os, "fork"):
        pytest.skip("processes are not forked here")
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60, cwd=ROOT)


def test_one_blas_thread_inside_and_as_before_outside():
    with pool.blas_threads(2):
        seen: list[set[int]] = []
        pool.rows(lambda start, stop: seen.append(blas()), 4, chunk=1, threads=2)
        assert seen == [{1}] * 4
        assert blas() == {2}


def test_blas_is_left_alone_where_tasks_do_without():
    found = []
    with pool.blas_threads(2):
        before = blas()
        pool.rows(lambda start, stop: found.append(blas()), 3, chunk=1, threads=1, blas=False)
    assert found == [before] * 3
    assert before == {2}


def test_overlapping_runs_leave_no_limit_behind():
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()

    def early():
        with pool.one_blas_thread():
            assert blas() == {1}
            first_in.set()
            assert second_in.wait(20)
        first_out.set()

    def late():
        assert first_in.wait(20)
        with pool.one_blas_thread():
            assert blas() == {1}
            second_in.set()
            assert first_out.wait(20)

    before = blas()
    with ThreadPoolExecutor(2) as runs:
        for run in [runs.submit(early), runs.submit(late)]:
            run.result(20)
    assert blas() == before


def test_nested_runs_keep_the_limit():
    before = blas()
    with pool.one_blas_thread():
        with pool.one_blas_thread():
            assert blas() == {1}
        assert blas() == {1}
    assert blas() == before


def test_count(monkeypatch):
    monkeypatch.delenv("SERENDIP_THREADS", raising=False)
    assert pool.count() >= 1
    assert pool.count(3) == 3
    monkeypatch.setenv("SERENDIP_THREADS", "2")
    assert pool.count() == 2
    assert pool.count(3) == 3


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_count_refuses(monkeypatch, text):
    monkeypatch.setenv("SERENDIP_THREADS", text)
    with pytest.raises(SerendipError, match=rf"must be a whole number of 1 or more\. Got '{text}' instead\."):
        pool.count()


def test_count_refuses_an_argument():
    with pytest.raises(SerendipError, match=r"threads must be 1 or more\. Got 0 instead\. Try None"):
        pool.count(0)
