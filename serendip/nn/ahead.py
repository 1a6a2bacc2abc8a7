"""Batches made ready in the background, while the last ones are learned from."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from queue import Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")
LOOK = 0.05
"""Seconds between two looks whether anybody still wants the next one."""


def ahead(source: Iterable[T], most: int = 2) -> Iterator[T]:
    """What ``source`` gives, in its order, up to ``most`` of it made by a thread before it is asked for.

    The thread ends when the iterator is closed or forgotten. What ``source`` raises is raised here.
    """
    waiting: Queue[tuple[str, Any]] = Queue(most)
    gone = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not gone.is_set():
            try:
                waiting.put((kind, value), timeout=LOOK)
                return True
            except Full:
                continue
        return False

    def fill() -> None:
        try:
            for one in source:
                if not put("one", one):
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    thread = threading.Thread(target=fill, name="serendip-batches", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = waiting.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        gone.set()
        thread.join()
