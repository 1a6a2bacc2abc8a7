from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def test_a_good_log(run: Any, data_flags: list[object]) -> None:
    out = run("validate", *data_flags).stdout
    assert out.splitlines()[0].endswith(" users, 80 items.")
    assert "Columns: user: user_id; item: item_id; timestamp: timestamp" in out


def test_json(run: Any, data_flags: list[object]) -> None:
    found = json.loads(run("validate", *data_flags, "--json").stdout)
    assert found["items"] == 80
    assert found["schema"]["time_kind"] == "unix"
    assert {finding["severity"] for finding in found["findings"]} <= {"repair", "warning"}


def test_everything_wrong_comes_at_once(run: Any, here: Path) -> None:
    (here / "log.csv").write_text("user_id,item_id,weight\n1,2,3\n2,3,4\n1,,1\n2,2,-1\n")
    result = run("validate", "--events", "log.csv", code=3)
    assert "2 errors in the data:" in result.stderr
    assert 'column "item_id", row 3' in result.stderr
    assert 'column "weight", row 4' in result.stderr
    assert result.stdout == ""


def test_json_holds_what_is_wrong_too(run: Any, here: Path) -> None:
    (here / "log.csv").write_text("user_id,item_id,weight\n1,2,3\n2,3,4\n1,,1\n")
    result = run("validate", "--events", "log.csv", "--json", code=3)
    (finding,) = json.loads(result.stdout)["findings"]
    assert (finding["severity"], finding["count"]) == ("error", 1)
    assert finding["where"] == 'log.csv: column "item_id", row 3'
    assert 'column "item_id", row 3' in result.stderr


def test_repairs_are_counted_and_strict_refuses_them(run: Any, here: Path) -> None:
    (here / "log.csv").write_text("user_id,item_id,timestamp\n" + "1,2,1000000000\n" * 2 + "2,3,1000000001\n")
    found = json.loads(run("validate", "--events", "log.csv", "--json").stdout)
    assert "repair" in [finding["severity"] for finding in found["findings"]]
    assert (found["rows"], found["events"]) == (3, 2)
    assert "row 2" in run("validate", "--events", "log.csv", "--strict", code=3).stderr


def test_rejects_are_set_aside(run: Any, here: Path) -> None:
    (here / "log.csv").write_text("user_id,item_id\n1,2\n2,3\n1,\n")
    run("validate", "--events", "log.csv", "--rejects", "bad.csv")
    assert len((here / "bad.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"user_id,item_id\n", "log.csv"),
        (b"who,what\n1,2\n", 'expected a column "user_id"'),
        (b"user_id,item_id\n1,2,3\n1,3\n", "row 1"),
        ("user_id,item_id\né,1\nb,2\n".encode("latin-1"), "utf-8"),
        (b"user_id,item_id\n1,2\n1,3\n", "at least two users"),
        (b"user_id,item_id\n1,2\n2,2\n", "at least two items"),
        (b"user_id,item_id,weight\n1,2,nan\n2,1,inf\n", "expected a finite weight"),
        (b"user_id,item_id,timestamp\n1,2,soon\n2,1,later\n", 'column "timestamp"'),
        (b"user_id,item_id,timestamp\n1,2,99999999999\n2,1,1000000000\n", 'column "timestamp", row 1'),
    ],
)
def test_input_that_cannot_be_used(run: Any, here: Path, content: bytes, said: str) -> None:
    (here / "log.csv").write_bytes(content)
    result = run("validate", "--events", "log.csv", code=3)
    assert said.lower() in result.stderr.lower()
    assert result.stdout == ""


def test_a_file_that_is_not_there(run: Any, here: Path) -> None:
    (here / "events.csv").touch()
    result = run("validate", "--events", "event.csv", code=3)
    assert 'event.csv: no such file. Did you mean "events.csv"?' in result.stderr
