from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from serendip.cli.errors import SurroundingsError
from serendip.cli.files import require_writable, whole, write_tables, write_text


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    write_text(path, "one")
    assert path.read_text() == "one"
    with pytest.raises(ZeroDivisionError), whole(path) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_tables_are_written_side_by_side(tmp_path: Path) -> None:
    frame = pl.DataFrame({"a": [1]})
    paths = write_tables(tmp_path / "d", {"events": frame, "users": None})
    assert paths == {"events": str(tmp_path / "d" / "events.parquet"), "users": None}
    assert pl.read_parquet(paths["events"] or "").equals(frame)


def test_what_can_be_written_passes_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    require_writable(tmp_path / "a" / "b")
    require_writable(tmp_path / "a" / "b", directory=True)
    require_writable(tmp_path / "file")
    require_writable(tmp_path, directory=True)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_stands_in_the_way_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SurroundingsError, match=r"file/x cannot be written: .*file is a file, not a directory\."):
        require_writable(file / "x")
    with pytest.raises(SurroundingsError, match=r"a directory must stand there\. It is a file"):
        require_writable(file, directory=True)
    with pytest.raises(SurroundingsError, match=r"a file must stand there\. It is a directory"):
        require_writable(tmp_path)


def test_a_directory_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SurroundingsError, match=r"no permission to write in .*\. Try another --out"):
        require_writable(tmp_path / "x")
