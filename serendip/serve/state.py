"""Whether the server may answer, and what it answers from."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

from serendip.bundle import Bundle
from serendip.catalogue import Catalogue, CatalogueError, View, kept_in
from serendip.serve import wire
from serendip.serve.answers import Answers
from serendip.serve.batcher import Batcher
from serendip.serve.exposures import Exposures
from serendip.serve.metrics import Metrics
from serendip.serve.wire import ApiError
from serendip.types import SerendipError

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

    def __init__(
        self,
        bundle: str | Path | Bundle,
        *,
        threads: int,
        live: Path | None,
        writable: bool,
        exposures: Exposures | None = None,
    ) -> None:
        """For one bundle.

        Args:
            bundle: or its path.
            threads: that answer.
            live: where live items are kept, or will be; None: there are none.
            writable: whether requests may change them.
            exposures: where what is shown is kept; None: it is not.
        """
        self.status: Status = "loading"
        self.failure: Exception | None = None
        self.metrics = Metrics()
        self._bundle, self._live, self._writable = bundle, live, writable
        self._catalogue: Catalogue | None = None
        self._exposures = exposures
        self._ready: tuple[Answers, Batcher[wire.RecommendRequest, wire.RecommendReply]] | None = None
        self._changes = threading.Lock()
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
            self._bundle = bundle
            self._follow(bundle)
            answers = self._answers(bundle if self._catalogue is None else self._catalogue.view)
            answers.warm()
            self._ready = answers, Batcher(self._recommended, self._pool, most=MAX_TOGETHER)
            self.metrics.ready(bundle.manifest.version, bundle.manifest.created)
            self.status = "ready"
        except Exception as error:
            self.failure = error
            self.status = "failed"

    def upsert(self, asked: wire.UpsertRequest) -> wire.LiveReply:
        """Put live items in.

        Raises:
            ApiError: 422 for rows that do not fit, 501 where no live items may be changed.
        """
        catalogue = self._changing()
        try:
            return self._shown(catalogue.upsert([dict(row) for row in asked.items]))
        except CatalogueError as error:
            raise _refused(error) from error
        except SerendipError as error:
            raise ApiError(422, "invalid_items", str(error)) from error

    def delete(self, item_id: str) -> wire.LiveReply:
        """Take a live item out.

        Raises:
            ApiError: 404 for one that is not there, 501 where no live items may be changed.
        """
        catalogue = self._changing()
        try:
            return self._shown(catalogue.delete([item_id]))
        except CatalogueError as error:
            raise _refused(error, 404, "unknown_item") from error

    def renew(self) -> None:
        """See what other processes changed; what cannot be read is left for the next time."""
        if self._ready is None or not isinstance(self._bundle, Bundle):
            return
        with suppress(SerendipError):
            self._follow(self._bundle)
            if self._catalogue is not None:
                self._shown(self._catalogue.refresh())

    def _follow(self, bundle: Bundle) -> None:
        """Open the live items, if there are any or there may be."""
        if self._catalogue is None and self._live is not None and (self._writable or kept_in(self._live)):
            self._catalogue = Catalogue.open(bundle, self._live)

    def _changing(self) -> Catalogue:
        self._up()
        if self._catalogue is None or not self._writable:
            raise ApiError(
                501, "not_supported", "This server does not change items.", "Start it with: serendip serve --live"
            )
        return self._catalogue

    def _shown(self, view: View) -> wire.LiveReply:
        """Answer from this view, unless a newer one was shown meanwhile."""
        with self._changes:
            answers, batcher = self._up()
            if view.sequence > (answers.described.live or 0):
                newer = self._answers(view)
                newer.warm()
                self._ready = newer, batcher
        return wire.LiveReply(view.sequence, int(view.shown.sum()), list(view.said))

    def _answers(self, shown: Bundle | View) -> Answers:
        bundle, live = (shown, None) if isinstance(shown, Bundle) else (shown.bundle, shown.sequence)
        return Answers(bundle, live, self.metrics.skipped, self.metrics.took)

    def batch(self, asked: wire.BatchRequest) -> wire.BatchReply:
        """Items for many users.

        Raises:
            ApiError: 503, until the bundle has passed its check; or what `Answers.batch` raises.
        """
        found = self.answers.batch(asked)
        if self._exposures is not None:
            users = [one.user_id for one in asked.queries]
            self._exposures.add(users, [asked.explore] * len(users), found.replies)
        return found

    def _recommended(self, asked: Sequence[wire.RecommendRequest]) -> list[wire.RecommendReply]:
        found = self.answers.recommend(asked)
        if self._exposures is not None:
            self._exposures.add([one.user_id for one in asked], [one.explore for one in asked], found)
        return found

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do blocking work on a thread, so that health and metrics go on being answered."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: work(*args, **kwargs))

    def close(self) -> None:
        """Let the threads end when their work is done; what is shown is kept till then."""
        self._pool.shutdown(wait=self._exposures is not None)
        if self._exposures is not None:
            self._exposures.close()


def _refused(error: CatalogueError, status: int = 422, code: str = "invalid_items") -> ApiError:
    """What could not be written is a mistake of the server; all else is one of the request."""
    return (
        ApiError(500, "internal", str(error))
        if isinstance(error.__cause__, OSError)
        else ApiError(status, code, str(error))
    )
