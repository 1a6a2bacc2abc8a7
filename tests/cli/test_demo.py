from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from serendip.bundle import Bundle
from serendip.recipe import read

SMALL = ("--users", 200, "--items", 100, "--threads", 2)


def test_the_whole_chain(run: Any, here: Path) -> None:
    result = run("demo", *SMALL)
    out = here / "out" / "demo"
    names = {"bundle", "events.parquet", "items.parquet", "users.parquet", "recipe.toml", "report.html"}
    assert {path.name for path in out.iterdir()} == names
    for name in ("ials + item_knn + popular → mmr", "ials", "popular", "item_knn", "ease"):
        assert any(line.startswith(f"{name} ") and "±" in line for line in result.stdout.splitlines())
    bundle = Bundle.load(out / "bundle")
    bundle.check()
    assert bundle.summary()["sources"] == ["ials", "item_knn", "popular", "content"]
    assert bundle.summary()["stages"] == [
        "name: ials, item_knn, popular (weight 0.3); merged by normalised scores",
        "fill: content, popular",
        "re-rank: mmr, from 200",
    ]
    assert next(iter(bundle.manifest.evaluation["models"])) == "ials + item_knn + popular → mmr"
    titles = set(pl.read_parquet(out / "items.parquet")["title"])
    samples = [line for line in result.stdout.splitlines() if any(title in line for title in titles)]
    assert len(samples) >= 15
    assert "Next: serendip recommend --bundle out/demo/bundle" in result.stderr


def test_what_it_leaves_can_be_used(run: Any, here: Path) -> None:
    found = json.loads(run("demo", *SMALL, "--out", "d", "--json").stdout)
    assert [len(person["shown"]) > 0 for person in found["people"]] == [True, True, True]
    recipe = read("d/recipe.toml")
    assert recipe.data.event_weights == {"view": 1, "like": 2, "purchase": 3}
    assert recipe.data.positive_from is not None
    again = json.loads(run("fit", "d/recipe.toml", "--out", "again", "--threads", 2, "--json").stdout)
    assert again["users"] == 200
    assert json.loads(run("recommend", "--bundle", "again", "--user", "new", "--json").stdout)


def test_a_place_that_cannot_be_written(run: Any, here: Path) -> None:
    (here / "file").touch()
    assert "cannot be written" in run("demo", "--out", "file", code=6).stderr
