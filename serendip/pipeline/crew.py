"""Threads for what must be answered in time: few, shared, and none of them keeps the process from ending."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import cache
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

MOST = 16
"""Threads of the process that run stages with a time budget."""


class Crew:
    """Daemon threads that take work from one queue; begun as they are needed, and kept for the next."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._work: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._open = 0

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Have it done by the next thread that is free; with all of them busy it waits, and can be cancelled."""
        future: Future[T] = Future()
        with self._lock:
            self._open += 1
            fresh = self._open > self._threads and self._threads < self._most
            self._threads += fresh
        self._work.put((future, work))
        if fresh:
            threading.Thread(target=self._serve, name="serendip-stage", daemon=True).start()
        return future

    def _serve(self) -> None:
        while True:
            future, work = self._work.get()
            if not future.set_running_or_notify_cancel():
                self._free()
                continue
            try:
                found = work()
            except BaseException as error:
                self._free()
                future.set_exception(error)
            else:
                self._free()
                future.set_result(found)

    def _free(self) -> None:
        """Say so before whoever waits goes on, lest that one begin a thread for its next work."""
        with self._lock:
            self._open -= 1


@cache
def crew() -> Crew:
    """That of this process."""
    return Crew()


if hasattr(os, "register_at_fork"):  # a forked process has none of the threads
    os.register_at_fork(after_in_child=crew.cache_clear)


__all__ = ["Crew", "crew"]
