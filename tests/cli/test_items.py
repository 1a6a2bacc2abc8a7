from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from serendip.catalogue import beside


@pytest.fixture
def own(run: Any, here: Path) -> Path:
    """A bundle of items known by their genres, under another name for titles."""
    rows = [(user, f"i{2 * item + user % 2}") for user in range(12) for item in range(6) if (user + item) % 3]
    pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row").write_csv(here / "events.csv")
    genres = ["a", "b"] * 6
    table = {"item_id": [f"i{one}" for one in range(12)], "name": ["x"] * 12, "genre": genres, "price": [1.5] * 12}
    pl.DataFrame(table).write_csv(here / "items.csv")
    flags = ["--columns", "title=name,categories=genre", "--model", "content", "--set", "model.min_items=1"]
    run("fit", "-e", "events.csv", "-i", "items.csv", *flags, "--out", "b", "--quiet")
    return here / "b"


def test_items_are_put_in_and_taken_out_and_recommended_at_once(run: Any, own: Path, here: Path) -> None:
    (here / "new.csv").write_text("item_id,name,genre,price\nnew,Quite new,b,2\ni0,Changed,a,3\n")
    status = json.loads(run("items", "status", "-b", own, "--json").stdout)
    assert (status["changes"], status["items"]) == (0, 12)
    result = run("items", "upsert", here / "new.csv", "-b", own)
    assert "2 items put in, 1 of them new; 13 items now: 1 came, 1 changed, 0 went." in result.stdout
    assert beside(own) == here / "b.live" and beside(own).is_dir()
    result = run("recommend", "-b", own, "--history", "i1,i3", "--filter", "price > 1.6", "--json")
    rows = json.loads(result.stdout)
    assert (rows[0]["item_id"], rows[0]["title"], rows[0]["source"]) == ("new", "Quite new", "content")
    assert "With the live items of" in result.stderr and "change 1." in result.stderr
    run("items", "delete", "new", "i1", "-b", own)
    status = json.loads(run("items", "status", "-b", own, "--json").stdout)
    assert (status["changes"], status["items"], status["deleted"], status["lacking"]) == (2, 11, 1, {})
    rows = json.loads(run("recommend", "-b", own, "--user", "nobody", "-k", 20, "--json").stdout)
    assert not {"new", "i1"} & {row["item_id"] for row in rows} and len(rows) == 11


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item_id,price\na,1\na,2\n", "Every item must be given once. Got 'a' twice"),
        ("item_id,price\na,low\n", "The attribute 'price' must be Float64. Got 'low'"),
        ("item_id,prize\na,1\n", "must have attributes that there are: item_id, title, genre, price. Got 'prize'"),
        ("thing,price\na,1\n", "must have a column 'item_id'. Got thing, price"),
    ],
)
def test_what_does_not_fit_is_refused(run: Any, own: Path, here: Path, text: str, said: str) -> None:
    (here / "bad.csv").write_text(text)
    assert said in " ".join(run("items", "upsert", "bad.csv", "-b", own, code=4).stderr.split())
    assert json.loads(run("items", "status", "-b", own, "--json").stdout)["changes"] == 0


def test_only_what_is_there_can_be_taken_out(run: Any, own: Path) -> None:
    assert "Got 'i99', which is not" in run("items", "delete", "i0", "i99", "-b", own, code=4).stderr
    assert "i0" in run("recommend", "-b", own, "--user", "nobody", "-k", 12).stdout
