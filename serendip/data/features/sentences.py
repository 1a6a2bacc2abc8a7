"""Texts as a sentence encoder understands them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np

from serendip.data.features.declared import Sentence, column_of
from serendip.data.features.encoder import Encoder, opened
from serendip.data.features.folder import Files, folder_of
from serendip.data.features.measures import MOST_NUMBERS, of_length_one
from serendip.data.features.part import Arrays, require
from serendip.data.features.values import Source, prose, single
from serendip.types import Input, SerendipError


@dataclass(frozen=True, eq=False)
class Sentences:
    """A fitted `Sentence`; ``declared.encoder`` is the folder's name alone: what is
    read from a bundle names no path.

    Attributes:
        width: how many numbers a vector has.
        files: of the encoder, their bytes where ``declared.keep``.
    """

    name: str
    declared: Sentence
    width: int
    files: Files

    def __post_init__(self) -> None:
        require(self.name, 1 <= self.width <= MOST_NUMBERS, f"vectors must have 1 to {MOST_NUMBERS} numbers")
        require(self.name, self.files.kept == self.declared.keep, "the encoder must be kept where keep = true")
        if self.files.kept:
            require(self.name, self._encoder().size in (None, self.width), "the encoder must give vectors of the width")

    @classmethod
    def fit(cls, name: str, declared: Sentence) -> Sentences:
        """With the encoder of the folder.

        Raises:
            SerendipError: there is none, or it cannot be used.
        """
        folder = folder_of(declared.encoder)
        try:
            files = Files.read(folder)
        except SerendipError as error:
            raise SerendipError(f"features.{name}: {error}.") from error
        made = msgspec.structs.replace(declared, encoder=folder.resolve().name)
        encoder = opened(made.encoder, files, made.max_length, made.pooling)
        kept = encoder.files if made.keep else replace(encoder.files, folder=folder).without()
        return cls(name, made, encoder.width(), kept)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """As `Part.inputs`."""
        return (Input(self.name, self.declared.side, width=self.width),)

    def apply(self, source: Source) -> Arrays:
        """As `Part.apply`; a text of which the encoder reads no token is missing.

        Raises:
            SerendipError: the encoder is not there, or a library that it needs.
        """
        column = source.column(column_of(self.name, self.declared) or self.name)
        found = single(self.name, prose(self.name, column))
        out = np.full((source.rows, self.width), np.nan, np.float32)
        if len(found.rows):
            made = found.map(self._encoder().encode)
            require(self.name, made.shape[1] == self.width, f"the encoder must give vectors of {self.width} numbers")
            out[found.rows] = of_length_one(made) if self.declared.unit else made
        return {self.name: out}

    def _encoder(self) -> Encoder:
        made = self.declared
        return opened(made.encoder, self.files, made.max_length, made.pooling)


__all__ = ["Sentences"]
