"""Requests that wait together are answered together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from serendip.serve.batcher import Batcher


class Doubler:
    """Doubles numbers, notes what came together, and waits for leave to begin; chokes on 13."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()

    def __call__(self, asked: Sequence[int]) -> list[int]:
        self.go.wait()
        self.batches.append(list(asked))
        if 13 in asked:
            raise ValueError("13")
        return [2 * number for number in asked]


async def ask(work: Doubler, numbers: Sequence[int], *, most: int) -> list[int | BaseException]:
    """Ask for the first number, and for the others while it is being answered."""
    with ThreadPoolExecutor(2) as pool:
        batcher = Batcher(work, pool, most=most)
        tasks = [asyncio.create_task(batcher.ask(number)) for number in numbers]
        await asyncio.sleep(0)
        work.go.set()
        return await asyncio.gather(*tasks, return_exceptions=True)


def test_everyone_gets_the_own_answer_and_batches_are_bounded() -> None:
    work = Doubler()
    assert asyncio.run(ask(work, range(8), most=3)) == [0, 2, 4, 6, 8, 10, 12, 14]
    assert sorted(number for batch in work.batches for number in batch) == list(range(8))
    assert max(map(len, work.batches)) == 3
    assert len(work.batches) <= 4


def test_the_first_goes_at_once_and_the_others_together_after_it() -> None:
    work = Doubler()

    async def scene() -> list[int]:
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(work, pool, most=10)
            first = asyncio.create_task(batcher.ask(1))
            for _ in range(3):
                await asyncio.sleep(0)
            others = [asyncio.create_task(batcher.ask(number)) for number in (2, 3, 4)]
            await asyncio.sleep(0)
            work.go.set()
            return [await first, *await asyncio.gather(*others), await batcher.ask(5)]

    assert asyncio.run(scene()) == [2, 4, 6, 8, 10]
    assert work.batches == [[1], [2, 3, 4], [5]]


def test_one_bad_request_does_not_spoil_the_others() -> None:
    replies = asyncio.run(ask(Doubler(), [1, 13, 2], most=10))
    assert [replies[0], replies[2]] == [2, 4]
    assert isinstance(replies[1], ValueError)


def test_who_has_gone_is_not_waited_for() -> None:
    work = Doubler()

    async def scene() -> int:
        with ThreadPoolExecutor(1) as pool:
            batcher = Batcher(work, pool, most=10)
            gone, stays = asyncio.create_task(batcher.ask(1)), asyncio.create_task(batcher.ask(2))
            await asyncio.sleep(0)
            gone.cancel()
            work.go.set()
            reply = await stays
            with pytest.raises(asyncio.CancelledError):
                await gone
            return reply

    assert asyncio.run(scene()) == 4
