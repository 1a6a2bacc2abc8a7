from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from serendip.nn.ahead import ahead


def names() -> list[str]:
    return [thread.name for thread in threading.enumerate()]


def test_everything_comes_in_order_from_another_thread() -> None:
    makers = set()

    def source() -> Iterator[int]:
        for number in range(50):
            makers.add(threading.current_thread())
            yield number

    assert list(ahead(source())) == list(range(50))
    assert makers and threading.main_thread() not in makers
    assert list(ahead([])) == []


def test_no_more_is_made_than_may_wait() -> None:
    made = []

    def source() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    found = ahead(source(), most=3)
    assert next(found) == 0
    found.close()  # type: ignore[attr-defined]
    assert len(made) <= 1 + 3 + 1  # taken, waiting, and one in hand
    assert "serendip-batches" not in names()


def test_errors_come_through_and_the_thread_ends() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("spoilt")

    found = ahead(source())
    assert next(found) == 1
    with pytest.raises(ValueError, match="spoilt"):
        next(found)
    assert "serendip-batches" not in names()
