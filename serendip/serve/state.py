"""Whether the server may answer, and what it answers from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

from serendip.bundle import Bundle
from serendip.serve import wire
from serendip.serve.answers import Answers
from serendip.serve.batcher import Batcher
from serendip.serve.metrics import Metrics
from serendip.serve.wire import ApiError

Status = Literal["loading", "checking", "ready", "failed"]
MAX_TOGETHER = 64
P = ParamSpec("P")
T = TypeVar("T")


class Serving:
    """One server's bundle: loading → checking its golden replies → ready, or failed.

    Attributes:
        status: where it stands.
        failure: why it failed, once it has.
        metrics: what is counted.
    """

    def __init__(self, bundle: str | Path | Bundle, *, threads: int) -> None:
        self.status: Status = "loading"
        self.failure: Exception | None = None
        self.metrics = Metrics()
        self._bundle = bundle
        self._ready: tuple[Answers, Batcher[wire.RecommendRequest, wire.RecommendReply]] | None = None
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="serendip")

    @property
    def answers(self) -> Answers:
        """What answers.

        Raises:
            ApiError: 503, until the bundle has passed its check.
        """
        return self._up()[0]

    async def recommend(self, asked: wire.RecommendRequest) -> wire.RecommendReply:
        """One user's items; requests that wait at the same time are answered together.

        Raises:
            ApiError: 503, until the bundle has passed its check.
        """
        return await self._up()[1].ask(asked)

    def _up(self) -> tuple[Answers, Batcher[wire.RecommendRequest, wire.RecommendReply]]:
        if self._ready is None:
            raise ApiError(503, "not_ready", self.reason, "Ask again when /health/ready says 200.")
        return self._ready

    @property
    def reason(self) -> str:
        """The status in a sentence; says nothing of this machine's files."""
        return {
            "loading": "The bundle is being loaded.",
            "checking": "The bundle is being checked: its golden replies are asked for again.",
            "ready": "Ready.",
            "failed": "The bundle could not be used; the server's log says why.",
        }[self.status]

    def load(self) -> None:
        """Load the bundle and ask for its golden replies; never raises: a failure is kept in ``failure``."""
        try:
            bundle = self._bundle if isinstance(self._bundle, Bundle) else Bundle.load(self._bundle)
            self.status = "checking"
            bundle.check()
            answers = Answers(bundle)
            answers.warm()
            self._ready = answers, Batcher(answers.recommend, self._pool, most=MAX_TOGETHER)
            self.metrics.ready(bundle.manifest.version, bundle.manifest.created)
            self.status = "ready"
        except Exception as error:
            self.failure = error
            self.status = "failed"

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work on a thread, so that health and metrics go on being answered."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Let the threads end when their work is done."""
        self._pool.shutdown(wait=False)
