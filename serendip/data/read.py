"""Reading event logs and tables: frames of other libraries, files of several formats, folders of parts."""

from __future__ import annotations

import difflib
import io
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from serendip.data.delimited import decoded, distinct, read_delimited
from serendip.data.table import Part, Table
from serendip.types import SerendipError


def read(source: Any, role: str = "events", *, encoding: str = "utf-8") -> Table:
    """Read a table.

    Args:
        source: a Polars, pandas or PyArrow table; a path of a Parquet, CSV, TSV, ``::``-separated, JSON, Arrow or
            RecBole file; a folder of such files; or a list of these, which are put one below the other. One that was
            read before stays as it is.
        role: ``events``, ``users``, ``items`` or the name of a relation: tells RecBole files of one folder apart, and
            what the columns of a MovieLens file without header are.
        encoding: of text files.

    Raises:
        SerendipError: no such file, an unknown format, an unreadable or empty file, a wrong encoding.
    """
    if isinstance(source, Table):
        return source
    parts = tuple(_parts(source, role, encoding))
    if len(parts) == 1:
        return Table(role, parts[0].frame, parts)
    columns = set(parts[0].frame.columns)
    for part in parts[1:]:
        if columns != set(part.frame.columns):
            raise SerendipError(
                f"The parts of one table must have the same columns. {parts[0].name} has {', '.join(sorted(columns))}; "
                f"{part.name} has {', '.join(sorted(part.frame.columns))}. Try giving only files that belong together."
            )
    frames = [part.frame.select(parts[0].frame.columns) for part in parts]
    return Table(role, _below(frames), parts)


def _below(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """The frames one below the other; a column that is text in one of them is text in all."""
    columns = []
    for name in frames[0].columns:
        pieces = [frame[name] for frame in frames]
        if any(piece.dtype == pl.String for piece in pieces):
            pieces = [piece.cast(pl.String) for piece in pieces]
        columns.append(pl.concat([piece.to_frame() for piece in pieces], how="vertical_relaxed"))
    return pl.concat(columns, how="horizontal")


def _parts(source: Any, role: str, encoding: str) -> list[Part]:
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        if path.is_dir():
            return [_read_file(file, str(file), role, encoding) for file in _inside(path, role)]
        return [_read_file(path, str(source), role, encoding)]
    if isinstance(source, list | tuple):
        if not source:
            raise SerendipError(f"{role}: expected at least one file or table. Got an empty list instead.")
        return [part for one in source for part in _parts(one, role, encoding)]
    return [Part(role, _frame(source, role))]


def _inside(folder: Path, role: str) -> list[Path]:
    """The data files of a folder and its subfolders, by name; of RecBole's files those of the role."""
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in FORMATS
        and path.stem.lower() not in ("readme", "license", "licence")
        and not any(part[0] in "._" for part in path.relative_to(folder).parts)
    ]
    atomic = {"events": ".inter", "users": ".user", "items": ".item"}
    if any(path.suffix in atomic.values() for path in files):
        files = [path for path in files if path.suffix == atomic.get(role)]
    if not files:
        raise SerendipError(
            f"{folder}: expected a folder with data files ({', '.join(FORMATS)}). It holds none for the {role}."
        )
    return files


def _read_file(path: Path, name: str, role: str, encoding: str) -> Part:
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except FileNotFoundError:
        raise SerendipError(f"{name}: no such file.{_neighbour(path)}") from None
    except OSError as error:
        raise SerendipError(f"{name}: cannot be read: {error.strerror}.") from error
    if not head:
        raise SerendipError(f"{name}: expected rows of data. The file is empty.")
    reader = FORMATS.get(path.suffix.lower()) or _by_content(head)
    if reader is None:
        raise SerendipError(
            f"{name}: expected a file of one of the formats {', '.join(FORMATS)}. "
            f"Got {path.suffix or 'no suffix'!r} instead. Try renaming it, or unpacking it first."
        )
    return reader(path, name, role, encoding)


def _neighbour(path: Path) -> str:
    try:
        names = [other.name for other in path.parent.iterdir()]
    except OSError:
        return f" The folder {path.parent} does not exist either."
    close = difflib.get_close_matches(path.name, names, 1)
    return f' Did you mean "{path.parent / close[0]}"?' if close else ""


def _by_content(head: bytes) -> Callable[[Path, str, str, str], Part] | None:
    if head.startswith(b"PAR1"):
        return _parquet
    return _arrow if head.startswith(b"ARROW1") else None


def _parquet(path: Path, name: str, role: str, encoding: str) -> Part:
    try:
        return Part(name, pl.read_parquet(path, hive_partitioning=False, glob=False))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        with suppress(pa.ArrowException, OSError):
            distinct(pq.read_schema(path).names, name)
        raise _broken(name, "Parquet", error) from error


def _arrow(path: Path, name: str, role: str, encoding: str) -> Part:
    try:
        with pa.OSFile(str(path)) as file:
            magic = file.read(6)
            file.seek(0)
            stream = pa.ipc.open_file(file) if magic == b"ARROW1" else pa.ipc.open_stream(file)
            return Part(name, _frame(stream.read_all(), role))
    except (pa.ArrowException, OSError) as error:
        raise _broken(name, "Arrow", error) from error


def _json(path: Path, name: str, role: str, encoding: str) -> Part:
    text = decoded(path.read_bytes(), name, encoding)
    array = text.lstrip().startswith(b"[")
    parse = pl.read_json if array else pl.read_ndjson
    try:
        return Part(name, parse(io.BytesIO(text), infer_schema_length=None))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        for row, line in enumerate([] if array else filter(bytes.strip, text.split(b"\n")), 1):
            if not _is_object(line):
                came = line[:60].decode(errors="replace")
                raise SerendipError(
                    f"{name}, row {row}: expected one JSON object per line. Got {came!r} instead. "
                    "Try repairing or removing the line."
                ) from error
        raise _broken(name, "JSON", error) from error


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


FORMATS: dict[str, Callable[[Path, str, str, str], Part]] = {
    **dict.fromkeys([".parquet", ".pq"], _parquet),
    **dict.fromkeys([".csv", ".tsv", ".txt", ".dat", ".data", ".inter", ".user", ".item"], read_delimited),
    **dict.fromkeys([".jsonl", ".ndjson", ".json"], _json),
    **dict.fromkeys([".arrow", ".feather", ".ipc"], _arrow),
}


def _broken(name: str, kind: str, error: BaseException) -> SerendipError:
    cause = str(error).splitlines()[0] if str(error) else type(error).__name__
    return SerendipError(
        f"{name}: expected a whole {kind} file. It cannot be read ({cause}). "
        "It may have been cut short or damaged: try copying or downloading it again."
    )


def _frame(source: Any, role: str) -> pl.DataFrame:
    """A table of another library as Polars."""
    if isinstance(source, pl.DataFrame):
        return source
    if isinstance(source, pl.LazyFrame):
        return source.collect()
    if type(source).__module__.partition(".")[0] == "pandas" and hasattr(source, "to_dict"):
        return _from_pandas(source, role)
    if isinstance(source, pa.Table | pa.RecordBatch) or hasattr(source, "__arrow_c_stream__"):
        if isinstance(source, pa.Table | pa.RecordBatch):
            distinct(source.schema.names, role)
            frame = pl.from_arrow(source)
        else:
            frame = pl.DataFrame(source)
        if isinstance(frame, pl.DataFrame):
            return frame
    raise SerendipError(
        f"{role}: expected a path, or a Polars, pandas or PyArrow table. Got {type(source).__name__} instead."
    )


def _from_pandas(source: Any, role: str) -> pl.DataFrame:
    """A pandas frame by way of Arrow; columns of mixed types become text, and a named index becomes columns, where
    there is no column of that name."""
    indexed = [name for name in source.index.names if name is not None and name not in source.columns]
    frame = source.reset_index(level=indexed) if indexed else source
    distinct([str(name) for name in frame.columns], role)
    columns = []
    for position, name in enumerate(map(str, frame.columns)):
        values = frame.iloc[:, position]
        try:
            columns.append(pl.Series(name, pa.Array.from_pandas(values)))
        except pa.ArrowException:
            columns.append(pl.Series(name, _as_texts(values.to_list()), dtype=pl.String))
    return pl.DataFrame(columns)


def _as_texts(values: Sequence[Any]) -> list[str | None]:
    """Mixed values as text: ``1``, ``1.0`` and ``"1"`` are the same id, None and NaN are missing."""
    out: list[str | None] = []
    for value in values:
        if value is None or value != value:
            out.append(None)
        elif isinstance(value, float | np.floating) and float(value).is_integer():
            out.append(str(int(value)))
        else:
            out.append(str(value))
    return out
