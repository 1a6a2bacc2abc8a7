"""Public data sets by name: where they come from, on what terms, and how their files become a `Dataset`.

A download is kept in a cache. Its sha256 is compared with the publisher's where that is known, and otherwise trusted on
first use and remembered in ``sources.lock.json`` beside it. Without a network, a folder that holds the archive or its
files does as well.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import msgspec

from serendip.data import archive, fetch
from serendip.data.dataset import Dataset
from serendip.data.fetch import Progress, Receipt
from serendip.data.findings import Finding
from serendip.data.published import ENTRIES
from serendip.data.reading import Entry, Reading
from serendip.types import SerendipError


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """The files of a set on this machine.

    Attributes:
        name: of the set.
        folder: where they lie.
        paths: by their path inside the folder.
        receipts: the sums of what was downloaded; empty where unpacked files were given.
    """

    name: str
    folder: Path
    paths: Mapping[str, Path]
    receipts: tuple[Receipt, ...]


def names() -> list[str]:
    """The names of all sets."""
    return list(ENTRIES)


def entry(name: str) -> Entry:
    """What is known of a set.

    Raises:
        SerendipError: no such set, with the nearest known name.
    """
    if name in ENTRIES:
        return ENTRIES[name]
    close = difflib.get_close_matches(name, ENTRIES, 1)
    meant = f' Did you mean "{close[0]}"?' if close else f" Known: {', '.join(ENTRIES)}."
    raise SerendipError(f"{name!r} is not one of the public data sets.{meant}")


def cache_folder() -> Path:
    """Where downloads are kept: the folder named by ``SERENDIP_CACHE``, or the user's cache folder of this system."""
    named = os.environ.get("SERENDIP_CACHE")
    if named:
        return Path(named).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "serendip" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "serendip"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "serendip"


def get(
    name: str,
    *,
    cache: str | Path | None = None,
    source_dir: str | Path | None = None,
    url: str | None = None,
    progress: Progress | None = None,
) -> Files:
    """Bring the files of a set to this machine, unless they are there.

    Args:
        name: one of `names`.
        cache: folder to keep them in; None: `cache_folder`.
        source_dir: take them from this folder, which holds the archives or the unpacked files, and use no network.
        url: download from this address instead: a mirror's folder, or one that ends with the archive's own name.
        progress: called with the bytes that are there and the bytes expected, per file.

    Raises:
        SerendipError: an unknown set; no connection, or an answer other than the file; a sum other than the one
            trusted; an archive that is damaged or would write outside its folder; a ``source_dir`` without the files.
    """
    found = entry(name)
    home = Path(cache).expanduser() if cache is not None else cache_folder()
    folder = home / name / "files"
    if source_dir is not None:
        given = Path(source_dir).expanduser()
        if not any((given / _file(address)).is_file() for address in found.urls):
            return _unpacked(found, given)
    try:
        (home / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SerendipError(
            f"{home / name}: the folder cannot be made: {error.strerror}. Try another one by SERENDIP_CACHE."
        ) from error
    receipts = tuple(
        _bring(found, address, home, folder, source_dir=source_dir, url=url, progress=progress)
        for address in found.urls
    )
    return Files(name, folder, _inside(folder), receipts)


def load(
    name: str,
    *,
    cache: str | Path | None = None,
    source_dir: str | Path | None = None,
    url: str | None = None,
    positive_from: float | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """A set as a `Dataset`, downloaded first if need be (see `get`).

    Args:
        name: one of `names`.
        cache, source_dir, url, progress: as for `get`.
        positive_from: the rating from which an event shows interest; None: every event does.

    Raises:
        SerendipError: as for `get`; a ``positive_from`` for a set without ratings; files that are not what they
            should be.
    """
    found = entry(name)
    if positive_from is not None and found.schema.rating is None:
        raise SerendipError(f"{name}: positive_from needs ratings. This set has none; try without it.")
    files = get(name, cache=cache, source_dir=source_dir, url=url, progress=progress)
    events, users, items = (
        None if reading is None else reading.frame(files.paths) for reading in (found.events, found.users, found.items)
    )
    assert events is not None
    schema = msgspec.structs.replace(found.schema, positive_from=positive_from)
    relations = {relation: reading.frame(files.paths) for relation, reading in found.relations.items()}
    data = Dataset.from_frames(events, users, items, relations=relations or None, schema=schema)
    if found.rows is None or len(events) == found.rows:
        return data
    warning = Finding(
        severity="warning",
        what=f"expected {found.rows:,} events, as published. Got {len(events):,} instead.",
        where=name,
        count=abs(len(events) - found.rows),
        hint="The publisher may have changed the set: name its sha256 with any figure you report.",
    )
    return replace(data, report=msgspec.structs.replace(data.report, findings=(*data.report.findings, warning)))


def _bring(
    found: Entry,
    address: str,
    home: Path,
    folder: Path,
    *,
    source_dir: str | Path | None,
    url: str | None,
    progress: Progress | None,
) -> Receipt:
    """One file of a set: in the cache and unpacked already, or from ``source_dir``, or from the network."""
    file = _file(address)
    key, lock = f"{found.name}/{file}", home / fetch.LOCK_NAME
    into = folder / file.partition(".")[0] if len(found.urls) > 1 else folder
    kept = fetch.receipt(lock, key)
    if kept is not None and into.exists():
        return kept
    path = home / found.name / file
    if source_dir is not None:
        path = Path(source_dir).expanduser() / file
        if not path.is_file():
            raise SerendipError(f"{path}: no such file. {_hint(found)}")
    elif not path.is_file():
        mirrored = address if url is None else url if url.endswith("/" + file) else f"{url.rstrip('/')}/{file}"
        fetch.download(mirrored, path, hint=_hint(found), progress=progress)
    try:
        receipt = fetch.check(lock, key, path, url=address, published=found.sha256.get(file))
    except SerendipError:
        if source_dir is None:
            path.unlink()
        raise
    into.parent.mkdir(parents=True, exist_ok=True)
    archive.unpack(path, into)
    return receipt


def _unpacked(found: Entry, given: Path) -> Files:
    """The files of a set that somebody has unpacked: at their own paths, or alone of their name below the folder."""
    if not given.is_dir():
        raise SerendipError(f"{given}: no such folder. {_hint(found)}")
    paths: dict[str, Path] = {}
    for wanted in found.needed:
        if (given / wanted).is_file():
            paths[wanted] = given / wanted
            continue
        same = sorted(path for path in given.rglob(wanted.rpartition("/")[2]) if path.is_file())
        if len(same) != 1:
            what = "several files of that name" if same else "nothing of that name"
            raise SerendipError(
                f"{given}: expected {', '.join(map(_file, found.urls))}, or the unpacked {wanted}. "
                f"Found {what}. {_hint(found)}"
            )
        paths[wanted] = same[0]
    return Files(found.name, given, MappingProxyType(paths), ())


def _inside(folder: Path) -> Mapping[str, Path]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return MappingProxyType({path.relative_to(folder).as_posix(): path for path in files})


def _file(address: str) -> str:
    return address.rpartition("/")[2]


def _hint(found: Entry) -> str:
    return (
        f"Without a network, fetch {' and '.join(found.urls)} on another machine and name the folder: "
        f"serendip data get {found.name} --from DIR. The publisher's page: {found.page}"
    )


__all__ = ["Entry", "Files", "Reading", "Receipt", "cache_folder", "entry", "get", "load", "names"]
