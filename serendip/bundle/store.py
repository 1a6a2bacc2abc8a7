"""A directory whose content changes all at once: a crash at any point leaves the old content or the new.

Layout: ``manifest.json`` and ``content-<version>/``. Writing makes a whole new content directory beside the old one,
flushes it to the disk, and then replaces the manifest, which is the one step that counts; only then is the old content
removed. Writers take turns by a lock file; readers need none.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import msgspec

from serendip.bundle.errors import BundleError
from serendip.bundle.tensorfile import Buffer
from serendip.bundle.turn import LOCK, turn

MANIFEST = "manifest.json"
MOST_MANIFEST_BYTES = 1 << 24

File = Sequence[Buffer]
"""The bytes of a file, as parts that follow one another."""

_CONTENT = re.compile(r"content-([0-9a-f]{12})")
_DRAFT = re.compile(r"\.(new|old)-[0-9a-f]{16}")
_MARK = b'"serendip-bundle"'
_DAMAGED = "it was damaged or changed. Try: restore the bundle from a copy, or fit again."


class FileEntry(msgspec.Struct, frozen=True):
    """What the manifest says of a file: its checksum (64 hexadecimal digits) and its size."""

    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    bytes: Annotated[int, msgspec.Meta(ge=0)]


def entry(file: File) -> FileEntry:
    """The checksum and the size of a file that is not written yet."""
    digest = hashlib.sha256()
    for part in file:
        digest.update(part)
    return FileEntry(digest.hexdigest(), sum(len(part) for part in file))


def write(root: Path, version: str, files: Mapping[str, File], manifest: bytes) -> None:
    """Make ``files`` the content of the directory, whatever it held before.

    Args:
        root: the directory; made if it is not there.
        version: names the content.
        files: by relative path.
        manifest: the bytes of ``manifest.json``.

    Raises:
        BundleError: the directory is something else than a bundle, cannot be written, or is being written by another
            process; what was there before is still there.
    """
    try:
        made = _claim(root)
        try:
            with turn(root):
                _replace(root, version, files, manifest)
        except BaseException:
            if made:
                with suppress(OSError):
                    root.rmdir()
            raise
    except OSError as error:
        raise BundleError(
            _explained(root, error, sum(len(part) for file in files.values() for part in file))
        ) from error


def read_manifest(root: Path) -> bytes:
    """The bytes of ``manifest.json``.

    Raises:
        BundleError: there is none, or it is too big to be one.
    """
    try:
        if not stat.S_ISDIR(root.stat().st_mode):
            raise BundleError(f"A bundle must be a directory. Got the file {root} instead.")
        with _opened(root / MANIFEST) as (fd, size):
            if size > MOST_MANIFEST_BYTES:
                raise BundleError(
                    f"{root / MANIFEST} must be at most {MOST_MANIFEST_BYTES} bytes. Got {size}: {_DAMAGED}"
                )
            return os.read(fd, size)
    except FileNotFoundError as error:
        lacks = f"it has no {MANIFEST}" if root.exists() else "there is no such directory"
        raise BundleError(f"{root} is no bundle: {lacks}. Try: serendip fit … --out {root}") from error
    except OSError as error:
        raise BundleError(f"{root} cannot be read: {error.strerror}.") from error


def read(root: Path, version: str, entries: Mapping[str, FileEntry], *, verify: bool) -> dict[str, memoryview]:
    """The files of a content, as views of the files on disk.

    Args:
        root: the directory of the bundle.
        version: which content.
        entries: every file that belongs to it.
        verify: whether to compute the checksums; sizes are always compared.

    Raises:
        BundleError: a file is missing, cut short, damaged, a link, or does not belong there.
    """
    content = root / f"content-{version}"
    try:
        if not content.is_dir() or content.is_symlink():
            raise BundleError(f"{content} must be a directory. It is missing or something else: {_DAMAGED}")
        _only(content, set(entries))
        return {name: _mapped(content / name, wanted, verify) for name, wanted in entries.items()}
    except OSError as error:
        raise BundleError(
            f"{error.filename or content} cannot be read: {error.strerror}. It may be missing, or {_DAMAGED}"
        ) from error


def _only(content: Path, names: set[str]) -> None:
    """That a directory holds these files and nothing else."""
    folders = {name.rpartition("/")[0] for name in names}
    found = set()
    for folder in folders:
        with os.scandir(content / folder) as children:
            for child in children:
                name = f"{folder}/{child.name}" if folder else child.name
                if child.is_dir(follow_symlinks=False):
                    if name not in folders:
                        raise BundleError(f"{content / name} does not belong to the bundle: {_DAMAGED}")
                elif name not in names or child.is_symlink():
                    what = "is a link" if child.is_symlink() else "does not belong to the bundle"
                    raise BundleError(f"{content / name} {what}: {_DAMAGED}")
                else:
                    found.add(name)
    for name in sorted(names - found):
        raise BundleError(f"{content / name} is missing: {_DAMAGED}")


def _mapped(path: Path, wanted: FileEntry, verify: bool) -> memoryview:
    with _opened(path) as (fd, size):
        if size != wanted.bytes:
            raise BundleError(f"{path} must be {wanted.bytes} bytes. Got {size}: {_DAMAGED}")
        view = memoryview(mmap.mmap(fd, 0, access=mmap.ACCESS_READ) if size else b"")
    if verify and hashlib.sha256(view).hexdigest() != wanted.sha256:
        raise BundleError(f"{path} does not have the checksum that the manifest gives it: {_DAMAGED}")
    return view


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, int]]:
    """The descriptor and the size of a plain file; a link, a pipe or a device is refused."""
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise BundleError(f"{path} must be a plain file. Got a link, a directory or a device instead: {_DAMAGED}")
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
    try:
        yield fd, os.fstat(fd).st_size
    finally:
        os.close(fd)


def require_room(root: Path) -> None:
    """That a bundle may be written to a directory: nothing is there, or nothing but a bundle.

    Raises:
        BundleError: something else is.
    """
    if not os.path.lexists(root):
        return
    if not root.is_dir():
        raise BundleError(f"A bundle must be saved to a directory. Got the file {root} instead. Try: another path.")
    names = {child.name for child in root.iterdir()}
    contents = {name for name in names if _CONTENT.fullmatch(name)}
    strange = names - contents - {name for name in names if name == LOCK or _DRAFT.fullmatch(name)}
    # A damaged manifest is written over where it lies beside a content and nothing else.
    damaged = strange == {MANIFEST} and bool(contents)
    if strange and not damaged and not (MANIFEST in names and _MARK in read_manifest(root)[:200]):
        came = ", ".join(sorted(strange)[:3])
        raise BundleError(
            f"A bundle must be saved to an empty directory or over a bundle. {root} holds {came} and is left as it is. "
            "Try: another path."
        )


def _claim(root: Path) -> bool:
    """Whether the directory had to be made.

    Raises:
        BundleError: as `require_room`.
    """
    require_room(root)
    if os.path.lexists(root):
        return False
    root.mkdir(parents=True)
    with suppress(OSError):
        _flush(root.parent)
    return True


def _replace(root: Path, version: str, files: Mapping[str, File], manifest: bytes) -> None:
    token = secrets.token_hex(8)
    fresh, content, draft = root / f".new-{token}", root / f"content-{version}", root / f".old-{token}"
    try:
        if not _intact(root, version, files):
            _write_content(fresh, files)
            if os.path.lexists(content):
                content.rename(draft)
            fresh.rename(content)
            _flush(root)
            fresh = root / f".new-{secrets.token_hex(8)}"
        _write_file(fresh, [manifest])
        fresh.replace(root / MANIFEST)
    except BaseException:
        _sweep(root)
        raise
    try:
        _flush(root)
    except OSError as error:
        raise BundleError(
            f"{root} holds the new bundle, but the system could not make sure that it is on the disk: {error.strerror}."
        ) from error
    _sweep(root)  # not before: until then a loss of power may bring the old manifest back, and it needs its content


def _intact(root: Path, version: str, files: Mapping[str, File]) -> bool:
    """Whether the same content is there already, undamaged."""
    try:
        read(root, version, {name: entry(file) for name, file in files.items()}, verify=True)
    except BundleError:
        return False
    return True


def _write_content(fresh: Path, files: Mapping[str, File]) -> None:
    fresh.mkdir()
    folders = {fresh}
    for name, file in files.items():
        path = fresh / name
        if path.parent not in folders:
            path.parent.mkdir()
            folders.add(path.parent)
        _write_file(path, file)
    for folder in folders:
        _flush(folder)


def _write_file(path: Path, file: File) -> None:
    with path.open("xb") as out:
        for part in file:
            out.write(part)
        out.flush()
        os.fsync(out.fileno())


def _flush(folder: Path) -> None:
    """Make the names in a directory durable, where the system can."""
    if sys.platform == "win32":
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(fd)


def _sweep(root: Path) -> None:
    """Remove drafts and every content but the one that the manifest names; what resists is left for the next time."""
    try:
        version = msgspec.json.decode(read_manifest(root), type=dict[str, object]).get("version")
    except (BundleError, msgspec.MsgspecError, UnicodeDecodeError):
        version = None
    with suppress(OSError):
        for path in list(root.iterdir()):
            content = _CONTENT.fullmatch(path.name)
            if not _DRAFT.fullmatch(path.name) and (not content or version is None or content[1] == version):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def _explained(root: Path, error: OSError, size: int) -> str:
    kept = "What was there before is unchanged."
    what = f"{root} cannot be written: "
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"{what}the disk is full, and the bundle needs {size:,} bytes. {kept} Try: free some space."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            where = error.filename or root
            return f"{what}{error.strerror} ({where}). {kept} Try: a directory that you may write to."
    return f"{what}{error.strerror or error}. {kept}"
