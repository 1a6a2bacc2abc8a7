"""Threads for kernels that release the interpreter lock: rows are dealt out in chunks, with one BLAS thread a chunk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from threading import Lock
from typing import Any

from serendip.types import SerendipError

_limiting = Lock()
_MOST = 256
"""Most threads that help at a time; beyond them a caller is on its own."""


def count(threads: int | None = None) -> int:
    """How many threads to use: the given number, else ``SERENDIP_THREADS``, else the cores this process may run on.

    Raises:
        SerendipError: a number below 1, or a ``SERENDIP_THREADS`` that is not one.
    """
    if threads is None:
        text = os.environ.get("SERENDIP_THREADS", "").strip()
        if not text:
            return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        if not text.isascii() or not text.isdigit() or int(text) < 1:
            raise SerendipError(f"SERENDIP_THREADS must be a whole number of 1 or more. Got {text!r} instead.")
        return int(text)
    if threads < 1:
        raise SerendipError(f"threads must be 1 or more. Got {threads} instead. Try None for all cores.")
    return threads


def rows(
    task: Callable[[int, int], None], n: int, *, chunk: int, threads: int | None = None, blas: bool = True
) -> None:
    """Call ``task(start, stop)`` for chunks that cover ``0 … n`` on several threads; each takes the next when free.

    The first exception that a task raises is raised here; chunks not begun by then are left out. The calling thread
    takes chunks as well and never waits for one that has not begun, so that tasks may call this too.

    Args:
        task: what is called.
        n: how many rows there are.
        chunk: how many of them a call gets.
        threads: see `count`.
        blas: whether tasks may call BLAS. To keep it to one thread takes as long as a small task.
    """
    starts = range(0, n, chunk)
    workers = min(count(threads), len(starts))
    following, dealing, failures = iter(starts), Lock(), list[BaseException]()

    def work() -> None:
        while not failures:
            with dealing:
                start = next(following, None)
            if start is None:
                return
            try:
                task(start, min(start + chunk, n))
            except BaseException as failure:
                failures.append(failure)

    with one_blas_thread() if blas else nullcontext():
        helpers = [_helpers().submit(work) for _ in range(workers - 1)]
        try:
            work()
        finally:
            for helper in helpers:
                if not helper.cancel():
                    helper.result()
    if failures:
        raise failures[0]


@cache
def _helpers() -> ThreadPoolExecutor:
    """Threads that stay for the next call: to start them anew takes as long as a small task."""
    return ThreadPoolExecutor(_MOST, thread_name_prefix="serendip")


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=_helpers.cache_clear)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS calls of this process use one thread inside the block.

    The limit belongs to the process. Of blocks that overlap in time the first sets it and lifts it again; the others
    leave it alone, so that it can never stay behind.
    """
    if not _limiting.acquire(blocking=False):
        yield
        return
    try:
        with _libraries().limit(limits=1, user_api="blas"):
            yield
    finally:
        _limiting.release()


@contextmanager
def blas_threads(threads: int | None = None) -> Iterator[None]:
    """BLAS calls of this process use that many threads (see `count`) inside the block."""
    with _libraries().limit(limits=count(threads), user_api="blas"):
        yield


@cache
def _libraries() -> Any:
    """The BLAS libraries in this process; looking for them takes milliseconds, and SciPy brings one of its own."""
    import scipy.linalg  # noqa: F401
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
