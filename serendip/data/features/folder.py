"""The folder of a sentence encoder: ``model.onnx`` (or ``onnx/model.onnx``) and ``tokenizer.json``."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from serendip.types import SerendipError

Bytes = NDArray[np.uint8]

MODELS = ("model.onnx", "onnx/model.onnx")
TOKENIZER = "tokenizer.json"
PLACES = "SERENDIP_ENCODERS"
"""Environment variable with the folders in which encoders are looked for by the names of theirs."""


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """What an encoder is made of.

    Attributes:
        digest: SHA-256 over both files, in hexadecimal.
        model, tokenizer: their bytes; empty where they are not kept.
        folder: where they were found, if they were; it is not stored.
    """

    digest: str
    model: Bytes
    tokenizer: Bytes
    folder: Path | None = None

    @classmethod
    def read(cls, folder: Path) -> Files:
        """The files of a folder.

        Raises:
            SerendipError: one of them is missing.
        """
        model = next((folder / name for name in MODELS if (folder / name).is_file()), folder / MODELS[0])
        for path in (model, folder / TOKENIZER):
            if not path.is_file():
                raise SerendipError(
                    f"encoder must be a folder with {MODELS[0]} and {TOKENIZER}. Got {str(folder)!r} without "
                    f"{path.name} instead. Try the export of a sentence encoder to ONNX"
                )
        network, tokenizer = (np.frombuffer(path.read_bytes(), np.uint8) for path in (model, folder / TOKENIZER))
        return cls(digest_of(network, tokenizer), network, tokenizer, folder)

    def without(self) -> Files:
        """The same, their bytes not kept."""
        nothing = np.empty(0, np.uint8)
        return Files(self.digest, nothing, nothing, self.folder)

    @property
    def kept(self) -> bool:
        """Whether the bytes are here."""
        return len(self.model) > 0

    def here(self, name: str) -> Files:
        """With their bytes: as kept, from where they were found, or from a folder of this name in one of `PLACES`.

        Raises:
            SerendipError: they are nowhere, or others than they were.
        """
        if self.kept:
            if digest_of(self.model, self.tokenizer) != self.digest:
                raise SerendipError("must have the checksum that its header names")
            return self
        for folder in (*(() if self.folder is None else (self.folder,)), *_places(name)):
            if folder.is_dir() and (files := Files.read(folder)).digest == self.digest:
                return files
        raise SerendipError(
            f"is not in the bundle (keep = false), and no folder {name!r} with the files of the fit (SHA-256 "
            f"{self.digest[:12]}…) is in one of the folders that {PLACES} names ({os.environ.get(PLACES) or 'none'}). "
            "Try putting it there, or fit with keep = true"
        )


def folder_of(encoder: str) -> Path:
    """The folder that is meant: by its path, or by its name in one of the folders of `PLACES`."""
    given = Path(encoder)
    return next((path for path in (given, *_places(given.name)) if path.is_dir()), given)


def digest_of(model: Bytes, tokenizer: Bytes) -> str:
    """SHA-256 over the length of the first file (8 bytes, little-endian), the first and the second."""
    found = hashlib.sha256(len(model).to_bytes(8, "little"))
    found.update(np.ascontiguousarray(model).data)
    found.update(np.ascontiguousarray(tokenizer).data)
    return found.hexdigest()


def _places(name: str) -> list[Path]:
    """Folders of this name, which is no path, in those of `PLACES`."""
    if name != Path(name).name:
        return []
    return [Path(place) / name for place in os.environ.get(PLACES, "").split(os.pathsep) if place]


__all__ = ["PLACES", "TOKENIZER", "Files", "digest_of", "folder_of"]
