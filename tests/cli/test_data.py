from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from serendip.data import sources
from serendip.recipe import load_data, read
from tests.data.test_sources import ml_100k


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SERENDIP_CACHE", str(folder))
    return folder


def test_every_set_is_listed_with_its_terms(run: Any) -> None:
    rows = json.loads(run("data", "list", "--json").stdout)
    assert [row["name"] for row in rows] == sources.names()
    assert not any(row["here"] for row in rows)
    out = run("data", "list").stdout
    for row in rows:
        assert row["terms"] in out


def test_an_archive_from_a_directory_is_kept_and_can_be_named(run: Any, here: Path) -> None:
    (here / "downloads").mkdir()
    (here / "downloads" / "ml-100k.zip").write_bytes(ml_100k())
    result = run("data", "get", "ml-100k", "--from", "downloads")
    assert "(first use)" in result.stdout
    assert "Next: serendip evaluate --source ml-100k" in result.stderr
    found = json.loads(run("validate", "--source", "ml-100k", "--json").stdout)
    assert (found["users"], found["items"], found["events"]) == (8, 6, 48)
    assert next(row for row in json.loads(run("data", "list", "--json").stdout) if row["name"] == "ml-100k")["here"]


def test_unpacked_files_become_tables_with_a_recipe(run: Any, here: Path) -> None:
    zipfile.ZipFile(io.BytesIO(ml_100k())).extractall(here / "downloads")
    result = run("data", "get", "ml-100k", "--from", "downloads", "--out", "films")
    assert "Next: serendip evaluate films/recipe.toml" in result.stderr
    data = load_data(read("films/recipe.toml"))
    assert (data.n_users, data.n_items, len(data.events)) == (8, 6, 48)
    assert data.schema.time_kind == "unix"
    assert data.items["title"][0] == "Café No. 1 (1997)"
    assert data.users_listed.all()
    again = run("data", "get", "ml-100k", "--from", "downloads")
    assert "the same with --out DIR" in again.stderr
    assert "Try: serendip data get ml-100k" in run("fit", "--source", "ml-100k", code=4).stderr


def test_relations_become_tables_too(run: Any, here: Path) -> None:
    visits = "".join(f"{user}\t2010-10-19T23:55:2{item}Z\t1.5\t2.5\t{item}\n" for user in (1, 7) for item in (3, 4))
    (here / "loc-gowalla_totalCheckins.txt.gz").write_bytes(gzip.compress(visits.encode()))
    (here / "loc-gowalla_edges.txt.gz").write_bytes(gzip.compress(b"1\t7\n7\t1\n"))
    run("data", "get", "gowalla", "--from", str(here), "--out", "places")
    assert load_data(read("places/recipe.toml")).relations["friends"].rows() == [(0, 1), (1, 0)]


def test_what_cannot_be_had(run: Any, here: Path) -> None:
    assert 'Did you mean "ml-100k"?' in run("data", "get", "ml100k", code=4).stderr
    assert "no such folder" in run("data", "get", "ml-100k", "--from", "nowhere", code=4).stderr
    result = run("data", "get", "ml-100k", "--url", "http://127.0.0.1:9/", code=6)
    assert "--from DIR" in result.stderr
    (here / "file").touch()
    assert "cannot be written" in run("data", "get", "ml-100k", "--out", "file", code=6).stderr
    assert [path.name for path in here.iterdir()] == ["file"]
