"""The application, and the server that runs it: one process, this machine only."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from serendip.bundle import Bundle
from serendip.catalogue import beside
from serendip.serve import static, wire
from serendip.serve.edge import Edge
from serendip.serve.exposures import Exposures
from serendip.serve.routes import HANDLERS, reply
from serendip.serve.state import Serving
from serendip.serve.wire import ApiError
from serendip.types import SerendipError

GRACE_SECONDS = 10
MAX_THREADS = 4
FOLLOW_SECONDS = 1.0
"""How often to see what others changed of the live items."""
FAMILIES = {"127.0.0.1": socket.AF_INET, "localhost": socket.AF_INET, "::1": socket.AF_INET6}

log = logging.getLogger("serendip.serve")


def create_app(
    bundle: str | Path | Bundle,
    *,
    settled: Callable[[Serving], None] | None = None,
    live: str | Path | None = None,
    exposures: str | Path | None = None,
) -> Litestar:
    """The application. It answers at once with 503, and in full when the bundle has passed its check.

    Args:
        bundle: the bundle, or its path. Live items that are kept beside it are shown, and followed as they come and
            change.
        live: a folder for live items, which requests may change then; None: they may not.
        exposures: a file to which what is shown is added, see `serendip.serve.exposures`; None: it is not kept.
        settled: called once when the bundle is ready or has failed (`Serving.failure`); None: a failure is logged.

    Raises:
        SerendipError: that file cannot be written.
    """
    beside_it = None if isinstance(bundle, Bundle) else beside(Path(bundle))
    kept = beside_it if live is None else Path(live)
    threads = min(MAX_THREADS, os.cpu_count() or 1)
    shown = None if exposures is None else Exposures(exposures)
    serving = Serving(bundle, threads=threads, live=kept, writable=live is not None, exposures=shown)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async def load() -> None:
            await serving.run(serving.load)
            (settled or _log_failure)(serving)

        async def follow() -> None:
            while kept is not None:
                await asyncio.sleep(FOLLOW_SECONDS)
                await serving.run(serving.renew)

        tasks = [asyncio.create_task(load()), asyncio.create_task(follow())]
        yield
        for task in tasks:
            task.cancel()
        serving.close()

    app = Litestar(
        route_handlers=[*HANDLERS, static.page],
        lifespan=[lifespan],
        state=State({"serving": serving}),
        exception_handlers={ApiError: _refused, HTTPException: _not_routed, Exception: _broken},
        request_max_body_size=wire.MAX_BODY,
        openapi_config=None,
        logging_config=None,
    )
    app.asgi_handler = Edge(app.asgi_handler, serving.metrics, [route.path for route in app.routes])
    return app


def _log_failure(serving: Serving) -> None:
    if serving.failure is not None:
        log.error("The bundle cannot be served: %s", serving.failure)


def _refused(_: Request[Any, Any, Any], error: ApiError) -> Response[bytes]:
    return reply(error.reply, error.status)


def _not_routed(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """The framework's own errors in our form."""
    method, path = request.method[:20], request.url.path[:100]
    match error.status_code:
        case 404:
            own = ApiError(404, "not_found", f"There is nothing at {path}.", "See /openapi.json for what there is.")
        case 405:
            allowed = (error.headers or {}).get("allow", "")
            own = ApiError(405, "method_not_allowed", f"{path} does not take {method}.", f"Try {allowed}.")
        case 413:
            own = ApiError(413, "too_large", f"A body must not exceed {wire.MAX_BODY} bytes.", "Split it into several.")
        case status if status < 500 or "disconnected" in error.detail:
            own = ApiError(400, "bad_request", "The request could not be read.")
        case _:
            return _broken(request, error)
    answer = reply(own.reply, own.status)
    answer.headers.update(error.headers or {})
    return answer


def _broken(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    own = ApiError(500, "internal", "The server made a mistake; its log says which.")
    return reply(own.reply, own.status)


def serve(
    bundle: str | Path | Bundle,
    host: str = "127.0.0.1",
    port: int = 8000,
    live: str | Path | None = None,
    exposures: str | Path | None = None,
) -> None:
    """Answer over HTTP until SIGTERM or SIGINT, then finish the requests that are under way.

    Writes one line to standard error when the bundle is ready: where, which bundle, and what to try.

    Args:
        bundle: the bundle, or its path.
        host: 127.0.0.1, localhost or ::1.
        port: 0 picks a free one.
        live, exposures: as of `create_app`.

    Raises:
        SerendipError: another address, a port that cannot be had, a bundle that cannot be used, or a file that cannot
            be written.
    """
    import uvicorn

    with listen(host, port) as listener:
        serving: list[Serving] = []

        def settled(found: Serving) -> None:
            serving.append(found)
            if found.failure is not None:
                server.should_exit = True
            else:
                sys.stderr.write(f"{announcement(url(listener), found)}\n")
                sys.stderr.flush()

        config = uvicorn.Config(
            create_app(bundle, settled=settled, live=live, exposures=exposures),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="on",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        server = uvicorn.Server(config)
        with quiet_signals():
            server.run(sockets=[listener])
    if serving and serving[0].failure is not None:
        raise serving[0].failure


def announcement(address: str, serving: Serving) -> str:
    """The line that says where the server is, what it answers from and what to try."""
    answers = serving.answers
    body = wire.encode(msgspec.to_builtins({"user_id": answers.someone, "k": 10})).decode()
    quoted = body.replace("'", "'\\''")
    return f"Serving bundle {answers.version} at {address}/  Try: curl -s {address}/v1/recommend -d '{quoted}'"


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on this machine only.

    Raises:
        SerendipError: another address, or a port that cannot be had.
    """
    if host not in FAMILIES:
        raise SerendipError(
            f"host must be 127.0.0.1, localhost or ::1. Got {host!r} instead. The server has no API keys yet, so it "
            "answers on its own machine only. Try 127.0.0.1, and a tunnel (ssh -L) to reach it from elsewhere."
        )
    if not 0 <= port <= 65535:
        raise SerendipError(
            f"port must be from 0 to 65535. Got {port} instead. Try --port 8000, or --port 0 for a free one."
        )
    family = FAMILIES[host]
    # asyncio turns Nagle's algorithm off only where the protocol is named; with it on, a reply waits some 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1" if family == socket.AF_INET else "::1", port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise SerendipError(f"{_why(error, host, port)} Try --port {port + 1}, or --port 0 for a free one.") from error
    return listener


def _why(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"Port {port} on {host} is already in use by another program."
        case errno.EACCES:
            return f"Port {port} may not be used by this user."
        case _:
            return f"Port {port} on {host} cannot be used: {error.strerror}."


def url(listener: socket.socket) -> str:
    """Where the socket listens, without a slash at the end."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def quiet_signals() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the server and nothing more: uvicorn raises them again when it has ended."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
