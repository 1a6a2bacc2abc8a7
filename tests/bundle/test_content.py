"""A content is read or refused: never half read, never another exception, whoever wrote it."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import safetensors.numpy

from serendip.bundle import Bundle, BundleError, content
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.pipeline import first_of, retrieve
from serendip.scorers import StaticScores
from serendip.types import Queries, Recs, SerendipError

from .conftest import content_of, edit_json, forge, log


def parquet(table: pl.DataFrame) -> bytes:
    out = io.BytesIO()
    table.write_parquet(out)
    return out.getvalue()


def edit_tensors(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        value = {key: array.copy() for key, array in safetensors.numpy.load_file(folder / name).items()}
        change(value)
        (folder / name).write_bytes(safetensors.numpy.save(value))

    return edit


def edit_table(name: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        (folder / name).write_bytes(parquet(change(pl.read_parquet(folder / name))))

    return edit


def put(name: str, text: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(text)


def drop(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


HISTORIES, USERS, ITEMS = "histories.safetensors", "users.parquet", "items.parquet"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            edit_tensors(HISTORIES, lambda t: t.update(indptr=t["indptr"][::-1].copy())),
            "offsets that rise from 0 to 12",
        ),
        (edit_tensors(HISTORIES, lambda t: t["indptr"].__setitem__(2, 99)), "offsets that rise"),
        (edit_tensors(HISTORIES, lambda t: t.update(indptr=t["indptr"][:-1])), r"must have 5 users\. Got 4"),
        (edit_tensors(HISTORIES, lambda t: t["items"].__setitem__(0, 12)), r"item codes in 0 … 11"),
        (edit_tensors(HISTORIES, lambda t: t["items"].__setitem__(0, -1)), r"item codes in 0 … 11"),
        (edit_tensors(HISTORIES, lambda t: t.update(items=t["items"].astype(np.int64))), "items as a vector of int32"),
        (edit_tensors(HISTORIES, lambda t: t.update(items=t["items"][:, None])), "items as a vector of int32"),
        (edit_tensors(HISTORIES, lambda t: t.update(time=t["time"][1:])), "one time per event"),
        (edit_tensors(HISTORIES, lambda t: t.update(weight=np.full(12, np.nan, np.float32))), "weights of 0 or more"),
        (edit_tensors(HISTORIES, lambda t: t.update(weight=-np.ones(12, np.float32))), "weights of 0 or more"),
        (edit_tensors(HISTORIES, lambda t: t.pop("items")), "must hold indptr, items, and weight"),
        (edit_tensors(HISTORIES, lambda t: t.update(code=t["items"])), "must hold indptr, items, and weight"),
        (put(HISTORIES, b"\xff" * 100), "histories.safetensors is not what it must be: .* length of its header"),
        (edit_table(USERS, lambda t: t[[0, 0, 1, 2, 3]]), "every user_id once and none empty"),
        (edit_table(USERS, lambda t: t.with_columns(pl.Series("user_id", [1, None, 2, 3, 4]))), "once and none empty"),
        (edit_table(USERS, lambda t: t.cast(pl.Float64)), r"a user_id of whole numbers or text\. Got Float64"),
        (edit_table(USERS, lambda t: t.rename({"user_id": "id"})), "user_id as its first column"),
        (edit_table(USERS, lambda t: t.with_columns(more=1)), "the one column user_id"),
        (edit_table(USERS, lambda t: t.head(4)), r"must have 5 rows\. Got 4"),
        (edit_table(ITEMS, lambda t: t.head(0)), r"must have 12 rows\. Got 0"),
        (edit_table(ITEMS, lambda t: t.select("title", "item_id")), "item_id as its first column"),
        (edit_table(ITEMS, lambda t: t.with_columns(title=pl.lit(1))), "titles that are text"),
        (edit_table(ITEMS, lambda t: t.with_columns(item_id=pl.lit(1, pl.Int64))), "every item_id once"),
        (put(ITEMS, b"PAR1" * 9), "items.parquet is not what it must be"),
        (put(ITEMS, b""), "items.parquet is not what it must be"),
        (edit_json("pipeline.json", lambda p: p["stages"][0].update(scorer="gone")), "names the scorer 'gone'"),
        (edit_json("pipeline.json", lambda p: p["stages"].pop()), "must use every scorer of the bundle"),
        (put("pipeline.json", b'{"stage": "chain", "stages": [' * 50_000), "pipeline.json (is not|cannot be)"),
        (put("pipeline.json", b" " * (1 << 22) + b"{}"), "must be at most 4194304 bytes"),
        (put("pipeline.json", b"\xff"), "pipeline.json is not what it must be"),
        (put("golden.json", b"[]"), "golden.json is not what it must be"),
        (
            edit_json("golden.json", lambda g: g["replies"][0]["items"].__setitem__(0, 12)),
            "items of the catalogue only",
        ),
        (edit_json("golden.json", lambda g: g["replies"][1]["history"].__setitem__(0, 1 << 40)), "golden.json is not"),
        (edit_json("golden.json", lambda g: g["replies"][0]["scores"].pop()), "one score and one source per item"),
        (edit_json("scorers/taste.json", lambda h: h.update(kind="pickle")), r"scorers/taste is not what it must be"),
        (edit_json("scorers/taste.json", lambda h: h.update(reg=-1)), r"scorers/taste is not what it must be: .*reg"),
        (put("scorers/taste.json", b"[]"), "scorers/taste is not what it must be"),
        (
            edit_tensors("scorers/popular.safetensors", lambda t: t.update(scores=t["scores"][1:])),
            r"must score the 12 items of the catalogue\. Got 11",
        ),
        (drop("golden.json"), r"do not fit together: golden\.json"),
        (drop("scorers/taste.json"), r"do not fit together: scorers/taste\.json"),
        (put("scorers/more.json", b"{}"), r"do not fit together: scorers/more\.safetensors"),
        (put("model.pkl", b"\x80\x04"), r"do not fit together: model\.pkl"),
        (put("scorers/taste.pkl", b"\x80\x04"), r"do not fit together: scorers/taste\.pkl"),
    ],
)
def test_a_forged_content_is_refused(saved: Path, change: Callable[[Path], object], message: str) -> None:
    forge(saved, change)
    with pytest.raises(BundleError, match=message) as caught:
        Bundle.load(saved)
    assert "Try: restore the bundle from a copy, or fit again." in str(caught.value)


def test_forging_alone_changes_nothing(saved: Path, bundle: Bundle) -> None:
    forge(saved, lambda folder: None)
    assert Bundle.load(saved).recommend().equals(bundle.recommend())


def test_any_changed_or_missing_byte_is_noticed(saved: Path) -> None:
    rng = random.Random(7)
    for path in sorted(saved.rglob("*.*")):
        if path.is_dir():
            continue
        whole = path.read_bytes()
        damaged = [whole[:0], whole[:1], whole[: len(whole) // 2], whole[:-1], whole + b"\0"]
        for _ in range(12):
            changed = bytearray(whole)
            changed[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
            damaged.append(bytes(changed))
        for other in damaged:
            path.write_bytes(other)
            with pytest.raises(BundleError):
                Bundle.load(saved)
        path.unlink()
        with pytest.raises(BundleError):
            Bundle.load(saved)
        path.write_bytes(whole)
    Bundle.load(saved).check()


def test_a_forged_byte_is_read_or_refused(saved: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(8)
    originals = {path.name: path.read_bytes() for path in content_of(saved).rglob("*") if path.is_file()}
    outcomes = {"read": 0, "refused": 0}
    for _ in range(120):
        path = rng.choice(sorted(path for path in content_of(saved).rglob("*") if path.is_file()))
        changed = bytearray(originals[path.name])
        for _ in range(rng.choice([1, 1, 3])):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        name = str(path.relative_to(content_of(saved)))
        forge(saved, put(name, bytes(changed)))
        try:
            loaded = Bundle.load(saved)
            outcomes["read"] += 1
        except BundleError:
            outcomes["refused"] += 1
        else:
            with suppress(BundleError):
                loaded.check()
            loaded.recommend(k=3)
        forge(saved, put(name, originals[path.name]))
    assert min(outcomes.values()) > 5
    capfd.readouterr()  # Polars tells of a panic before it raises it


def bundle_of(items: pl.DataFrame, **roles: Any) -> Bundle:
    events, _ = log()
    data = Dataset.from_frames(events, items=items, schema=Schema(**roles))
    return Bundle.build(data, retrieve(StaticScores(np.zeros(data.n_items, np.float32)), name="all"))


def test_attributes_of_every_type_come_back(tmp_path: Path) -> None:
    _, items = log()
    items = items.with_columns(
        day=pl.lit(date(2020, 1, 2)),
        moment=pl.datetime(2020, 1, 1, time_zone="Europe/Berlin"),
        size=pl.struct(a=pl.lit(1, pl.UInt8), b=pl.lit("x")),
        vector=pl.lit([0.5, 1.5], pl.Array(pl.Float32, 2)),
        kind=pl.Series(["p", "q"] * 6, dtype=pl.Categorical),
        level=pl.Series(["low", "high"] * 6, dtype=pl.Enum(["low", "high"])),
        price=pl.lit("1.25").cast(pl.Decimal(10, 2)),
        stocked=pl.lit(True),
        nothing=pl.lit(None),
        raw=pl.lit(b"\x00\xff"),
    )
    made = bundle_of(items)
    again = Bundle.load(made.save(tmp_path / "b"))
    assert again.items.equals(made.items)
    assert again.items.schema == made.items.schema
    assert made.items["kind"].to_list() == ["p", "q"] * 6
    assert {made.items.schema[name] for name in ("kind", "level")} == {pl.String()}


@pytest.mark.parametrize(
    "column",
    [pl.Series([object()] * 12, dtype=pl.Object), pl.Series(range(12), dtype=pl.Int128)],
    ids=["object", "int128"],
)
def test_a_column_that_cannot_be_stored_is_named(column: pl.Series) -> None:
    with pytest.raises(SerendipError, match=r"columns that Parquet can hold\. Got 'odd' of the type (Object|Int128)"):
        bundle_of(log()[1].with_columns(column.alias("odd")))


def test_the_title_is_called_title_and_comes_second() -> None:
    assert bundle_of(log()[1], title="name").items.columns[:2] == ["item_id", "title"]
    assert bundle_of(log()[1]).items.columns == ["item_id", "name", "year", "genres"]
    years = bundle_of(log()[1], title="year").items
    assert years["title"].to_list()[:2] == ["2010", "2011"]
    both = bundle_of(log()[1].with_columns(title=pl.lit("mine"), title_2=pl.lit("too")), title="name").items
    assert both.columns[:2] == ["item_id", "title"]
    assert both["title"][0] == "Title 10"
    assert both["title_3"][0] == "mine"
    assert both["title_2"][0] == "too"


def test_a_scorer_or_stage_from_elsewhere_cannot_be_stored() -> None:
    class Own:
        n_items = 12

        def score(self, queries: Queries, items: Any = None) -> Any:
            return np.zeros((len(queries), 12), np.float32)

    def stage(queries: Queries, recs: Recs | None = None) -> Recs:
        return Recs.empty(len(queries))

    events, items = log()
    data = Dataset.from_frames(events, items=items)
    with pytest.raises(SerendipError, match=r"Got a .*Own"):
        Bundle.build(data, retrieve(Own(), name="own"))
    with pytest.raises(SerendipError, match=r"Only stages made by the functions of serendip\.pipeline can be stored"):
        Bundle.build(data, first_of(stage))


def test_scorers_of_one_name_are_stored_once() -> None:
    events, items = log()
    data = Dataset.from_frames(events, items=items)
    part = retrieve(StaticScores(np.zeros(12, np.float32)), name="all")
    made = Bundle.build(data, first_of(part, part))
    assert [name for name in made.manifest.files if name.startswith("scorers/")] == [
        "scorers/all.safetensors",
        "scorers/all.json",
    ]
    assert content.SCORERS == "scorers"


@pytest.fixture
def kinds(tmp_path: Path) -> Path:
    """A bundle of a log that names kinds of events, of which one is the target."""
    rows = [(1, 10, "view"), (1, 11, "buy"), (2, 10, "cart"), (2, 11, None), (2, 12, "buy")]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event_type"], orient="row")
    data = Dataset.from_frames(events, target=["buy"])
    made = Bundle.build(data, retrieve(StaticScores(np.zeros(data.n_items, np.float32)), name="all"))
    return made.save(tmp_path / "kinds")


def test_kinds_of_events_come_back(kinds: Path) -> None:
    histories = Bundle.load(kinds).histories
    assert histories.kinds is not None and histories.kind is not None
    assert (histories.kinds.names, histories.kinds.target) == (("buy", "cart", "view"), ("buy",))
    assert histories.kind.tolist() == [2, 0, 1, -1, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("kinds.json"), r"must have no kinds of events without kinds\.json"),
        (edit_tensors(HISTORIES, lambda t: t.pop("kind")), r"kinds\.json must come with the kinds of events"),
        (edit_tensors(HISTORIES, lambda t: t["kind"].__setitem__(0, 3)), r"kinds of events in -1 … 2"),
        (edit_tensors(HISTORIES, lambda t: t["kind"].__setitem__(0, -2)), r"kinds of events in -1 … 2"),
        (edit_tensors(HISTORIES, lambda t: t.update(kind=t["kind"][1:])), "one kind per event"),
        (edit_tensors(HISTORIES, lambda t: t.update(kind=t["kind"].astype(np.int32))), "kind as a vector of int16"),
        (edit_json("kinds.json", lambda k: k["names"].append("buy")), "must name each kind once"),
        (edit_json("kinds.json", lambda k: k["names"].extend(f"t{at}" for at in range(20))), "at most 16 kinds"),
        (edit_json("kinds.json", lambda k: k.update(names=[1, 2, 3])), r"kinds\.json is not what it must be"),
        (put("kinds.json", b"[]"), r"kinds\.json is not what it must be"),
    ],
)
def test_forged_kinds_are_refused(kinds: Path, change: Callable[[Path], object], message: str) -> None:
    forge(kinds, change)
    with pytest.raises(BundleError, match=message):
        Bundle.load(kinds)
