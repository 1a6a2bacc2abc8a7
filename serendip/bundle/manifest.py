"""``manifest.json``: what a bundle is, where it came from and which files belong to it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from serendip.bundle.errors import BundleError
from serendip.bundle.store import MANIFEST, FileEntry
from serendip.data.schema import Schema
from serendip.index import Stats
from serendip.types import SerendipError

if TYPE_CHECKING:
    from serendip.data.dataset import Dataset

KIND = "serendip-bundle"
FORMAT = 2
"""Raised when a reader of the old format would misread the new one."""
OLDEST = 2
"""The format from which on bundles can be read; before it, scorers that read what items are kept less of that."""

_BLANK = "0" * 64
_SEAL = re.compile(rb'"sha256": "([0-9a-f]{64})"')
_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99})?")


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What was learned from: counts, and the first and last event (ISO 8601, UTC) where events have a date."""

    events: int
    users: int
    items: int
    time_kind: str
    first: str | None = None
    last: str | None = None


class Update(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken in after the fit.

    Attributes:
        at: when, ISO 8601, UTC.
        events, users, items: how many of each were new.
        notes: what was left out, and which scorers keep what they knew.
    """

    at: str
    events: int
    users: int
    items: int
    notes: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of ``manifest.json``, in their order.

    Attributes:
        kind: always ``serendip-bundle``.
        format: number of the format.
        sha256: of the manifest itself, its own 64 digits taken as zeros.
        version: 12 hexadecimal digits that depend on the content alone; the content is in ``content-<version>``.
        created: when it was built, ISO 8601, UTC.
        serendip: version of the package that built it.
        data: what was learned from.
        recipe: how; empty if it was not said.
        evaluation: how well; empty if it was not measured, or not since the last update.
        start: version of the bundle that the fit went on from; None if it began afresh.
        schema: what the columns of the data mean, so that more can be read alike; None in bundles of before.
        updates: what was taken in since, oldest first.
        index: by retriever, the index over its vectors: what was chosen, recall and milliseconds when it was built.
        files: checksum and size of each file of the content.
    """

    kind: str = KIND
    format: int = FORMAT
    sha256: str = _BLANK
    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{12}\Z")]
    created: str
    serendip: str
    data: Summary
    recipe: dict[str, Any]
    evaluation: dict[str, Any]
    start: str | None = None
    schema: Schema | None = None
    updates: tuple[Update, ...] = ()
    index: dict[str, Stats] = {}
    files: dict[str, FileEntry]


class _Head(msgspec.Struct):
    kind: str = ""
    format: int = 0
    serendip: str = ""


def version_of(files: Mapping[str, FileEntry]) -> str:
    """The version of a content: a digest of the names and checksums of its files."""
    lines = "".join(f"{files[name].sha256}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()[:12]


def write(manifest: Manifest) -> bytes:
    """The manifest as the text of its file, with its own checksum in it."""
    blank = msgspec.structs.replace(manifest, sha256=_BLANK)
    text = msgspec.json.format(msgspec.json.encode(blank), indent=2) + b"\n"
    return text.replace(_BLANK.encode(), hashlib.sha256(text).hexdigest().encode(), 1)


def read(text: bytes, name: str = MANIFEST) -> Manifest:
    """The manifest of a file that need not be trusted; errors call it by ``name``.

    Raises:
        BundleError: no manifest, of a newer format or too old a one, damaged, or not what a manifest must be.
    """
    hint = "Try: restore the bundle from a copy, or fit again."
    try:
        head = msgspec.json.decode(text, type=_Head)
        if head.kind != KIND:
            raise BundleError(f"{name} must say that it is of the kind {KIND!r}. Got {head.kind!r} instead.")
        if head.format > FORMAT:
            raise BundleError(
                f"This version of Serendip reads bundles up to format {FORMAT}. Got format {head.format} in {name}. "
                "Try: upgrade Serendip (pip install --upgrade serendip)."
            )
        if head.format < 1:
            raise BundleError(f"{name} must state a format from 1 to {FORMAT}. Got {head.format} instead. {hint}")
        if head.format < OLDEST:
            raise BundleError(
                f"This version of Serendip reads bundles from format {OLDEST} on. Got format {head.format} in {name}, "
                f"which Serendip {head.serendip:.40} wrote. Try: fit again, or the version that wrote it."
            )
        seal = _SEAL.search(text)
        blank = text[: seal.start(1)] + _BLANK.encode() + text[seal.end(1) :] if seal else b""
        if seal is None or hashlib.sha256(blank).hexdigest().encode() != seal[1]:
            raise BundleError(f"{name} does not have the checksum that it states: it was damaged or changed. {hint}")
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{name} is not what a manifest must be: {error}. {hint}") from error
    for path in manifest.files:
        if not _PATH.fullmatch(path):
            raise BundleError(f"{name} must name files within the bundle only. Got {path!r} instead. {hint}")
    version = version_of(manifest.files)
    if version != manifest.version:
        raise BundleError(f"{name} states the version {manifest.version}; its files make it {version}. {hint}")
    return manifest


def summary(data: Dataset) -> Summary:
    """What the data amount to."""
    time = data.events.time if data.schema.time_kind == "unix" else None
    edges = [] if time is None or len(time) == 0 else [time.min(), time.max()]
    first, last = (f"{np.datetime64(int(edge), 's')}Z" for edge in edges) if edges else (None, None)
    return Summary(
        events=len(data.events),
        users=data.n_users,
        items=data.n_items,
        time_kind=data.schema.time_kind,
        first=first,
        last=last,
    )


def plain(what: str, value: dict[str, Any] | None) -> dict[str, Any]:
    """A dict as it will be read back from JSON: NaN and infinity become null.

    Raises:
        SerendipError: it holds something that JSON cannot say.
    """
    try:
        return msgspec.json.decode(msgspec.json.encode(value or {}), type=dict[str, Any])
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError) as error:
        raise SerendipError(f"{what} must be a dict of JSON values. {error}") from error


def package_version() -> str:
    """The version of Serendip that runs, or ``0+source`` where it is not installed."""
    try:
        return metadata.version("serendip")
    except metadata.PackageNotFoundError:
        return "0+source"
