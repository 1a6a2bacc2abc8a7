"""Writing files whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from serendip.cli.errors import SurroundingsError

if TYPE_CHECKING:
    import polars as pl


def require_writable(path: Path, *, directory: bool = False, flag: str = "--out") -> None:
    """Make sure, before any work is done, that a file (or directory) can be written there, as ``flag`` asks for.

    Raises:
        SurroundingsError: naming what stands in the way.
    """
    nearest = path.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if nearest == path.absolute() and nearest.is_dir() != directory:
        wanted, there = ("a directory", "a file") if directory else ("a file", "a directory")
        raise SurroundingsError(
            f"{path} cannot be written: {wanted} must stand there. It is {there}. Try another {flag}."
        )
    folder = nearest if nearest.is_dir() or nearest != path.absolute() else nearest.parent
    if not folder.is_dir():
        raise SurroundingsError(f"{path} cannot be written: {folder} is a file, not a directory. Try another {flag}.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SurroundingsError(f"{path} cannot be written: no permission to write in {folder}. Try another {flag}.")


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write beside ``path``, which takes its place when all went well and is removed otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_tables(folder: Path, tables: Mapping[str, pl.DataFrame | None]) -> dict[str, str | None]:
    """Write each table to ``<folder>/<name>.parquet``; returns the paths by name, None where there is no table."""
    paths: dict[str, str | None] = {}
    for name, table in tables.items():
        path = folder / f"{name}.parquet"
        paths[name] = None if table is None else str(path)
        if table is not None:
            with whole(path) as part:
                table.write_parquet(part)
    return paths


def write_text(path: Path, text: str) -> None:
    """Write a text file, UTF-8, whole or not at all."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")
