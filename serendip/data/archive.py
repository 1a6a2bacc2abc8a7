"""Unpacking archives that strangers made: nothing outside the folder, no links, bounded size, all or nothing."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from serendip.types import SerendipError

CHUNK = 1 << 20
MOST_BYTES = 8 << 30
MOST_FILES = 10_000

BROKEN = (
    zipfile.BadZipFile,
    NotImplementedError,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
)
"""What the readers raise on bytes that are no archive of theirs."""

Member = tuple[str, IO[bytes] | gzip.GzipFile]


def unpack(archive: Path, into: Path, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES) -> None:
    """Unpack a zip, tar or gzip file into a new folder; a file of another kind is copied there as it is.

    The folder appears when everything is in it, and not at all if anything is wrong.

    Args:
        archive: the file; its kind is told by its name.
        into: the folder to make; its parent exists.
        most_bytes, most_files: bounds on what comes out, counted as it comes.

    Raises:
        SerendipError: a damaged archive, or one with absolute paths, ``..``, links, encrypted or special files, or more
            than the bounds.
    """
    room = Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=into.parent))
    try:
        _fill(archive, room, most_bytes, most_files)
        room.chmod(0o755)
        room.replace(into)
    except BROKEN as error:
        raise SerendipError(
            f"{archive}: expected a whole archive. It cannot be unpacked ({error}). "
            "Try removing it and getting it again."
        ) from error
    except OSError as error:
        raise SerendipError(f"{into}: cannot be written: {error.strerror}. Try another folder.") from error
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _fill(archive: Path, room: Path, most_bytes: int, most_files: int) -> None:
    left = most_bytes
    for count, (name, source) in enumerate(_members(archive), 1):
        if count > most_files:
            raise SerendipError(
                f"{archive.name}: expected at most {most_files:,} files. It holds more. It was not unpacked."
            )
        parts = _parts(name, archive.name)
        if not parts:
            raise _outside(archive.name, name)
        target = room.joinpath(*parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with source, target.open("xb") as file:
                while data := source.read(CHUNK):
                    left -= len(data)
                    if left < 0:
                        raise SerendipError(
                            f"{archive.name}: expected at most {most_bytes:,} bytes when unpacked. It holds more. "
                            "It was not unpacked."
                        )
                    file.write(data)
        except FileExistsError as error:
            raise SerendipError(f"{archive.name}: holds {name!r} twice. It was not unpacked.") from error


def _parts(name: str, archive: str) -> tuple[str, ...]:
    """The parts of a member's path, if it stays inside the folder on every system."""
    path = PurePosixPath(name)
    strange = any(letter in "\\:" or ord(letter) < ord(" ") for letter in name)
    if path.is_absolute() or ".." in path.parts or strange:
        raise _outside(archive, name)
    return path.parts


def _outside(archive: str, name: str) -> SerendipError:
    return SerendipError(
        f"{archive}: expected relative paths inside the folder. Got {name!r} instead. It was not unpacked."
    )


def _members(archive: Path) -> Iterator[Member]:
    name = archive.name.lower()
    if name.endswith(".zip"):
        yield from _of_zip(archive)
    elif name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")):
        yield from _of_tar(archive)
    elif name.endswith(".gz"):
        yield archive.name[: -len(".gz")], gzip.GzipFile(archive)
    else:
        yield archive.name, archive.open("rb")


def _of_zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _special(archive.name, info.filename)
            if info.flag_bits & 1:
                raise SerendipError(f"{archive.name}: {info.filename!r} is encrypted. It was not unpacked.")
            _parts(info.filename, archive.name)
            if not info.is_dir():
                yield info.filename, file.open(info)


def _of_tar(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive) as file:
        for info in file:
            _parts(info.name, archive.name)
            if not (info.isreg() or info.isdir()):
                raise _special(archive.name, info.name)
            source = file.extractfile(info)
            if source is not None:
                yield info.name, source


def _special(archive: str, name: str) -> SerendipError:
    return SerendipError(
        f"{archive}: expected files and folders only. {name!r} is a link or a special file. It was not unpacked."
    )


__all__ = ["unpack"]
