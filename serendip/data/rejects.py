"""Writing the refused rows to a file, with the reason beside each."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from serendip.data.findings import Findings
from serendip.data.table import Table
from serendip.types import SerendipError

OWN = {"reason": pl.String, "table": pl.String, "file": pl.String, "row": pl.Int64, "line": pl.String}


def check_target(path: str | Path, tables: Sequence[Table]) -> Path:
    """The path of a rejects file that can be written.

    Raises:
        SerendipError: neither Parquet nor CSV, no folder to write in, or one of the files that are read.
    """
    target = Path(path).expanduser()
    if target.suffix.lower() not in (".parquet", ".csv"):
        raise SerendipError(f"rejects must be a .parquet or .csv file. Got {str(path)!r} instead.")
    if not target.parent.is_dir():
        raise SerendipError(
            f"rejects must lie in a folder that exists. There is no {str(target.parent)!r}. Try creating it."
        )
    if not os.access(target.parent, os.W_OK) or target.is_dir():
        raise SerendipError(f"rejects must be a file that can be written. {str(path)!r} cannot.")
    if any(Path(part.name).expanduser().resolve() == target.resolve() for table in tables for part in table.parts):
        raise SerendipError(f"rejects must be another file than those that are read. Got {str(path)!r}.")
    return target


def write_rejects(path: Path, tables: Sequence[Table], found: Findings) -> None:
    """Write every refused row: ``reason, table, file, row`` (1-based), ``line`` (as it stood, where it could not be
    taken apart) and the row's own columns as text.

    The file is written whole or not at all. It has no rows where nothing was refused.
    """
    frames = [_refused(table, found) for table in tables]
    rows = pl.concat([pl.DataFrame(schema=OWN), *frames], how="diagonal")
    part = path.with_name(path.name + ".part")
    try:
        if path.suffix.lower() == ".csv":
            rows.write_csv(part)
        else:
            rows.write_parquet(part)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise SerendipError(f"rejects: {str(path)!r} cannot be written: {error.strerror or error}.") from error


def _refused(table: Table, found: Findings) -> pl.DataFrame:
    reasons: dict[int, list[str]] = defaultdict(list)
    for refusal in found.refusals:
        if refusal.table is table:
            for row in refusal.rows.tolist():
                reasons[row].append(refusal.reason)
    rows = np.array(sorted(reasons), np.int64)
    part, inside = table.origin(rows)
    own = pl.DataFrame(
        {
            "reason": ["; ".join(reasons[row]) for row in rows.tolist()],
            "table": [table.role] * len(rows),
            "file": [table.parts[number].name for number in part],
            "row": inside,
            "line": [None] * len(rows),
        },
        schema=OWN,
    )
    given = table.frame[rows].select(_text(table.frame[name], name).alias(_apart(name)) for name in table.frame.columns)
    ragged = [
        pl.DataFrame(
            {
                "reason": [f"expected {one.fields} fields"] * len(one.lines),
                "table": [table.role] * len(one.lines),
                "file": [one.name] * len(one.lines),
                "row": one.ragged,
                "line": list(one.lines),
            },
            schema=OWN,
        )
        for one in table.parts
    ]
    return pl.concat([pl.concat([own, given], how="horizontal"), *ragged], how="diagonal")


def _apart(name: str) -> str:
    return f"{name}_given" if name in OWN else name


def _text(column: pl.Series, name: str) -> pl.Expr:
    return pl.struct(name).struct.json_encode() if column.dtype.is_nested() else pl.col(name).cast(pl.String)
