from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from serendip.bundle import Bundle


def more(shop: Path, folder: Path) -> Path:
    """Two events of a new user, one of them with a new item."""
    last = pl.read_parquet(shop / "events.parquet").tail(2)
    new = last.with_columns(user_id=pl.lit("newcomer"), item_id=pl.Series([last["item_id"][0], "brand-new"]))
    new.write_parquet(folder / "new.parquet")
    return folder / "new.parquet"


def test_new_events_are_taken_in(run: Any, bundle: Path, shop: Path, here: Path) -> None:
    known = Bundle.load(bundle)
    flags = ["update", "--bundle", bundle, "--events", more(shop, here), "--out", here / "b2"]
    result = run(*flags)
    assert "2 new events, 1 new users, 1 new items" in result.stdout
    made = Bundle.load(here / "b2")
    assert "newcomer" in made.user_ids.ids.to_list() and "brand-new" in made.item_ids.ids.to_list()
    assert len(Bundle.load(bundle).user_ids) == len(known.user_ids) == len(made.user_ids) - 1
    again = json.loads(run("update", "--bundle", here / "b2", "--events", here / "new.parquet", "--json").stdout)
    assert again["new"] == {"events": 0, "users": 0, "items": 0}
    assert len(Bundle.load(here / "b2").manifest.updates) == 2
    rows = json.loads(run("recommend", "--bundle", here / "b2", "--user", "newcomer", "-k", 3, "--json").stdout)
    assert len(rows) == 3


def test_new_users_may_come_with_a_table(run: Any, here: Path) -> None:
    (here / "log.csv").write_text("user_id,item_id\n1,a\n1,b\n2,a\n2,b\n3,b\n")
    (here / "users.csv").write_text("user_id,group\n1,x\n2,y\n3,x\n")
    (here / "recipe.toml").write_text(
        '[data]\nevents = "log.csv"\nusers = "users.csv"\n[features]\ngroup = { kind = "category", side = "user" }\n'
        '[model]\nname = "two_tower"\nepochs = 1\nfactors = 4\nlength = 0\nhidden = 4\n[pipeline]\nfallback = []\n'
    )
    run("fit", "recipe.toml", "--out", "b")
    (here / "new.csv").write_text("user_id,item_id\n4,a\n")
    (here / "more.csv").write_text("user_id,group\n4,y\n3,y\n5,y\n")
    assert "1 new events, 2 new users" in run("update", "-b", "b", "-e", "new.csv", "--users", "more.csv").stdout
    attributes = Bundle.load(here / "b").attributes
    assert attributes is not None and attributes.users["group"].to_list() == ["x", "y", "y", "y", "y"]


def test_what_is_wrong_is_told_and_nothing_is_written(run: Any, bundle: Path, shop: Path, here: Path) -> None:
    pl.read_parquet(more(shop, here)).drop("item_id").write_parquet(here / "bad.parquet")
    result = run("update", "--bundle", bundle, "--events", here / "bad.parquet", "--out", here / "b2", code=3)
    assert "item_id" in result.stderr
    assert not (here / "b2").exists()


def test_columns_are_those_of_the_known_log(run: Any, bundle: Path, shop: Path, here: Path) -> None:
    pl.read_parquet(more(shop, here)).rename({"item_id": "thing"}).write_parquet(here / "bad.parquet")
    result = run("update", "--bundle", bundle, "--events", here / "bad.parquet", code=3)
    assert "Try naming the columns as in the log that is known." in result.stderr and "--columns" not in result.stderr


def test_data_that_cannot_be_used_end_alike_whatever_is_wrong(run: Any, bundle: Path, here: Path) -> None:
    (here / "empty.csv").touch()
    assert "The file is empty" in run("update", "--bundle", bundle, "--events", "empty.csv", code=3).stderr
    assert "no such file" in run("update", "--bundle", bundle, "--events", "none.csv", code=3).stderr
    (here / "log.csv").write_text("user,item\n1,1\n1,2\n2,1\n2,2\n3,2\n")
    run("fit", "--events", "log.csv", "--model", "popular", "--out", "b")
    (here / "new.csv").write_text("user,item\nx5,2\n")
    told = run("update", "--bundle", "b", "--events", "new.csv", code=3).stderr
    assert "new.csv: users: ids must be integers" in told and "or fit again" in told


def test_what_is_set_aside_or_repaired_is_told(run: Any, here: Path) -> None:
    (here / "log.csv").write_text("user,item,timestamp\n1,1,5\n1,2,6\n2,1,7\n2,2,8\n3,2,9\n")
    run("fit", "--events", "log.csv", "--model", "popular", "--out", "b")
    (here / "new.csv").write_text("user,item,timestamp\n3,1,10\n,2,11\n3,1,10\n")
    result = run("update", "--bundle", "b", "--events", "new.csv", "--rejects", "bad.csv")
    assert 'Note: set aside, not taken in: new.csv: column "user", row 2' in result.stderr
    assert "exact repeats of an earlier row, its time included, were dropped: 1." in result.stderr
    assert "1 new events" in result.stdout
    assert len(Bundle.load(here / "b").manifest.updates[0].notes) == 2
