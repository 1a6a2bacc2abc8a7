from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from serendip.bundle import Bundle


def test_the_answer_the_sources_and_what_carried_it(run: Any, bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    user = loaded.user_ids.ids[0]
    item = loaded.recommend(user, 2)["item_id"][1]
    asked = ["explain", "--bundle", bundle, "--user", user, "--item", item]
    why = loaded.why(user, item, reasons=2)
    lines = run(*asked, "--reasons", 2).stdout.splitlines()
    assert lines[0] == why.said and " is at place 2 of the 10." in lines[0]
    assert " ".join(lines[2].split()) == "source named at of score score of last place by score of all"
    assert lines[4].split()[:3] == ["ease", "2", "10"]
    head = next(at for at, line in enumerate(lines) if line.startswith("score by"))
    shown = lines[head + 2 :]
    assert len(shown) == 2 and all(one.title in line for one, line in zip(why.reasons, shown, strict=True))
    assert shown[0].endswith(" ████████████████████") and "█" in shown[1]
    (told,) = json.loads(run(*asked, "--reasons", 2, "--json").stdout)
    assert (told["verdict"], told["place"], told["said"]) == ("listed", 2, why.said)
    assert [one["item_id"] for one in told["reasons"]] == [one.item_id for one in why.reasons]


def test_what_is_not_in_the_list_says_why_for_the_same_request(run: Any, bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    user = loaded.user_ids.ids[0]
    listed = loaded.recommend(user, 3)["item_id"].to_list()
    seen = loaded.item_ids.decode(loaded.histories.items[:1])[0]
    asked = ["explain", "--bundle", bundle, "--user", user, "-k", 2]
    rows = json.loads(run(*asked, "--item", seen, "--item", listed[2], "--item", seen, "--json").stdout)
    assert [row["verdict"] for row in rows] == ["seen", "not_named"]
    for flags, verdict in (
        (["--exclude", listed[0]], "excluded"),
        (["--allow", f"{listed[1]},{listed[2]}"], "not_allowed"),
        (["--filter", f"item_id != '{listed[0]}'"], "filter"),
    ):
        (row,) = json.loads(run(*asked, *flags, "--item", listed[0], "--json").stdout)
        assert (row["verdict"], row["otherwise"]) == (verdict, 1)
    (again,) = json.loads(run(*asked, "--include-seen", "--item", seen, "--json").stdout)
    assert again["verdict"] in ("listed", "not_named") and again["gates"] == []
    drawn = run(*asked, "--seed", 3, "--item", seen)
    assert "Note: explore: the bundle has no re-ranker that explores" in drawn.stderr
    lists = run("recommend", *asked[1:], "--exclude", listed[0], "--json").stdout
    assert [row["item_id"] for row in json.loads(lists)] == listed[1:3]
    two = run(*asked, "--item", seen, "--item", listed[2]).stdout
    assert "the user has seen it already" in two and "ease has it at place 3 of" in two


def test_a_history_in_place_of_a_user(run: Any, bundle: Path) -> None:
    ids = Bundle.load(bundle).item_ids.ids
    flags = ["explain", "--bundle", bundle, "--history", f"{ids[1]}, {ids[2]}", "--item", ids[5], "--json"]
    (why,) = json.loads(run(*flags).stdout)
    assert {one["item_id"] for one in why["reasons"] if one["source"] == "ease"} == {ids[1], ids[2]}
    assert why["user_id"] is None
    (new,) = json.loads(run("explain", "--bundle", bundle, "--history", "", "--item", ids[5], "--json").stdout)
    assert new["sources"][0]["named"] == 0 and new["reasons"] == []


def test_mistakes_say_what_to_do(run: Any, bundle: Path) -> None:
    item = Bundle.load(bundle).item_ids.ids[0]
    assert "--user ID, --history" in run("explain", "--bundle", bundle, "--item", item, code=4).stderr
    assert "among the 150 users" in run("explain", "--bundle", bundle, "--item", item, "--user", "zz", code=4).stderr
    assert "among the 80 items" in run("explain", "--bundle", bundle, "--item", "zz", "--user", "u0001", code=4).stderr
    assert run("explain", "--bundle", bundle, "--item", item, "--user", "u0001", "-k", 0, code=2)


def test_what_nothing_speaks_for_has_no_reasons(run: Any, here: Path) -> None:
    (here / "log.csv").write_text("user,item\n1,a\n1,b\n2,a\n2,b\n3,a\n3,c\n4,d\n")
    run("fit", "--events", "log.csv", "--model", "item_knn", "--out", "b")
    asked = ["explain", "--bundle", "b", "--user", 1, "--item", "c", "--item", "d", "--json"]
    c, d = json.loads(run(*asked).stdout)
    assert [one["item_id"] for one in c["reasons"]] == ["a"]
    assert d["reasons"] == [] and d["sources"][0]["score"] is None
    told = run("explain", "--bundle", "b", "--history", "zz", "--item", "c")
    assert "Note: history: 1 not known: 'zz'" in told.stderr and "popular" in told.stdout
    assert "item_knn" in told.stdout and "█" not in told.stdout


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
    told = run("explain", "--bundle", "b", "--user", 0, "--item", 3, "-k", 2)
    assert "Adds, of dcn_v2: its score, " in told.stdout


def test_only_a_ranker_tells_what_it_crosses(run: Any, bundle: Path) -> None:
    assert "Only dcn_v2 tells how strongly it crosses" in run("explain", "--bundle", bundle, "--crosses", code=4).stderr
    assert "told what: --item ID, or --crosses" in run("explain", "--bundle", bundle, "--user", 1, code=4).stderr
