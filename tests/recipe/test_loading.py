from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serendip.data import synthetic
from serendip.data.findings import SchemaError
from serendip.data.synthetic import World
from serendip.recipe import DataError, RecipeError, load_data, read


def recipe(**data: Any) -> Any:
    return read(given={"data": data})


def test_files_and_what_their_columns_mean_arrive(shop: Path, world: World) -> None:
    data = load_data(
        recipe(
            events=str(shop / "events.parquet"),
            items=str(shop / "items.parquet"),
            users=str(shop / "users.parquet"),
            positive_from=4,
            event_weights={"view": 1, "like": 2, "purchase": 3},
        )
    )
    assert len(data.events) == len(world.events)
    assert data.n_users == len(world.users)
    assert data.n_items == len(world.items)
    assert set(np.unique(data.events.weight).tolist()) == {0.0, 1.0, 2.0, 3.0}
    disliked = int((world.events["rating"] < 4).sum())
    assert int((data.events.weight == 0).sum()) == disliked


def test_a_column_can_be_named(tmp_path: Path, world: World) -> None:
    world.events.select(who="user_id", what="item_id", place="timestamp").write_csv(tmp_path / "log.csv")
    columns = {"user": "who", "item": "what", "timestamp": "place"}
    data = load_data(recipe(events=str(tmp_path / "log.csv"), columns=columns, time_kind="rank"))
    assert data.schema.time_kind == "rank"
    assert len(data.events) == len(world.events)


def test_something_to_read_must_be_named_once() -> None:
    with pytest.raises(RecipeError, match=r"either events.*Got neither"):
        load_data(recipe())
    with pytest.raises(RecipeError, match=r"either events.*Got events and source"):
        load_data(recipe(events="x", source="demo"))


def test_a_source_brings_its_own_columns() -> None:
    with pytest.raises(RecipeError, match=r"brings its own files and columns\. Leave out items, time_kind\."):
        load_data(recipe(source="demo", items="x", time_kind="rank"))


def test_the_demo_is_generated(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setattr(synthetic, "catalogue", lambda: world)
    np.testing.assert_array_equal(load_data(recipe(source="demo")).events.weight, world.dataset().events.weight)
    data = load_data(recipe(source="demo", positive_from=3))
    assert (data.n_users, data.n_items) == (150, 80)
    assert (data.events.weight == 0).any()
    few = load_data(recipe(source="demo", target=["purchase"], event_weights={"like": 0.5}))
    assert few.schema.target == ("purchase",)
    assert few.wanted.sum() == (world.events["event_type"] == "purchase").sum() > 0
    assert set(np.unique(few.events.weight).tolist()) == {0.0, 0.5, 1.0}
    alone = load_data(recipe(source="demo", target=["purchase"]))
    np.testing.assert_array_equal(alone.events.weight > 0, alone.wanted)
    with pytest.raises(SchemaError, match='"purchase", "view"'):
        load_data(recipe(source="demo", target=["bought"]))
    with pytest.raises(RecipeError, match=r"Leave out target\."):
        load_data(recipe(source="ml-100k", target=["rating"]))


def test_a_public_set_is_never_fetched_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERENDIP_CACHE", str(tmp_path))
    with pytest.raises(RecipeError, match=r"ml-100k is not on this machine yet\. Try: serendip data get ml-100k"):
        load_data(recipe(source="ml-100k"))
    assert not list(tmp_path.iterdir())


def test_a_missing_file_and_bad_rows_are_told_apart_from_recipes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_data(recipe(events=str(tmp_path / "no.parquet")))
    (tmp_path / "log.csv").write_text("user_id,item_id,weight\n1,2,3\n2,3,4\n1,,-1\n")
    with pytest.raises(SchemaError, match="2 errors") as caught:
        load_data(recipe(events=str(tmp_path / "log.csv")))
    assert "row 3" in str(caught.value)


def test_relations_arrive_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,item_id\n1,2\n2,2\n2,3\n3,3\n")
    (tmp_path / "trust.csv").write_text("user_id,trusts\n1,2\n3,1\n1,9\n")
    given = {"events": str(tmp_path / "log.csv"), "relations": {"trust": str(tmp_path / "trust.csv")}}
    data = load_data(recipe(**given))
    assert data.relations["trust"].rows() == [(0, 1), (2, 0)]
    assert "Relations: trust (2 pairs of users)." in data.report.notes
    assert [finding.count for finding in data.report.of("warning") if "neither the log nor a table" in finding.what]
    (tmp_path / "trust.csv").write_text("user_id,trusts\nu1,u2\n")
    assert any("written alike" in finding.hint for finding in load_data(recipe(**given)).report.findings)
    (tmp_path / "trust.csv").write_text("user_id,trusts\n1,\n")
    with pytest.raises(SchemaError, match=r'trust\.csv: column "trusts", row 1: expected an id'):
        load_data(recipe(**given))
    with pytest.raises(DataError, match=r"nowhere\.csv: no such file"):
        load_data(recipe(**given | {"relations": {"trust": str(tmp_path / "nowhere.csv")}}))


def test_rejects_are_written_and_the_rest_is_used(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,item_id\n1,2\n1,\n2,2\n2,3\n1,3\n")
    data = load_data(recipe(events=str(tmp_path / "log.csv"), rejects=str(tmp_path / "bad.csv")))
    assert len(data.events) == 4
    assert len((tmp_path / "bad.csv").read_text().splitlines()) == 2
