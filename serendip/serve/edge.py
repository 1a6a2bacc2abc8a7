"""What every request passes before it is routed: the host guard, HEAD, security headers, and the counting."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import cast

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from serendip.serve.metrics import Metrics
from serendip.serve.wire import ApiError, encode

LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
OTHER = "other"
CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Edge:
    """Wraps the routes.

    The Host header must name this machine: without that check any web page could have its own name point to 127.0.0.1
    and read the replies (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Iterable[str]) -> None:
        self._app = app
        self._metrics = metrics
        self._routes = frozenset(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 500
        if scope["method"] == "HEAD":  # the server sends the headers of a GET and drops the body
            scope = cast(HTTPScope, {**scope, "method": "GET"})

        async def reply(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableScopeHeaders.from_message(message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            if is_local(scope):
                await self._app(scope, receive, reply)
            else:
                await _refuse(reply)
        finally:
            path = scope["path"].rstrip("/") or "/"
            route = path if path in self._routes else OTHER
            self._metrics.request(route, status, time.perf_counter() - start)


def is_local(scope: Scope) -> bool:
    """Whether the Host header names this machine, on any port (a tunnel may use another than ours)."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if len(hosts) != 1:
        return False
    host = hosts[0].decode("latin-1").lower()
    name, _, port = host.rpartition(":") if not host.endswith("]") and ":" in host else (host, "", "")
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    return name in LOCAL_HOSTS and (port == "" or port.isdecimal())


async def _refuse(send: Send) -> None:
    error = ApiError(
        400,
        "bad_host",
        "The Host header must be localhost, 127.0.0.1 or [::1]. Got another name instead.",
        "This server answers on its own machine only: open it as http://127.0.0.1 with its port.",
    )
    body = encode(error.reply)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
