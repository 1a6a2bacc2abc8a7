"""Writers of one directory take turns, across threads and processes."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from serendip.bundle.errors import BundleError

LOCK = ".lock"
PATIENCE = 60.0
"""Seconds that a writer waits for another one to finish."""


@contextmanager
def turn(root: Path) -> Iterator[None]:
    """Hold the directory's lock, a file in it. The system lets go of it when the process ends, however it ends.

    Raises:
        BundleError: another writer held it for longer than `PATIENCE`.
    """
    path = root / LOCK
    until = time.monotonic() + PATIENCE
    while True:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if _locked(fd) and _same_file(fd, path):
            break
        os.close(fd)
        if time.monotonic() > until:
            raise BundleError(f"{root} is being written by another process. Try again when it has finished.")
        time.sleep(0.02)
    try:
        yield
    finally:
        try:
            with suppress(OSError):
                path.unlink()
        finally:
            os.close(fd)


def _same_file(fd: int, path: Path) -> bool:
    """Whether the lock file is still the one that was opened: its last holder removes it."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _locked(fd: int) -> bool:
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _locked(fd: int) -> bool:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            # A file system without locks: writers are then kept apart by the names of their directories alone.
            return error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
        return True
