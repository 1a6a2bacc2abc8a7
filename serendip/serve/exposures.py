"""What the server showed: a line of JSON for each list, at the end of a file, for whoever learns from it later.

A line is an `Exposure`. Lines are written whole and in one piece, so that what was written stays readable whatever
becomes of the process, and two processes may write to one file.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from serendip.serve import wire
from serendip.serve.wire import ExternalId, Item
from serendip.types import SerendipError

log = logging.getLogger("serendip.serve")


class Exposure(msgspec.Struct, frozen=True):
    """One list.

    Attributes:
        time: when it was answered, UTC.
        recommendation_id: as in the reply.
        bundle: the version that answered.
        user_id: who asked; None: nobody known by an id.
        explore: whether chance had a part in it.
        items: as in the reply, with the propensity of each where chance had a part.
    """

    time: datetime
    recommendation_id: str
    bundle: str
    user_id: ExternalId | None
    explore: bool
    items: Sequence[Item]


class Exposures:
    """A file that grows by what is shown. Any number of threads may write to it."""

    def __init__(self, path: str | Path) -> None:
        """Opens the file, or makes it, readable by its owner alone.

        Raises:
            SerendipError: it cannot be written.
        """
        try:
            self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise SerendipError(
                f"What is shown must be kept in a file that can be written. Got {str(path)!r}: {error.strerror}. "
                "Try another path for --exposures, in a folder that exists."
            ) from error
        self._lock = threading.Lock()
        end = os.lseek(self._file, 0, os.SEEK_END)
        if end and os.pread(self._file, 1, end - 1) != b"\n":
            os.write(self._file, b"\n")  # a line that was cut off stays alone

    def add(
        self, users: Sequence[ExternalId | None], explore: Sequence[bool], replies: Sequence[wire.RecommendReply]
    ) -> None:
        """Write lists; what cannot be written is told in the server's log, and nobody's reply waits for it.

        Args:
            users: who asked for each; None: nobody known by an id.
            explore: whether chance had a part in each.
            replies: the lists.
        """
        now = datetime.now(UTC)
        lines = [
            msgspec.json.encode(Exposure(now, one.recommendation_id, one.bundle, user, chance, one.items)) + b"\n"
            for user, chance, one in zip(users, explore, replies, strict=True)
        ]
        rest = memoryview(b"".join(lines))
        try:
            with self._lock:
                while rest:
                    rest = rest[os.write(self._file, rest) :]
        except OSError as error:
            log.error("What was shown could not be kept: %s", error.strerror)

    def close(self) -> None:
        """No more is written."""
        os.close(self._file)
