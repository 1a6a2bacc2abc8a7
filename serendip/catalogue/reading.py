"""Rows of items as a file has them, in the names and types of a bundle; and where live items are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from serendip.bundle import Bundle
from serendip.catalogue.catalogue import FILE
from serendip.catalogue.log import CatalogueError
from serendip.data.read import read
from serendip.data.schema import split_categories

SUFFIX = ".live"


def beside(bundle: Path) -> Path:
    """The folder in which the live items of a bundle are kept, unless one says otherwise: ``NAME.live`` beside it."""
    whole = bundle.absolute()
    return bundle.with_name(whole.name + SUFFIX) if bundle.name else whole.with_name(whole.name + SUFFIX)


def kept_in(folder: Path) -> bool:
    """Whether live items are kept in a folder."""
    return (folder / FILE).is_file()


def rows_of(bundle: Bundle, source: Any, *, encoding: str = "utf-8") -> pl.DataFrame:
    """The rows of a table of items, with the columns named and typed as those of a bundle, where that is possible.

    Args:
        bundle: whose items they are like.
        source: as of `serendip.data.read.read`.
        encoding: of text files.

    Raises:
        SerendipError: a file that cannot be read; `CatalogueError`: no column of ids, or values of another type.
    """
    frame, schema = read(source, "items", encoding=encoding).frame, bundle.manifest.schema
    names = {} if schema is None else {schema.item: "item_id", schema.title or "title": "title"}
    frame = frame.rename({old: new for old, new in names.items() if old in frame.columns and new not in frame.columns})
    if "item_id" not in frame.columns:
        wanted = "item_id" if schema is None else schema.item
        raise CatalogueError(
            f"Rows of items must have a column {wanted!r}. Got {', '.join(frame.columns)}. "
            "Try naming the columns as in the table of the fit."
        )
    return frame.with_columns(
        _as(frame[name], kind) for name, kind in bundle.items.schema.items() if name in frame.columns
    )


def _as(column: pl.Series, kind: pl.DataType) -> pl.Series:
    """The column in another type, texts parted where that has several values; as it is where that cannot be.

    Raises:
        CatalogueError: some values would not be the same in it.
    """
    if column.dtype == kind or kind.is_temporal():
        return column
    if column.dtype == pl.String and isinstance(kind, pl.List):
        parted = split_categories(column).to_frame()
        column = parted.select(pl.when(column.is_not_null()).then(pl.col(column.name))).to_series()
    try:
        cast = column.cast(kind, strict=False)
    except pl.exceptions.PolarsError:
        return column
    fits = cast.is_not_null() if not column.dtype.is_float() else cast.cast(column.dtype) == column
    odd = column.filter(column.is_not_null() & ~fits.fill_null(False))
    if len(odd):
        raise CatalogueError(f"The attribute {column.name!r} must be {kind}. Got {odd[0]!r:.80} instead.")
    return cast


__all__ = ["beside", "kept_in", "rows_of"]
