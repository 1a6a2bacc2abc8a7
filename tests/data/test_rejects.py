"""Refused rows are set aside with the reason, and nothing that is accepted is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serendip.data.dataset import Dataset
from serendip.types import SerendipError

LOG = "user,item,ts,tags\na,1,1600000000,x\n,2,1600000001,y\nb,2,never,z\nb,2\nb,2,1600000002,w\n"


@pytest.mark.parametrize("name", ["bad.parquet", "bad.csv"])
def test_refused_rows_are_written_with_file_row_and_reason(name: str, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(LOG)
    items = pl.DataFrame({"item": [1, 2, 2], "reason": ["p", "q", "r"], "genres": [["x"], ["y"], ["z", "w"]]})
    found = Dataset.from_frames(log, items=items, rejects=tmp_path / name)
    assert found.user_ids.ids.to_list() == ["a", "b"]
    assert found.items["reason"].to_list() == ["p", "q"], "the first row of an id stays"
    assert (found.report.rows, found.report.kept) == (5, 2)
    assert {finding.count for finding in found.report.of("error")} == {1}
    assert {finding.hint for finding in found.report.of("error")} == {f"Set aside in {tmp_path / name}."}
    rows = pl.read_parquet(tmp_path / name) if name.endswith("parquet") else pl.read_csv(tmp_path / name)
    assert rows.select("reason", "table", "file", "row", "line").rows() == [
        ("user: expected an id", "events", str(log), 2, None),
        ("ts: expected a time (unix number, ISO 8601 text or date)", "events", str(log), 3, None),
        ("expected 4 fields", "events", str(log), 4, "b,2"),
        ("item: expected one row per id, but other values than in an earlier row", "items", "items", 3, None),
    ]
    assert rows["ts"].to_list() == ["1600000001", "never", None, None]
    assert rows["reason_given"].to_list() == [None, None, None, "r"], "a column of the same name is kept beside"
    assert rows["genres"].to_list() == [None, None, None, '{"genres":["z","w"]}']
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "log.csv"]), "nothing else is left behind"


def test_a_row_with_two_faults_is_written_once(tmp_path: Path) -> None:
    log = pl.DataFrame({"user": ["a", None, "b"], "item": [1, None, 2], "weight": [1.0, -1.0, 2.0]})
    Dataset.from_frames(log, rejects=tmp_path / "bad.csv")
    (row,) = pl.read_csv(tmp_path / "bad.csv").rows(named=True)
    assert row["reason"] == "weight: expected a finite weight ≥ 0; user: expected an id; item: expected an id"
    assert row["weight"] == -1.0


def test_what_keeps_the_file_from_being_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: pl.DataFrame, file: Path) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(pl.DataFrame, "write_csv", full)
    with pytest.raises(SerendipError, match=r"rejects: '.*bad\.csv' cannot be written: the disk is full\."):
        Dataset.from_frames(pl.DataFrame({"user": [1, 2], "item": [1, 2]}), rejects=tmp_path / "bad.csv")


def test_an_older_file_does_not_stay(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("old")
    Dataset.from_frames(pl.DataFrame({"user": [1, 2], "item": [1, 2]}), rejects=str(path))
    assert path.read_text().startswith("reason,table,file,row,line")
    assert len(pl.read_csv(path)) == 0


def test_with_strict_what_would_be_repaired_is_set_aside(tmp_path: Path) -> None:
    log = pl.DataFrame(
        {"user": ["a", "a", "b", " b"], "item": [1, 1, 2, 3], "ts": [1_600_000_000] * 3 + [1_600_000_001]}
    )
    found = Dataset.from_frames(log, strict=True, rejects=tmp_path / "bad.csv")
    assert len(found.events) == 2
    assert found.item_ids.ids.to_list() == [1, 2], "an id of refused rows only is unknown"
    rows = pl.read_csv(tmp_path / "bad.csv")
    assert rows.select("row", "reason").rows() == [
        (2, "row: expected no row that repeats another one exactly"),
        (4, "user: expected an id without blanks around it"),
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("bad.txt", r"rejects must be a \.parquet or \.csv file\. Got '.*bad\.txt' instead"),
        ("nowhere/bad.csv", r"rejects must lie in a folder that exists\. There is no '.*nowhere'\. Try creating it"),
        ("folder.csv", r"rejects must be a file that can be written\. '.*folder\.csv' cannot"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_done(
    path: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SerendipError, match=message):
        Dataset.from_frames(pl.DataFrame({"user": [1, 2], "item": [1, 2]}), rejects=tmp_path / path)


def test_what_is_read_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(LOG)
    (tmp_path / "x").mkdir()
    with pytest.raises(SerendipError, match="rejects must be another file than those that are read"):
        Dataset.from_frames(str(tmp_path / "log.csv"), rejects=tmp_path / "x" / ".." / "log.csv")
    assert (tmp_path / "log.csv").read_text() == LOG


cells = st.tuples(
    st.sampled_from(["a", "b", "c", "", " ", None]),
    st.sampled_from(["1", "2", "3", None]),
    st.sampled_from([1.0, 0.0, -1.0, float("nan"), None]),
)


@settings(max_examples=50)
@given(rows=st.lists(cells, max_size=8))
def test_every_row_is_either_kept_or_set_aside(rows: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("rejects") / "bad.parquet"
    good = [("x", "8", 1.0), ("y", "9", 2.0)]
    log = pl.DataFrame(
        [*rows, *good], schema={"user": pl.String, "item": pl.String, "weight": pl.Float64}, orient="row"
    )
    found = Dataset.from_frames(log, rejects=path)
    aside = pl.read_parquet(path)
    fine = [
        (user, item, weight)
        for user, item, weight in log.rows()
        if user and user.strip() and item and weight is not None and weight >= 0
    ]
    kept = zip(
        found.user_ids.decode(found.events.users),
        found.item_ids.decode(found.events.items),
        found.events.weight.tolist(),
        strict=True,
    )
    assert sorted(kept) == sorted(fine)
    assert len(aside) + len(found.events) == len(log) == found.report.rows
    assert found.report.kept == len(fine)
