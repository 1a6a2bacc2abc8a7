"""How a public data set is described, and how its files become tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import polars as pl

from serendip.data.schema import Schema
from serendip.types import SerendipError

Frame = pl.DataFrame
Tidy = Callable[[Frame], Frame]

_NO_SUMS: Mapping[str, str] = MappingProxyType({})
UNIT_SEPARATOR = "\x1f"


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How files become one table.

    Attributes:
        files: the files, one below the other; a path inside the archive, of which the end is enough.
        columns: every column of the file in order, with its type; empty: as the header says.
        header: whether the first line names the columns.
        separator: between fields; may be longer than a letter.
        encoding: of the text.
        quoted: whether fields may stand in double quotes.
        keep: the columns to keep; empty: all.
        tidy: what is done to the table at last.
    """

    files: tuple[str, ...]
    columns: Mapping[str, type[pl.DataType]] = field(default_factory=dict)
    header: bool = False
    separator: str = ","
    encoding: str = "utf-8"
    quoted: bool = False
    keep: tuple[str, ...] = ()
    tidy: Tidy | None = None

    def frame(self, paths: Mapping[str, Path]) -> Frame:
        """The table, from the files of a set by path.

        Raises:
            SerendipError: a file that is missing or cannot be read so.
        """
        table = pl.concat([self._read(_find(paths, file)) for file in self.files])
        if self.keep:
            table = table.select(self.keep)
        return table if self.tidy is None else self.tidy(table)

    def _read(self, path: Path) -> Frame:
        try:
            text = path.read_bytes()
            if self.encoding != "utf-8":
                text = text.decode(self.encoding).encode()
            separator = self.separator
            if len(separator) > 1:
                text, separator = text.replace(separator.encode(), UNIT_SEPARATOR.encode()), UNIT_SEPARATOR
            return pl.read_csv(
                text,
                has_header=self.header and not self.columns,
                skip_rows=int(self.header and bool(self.columns)),
                separator=separator,
                quote_char='"' if self.quoted else None,
                schema=dict(self.columns) or None,
                infer_schema_length=None,
            )
        except (OSError, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
            raise SerendipError(
                f"{path}: expected the file as its publisher made it. It cannot be read "
                f"({str(error).splitlines()[0]}). Try removing it and getting it again."
            ) from error


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A public data set.

    Attributes:
        name: what to call it by.
        title: one line for lists.
        page: the publisher's page.
        urls: the files to download; the last part of each is its name.
        terms: on what terms it may be used, as the publisher states them.
        citation: what to cite.
        rows: number of events, where the publisher states it.
        schema: what the columns of the tables mean.
        events, users, items, relations: how the tables are read.
        sha256: the publisher's checksums by file name, where verified.
    """

    name: str
    title: str
    page: str
    urls: tuple[str, ...]
    terms: str
    citation: str
    rows: int | None
    schema: Schema
    events: Reading
    users: Reading | None = None
    items: Reading | None = None
    relations: Mapping[str, Reading] = field(default_factory=dict)
    sha256: Mapping[str, str] = field(default_factory=lambda: _NO_SUMS)

    @property
    def needed(self) -> tuple[str, ...]:
        """The files that are read."""
        readings = (self.events, self.users, self.items, *self.relations.values())
        return tuple(file for reading in readings if reading is not None for file in reading.files)


def _find(paths: Mapping[str, Path], file: str) -> Path:
    for name, path in paths.items():
        if name == file or name.endswith("/" + file):
            return path
    raise SerendipError(
        f"expected the file {file} among those of the set. Found {', '.join(list(paths)[:8]) or 'none'}. "
        "Try removing the set from the cache and getting it again."
    )


__all__ = ["Entry", "Frame", "Reading", "Tidy"]
