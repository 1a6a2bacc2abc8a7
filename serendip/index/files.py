"""An index ↔ a folder: plain NumPy files that can be memory-mapped, and a description with their checksums."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.index.building import unpack
from serendip.index.index import MOST, VectorIndex
from serendip.types import SerendipError, pack_mask

FORMAT = 1
HEAD = "index.json"
VECTORS = "vectors"
_LATER = ("later_codes", "later_vectors", "deleted")
_MOST_HEAD = 1 << 20


class _Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    stats: dict[str, Any]
    n: int
    files: dict[Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,40}\Z")], str]


def save(index: VectorIndex, path: str | Path) -> Path:
    """Write an index to a new folder, all at once, changes included.

    Raises:
        SerendipError: the folder exists, or cannot be written.
    """
    root = Path(path)
    arrays, stats = index.pack()
    gone = np.flatnonzero(~index.holds(np.arange(index.n, dtype=np.int32))).astype(np.int32)
    later = dict(zip(_LATER, (index.fresh, index.late, gone), strict=True))
    table = np.where(index.exact.known[:, None], index.exact.vectors, np.float32(np.nan))
    fresh = root.with_name(f".new-{root.name}-{secrets.token_hex(8)}")
    try:
        fresh.mkdir(parents=True)
        sums = {name: _write(fresh, name, part) for name, part in {VECTORS: table, **later, **arrays}.items()}
        with (fresh / HEAD).open("xb") as out:
            out.write(msgspec.json.encode(_Head(FORMAT, stats, index.n, sums)))
            out.flush()
            os.fsync(out.fileno())
        if os.path.lexists(root):
            raise FileExistsError(errno.EEXIST, "it exists already", str(root))
        fresh.rename(root)
    except OSError as error:
        raise SerendipError(f"{root} cannot be written: {error.strerror}. Try: another folder.") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return root


def load(path: str | Path, *, memory_map: bool = True, verify: bool = True, threads: int | None = None) -> VectorIndex:
    """Read an index that `save` wrote; it need not be trusted to be whole.

    Args:
        path: its folder.
        memory_map: whether vectors stay on disk until they are read; else they are copied into memory.
        verify: whether to compare checksums, which reads every file once.
        threads: as of `serendip.index.build`.

    Raises:
        SerendipError: no index there, of a newer format, or damaged.
    """
    root = Path(path)
    try:
        with (root / HEAD).open("rb") as file:
            head = msgspec.json.decode(file.read(_MOST_HEAD), type=_Head)
        if head.format != FORMAT:
            raise SerendipError(f"This version of Serendip reads indices of format {FORMAT}. Got {head.format}.")
        parts = {name: _read(root, name, total, memory_map, verify) for name, total in head.files.items()}
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, ValueError, EOFError) as error:
        raise SerendipError(f"{root} is no index, or was damaged: {error}. Try: build it again.") from error
    if not {VECTORS, *_LATER} <= set(parts):
        raise SerendipError(f"{root} must hold {', '.join((VECTORS, *_LATER))}. Try: build it again.")
    codes, late, gone = (parts.pop(name) for name in _LATER)
    return _changed(unpack(parts.pop(VECTORS), parts, head.stats, threads=threads), head.n, codes, late, gone)


def _changed(index: VectorIndex, n: int, codes: NDArray[Any], late: NDArray[Any], gone: NDArray[Any]) -> VectorIndex:
    """The index with the changes that were saved with it.

    Raises:
        SerendipError: they do not fit.
    """
    base = len(index.exact)
    for part in (codes, gone):
        ascending = part.ndim == 1 and part.dtype == np.int32 and bool((np.diff(part) > 0).all())
        if not ascending or (len(part) and not 0 <= part[0] <= part[-1] < n) or not base <= n < MOST:
            raise SerendipError(f"Changes of an index must be about its {n} items, each once. Try: build it again.")
    fits = late.shape == (len(codes), index.dimensions) and late.dtype == np.float32
    if not fits or not np.isfinite(late).all() or np.isin(gone, codes).any():
        raise SerendipError("Changes of an index must have finite vectors of its size. Try: build it again.")
    dead = np.zeros(base, bool)
    dead[codes[codes < base]] = dead[gone[gone < base]] = True
    return replace(index, n=n, dead=pack_mask(dead)[0] if dead.any() else None, fresh=codes, late=np.asarray(late))


def _write(folder: Path, name: str, array: NDArray[Any]) -> str:
    path = folder / f"{name}.npy"
    with path.open("xb") as out:
        np.save(out, np.ascontiguousarray(array), allow_pickle=False)
        out.flush()
        os.fsync(out.fileno())
    return _sum(path)


def _read(folder: Path, name: str, total: str, memory_map: bool, verify: bool) -> NDArray[Any]:
    path = folder / f"{name}.npy"
    if path.is_symlink():
        raise ValueError(f"{path.name} is a link")
    if verify and _sum(path) != total:
        raise ValueError(f"{path.name} does not have the checksum that {HEAD} gives it")
    return np.asarray(np.load(path, mmap_mode="r" if memory_map else None, allow_pickle=False))


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
