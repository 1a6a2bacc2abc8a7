"""Requests that wait at the same time are answered together: a batch costs little more than one request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Batcher(Generic[A, B]):
    """Hands waiting requests to a function, many at a time, on a thread.

    Nothing is delayed to make a batch larger: the first request goes at once, and those that come while it is being
    answered go together when it is done. So batches grow with the load. For one event loop.
    """

    def __init__(self, work: Callable[[Sequence[A]], Sequence[B]], pool: Executor, *, most: int) -> None:
        """``work`` answers requests, in their order; ``most`` is how many at a time."""
        self._work = work
        self._pool = pool
        self._most = most
        self._waiting: list[tuple[A, asyncio.Future[B]]] = []
        self._running: asyncio.Task[None] | None = None

    async def ask(self, request: A) -> B:
        """The answer to one request, or the error that it alone caused."""
        answer: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
                await self._answer(batch)
        finally:
            self._running = None

    async def _answer(self, batch: Sequence[tuple[A, asyncio.Future[B]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            replies = await loop.run_in_executor(self._pool, self._work, [request for request, _ in batch])
        except Exception as error:
            if len(batch) > 1:  # one of them is to blame: the others must not suffer for it
                for one in batch:
                    await self._answer([one])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        for (_, answer), reply in zip(batch, replies, strict=True):
            if not answer.done():  # whoever asked may have gone
                answer.set_result(reply)
