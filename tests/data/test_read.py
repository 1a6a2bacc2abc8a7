"""Reading files and frames: every format gives the same rows, and what cannot be read is named with what to try."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from serendip.data.read import read
from serendip.types import SerendipError

FRAME = pl.DataFrame({"user_id": ["ann", "bob", "ann"], "item_id": [10, 11, 12], "rating": [4.5, None, 3.0]})


def lines(frame: pl.DataFrame) -> str:
    return "".join(json.dumps(row) + "\n" for row in frame.to_dicts())


WRITERS: dict[str, Callable[[Path], Any]] = {
    "log.parquet": FRAME.write_parquet,
    "log.pq": FRAME.write_parquet,
    "log.csv": FRAME.write_csv,
    "semicolons.csv": lambda path: FRAME.write_csv(path, separator=";"),
    "bars.txt": lambda path: FRAME.write_csv(path, separator="|"),
    "tabs.txt": lambda path: FRAME.write_csv(path, separator="\t"),
    "log.tsv": lambda path: FRAME.write_csv(path, separator="\t"),
    "colons.dat": lambda path: path.write_text(FRAME.write_csv(separator="|").replace("|", "::")),
    "dos.csv": lambda path: path.write_bytes(FRAME.write_csv().replace("\n", "\r\n").encode()),
    "mark.csv": lambda path: path.write_bytes(b"\xef\xbb\xbf" + FRAME.write_csv().encode()),
    "log.jsonl": lambda path: path.write_text(lines(FRAME)),
    "log.ndjson": lambda path: path.write_text(lines(FRAME) + "\n"),
    "log.json": lambda path: path.write_text(json.dumps(FRAME.to_dicts())),
    "log.arrow": FRAME.write_ipc,
    "log.feather": lambda path: feather.write_feather(FRAME.to_arrow(), str(path)),
    "stream.arrow": FRAME.write_ipc_stream,
    "log.INTER": lambda path: path.write_text(
        "user_id:token\titem_id:token\trating:float\n" + FRAME.write_csv(separator="\t", include_header=False)
    ),
    "part-00000": FRAME.write_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    table = read(tmp_path / name)
    assert table.frame.equals(FRAME)
    assert read(str(tmp_path / name)).frame.equals(FRAME)
    assert table.name == str(tmp_path / name)


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME.lazy(),
        FRAME.to_arrow(),
        FRAME.to_arrow().to_batches()[0],
        FRAME.to_pandas(),
        [FRAME[:1], FRAME[1:]],
    ],
    ids=["polars", "lazy", "arrow", "batch", "pandas", "parts"],
)
def test_every_library_gives_the_same_rows(frame: Any) -> None:
    assert read(frame).frame.equals(FRAME)


class Exporter:
    """A table of some other library, known by the Arrow interface only."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return FRAME.__arrow_c_stream__(requested_schema)


def test_any_arrow_table_is_read() -> None:
    assert read(Exporter()).frame.equals(FRAME)


def test_mixed_pandas_ids_become_text() -> None:
    frame = pd.DataFrame({"user": [1, "a", 2.0, None, float("nan")], "x": [1.5, None, 2, 3, 4]})
    got = read(frame).frame
    assert got["user"].to_list() == ["1", "a", "2", None, None]
    assert got["x"].to_list() == [1.5, None, 2.0, 3.0, 4.0]


def test_a_named_pandas_index_is_a_column_and_an_unnamed_one_is_not() -> None:
    frame = pd.DataFrame({"item": [7, 8]}, index=pd.Index([3, 4], name="user"))
    assert read(frame).frame.to_dict(as_series=False) == {"user": [3, 4], "item": [7, 8]}
    assert read(pd.DataFrame({"item": [7, 8]}, index=[5, 6])).frame.columns == ["item"]


def test_ids_in_text_files_stay_as_they_are_written(tmp_path: Path) -> None:
    path = tmp_path / "ids.csv"
    path.write_text(
        "zeros,plus,plain,huge,hex,blank,flag\n007,+1,1,99999999999999999999,1e5,,true\n08,2,-2,1,2f,x,False\n"
    )
    frame = read(path).frame
    assert frame["zeros"].to_list() == ["007", "08"]
    assert frame["plus"].to_list() == ["+1", "2"]
    assert frame["plain"].to_list() == [1, -2]
    assert frame["huge"].to_list() == ["99999999999999999999", "1"]
    assert frame["hex"].to_list() == ["1e5", "2f"]
    assert frame["blank"].to_list() == [None, "x"]
    assert frame["flag"].to_list() == [True, False]


def test_quoted_fields_hold_separators_quotes_and_line_breaks(tmp_path: Path) -> None:
    path = tmp_path / "quoted.csv"
    path.write_text('item_id,title\n1,"Good, Bad & ""Ugly"""\n2,"two\nlines"\n')
    assert read(path).frame["title"].to_list() == ['Good, Bad & "Ugly"', "two\nlines"]


def test_recbole_types_and_folders(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text(
        "user_id:token\titem_id:token\ttimestamp:float\nu1\ti1\t881250949\nu2\ti2\t881250950\n"
    )
    (tmp_path / "x.item").write_text('item_id:token\ttitle:token_seq\tvec:float_seq\ni1\t"Heat Two\t0.5 1\ni2\t\t2 3\n')
    (tmp_path / "x.user").write_text("user_id:token\tage:float\nu1\t3\nu2\t4.5\n")
    events = read(tmp_path, "events").frame
    assert events.to_dict(as_series=False) == {
        "user_id": ["u1", "u2"], "item_id": ["i1", "i2"], "timestamp": [881250949.0, 881250950.0],
    }  # fmt: skip
    items = read(tmp_path, "items").frame
    assert items["title"].to_list() == [['"Heat', "Two"], None]
    assert items["vec"].to_list() == [[0.5, 1.0], [2.0, 3.0]]
    assert read(tmp_path, "users").frame["age"].to_list() == [3.0, 4.5]


def test_movielens_files_without_header_get_its_columns_and_a_note(tmp_path: Path) -> None:
    (tmp_path / "ratings.dat").write_text("1::1193::5::978300760\n2::661::3::978302109\n")
    (tmp_path / "movies.dat").write_text("1::Toy Story (1995)::Animation|Comedy\n2::The Idiot::Drama\n")
    (tmp_path / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    (tmp_path / "u.data").write_text("196\t242\t3\t881250949\n186\t302\t3\t891717742\n")
    ratings = read(tmp_path / "ratings.dat")
    assert ratings.frame.row(1, named=True) == {"user_id": 2, "item_id": 661, "rating": 3, "timestamp": 978302109}
    assert "no header; the columns are taken to be user_id, item_id, rating, timestamp" in ratings.parts[0].notes[0]
    movies = read(tmp_path / "movies.dat", "items").frame
    assert movies.row(1, named=True) == {"item_id": 2, "title": "The Idiot", "genres": "Drama"}
    assert read(tmp_path / "users.dat", "users").frame.columns == ["user_id", "gender", "age", "occupation", "zip_code"]
    assert read(tmp_path / "u.data").frame.row(0) == (196, 242, 3, 881250949)


def test_rows_of_another_length_are_set_aside_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "ragged.csv"
    path.write_text("u,i,r\n1,1,1\n2,2\n\n3,3,3\n4,4,4,4\n5,5,5\n")
    table = read(path)
    assert table.frame["u"].to_list() == [1, 3, 5]
    assert table.parts[0].ragged.tolist() == [2, 4]
    assert table.parts[0].lines == ("2,2", "4,4,4,4")
    assert table.parts[0].fields == 3
    assert table.where(np.array([0, 1, 2]), "r") == f'{path}: column "r", rows 1, 3, 5'


def test_folders_and_lists_are_read_in_order_and_rows_are_named_by_file(tmp_path: Path) -> None:
    FRAME[:2].write_parquet(tmp_path / "a.parquet")
    (tmp_path / "more").mkdir()
    FRAME[2:].select("rating", "item_id", "user_id").write_csv(tmp_path / "more" / "b.csv")
    (tmp_path / "README.txt").write_text("read me")
    (tmp_path / "_SUCCESS.csv").write_text("")
    table = read(tmp_path)
    assert table.frame.equals(FRAME)
    assert table.name == "events"
    first, second = tmp_path / "a.parquet", tmp_path / "more" / "b.csv"
    assert table.where(np.array([1, 2])) == f"{first}, row 2; {second}, row 1"
    assert read([second, first]).frame["item_id"].to_list() == [12, 10, 11]


def test_a_column_that_is_text_in_one_part_is_text_in_all() -> None:
    parts = [pl.DataFrame({"user": [1, 2]}), pl.DataFrame({"user": ["x"]})]
    assert read(parts).frame["user"].to_list() == ["1", "2", "x"]
    assert read([pl.DataFrame({"user": [1]}, schema={"user": pl.Int8}), parts[0]]).frame["user"].to_list() == [1, 1, 2]


def test_other_encodings_are_read_when_named(tmp_path: Path) -> None:
    for encoding in ("latin-1", "utf-16", "utf-16-le", "cp1252"):
        path = tmp_path / f"{encoding}.csv"
        path.write_bytes("user,title\n1,Fantômas\n".encode(encoding))
        assert read(path, encoding=encoding).frame["title"].to_list() == ["Fantômas"], encoding


def broken(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


UNREADABLE = {
    "empty.csv": (b"", r"empty\.csv: expected rows of data\. The file is empty\."),
    "empty.parquet": (b"", r"The file is empty\."),
    "blank.csv": (b"\n \n\n", r"The file holds only blank lines\."),
    "latin.csv": (
        "user,title\n1,ok\n2,café\n".encode("latin-1"),
        r"latin\.csv, line 3: expected utf-8 text\. Got the byte 0xe9, which is none\. "
        r'Try encoding="latin-1" \(--encoding latin-1\)',
    ),
    "wide.csv": (
        "user,item\n1,2\n".encode("utf-16"),
        r'line 1: expected UTF-8 text\. Got UTF-16 instead\. Try encoding="utf-16" \(--encoding utf-16\)',
    ),
    "unmarked.csv": (
        "user,item\n1,2\n".encode("utf-16-le"),
        r'line 1: expected text\. Got a zero byte\. Try encoding="utf-16-le" \(--encoding utf-16-le\)',
    ),
    "unmarked-be.csv": ("user,item\n1,2\n".encode("utf-16-be"), r'Try encoding="utf-16-be"'),
    "zero.csv": (b"user,item\n1,a\x00b\n", r"zero\.csv, line 2: expected text\. Got a zero byte\. Is it a text file\?"),
    "twice.csv": (b"user,item,user\n1,2,3\n", r'"user" occurs twice\. Try renaming'),
    "numbers.csv": (b"1,2,3\n4,5,6\n", r"expected a header line .* a row of 3 fields\. Try adding a header"),
    "cut.parquet": (b"PAR1" + bytes(40), r"expected a whole Parquet file\. It cannot be read .* damaged: try copying"),
    "cut.arrow": (b"ARROW1" + bytes(40), r"expected a whole Arrow file\. It cannot be read"),
    "bad.jsonl": (b'{"a": 1}\n\n{oops\n', r"row 2: expected one JSON object per line\. Got '\{oops' instead"),
    "list.jsonl": (b'{"a": 1}\n3\n', r"row 2: expected one JSON object per line\. Got '3' instead"),
    "bad.json": (b'[{"a": 1}, {', r"expected a whole JSON file\. It cannot be read"),
    "log.xlsx": (b"PK", r"expected a file of one of the formats \.parquet, .*Got '\.xlsx' instead\. Try renaming it"),
    "noext": (b"hello", r"Got 'no suffix' instead"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_is_named_with_what_to_try(name: str, tmp_path: Path) -> None:
    content, message = UNREADABLE[name]
    with pytest.raises(SerendipError, match=message):
        read(broken(tmp_path, name, content))


@pytest.mark.parametrize("kind", ["arrow", "pandas", "parquet"])
def test_two_columns_of_one_name_are_refused(kind: str, tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1, 2])] * 3, names=["user", "item", "item"])
    source: object = table
    if kind == "pandas":
        source = pd.DataFrame([[1, 2, 3]], columns=["user", "item", "item"])
    elif kind == "parquet":
        source = tmp_path / "log.parquet"
        pq.write_table(table, source)
    with pytest.raises(SerendipError, match=r'columns of different names\. "item" occurs twice\. Try renaming'):
        read(source)


def test_a_pandas_index_named_like_a_column_is_left_out() -> None:
    frame = pd.DataFrame({"user": [1, 2], "item": [3, 4]}, index=pd.Index([7, 8], name="user"))
    assert read(frame).frame.to_dict(as_series=False) == {"user": [1, 2], "item": [3, 4]}


def test_a_cut_or_damaged_parquet_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "whole.parquet"
    pl.DataFrame({"user_id": [f"user-{i}" for i in range(5000)], "n": range(5000)}).write_parquet(path)
    whole = path.read_bytes()
    for content in (whole[:100], whole[: len(whole) // 2], whole[:-1], whole[:-200] + bytes(190) + whole[-10:]):
        with pytest.raises(SerendipError, match="expected a whole Parquet file"):
            read(broken(tmp_path, "damaged.parquet", content))


def test_a_missing_file_names_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("user,item\n1,2\n")
    with pytest.raises(SerendipError, match=r'rating\.csv: no such file\. Did you mean ".*ratings\.csv"\?'):
        read(tmp_path / "rating.csv")
    with pytest.raises(SerendipError, match=r"no such file\. The folder .*nowhere does not exist either"):
        read(tmp_path / "nowhere" / "rating.csv")


def test_a_folder_without_data_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# nothing")
    with pytest.raises(SerendipError, match=r"expected a folder with data files .* It holds none for the events"):
        read(tmp_path)


def test_parts_with_other_columns_are_refused() -> None:
    with pytest.raises(SerendipError, match=r"must have the same columns\. .* has item, user; .* has items, user"):
        read([pl.DataFrame({"user": [1], "item": [2]}), pl.DataFrame({"user": [1], "items": [2]})])


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SerendipError, match=r"encoding must be one that Python knows.* Got 'klingon' instead"):
        read(broken(tmp_path, "a.csv", b"user,item\n1,2\n"), encoding="klingon")


@pytest.mark.parametrize(("source", "came"), [(3, "int"), ({"user": [1]}, "dict"), (None, "NoneType")])
def test_other_things_are_no_tables(source: object, came: str) -> None:
    with pytest.raises(
        SerendipError, match=rf"expected a path, or a Polars, pandas or PyArrow table\. Got {came} instead"
    ):
        read(source)


def test_an_empty_list_is_no_table() -> None:
    with pytest.raises(SerendipError, match="expected at least one file or table"):
        read([])


def test_reading_needs_no_pandas() -> None:
    import subprocess
    import sys

    code = (
        "import sys\n"
        "class NoPandas:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'pandas': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, NoPandas())\n"
        "import pyarrow as pa; from serendip.data.read import read\n"
        "assert len(read(pa.table({'a': [1]})).frame) == 1"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["ratings.parquet", "movies.parquet"])
def test_a_public_set_survives_a_way_through_text(name: str, data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "movietweetings_100k" / name
    frame = pl.read_parquet(path)
    frame.write_csv(tmp_path / "again.csv")
    again = read(tmp_path / "again.csv").frame
    text = pl.col(pl.String)
    blank = pl.when(text != "").then(text)  # CSV does not tell an empty text from none
    assert again.equals(frame.with_columns(pl.selectors.integer().cast(pl.Int64), blank))
