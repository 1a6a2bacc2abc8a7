"""Where training had come to, as one file: arrays and a few numbers, in the safetensors format. No code is in it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.bundle.tensorfile import decode, encode
from serendip.types import SerendipError

_HEADER = "progress"


class _Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fingerprint: str
    epoch: int
    seconds: float
    best: float | None
    best_epoch: int


@dataclass(frozen=True)
class Checkpoint:
    """What a loop needs to go on.

    Attributes:
        fingerprint: of what is trained.
        epoch: how many are done.
        seconds: of training so far.
        best: the highest figure of a validation, None before the first.
        best_epoch: when it was reached.
        tensors: arrays by name.
    """

    fingerprint: str
    epoch: int
    seconds: float
    best: float | None
    best_epoch: int
    tensors: Mapping[str, NDArray[Any]]


def write(path: Path, checkpoint: Checkpoint) -> None:
    """Write the file beside its place, then move it there: it is never half written."""
    found = {name: getattr(checkpoint, name) for name in _Progress.__struct_fields__}
    header = np.frombuffer(msgspec.json.encode(_Progress(**found)), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    with partial.open("wb") as file:
        for part in encode({**checkpoint.tensors, _HEADER: header}):
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read(path: Path) -> Checkpoint:
    """The inverse of `write`.

    Raises:
        SerendipError: not such a file.
    """
    tensors = decode(str(path), path.read_bytes())
    try:
        found = msgspec.json.decode(tensors.pop(_HEADER).tobytes(), type=_Progress)
    except (KeyError, msgspec.MsgspecError) as error:
        raise SerendipError(f"{path} must be a checkpoint. It holds no progress of a training run.") from error
    return Checkpoint(**msgspec.structs.asdict(found), tensors=tensors)
