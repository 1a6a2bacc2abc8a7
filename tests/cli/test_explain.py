from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from serendip.bundle import Bundle


def test_a_table_of_reasons(run: Any, bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    user = loaded.user_ids.ids[0]
    item = loaded.recommend(user, 1)["item_id"][0]
    expected = loaded.explain(user, item, 2)
    lines = run("explain", "--bundle", bundle, "--user", user, "--item", item, "-k", 2).stdout.splitlines()
    assert lines[0].split() == [
        *("user_id", "item_id", "score", "history_item_id", "title", "contribution", "rank", "source")
    ]
    assert len(lines) == 4 and all(title in line for title, line in zip(expected["title"], lines[2:], strict=True))
    rows = json.loads(run("explain", "--bundle", bundle, "--user", user, "--item", item, "--k", 2, "--json").stdout)
    assert pl.DataFrame(rows)["history_item_id"].to_list() == expected["history_item_id"].to_list()


def test_a_history_in_place_of_a_user(run: Any, bundle: Path) -> None:
    ids = Bundle.load(bundle).item_ids.ids
    flags = ["explain", "--bundle", bundle, "--history", f"{ids[1]}, {ids[2]}", "--item", ids[5], "--json"]
    rows = json.loads(run(*flags).stdout)
    assert {row["history_item_id"] for row in rows} == {ids[1], ids[2]}
    assert {row["user_id"] for row in rows} == {None}


def test_mistakes_say_what_to_do(run: Any, bundle: Path) -> None:
    item = Bundle.load(bundle).item_ids.ids[0]
    assert "--user ID or --history" in run("explain", "--bundle", bundle, "--item", item, code=4).stderr
    assert "among the 150 users" in run("explain", "--bundle", bundle, "--item", item, "--user", "zz", code=4).stderr
    assert "among the 80 items" in run("explain", "--bundle", bundle, "--item", "zz", "--user", "u0001", code=4).stderr


def test_what_cannot_be_explained_is_named(run: Any, here: Path) -> None:
    (here / "log.csv").write_text("user,item\n1,a\n1,b\n2,a\n2,b\n3,a\n3,c\n4,d\n")
    run("fit", "--events", "log.csv", "--model", "item_knn", "--out", "b")
    result = run("explain", "--bundle", "b", "--user", 1, "--item", "c", "--item", "d", "--item", "d", "--json")
    assert {row["item_id"] for row in json.loads(result.stdout)} == {"c"}
    assert "Note: nothing in the history says anything of d, or their model cannot say why." in result.stderr
    told = run("explain", "--bundle", "b", "--history", "zz", "--item", "c", code=4).stderr
    assert "'c' for somebody unknown comes from popular; history: 1 not known: 'zz'." in told


def test_what_a_ranker_crosses_is_told_and_drawn(run: Any, here: Path) -> None:
    (here / "log.csv").write_text(
        "user,item\n" + "".join(f"{user},{user + step}\n" for user in range(6) for step in (0, 1))
    )
    run("fit", "--events", "log.csv", "--model", "dcn_v2", "--set", "model.epochs=1", "--out", "b")
    rows = json.loads(run("explain", "--bundle", "b", "--crosses", "--json").stdout)
    assert [(row["field"], row["other"], row["source"]) for row in rows] == [("history", "item", "dcn_v2")]
    assert rows[0]["strength"] > 0
    lines = run("explain", "--bundle", "b", "--crosses").stdout.splitlines()
    assert lines[0].split() == ["field", "other", "strength", "source"] and len(lines) == 3
    run("report", "--bundle", "b", "--out", "b.html")
    page = (here / "b.html").read_text("utf-8")
    assert 'id="crosses"' in page and page.count('class="heat"') == 4
    assert "How strongly dcn_v2 crosses each two fields. The strongest: history with item" in page


def test_only_a_ranker_tells_what_it_crosses(run: Any, bundle: Path) -> None:
    assert "Only dcn_v2 tells how strongly it crosses" in run("explain", "--bundle", bundle, "--crosses", code=4).stderr
    assert "told what: --item ID, or --crosses" in run("explain", "--bundle", bundle, "--user", 1, code=4).stderr
