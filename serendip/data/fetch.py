"""Downloading one file: resumable, checked for length, and trusted by its sha256 on first use."""

from __future__ import annotations

import datetime
import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from serendip.types import SerendipError

Progress = Callable[[int, int], None]
"""Called with the bytes that are there and the bytes expected (0 if unknown)."""

CHUNK = 1 << 20
TIMEOUT = 30.0
MOST_BYTES = 8 << 30
LOCK_NAME = "sources.lock.json"
UNSATISFIABLE = 416


@dataclass(frozen=True, slots=True)
class Receipt:
    """What is known of one file as its publisher gave it.

    Attributes:
        file: its name.
        sha256: of its bytes.
        bytes: its length.
        trust: ``publisher`` if the sum was known beforehand, ``first use`` if it was trusted now, ``seen before`` if it
            is the sum that was trusted earlier.
    """

    file: str
    sha256: str
    bytes: int
    trust: Literal["publisher", "first use", "seen before"]


def download(url: str, target: Path, *, hint: str, progress: Progress | None = None) -> None:
    """Bring ``url`` to ``target``, going on where an earlier attempt stopped.

    What has come is kept as ``<target>.part`` and completed by a ranged request; a server that ignores the range, or
    whose file has changed since, makes it start again.

    Args:
        url: an ``http`` or ``https`` address.
        target: the file to write; its folder exists.
        hint: what to try where the address cannot be used.
        progress: see `Progress`.

    Raises:
        SerendipError: no connection, an answer other than the file, a cut-off or oversized answer, a full disk.
    """
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise SerendipError(f"{url}: expected an address that begins with http:// or https://. {hint}")
    part = target.with_name(target.name + ".part")
    with alone(target.parent, f"{target.name} is being downloaded by another process. Try again when it has ended."):
        try:
            if not _attempt(url, part, hint, progress):
                part.unlink(missing_ok=True)
                if not _attempt(url, part, hint, progress):
                    raise SerendipError(
                        f"{url}: the server answered with a part of the file that was not asked for. {hint}"
                    )
            part.replace(target)
            _note(part).unlink(missing_ok=True)
        except OSError as error:
            raise SerendipError(f"{part}: cannot be written: {error.strerror}. Try another folder.") from error


def check(lock: Path, key: str, path: Path, *, url: str, published: str | None = None) -> Receipt:
    """Compare a file's sha256 with the publisher's, or with the one trusted on first use; trust it if there is none.

    Args:
        lock: the file that remembers what was trusted.
        key: under which name it does.
        path: the file to check.
        url: where it came from, remembered for the reader.
        published: the publisher's sum, where it is known.

    Raises:
        SerendipError: the sums differ; the text names both.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    size = path.stat().st_size
    with alone(lock.parent, f"{lock} is in use by another process. Try again.", wait=True):
        known = _trusted(lock)
        entry = known.get(key)
        expected = published or (entry["sha256"] if entry else found)
        if found != expected:
            whose = "the publisher's" if published else f"the one trusted on {entry['trusted_on'] if entry else '?'}"
            forget = "" if published else f' If the publisher has announced a new version, remove "{key}" from {lock}.'
            raise SerendipError(
                f"{path.name}: expected sha256 {expected} ({whose}). Got {found} instead, so these are not the same "
                f"bytes. Try again, in case the download was damaged.{forget}"
            )
        if entry is None:
            today = datetime.datetime.now(datetime.UTC).date().isoformat()
            known[key] = {"sha256": found, "bytes": size, "url": url, "trusted_on": today}
            _write(lock, {"format": 1, "files": dict(sorted(known.items()))})
    trust: Literal["publisher", "first use", "seen before"] = "seen before" if entry else "first use"
    return Receipt(path.name, found, size, "publisher" if published else trust)


def receipt(lock: Path, key: str) -> Receipt | None:
    """What was trusted under that name, or None."""
    entry = _trusted(lock).get(key)
    return None if entry is None else Receipt(key.rpartition("/")[2], entry["sha256"], entry["bytes"], "seen before")


@contextmanager
def alone(folder: Path, busy: str, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes that ask the same out of a folder; the system forgets it if this process dies.

    Raises:
        SerendipError: another process holds it and ``wait`` is not given; the text is ``busy``.
    """
    with (folder / ".lock").open("ab") as file:
        try:
            _hold(file, wait)
        except OSError as error:
            raise SerendipError(busy) from error
        yield


def _hold(file: IO[bytes], wait: bool) -> None:
    if os.name == "nt":
        import msvcrt

        system: Any = msvcrt
        file.seek(0)
        system.locking(file.fileno(), system.LK_LOCK if wait else system.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _attempt(url: str, part: Path, hint: str, progress: Progress | None) -> bool:
    """One request; False if what was there is of no use and the download has to begin again."""
    have, validator, total = _unfinished(part, url)
    headers = {"User-Agent": "serendip", "Accept-Encoding": "identity"}
    if have:
        headers |= {"Range": f"bytes={have}-", "If-Range": validator}
    try:
        with _open(urllib.request.Request(url, headers=headers)) as answer:
            resumed = answer.status == http.HTTPStatus.PARTIAL_CONTENT
            if resumed and _range(answer) != (have, total):
                return False
            length = answer.headers.get("Content-Length", "")
            start = have if resumed else 0
            expected = start + int(length) if length.isdecimal() else 0
            if expected > MOST_BYTES:
                raise _too_big(url)
            if not resumed:
                sign = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
                _write(_note(part), {"url": url, "validator": "" if sign.startswith("W/") else sign, "total": expected})
            got = _receive(answer, part, start, expected, url, progress)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == UNSATISFIABLE and have:
                return False
            raise SerendipError(f"{url}: the server answered {error.code} {error.reason}. {hint}") from error
    except (urllib.error.URLError, http.client.HTTPException) as error:
        raise SerendipError(
            f"{url}: could not be reached ({getattr(error, 'reason', None) or error}). {hint}"
        ) from error
    if expected and got != expected:
        raise SerendipError(
            f"{url}: expected {expected:,} bytes. Got {got:,} instead: the connection ended early. "
            "Try the same command again; it goes on where it stopped."
        )
    return True


def _receive(answer: Any, part: Path, start: int, expected: int, url: str, progress: Progress | None) -> int:
    """Write what comes; the number of bytes that are there afterwards."""
    got = start
    with part.open("ab" if start else "wb") as file:
        while data := _read(answer):
            got += len(data)
            if got > MOST_BYTES:
                raise _too_big(url)
            file.write(data)
            if progress is not None:
                progress(got, expected)
    return got


def _read(answer: Any) -> bytes:
    """The next bytes; nothing where the connection broke, which the length will show."""
    try:
        return bytes(answer.read(CHUNK))
    except (OSError, http.client.HTTPException):
        return b""


def _too_big(url: str) -> SerendipError:
    return SerendipError(f"{url}: expected at most {MOST_BYTES:,} bytes. The server offers more. Try another address.")


class _Upwards(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https to a connection that others can read and change."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if req.full_url.startswith("https:") and not newurl.startswith("https:"):
            raise urllib.error.URLError(f"refused to follow a redirect from https to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _open(request: urllib.request.Request) -> Any:
    return urllib.request.build_opener(_Upwards).open(request, timeout=TIMEOUT)


def _range(answer: Any) -> tuple[int, int]:
    """First byte and total length that a partial answer names."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", answer.headers.get("Content-Range", ""))
    return (int(match[1]), int(match[2])) if match else (-1, -1)


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _unfinished(part: Path, url: str) -> tuple[int, str, int]:
    """Bytes of an earlier attempt that can be completed, by which sign the server knows the file, and its length."""
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        have = part.stat().st_size
        if note["url"] == url and note["validator"] and 0 < have < note["total"]:
            return have, note["validator"], note["total"]
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, "", 0


def _trusted(lock: Path) -> dict[str, Any]:
    try:
        content = json.loads(lock.read_text(encoding="utf-8"))
        return dict(content["files"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SerendipError(
            f"{lock}: expected the sums of files trusted earlier. It cannot be read ({error}). Try removing it; "
            "files are then trusted anew."
        ) from error


def _write(path: Path, content: dict[str, Any]) -> None:
    """Replace a small JSON file at once."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


__all__ = ["LOCK_NAME", "Progress", "Receipt", "alone", "check", "download", "receipt"]
