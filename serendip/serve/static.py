"""The page's files, which come with the package and are kept in memory."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from litestar import Request, Response, get

_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
ROUTES = tuple(_FILES)
_CONTENT = {path: files("serendip.serve").joinpath("page", name).read_bytes() for path, (name, _) in _FILES.items()}


@get(list(_FILES), sync_to_thread=False)
def page(request: Request[Any, Any, Any]) -> Response[bytes]:
    """One of the page's files."""
    path = request.url.path.rstrip("/") or "/"
    return Response(_CONTENT[path], media_type=_FILES[path][1])
