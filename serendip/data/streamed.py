"""`Streamed`: examples in a Parquet file that is larger than memory, learned from piece by piece."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.check import RANGES, fitting
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
PARTS = 20
"""Pieces, at least, that a file is dealt out in to hold some of them out."""
MOST_HELD = 500_000
"""Rows that are held out at most, as they are kept in memory."""


@dataclass(frozen=True)
class Streamed(Dataset):
    """A sample of a file's rows as a data set, and the whole of them piece by piece.

    Features are fitted to the sample: a value that it does not have falls into a bucket out of the vocabulary. Memory
    holds the sample and the pieces that are being mixed, however long the file is.

    Attributes: as of `Dataset`, of the sample; and
        path: the file.
        rows: how many are learned from.
        columns: those that are read.
        piece: how many rows are read at a time.
        pieces: where in the file each piece begins that is learned from, and how many rows it has.
    """

    path: Path = Path()
    rows: int = 0
    columns: tuple[str, ...] = ()
    piece: int = PIECE
    pieces: tuple[tuple[int, int], ...] = ()

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
            path: the file, or a folder of files that have the same columns.
            labels, features, without: as of `serendip.data.examples.Examples.read`.
            sample: how many rows, in pieces from all over the file, features are fitted to.
            piece: how many rows are read at a time. Half a million or fewer rows a group make reading quick.
            seed: of the choice of the sample.

        Raises:
            SerendipError: no Parquet file, no rows, a number of rows below 1, a file of a folder that lacks columns, a
                label outside its range anywhere; or whatever `Examples` raises.
        """
        if sample < 1 or piece < 1:
            raise SerendipError(f"sample and piece must be 1 row or more. Got {sample} and {piece} instead.")
        file = Path(path)
        _require_alike(file)
        try:
            rows = int(pl.scan_parquet(file).select(pl.len()).collect().item())
        except (OSError, pl.exceptions.PolarsError) as error:
            raise SerendipError(
                f"{file} must be a Parquet file, whose rows can be read in any order. It cannot be read: {error}. "
                "Try polars.scan_csv(…).sink_parquet(…) to make one of a text file."
            ) from error
        if rows == 0:
            raise SerendipError(f"{file} must have rows to learn from. Got none.")
        _require_labels(file, labels)
        pieces = _pieces(0, rows, piece)
        found = _sampled(file, None, pieces, sample, seed)
        data = Examples.read(found, labels, features, without=without).dataset()
        read = (*labels, *dict.fromkeys(one.column or name for name, one in data.schema.features.items()))
        held = {one.name: getattr(data, one.name) for one in fields(Dataset)}
        return cls(**held, path=file, rows=rows, columns=read, piece=piece, pieces=tuple(pieces))

    def parts(self, rng: np.random.Generator) -> Iterator[tuple[Dataset, dict[str, NDArray[Any]]]]:
        """Every row once, in random order: pieces in random order, and the rows of several of them mixed.

        Returns:
            Parts of the data, whose events have labels and no context, and their features ``[m, …]`` by name.
        """
        assert self.features is not None
        order = rng.permutation(len(self.pieces))
        plain = Schema(user=USER, item=ITEM, labels=self.schema.labels)
        for begin in range(0, len(order), MIXED):
            frames = [_rows(self.path, self.columns, *self.pieces[at]) for at in order[begin : begin + MIXED]]
            frame = pl.concat(frames)
            table = frame.select(*self.schema.labels, pl.lit(EVERYBODY).alias(USER), pl.lit(THING).alias(ITEM))
            yield Dataset.from_frames(table, schema=plain, part=True), self.features.context(None, frame, learning=True)

    def held_out(self, share: float, seed: int = 0) -> tuple[Self, Dataset]:
        """The file without a random share of its pieces, and these as a data set.

        Features are fitted to a sample of what is left. Short files are dealt out in smaller pieces, `PARTS` or more.
        At most `MOST_HELD` rows are held out.

        Args:
            share: of the rows, above 0 and below 1.
            seed: of the choice.

        Raises:
            SerendipError: there is one row to learn from, or whatever `Examples` raises.
        """
        if self.rows < 2:
            raise SerendipError(f"{self.path} must have rows to hold out and others to learn from. Got {self.rows}.")
        size = min(self.piece, -(-self.rows // PARTS))
        pieces = [part for at, count in self.pieces for part in _pieces(at, count, size)]
        number = max(1, min(round(share * len(pieces)), MOST_HELD // size, len(pieces) - 1))
        chosen = np.sort(np.random.default_rng(seed).permutation(len(pieces))[:number])
        kept = [pieces[at] for at in np.setdiff1d(np.arange(len(pieces)), chosen)]
        found = _sampled(self.path, self.columns, kept, len(self.events), seed)
        test = pl.concat([_rows(self.path, self.columns, *pieces[at]) for at in chosen])
        data, held = (
            Examples.read(frame, self.schema.labels, self.schema.features).dataset() for frame in (found, test)
        )
        own = {one.name: getattr(data, one.name) for one in fields(Dataset)}
        return replace(self, **own, rows=self.rows - len(test), piece=size, pieces=tuple(kept)), held

    def where(self, keep: NDArray[np.bool_]) -> Dataset:
        """Refused: rows of a file are not chosen one by one.

        Raises:
            SerendipError: always.
        """
        raise SerendipError(
            f"{self.path} is streamed and cannot be split row by row. Try held_out, or a file for each part."
        )


def _require_alike(folder: Path) -> None:
    """That all Parquet files of a folder have the columns of the first, of the same types: better now than when
    training comes to them.

    Raises:
        SerendipError: one has not, or cannot be read; it names it.
    """
    first: dict[str, pl.DataType] = {}
    for file in sorted(folder.rglob("*.parquet")) if folder.is_dir() else ():
        try:
            found = dict(pl.read_parquet_schema(file))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise SerendipError(f"{file} must be a Parquet file. It cannot be read: {error}.") from error
        first = first or found
        if found == first:
            continue
        other = [name for name in first if found.get(name) != first[name]] or [one for one in found if one not in first]
        came = ", ".join(f"{name} ({found.get(name, 'missing')})" for name in other)
        wanted = ", ".join(f"{name} ({first.get(name, 'missing')})" for name in other)
        raise SerendipError(
            f"{file} must have the columns of the other files of its folder: {wanted}. Got {came} instead. "
            "Try writing all of them with the same columns, or leaving it out."
        )


def _require_labels(path: Path, labels: Mapping[str, LabelKind]) -> None:
    """That every label of the file that is known is within its range; one pass over these columns.

    Raises:
        SerendipError: one is not; it says where and what it is.
    """
    lazy = pl.scan_parquet(path)
    there = [name for name in labels if name in lazy.collect_schema()]  # without a column `Examples` raises
    for name in there:
        numbers = pl.col(name).cast(pl.Float32, strict=False)
        bad = (~fitting(labels[name], numbers)).fill_null(pl.col(name).is_not_null())
        found = lazy.select(name).with_row_index("row").filter(bad).head(1).collect()
        if len(found):
            row, value = found.row(0)
            raise SerendipError(
                f'{path}: column "{name}", row {row + 1:,}: expected {RANGES[labels[name]]} (a label of kind '
                f"{labels[name]}). Got {value!r} instead. Try repairing such rows, or another kind in labels."
            )


def _sampled(
    path: Path, columns: Sequence[str] | None, pieces: Sequence[tuple[int, int]], sample: int, seed: int
) -> pl.DataFrame:
    """So many rows, or fewer, of pieces chosen at random."""
    order = np.random.default_rng(seed).permutation(len(pieces))
    enough = int(np.searchsorted(np.cumsum([pieces[at][1] for at in order]), sample)) + 1
    frame = pl.concat([_rows(path, columns, *pieces[at]) for at in np.sort(order[:enough])])
    return frame if len(frame) <= sample else frame.sample(sample, seed=seed)


def _pieces(start: int, rows: int, size: int) -> list[tuple[int, int]]:
    return [(at, min(size, start + rows - at)) for at in range(start, start + rows, size)]


def _rows(path: Path, columns: Sequence[str] | None, start: int, count: int) -> pl.DataFrame:
    lazy = pl.scan_parquet(path)
    chosen = lazy if columns is None else lazy.select(columns)
    return chosen.slice(start, count).collect()


__all__ = ["MIXED", "PIECE", "SAMPLE", "Streamed"]
