"""A file that is learned from piece by piece: every row once, in another order each time, features of a sample."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.examples import Examples
from serendip.data.streamed import Streamed
from serendip.model import Run, find
from serendip.types import SerendipError

LABELS: dict[str, Any] = {"bought": "binary"}
BOTH: dict[str, Any] = {**LABELS, "number": "rating"}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3,000 rows in groups of 200; bought where colour and size are odd or even together."""
    rng = np.random.default_rng(0)
    colour, size = rng.integers(0, 4, 3000), rng.integers(0, 4, 3000)
    table = pl.DataFrame(
        {"number": np.arange(3000.0), "colour": colour, "size": size, "bought": (colour + size) % 2}
    ).with_columns(pl.col("colour", "size").cast(pl.String))
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    table.write_parquet(path, row_group_size=200)
    return path


def numbers(data: Streamed, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [part.events.labels["number"] for part, _ in data.parts(rng)]


def test_every_row_comes_once_and_in_another_order_each_time(file: Path) -> None:
    data = Streamed.read(file, BOTH, sample=300, piece=200)
    assert (len(data.events), data.rows) == (300, 3000)
    first, again, other = (np.concatenate(numbers(data, seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(np.sort(first), np.arange(3000))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert max(map(len, numbers(data, 0))) == 800


def test_what_the_sample_has_not_is_out_of_the_vocabulary(tmp_path: Path) -> None:
    table = pl.DataFrame({"town": ["a"] * 200 + ["b"] * 200, "bought": [0, 1] * 200})
    table.write_parquet(tmp_path / "rows.parquet", row_group_size=200)
    data = Streamed.read(tmp_path / "rows.parquet", LABELS, sample=200, piece=200)
    towns = np.concatenate([given["town"] for _, given in data.parts(np.random.default_rng(0))])
    assert np.unique(towns, return_counts=True)[1].tolist() == [200, 200]


def test_what_is_streamed_is_learned_as_what_is_not(file: Path) -> None:
    options: dict[str, Any] = {
        "label": "bought", "length": 0, "factors": 4, "batch_size": 100, "learning_rate": 0.02, "epochs": 10,
    }  # fmt: skip
    streamed = Streamed.read(file, LABELS, without=("number",), sample=300, piece=200)
    whole = Examples.read(file, LABELS, without=("number",)).dataset()
    truth = whole.events.labels["bought"] > 0
    for data in (streamed, whole):
        scorer = find("deepfm")(hidden=16, layers=1, **options).fit(data, Run(threads=1)).lower()
        asked = data.asked(
            whole.queries(np.zeros(len(truth), np.int32)), pl.read_parquet(file).select("colour", "size")
        )
        scores = scorer.score(asked, np.zeros((len(truth), 1), np.int32))[:, 0]
        assert ((scores > 0) == truth).mean() > 0.98


def test_pieces_from_all_over_the_file_are_held_out(file: Path) -> None:
    data = Streamed.read(file, BOTH, sample=300, piece=1024)
    train, test = data.held_out(0.2, seed=1)
    held = test.events.labels["number"]
    left = np.concatenate([part.events.labels["number"] for part, _ in train.parts(np.random.default_rng(0))])
    np.testing.assert_array_equal(np.sort(np.concatenate([left, held])), np.arange(3000))
    assert 450 <= len(held) == 3000 - train.rows <= 600 and len(np.unique(held // 150)) > 3
    assert not np.isin(train.events.labels["number"], held).any()  # features have not heard of them
    again, _ = train.held_out(0.5, seed=2)
    rest = np.concatenate([part.events.labels["number"] for part, _ in again.parts(np.random.default_rng(0))])
    assert len(rest) == again.rows and np.isin(rest, left).all() and len(np.unique(rest)) == len(rest)
    np.testing.assert_array_equal(data.held_out(0.2, seed=1)[1].events.labels["number"], held)


@pytest.mark.parametrize("name", ["deepfm", "mmoe"])
def test_a_part_that_says_nothing_of_the_label_is_passed_over(tmp_path: Path, name: str) -> None:
    """Of sixteen pieces two have labels, so that of four parts two have none at all."""
    known = pl.DataFrame({"town": ["a", "b"] * 100, "bought": [0, 1] * 100})
    table = pl.concat([known, *[known.with_columns(bought=pl.lit(None, pl.Int64))] * 7])
    table.write_parquet(tmp_path / "rows.parquet", row_group_size=100)
    data = Streamed.read(tmp_path / "rows.parquet", LABELS, sample=1600, piece=100)
    parts = [part.events.labels["bought"] for part, _ in data.parts(np.random.default_rng(0))]
    assert sum(bool(np.isnan(labels).all()) for labels in parts) >= 2
    label: dict[str, Any] = {"label": "bought"} if name == "deepfm" else {"tasks": ("bought",), "score": "bought"}
    options: dict[str, Any] = {"length": 0, "factors": 4, "batch_size": 20, "learning_rate": 0.02, "epochs": 20}
    scorer = find(name)(**options, **label).fit(data, Run(threads=1)).lower()
    asked = data.asked(data.queries(np.zeros(2, np.int32)), pl.DataFrame({"town": ["a", "b"]}))
    low, high = scorer.foretold(asked)["bought"][:, 0]
    assert low < 0.2 and high > 0.8


def test_labels_of_the_whole_file_are_checked_before_anything_is_learned(tmp_path: Path) -> None:
    """Rows 1,001 and later are in no sample of one piece that is read first."""
    table = pl.DataFrame({"town": ["a", "b"] * 1000, "bought": [0, 1] * 1000})
    for value, shown in ((7, "7"), (-1, "-1")):
        wrong = table.with_row_index("at").with_columns(
            bought=pl.when(pl.col("at") == 1500).then(value).otherwise("bought")
        )
        wrong.drop("at").write_parquet(tmp_path / "rows.parquet", row_group_size=100)
        with pytest.raises(SerendipError, match=f'column "bought", row 1,501: expected 0 or 1 .*Got {shown} instead'):
            Streamed.read(tmp_path / "rows.parquet", LABELS, sample=100, piece=100)
    table.with_columns(bought=pl.lit("yes")).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(SerendipError, match=r"row 1: expected 0 or 1 .*Got 'yes' instead"):
        Streamed.read(tmp_path / "rows.parquet", LABELS)


def test_all_files_of_a_folder_must_have_the_columns(file: Path, tmp_path: Path) -> None:
    table = pl.read_parquet(file)
    table[:2000].write_parquet(tmp_path / "1.parquet")
    table[2000:].write_parquet(tmp_path / "2.parquet")
    data = Streamed.read(tmp_path, BOTH, sample=300, piece=200)
    np.testing.assert_array_equal(np.sort(np.concatenate(numbers(data, 0))), np.arange(3000))
    table[:100].drop("bought").write_parquet(tmp_path / "3.parquet")
    with pytest.raises(
        SerendipError, match=r"3\.parquet must have the columns .*bought \(Int64\)\. Got bought \(missing"
    ):
        Streamed.read(tmp_path, BOTH)
    table[:100].cast({"number": pl.String}).write_parquet(tmp_path / "3.parquet")
    with pytest.raises(SerendipError, match=r"number \(Float64\)\. Got number \(String\) instead"):
        Streamed.read(tmp_path, BOTH)


def test_what_cannot_be_streamed_is_said(file: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,bought\n1,0\n")
    with pytest.raises(SerendipError, match="must be a Parquet file"):
        Streamed.read(tmp_path / "rows.csv", LABELS)
    pl.DataFrame({"a": [1.0], "bought": [0]}).clear().write_parquet(tmp_path / "none.parquet")
    with pytest.raises(SerendipError, match="must have rows"):
        Streamed.read(tmp_path / "none.parquet", LABELS)
    with pytest.raises(SerendipError, match="sample and piece must be 1 row or more"):
        Streamed.read(file, LABELS, piece=0)
    data = Streamed.read(file, LABELS, sample=200, piece=200)
    with pytest.raises(SerendipError, match="cannot be split row by row"):
        data.where(np.ones(200, bool))
    with pytest.raises(SerendipError, match="popular cannot learn from rows that are read piece by piece"):
        find("popular")().fit(data)
    pl.DataFrame({"a": [1.0], "bought": [0]}).write_parquet(tmp_path / "one.parquet")
    with pytest.raises(SerendipError, match="must have rows to hold out and others to learn from"):
        Streamed.read(tmp_path / "one.parquet", LABELS).held_out(0.5)
