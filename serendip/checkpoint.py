"""Where training had come to, as one file: arrays and a few numbers, in the safetensors format. No code is in it."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.bundle.tensorfile import decode, encode
from serendip.types import SerendipError

_HEADER = "progress"
Plain = str | int | float | bool | None


class _Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    identity: dict[str, Any]
    epoch: int
    step: int
    steps: int
    examples: int
    seconds: float
    best: float | None
    best_epoch: int
    sums: dict[str, float]
    values: dict[str, Plain]
    crc32: int
    falls: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a loop needs to go on.

    Attributes:
        identity: all that decides how training goes, as JSON values by name.
        epoch: how many are done.
        step: how many steps of the epoch under way are done.
        steps: how many are done in all.
        examples: how many were learned from in all.
        seconds: of training so far.
        best: the highest figure of a validation, None before the first.
        best_epoch: when it was reached.
        falls: the epochs whose validation brought nothing better.
        sums: of the parts of the loss over the steps of the epoch under way.
        tensors: arrays by name.
        values: what else is to be kept, by name.
    """

    identity: Mapping[str, Any]
    epoch: int = 0
    step: int = 0
    steps: int = 0
    examples: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_epoch: int = 0
    falls: tuple[int, ...] = ()
    sums: Mapping[str, float] = field(default_factory=dict)
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    values: Mapping[str, Plain] = field(default_factory=dict)


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file beside its place, then move it there: it is never half written.

    Raises:
        SerendipError: it cannot be written.
    """
    found = {one.name: getattr(checkpoint, one.name) for one in fields(checkpoint) if one.name != "tensors"}
    header = msgspec.json.encode(_Progress(**found, crc32=_checksum(checkpoint.tensors)))
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            for part in encode({**checkpoint.tensors, _HEADER: np.frombuffer(header, np.uint8)}):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise SerendipError(
            f"the checkpoint {path} cannot be written: {error.strerror or error}. Try another place."
        ) from error


def read(path: Path) -> Checkpoint:
    """The inverse of `write`.

    Raises:
        SerendipError: it cannot be read, is no such file, or is damaged or cut short.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SerendipError(f"the checkpoint {path} cannot be read: {error.strerror or error}.") from error
    try:
        tensors = decode("the file", content)
        found = msgspec.json.decode(tensors.pop(_HEADER).tobytes(), type=_Progress)
    except KeyError as error:
        raise SerendipError(f"{path} must be a checkpoint. It holds no progress of a training run.") from error
    except (SerendipError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _damaged(path, str(error)) from error
    if _checksum(tensors) != found.crc32:
        raise _damaged(path, "its tensors do not have the checksum that they had.")
    kept = {name: getattr(found, name) for name in found.__struct_fields__ if name != "crc32"}
    return Checkpoint(**kept, tensors=tensors)


def difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """Where two identities differ, in words; empty if they do not."""
    nothing = object()
    here = msgspec.json.decode(msgspec.json.encode(here))  # what is there was written and read: its tuples are lists
    parts = []
    for name in dict.fromkeys((*there, *here)):
        one, other = there.get(name, nothing), here.get(name, nothing)
        if one != other:
            said = ("none" if value is nothing else msgspec.json.encode(value).decode() for value in (one, other))
            parts.append(f"{name} ({' there, '.join(said)} here)")
    return ", ".join(parts)


def _checksum(tensors: Mapping[str, NDArray[Any]]) -> int:
    total = 0
    for name in sorted(tensors):
        total = zlib.crc32(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8).data, total)
    return total


def _damaged(path: Path, what: str) -> SerendipError:
    return SerendipError(
        f"{path} must be a whole checkpoint. It is damaged, cut short or something else: {what} "
        "Try another file, or leave resume out to begin anew."
    )
