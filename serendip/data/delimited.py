"""Delimited text: CSV, TSV, ``::``-separated and RecBole files, with or without a header."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.csv as pc

from serendip.data.table import Part
from serendip.types import SerendipError

HEAD_BYTES = 1 << 16
BLOCK_BYTES = 1 << 24
UNIT_SEPARATOR = "\x1f"
SEPARATORS = ("::", "\t", ",", ";", "|")
TAB_SUFFIXES = (".tsv", ".inter", ".user", ".item")
NEWLINE = re.compile(r"\r\n|\n|\r")
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
TYPED = re.compile(r"(.+):(token|float|token_seq|float_seq)")
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}

MOVIELENS: dict[str, dict[int, tuple[str, ...]]] = {
    "events": {2: ("user_id", "item_id"), 4: ("user_id", "item_id", "rating", "timestamp")},
    "items": {2: ("item_id", "title"), 3: ("item_id", "title", "genres")},
    "users": {5: ("user_id", "gender", "age", "occupation", "zip_code")},
}
"""Columns of files without a header, by role and number of fields."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How a file is written.

    Attributes:
        separator: between fields.
        quoted: whether a field may stand in quotes.
        names: of the columns.
        kinds: RecBole's type of each column, or "".
        skip: lines before the first row.
        note: what a reader should know, or "".
    """

    separator: str
    quoted: bool
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    skip: int
    note: str


def read_delimited(path: Path, name: str, role: str, encoding: str) -> Part:
    """Read a delimited text file: every field as text first, then as numbers where the whole column holds them.

    So an id such as ``007`` stays what it is. Rows with too many or too few fields are set aside (``Part.ragged``).

    Raises:
        SerendipError: wrong encoding, no header, a column name that occurs twice, text that cannot be taken apart.
    """
    text = decoded(path.read_bytes(), name, encoding)
    head = NEWLINE.split(text[:HEAD_BYTES].decode(errors="replace"))
    whole = head[:-1] if len(text) > HEAD_BYTES and len(head) > 1 else head
    layout = _layout(whole, path.suffix.lower(), role, name)
    separator = layout.separator
    if separator == "::":
        text, separator = text.replace(b"::", UNIT_SEPARATOR.encode()), UNIT_SEPARATOR
    ragged: list[tuple[int, str]] = []

    def set_aside(row: pc.InvalidRow) -> str:
        ragged.append((row.number - layout.skip, row.text))
        return "skip"

    try:
        rows = pc.read_csv(
            pa.BufferReader(text),
            # Rows are numbered only where one thread reads.
            pc.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, skip_rows=layout.skip, column_names=layout.names),
            pc.ParseOptions(
                delimiter=separator,
                quote_char='"' if layout.quoted else False,
                newlines_in_values=layout.quoted,
                invalid_row_handler=set_aside,
            ),
            pc.ConvertOptions(
                column_types=dict.fromkeys(layout.names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                check_utf8=False,
            ),
        )
    except pa.ArrowInvalid as error:
        cause = f"cannot be taken apart at {layout.separator!r} ({error})"
        raise SerendipError(f"{name}: {cause}. Try saving it as Parquet.") from error
    columns = [pl.Series(column, rows.column(column)) for column in layout.names]
    typed = [_of_kind(column, kind) for column, kind in zip(columns, layout.kinds, strict=True)]
    return Part(
        name,
        pl.DataFrame(typed),
        (layout.note,) if layout.note else (),
        np.array([row for row, _ in ragged], np.int64),
        tuple(line.replace(UNIT_SEPARATOR, "::") if layout.separator == "::" else line for _, line in ragged),
        len(layout.names),
    )


def decoded(data: bytes, name: str, encoding: str) -> bytes:
    """The text as UTF-8 without byte order mark.

    Raises:
        SerendipError: an encoding that does not exist or is not that of the text, with the first row that says so.
    """
    try:
        codec = codecs.lookup(encoding).name
    except LookupError:
        known = 'encoding must be one that Python knows, such as "utf-8" or "latin-1"'
        raise SerendipError(f"{known}. Got {encoding!r} instead.") from None
    mark = next((other for bom, other in BYTE_ORDER_MARKS.items() if data.startswith(bom)), None)
    if codec in ("utf-8", "utf-8-sig") and mark is not None:
        hint = f'Try encoding="{mark}" (--encoding {mark}).'
        raise SerendipError(f"{name}, line 1: expected UTF-8 text. Got {mark.upper()} instead. {hint}")
    _no_zeros(data, name, codec)
    try:
        text = data.decode(codec)
    except UnicodeError as error:
        start = error.start if isinstance(error, UnicodeDecodeError) else 0
        line = len(NEWLINE.split(data[:start].decode("latin-1")))
        other = "latin-1" if codec.startswith("utf-8") else "utf-8"
        raise SerendipError(
            f"{name}, line {line}: expected {encoding} text. Got the byte 0x{data[start]:02x}, which is none. "
            f'Try encoding="{other}" (--encoding {other}).'
        ) from error
    if codec == "utf-8" and not data.startswith(codecs.BOM_UTF8):
        return data
    return text.removeprefix("\ufeff").encode()


def _no_zeros(data: bytes, name: str, codec: str) -> None:
    """That text in an encoding of bytes holds no zero bytes: UTF-16 without its mark does, and what is no text."""
    at = -1 if codec.startswith(("utf-16", "utf-32")) else data.find(b"\0")
    if at < 0:
        return
    head = data[:HEAD_BYTES]
    little, big = (2 * head[start::2].count(0) > len(head[start::2]) for start in (1, 0))
    other = "utf-16-le" if little and not big else "utf-16-be" if big and not little else ""
    line = len(NEWLINE.split(data[:at].decode("latin-1")))
    hint = f'Try encoding="{other}" (--encoding {other}).' if other else "Is it a text file? Try removing such bytes."
    raise SerendipError(f"{name}, line {line}: expected text. Got a zero byte. {hint}")


def distinct(names: Sequence[str], table: str) -> None:
    """That no two columns of a table have the same name.

    Raises:
        SerendipError: naming the first that have.
    """
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        what = f'expected columns of different names. "{twice[0]}" occurs twice.'
        raise SerendipError(f"{table}: {what} Try renaming one of them.")


def as_numbers(column: pl.Series) -> pl.Series:
    """A text column as Int64, Float64 or Boolean if every value is written as one; unchanged otherwise.

    Integers must be written as they are printed: ``007``, ``+7`` and numbers beyond 64 bits stay text.
    """
    if column.null_count() == len(column):
        return column
    whole = column.cast(pl.Int64, strict=False)
    if whole.null_count() == column.null_count():
        return whole if bool((whole.cast(pl.String) == column).all()) else column
    # With a point somewhere: 7e10 and 2e3 may be ids, and integers beyond 64 bits are.
    if (
        column.str.contains(r"^-?(\d{0,15}\.)?\d*([eE][+-]?\d+)?$").all()
        and column.str.contains(".", literal=True).any()
    ):
        real = column.cast(pl.Float64, strict=False)
        if real.null_count() == column.null_count():
            return real
    if column.str.to_lowercase().is_in(["true", "false"]).all():
        return column.str.to_lowercase() == "true"
    return column


def _layout(lines: list[str], suffix: str, role: str, name: str) -> Layout:
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        raise SerendipError(f"{name}: expected rows of data. The file holds only blank lines.")
    separator = "\t" if suffix in TAB_SUFFIXES else _sniff([line for line in lines if line.strip()][:100])
    cells = _cells(lines[first], separator)
    kinds = [TYPED.fullmatch(cell) for cell in cells]
    recbole = [kind for kind in kinds if kind is not None]
    typed = len(recbole) == len(cells)
    headless = separator == "::" and any(NUMBER.fullmatch(cell) for cell in cells)
    note = ""
    if typed:
        cells = [kind[1] for kind in recbole]
    elif headless or all(NUMBER.fullmatch(cell) for cell in cells):
        cells = _movielens(len(cells), role, name)
        headless, note = True, f"{name}: no header; the columns are taken to be {', '.join(cells)}."
    names = tuple(cell.strip() or f"column_{number}" for number, cell in enumerate(cells, 1))
    distinct(names, name)
    return Layout(
        separator,
        separator != "::" and not typed,
        names,
        tuple(kind[2] for kind in recbole) if typed else ("",) * len(names),
        first if note and headless else first + 1,
        note,
    )


def _movielens(fields: int, role: str, name: str) -> list[str]:
    names = MOVIELENS.get(role, {}).get(fields)
    if names is None:
        raise SerendipError(
            f"{name}: expected a header line with the names of the columns. The first line is already a row of "
            f"{fields} fields. Try adding a header, such as user_id,item_id,timestamp."
        )
    return list(names)


def _sniff(lines: list[str]) -> str:
    """The separator that splits most lines into as many fields as the first one, and into most fields among such."""

    def agreement(separator: str) -> tuple[int, int]:
        counts = [len(_cells(line, separator)) for line in lines]
        return (sum(count == counts[0] for count in counts), counts[0]) if counts[0] > 1 else (0, 0)

    best = max(SEPARATORS, key=agreement)
    return best if agreement(best) > (0, 0) else ","


def _cells(line: str, separator: str) -> list[str]:
    if separator == "::":
        return line.split("::")
    return next(csv.reader([line], delimiter=separator), [])


def _of_kind(column: pl.Series, kind: str) -> pl.Series:
    """A text column as RecBole's header says; without such a header, as its values say."""
    if kind == "float":
        real = column.str.strip_chars().cast(pl.Float64, strict=False)
        return real if real.null_count() == column.null_count() else column
    if kind in ("token_seq", "float_seq"):
        words = pl.DataFrame({column.name: column.str.strip_chars().str.split(" ")}).to_series()
        return words.cast(pl.List(pl.Float64), strict=False) if kind == "float_seq" else words
    return as_numbers(column)
