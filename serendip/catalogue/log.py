"""A file that records are appended to, each with a checksum: what was written whole is there, whatever happened after.

Layout: `MAGIC`, 16 random bytes that name this file, then records: the length of the payload and the CRC-32 of these
four bytes (4 bytes each, little-endian), the payload's BLAKE2b digest (16 bytes), the payload. A record that was cut
off at the end of the file was never acknowledged, and is dropped by the next writer.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from serendip.types import SerendipError

MAGIC = b"serendip-live-01"
HEAD = 32
MOST = 1 << 28
"""Bytes of a payload at most."""
_HEAD = struct.Struct("<II16s")
_DAMAGED = "Try: restore the file from a copy, or begin a new one."


class CatalogueError(SerendipError):
    """A change of live items that cannot be made, or a file of them that cannot be used."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a log was read: which file, and up to where it was whole."""

    name: bytes
    end: int


class Log:
    """One file of records. Writers take turns elsewhere; readers need not."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self) -> None:
        """Begin the file, if there is none.

        Raises:
            CatalogueError: it cannot be written.
        """
        if not self.path.exists():
            self.rewrite(())

    def read(self, since: Place | None = None) -> tuple[list[bytes], Place, bool]:
        """The payloads after a place, the place after them, and whether they are all there are: the file is another.

        Raises:
            CatalogueError: no such file, or damaged other than at its end.
        """
        try:
            with self.path.open("rb") as file:
                head = file.read(HEAD)
                if len(head) < HEAD or not head.startswith(MAGIC):
                    raise CatalogueError(f"{self.path} is no file of live items, or of another version. {_DAMAGED}")
                name = head[len(MAGIC) :]
                afresh = since is None or since.name != name
                start = HEAD if afresh or since is None else since.end
                file.seek(start)
                payloads, end = self._whole(file.read(), start)
        except OSError as error:
            raise CatalogueError(f"{self.path} cannot be read: {error.strerror}.") from error
        return payloads, Place(name, end), afresh

    def append(self, payload: bytes, place: Place) -> Place:
        """Add a record at the place where the file was whole, and wait until it is on the disk.

        Raises:
            CatalogueError: the file cannot be written; it is as it was.
        """
        record = _record(payload)
        try:
            with self.path.open("r+b") as file:
                try:
                    file.seek(place.end)
                    file.truncate()
                    file.write(record)
                    file.flush()
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(place.end)
                    raise
        except OSError as error:
            raise CatalogueError(f"{self.path} cannot be written: {error.strerror}. Nothing was changed.") from error
        return Place(place.name, place.end + len(record))

    def rewrite(self, payloads: Iterable[bytes]) -> Place:
        """Put these records in the place of all there are, at once.

        Raises:
            CatalogueError: the file cannot be written; it is as it was.
        """
        name = secrets.token_bytes(HEAD - len(MAGIC))
        fresh = self.path.with_name(f".new-{secrets.token_hex(8)}")
        end = HEAD
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with fresh.open("xb") as file:
                file.write(MAGIC + name)
                for payload in payloads:
                    end += file.write(_record(payload))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
            _flush(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise CatalogueError(f"{self.path} cannot be written: {error.strerror}. Nothing was changed.") from error
        return Place(name, end)

    def _whole(self, data: bytes, start: int) -> tuple[list[bytes], int]:
        """The payloads up to the end, or up to a record that was not written whole; and where that is."""
        payloads, at = list[bytes](), 0
        while at + _HEAD.size <= len(data):
            length, check, digest = _HEAD.unpack_from(data, at)
            begin, right = at + _HEAD.size, check == zlib.crc32(data[at : at + 4])
            payload = data[begin : begin + length]
            if right and _digest(payload) == digest:
                payloads.append(payload)
                at = begin + length
                continue
            if (right and begin + length >= len(data)) or not any(data[at:]):
                break
            raise CatalogueError(f"{self.path} was damaged at byte {start + at}. {_DAMAGED}")
        return payloads, start + at


def _record(payload: bytes) -> bytes:
    if len(payload) > MOST:
        raise CatalogueError(f"A change must be at most {MOST:,} bytes. Got {len(payload):,}. Try: several changes.")
    length = struct.pack("<I", len(payload))
    return length + struct.pack("<I", zlib.crc32(length)) + _digest(payload) + payload


def _digest(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=16).digest()


def _flush(folder: Path) -> None:
    """Make the names in a directory durable, where the system can."""
    if os.name == "nt":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
