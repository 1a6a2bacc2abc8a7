"""`Streamed`: examples in a Parquet file that is larger than memory, learned from piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.data.examples import EVERYBODY, ITEM, THING, USER, Examples
from serendip.data.features.declared import Feature
from serendip.data.schema import LabelKind, Schema
from serendip.types import SerendipError

SAMPLE = 200_000
"""Rows that features are fitted to."""
PIECE = 65_536
"""Rows that are read at a time."""
MIXED = 4
"""Pieces from all over the file whose rows are mixed."""


@dataclass(frozen=True)
class Streamed(Dataset):
    """A sample of a file's rows as a data set, and the whole of them piece by piece.

    Features are fitted to the sample: a value that it does not have falls into a bucket out of the vocabulary. Memory
    holds the sample and the pieces that are being mixed, however long the file is.

    Attributes: as of `Dataset`, of the sample; and
        path: the file.
        rows: how many it has.
        columns: those that are read.
        piece: how many rows are read at a time.
    """

    path: Path = Path()
    rows: int = 0
    columns: tuple[str, ...] = ()
    piece: int = PIECE

    @classmethod
    def read(
        cls,
        path: str | Path,
        labels: Mapping[str, LabelKind],
        features: Mapping[str, Feature] | None = None,
        *,
        without: Sequence[str] = (),
        sample: int = SAMPLE,
        piece: int = PIECE,
        seed: int = 0,
    ) -> Self:
        """Read a sample of a Parquet file.

        Args:
            path: the file.
            labels, features, without: as of `serendip.data.examples.Examples.read`.
            sample: how many rows, in pieces from all over the file, features are fitted to.
            piece: how many rows are read at a time. Half a million or fewer rows a group make reading quick.
            seed: of the choice of the sample.

        Raises:
            SerendipError: no Parquet file, no rows, a number of rows below 1; or whatever `Examples` raises.
        """
        if sample < 1 or piece < 1:
            raise SerendipError(f"sample and piece must be 1 row or more. Got {sample} and {piece} instead.")
        file = Path(path)
        try:
            rows = int(pl.scan_parquet(file).select(pl.len()).collect().item())
        except (OSError, pl.exceptions.PolarsError) as error:
            raise SerendipError(
                f"{file} must be a Parquet file, whose rows can be read in any order. It cannot be read: {error}. "
                "Try polars.scan_csv(…).sink_parquet(…) to make one of a text file."
            ) from error
        if rows == 0:
            raise SerendipError(f"{file} must have rows to learn from. Got none.")
        starts = np.random.default_rng(seed).permutation(_starts(rows, piece))
        frame = pl.concat([_rows(file, None, at, piece) for at in np.sort(starts[: -(-sample // piece)])])
        some = frame if len(frame) <= sample else frame.sample(sample, seed=seed)
        data = Examples.read(some, labels, features, without=without).dataset()
        read = (*labels, *dict.fromkeys(one.column or name for name, one in data.schema.features.items()))
        held = {one.name: getattr(data, one.name) for one in fields(Dataset)}
        return cls(**held, path=file, rows=rows, columns=read, piece=piece)

    def parts(self, rng: np.random.Generator) -> Iterator[tuple[Dataset, dict[str, NDArray[Any]]]]:
        """Every row once, in random order: pieces in random order, and the rows of several of them mixed.

        Returns:
            Parts of the data, whose events have labels and no context, and their features ``[m, …]`` by name.
        """
        assert self.features is not None
        starts = rng.permutation(_starts(self.rows, self.piece))
        plain = Schema(user=USER, item=ITEM, labels=self.schema.labels)
        for begin in range(0, len(starts), MIXED):
            frames = [_rows(self.path, self.columns, at, self.piece) for at in starts[begin : begin + MIXED]]
            frame = pl.concat(frames)
            table = frame.select(*self.schema.labels, pl.lit(EVERYBODY).alias(USER), pl.lit(THING).alias(ITEM))
            yield Dataset.from_frames(table, schema=plain, part=True), self.features.context(None, frame, learning=True)

    def where(self, keep: NDArray[np.bool_]) -> Dataset:
        """Refused: rows of a file are not chosen one by one.

        Raises:
            SerendipError: always.
        """
        raise SerendipError(
            f"{self.path} is streamed and cannot be split. Try a file for each part: to learn from, and to judge by."
        )


def _starts(rows: int, piece: int) -> NDArray[np.int64]:
    return np.arange(0, rows, piece)


def _rows(path: Path, columns: Sequence[str] | None, start: Any, count: int) -> pl.DataFrame:
    lazy = pl.scan_parquet(path)
    chosen = lazy if columns is None else lazy.select(columns)
    return chosen.slice(int(start), count).collect()


__all__ = ["MIXED", "PIECE", "SAMPLE", "Streamed"]
