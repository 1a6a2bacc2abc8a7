from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from serendip.bundle import Bundle
from serendip.bundle.shelving import shelved
from serendip.data.synthetic import World
from serendip.pipeline import in_turn, reranked
from serendip.rerank import Explore
from tests.models.test__retrieval import SHELVES, shop


def test_a_table_for_a_user(run: Any, bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    user = loaded.user_ids.ids[0]
    expected = loaded.recommend(user, 3)
    lines = run("recommend", "--bundle", bundle, "--user", user, "-k", 3).stdout.splitlines()
    assert lines[0].split() == ["user_id", "item_id", "title", "score", "rank", "source"]
    for line, title in zip(lines[2:], expected["title"], strict=True):
        assert line.startswith(f"{user} ")
        assert title in line


def test_json_holds_every_column(run: Any, bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    users = loaded.user_ids.ids.head(2).to_list()
    rows = json.loads(run("recommend", "--bundle", bundle, "--user", users[0], "--user", users[1], "--json").stdout)
    assert pl.DataFrame(rows)["item_id"].to_list() == loaded.recommend(users)["item_id"].to_list()
    assert list(rows[0]) == ["user_id", "item_id", "title", "score", "rank", "source"]


def test_a_newcomer_and_a_history(run: Any, bundle: Path, world: World) -> None:
    result = run("recommend", "--bundle", bundle, "--user", "new", "--json")
    assert {row["source"] for row in json.loads(result.stdout)} == {"popular"}
    assert "'new'" in result.stderr
    items = world.events["item_id"].head(2).to_list()
    result = run("recommend", "--bundle", bundle, "--history", ", ".join(map(str, items)), "--json")
    rows = json.loads(result.stdout)
    assert rows[0]["source"] == "ease"
    assert not {row["item_id"] for row in rows} & set(items)


def test_a_filter(run: Any, bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    some = loaded.item_ids.ids.head(2).to_list()
    text = f"item_id in {some}"
    rows = json.loads(run("recommend", "--bundle", bundle, "--user", "new", "--filter", text, "--json").stdout)
    assert {row["item_id"] for row in rows} == set(some)
    wrong = run("recommend", "--bundle", bundle, "--user", "new", "--filter", "prize < 3", code=4)
    assert "A filter must be about attributes of the items: item_id" in " ".join(wrong.stderr.split())


def test_ids_may_hold_commas(run: Any, here: Path) -> None:
    """Who liked both is like those who liked one more: a history that is read in any other way gives another list."""
    rows = [(user, item) for user in range(4) for item in ("Seven, or: Se7en", "Heat", "Casino, Royale")]
    rows += [(9, "Seven"), (9, "Up")]
    pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row").write_csv("log.csv")
    run("fit", "--events", "log.csv", "--model", "item_knn", "--set", "model.shrink=0", "--quiet")
    liked = ("--history", '"Seven, or: Se7en", Heat')
    result = run("recommend", *liked, "-k", 1, "--json")
    assert [row["item_id"] for row in json.loads(result.stdout)] == ["Casino, Royale"]
    assert "not known" not in result.stderr
    twice = run("recommend", "--history", '"Seven, or: Se7en"', "--history", "Heat", "-k", 1, "--json")
    assert twice.stdout == result.stdout
    why = json.loads(run("explain", *liked, "--item", "Casino, Royale", "--json").stdout)
    assert {one["item_id"] for one in why[0]["reasons"]} == {"Seven, or: Se7en", "Heat"}


def test_the_moment_may_be_given(run: Any, bundle: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def noting(whole: Any) -> Any:
        def noted(self: Bundle, *given: Any, **how: Any) -> Any:
            asked.append(how["time"])
            return whole(self, *given, **how)

        return noted

    for name in ("answer", "iter_recommend"):
        monkeypatch.setattr(Bundle, name, noting(getattr(Bundle, name)))
    run("recommend", "--bundle", bundle, "--user", "new", "--time", 1_700_000_000, "--json")
    run("recommend", "--bundle", bundle, "--user", "new", "--json")
    run("recommend", "--bundle", bundle, "--all", "--time", 0, "--out", "r.csv")
    assert asked == [1_700_000_000, None, 0]


def test_seen_items_are_shown_if_asked_for(run: Any, bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    user, n = loaded.user_ids.ids[0], len(loaded.item_ids)
    seen = int((loaded.histories.indptr[1:] - loaded.histories.indptr[:-1])[0])
    assert seen > 0
    flags = ["recommend", "--bundle", bundle, "--user", user, "-k", n, "--json"]
    unseen = json.loads(run(*flags).stdout)
    assert len(unseen) < len(json.loads(run(*flags, "--include-seen").stdout)) == n


def test_lists_by_chance_say_how_likely_they_were(run: Any, bundle: Path, here: Path) -> None:
    loaded = Bundle.load(bundle)
    pipeline = reranked(loaded.pipeline, *in_turn([Explore(epsilon=0.5)]))
    replace(loaded, pipeline=shelved(pipeline, loaded.items, loaded.histories)).save(here / "exploring")
    asked = ("recommend", "--bundle", here / "exploring", "--user", "new", "--json", "-k", 5)
    plain, one, again = (json.loads(run(*asked, *more).stdout) for more in ((), *[("--explore", "--seed", 3)] * 2))
    assert one == again != plain
    assert all(0 < row["propensity"] < 1 for row in one) and "propensity" not in plain[0]
    assert "no re-ranker that explores" in run("recommend", "--bundle", bundle, "--user", "new", "--explore").stderr
    assert "--seed must come with --explore" in run(*asked, "--seed", 3, code=4).stderr


def test_the_recipe_says_how_many(run: Any, data_flags: list[object]) -> None:
    run("fit", *data_flags, "--model", "popular", "--set", "pipeline.k=4", "--quiet")
    assert len(json.loads(run("recommend", "--user", "new", "--json").stdout)) == 4
    assert len(json.loads(run("recommend", "--user", "new", "-k", 2, "--json").stdout)) == 2


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_everybody_to_a_file(run: Any, bundle: Path, here: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    loaded = Bundle.load(bundle)
    whole = Bundle.iter_recommend
    monkeypatch.setattr(Bundle, "iter_recommend", lambda self, k, **options: whole(self, k, block=40, **options))
    out = here / f"recs.{suffix}"
    assert "rows." in run("recommend", "--bundle", bundle, "--all", "-k", 3, "--out", out).stdout
    found = pl.read_parquet(out) if suffix == "parquet" else pl.read_csv(out)
    expected = loaded.recommend(None, 3)
    assert found.columns == expected.columns
    assert found["item_id"].cast(pl.String).to_list() == expected["item_id"].cast(pl.String).to_list()
    assert found["user_id"].n_unique() == len(loaded.user_ids)
    assert [path.name for path in here.iterdir()] == [out.name]


def test_a_ranker_that_nothing_names_items_for_is_told_of(
    run: Any, bundle: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind retrieval, or of few pairs, it is not."""
    asked = ["recommend", "--all", "-k", 3, "--out", "r.csv", "--bundle"]
    rows = [(user, item, (user + item) % 2) for user in range(12) for item in range(6)]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "liked"], orient="row")
    fit = ["--set", "model.label=liked", "--set", "model.epochs=1", "--set", "model.factors=2"]
    log.write_csv(here / "log.csv")
    run("fit", "--events", "log.csv", "--model", "fm", *fit, "--out", "alone")
    assert "Note: fm" not in run(*asked, "alone").stderr
    monkeypatch.setattr(sys.modules["serendip.cli.recommend"], "MANY", 72)
    told = " ".join(run(*asked, "alone").stderr.split())
    assert "Note: fm is a ranker and scores every item for every user, 12 × 6" in told and "[pipeline.rank]" in told
    ranker = ["--set", 'pipeline.rank={name="fm", label="liked", epochs=1, factors=2}']
    run("fit", "--events", "log.csv", "--model", "popular", *ranker, "--out", "behind")
    for other in ("behind", bundle):
        assert "is a ranker" not in run(*asked, other).stderr


def test_some_to_a_file(run: Any, bundle: Path, here: Path) -> None:
    run("recommend", "--bundle", bundle, "--user", "new", "-k", 3, "--out", "r.csv")
    with (here / "r.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3


def test_a_failure_leaves_no_file(run: Any, bundle: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Bundle.iter_recommend

    def broken(self: Bundle, k: int, **options: Any) -> Any:
        yield next(iter(whole(self, k, block=10, **options)))
        raise MemoryError

    monkeypatch.setattr(Bundle, "iter_recommend", broken)
    (here / "recs.parquet").write_text("old")
    run("recommend", "--bundle", bundle, "--all", "--out", "recs.parquet", code=6)
    assert [(path.name, path.read_text()) for path in here.iterdir()] == [("recs.parquet", "old")]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 4, "for whom"),
        (["--all", "--user", "1"], 4, "for whom"),
        (["--all"], 4, "--all must come with --out FILE"),
        (["--user", "1", "--user", "2", "--history", "3"], 4, "one --user at most"),
        (["--user", "1", "--user", "2", "--attribute", "age=3"], 4, "--attribute must come with one --user at most"),
        (["--user", "1", "--user", "2", "--event", "view=3"], 4, "--event must come with one --user at most"),
        (["--event", "view"], 4, "--event must be KIND=ID,ID,…, such as view=661,914. Got 'view' instead"),
        (["--attribute", "age"], 4, "--attribute must be COLUMN=VALUE, such as age=31. Got 'age' instead"),
        (["--history", '"a,b'], 4, "--history must hold ids separated by commas, those that hold a comma in double"),
        (["--all", "--attribute", "age=3", "--out", "x.csv"], 4, "--all with others"),
        (["--all", "--out", "recs.txt"], 4, "must be a .parquet or .csv file. Got recs.txt"),
        (["--all", "--out", "file/recs.csv"], 6, "cannot be written"),
        (["--bundle", "nowhere", "--user", "1"], 5, "nowhere"),
    ],
)
def test_what_cannot_be_done(run: Any, bundle: Path, here: Path, arguments: list[str], code: int, said: str) -> None:
    (here / "file").touch()
    named = [] if "--bundle" in arguments else ["--bundle", str(bundle)]
    result = run("recommend", *named, *arguments, code=code)
    assert said in result.stderr
    assert result.stdout == ""
    assert [path.name for path in here.iterdir()] == ["file"]


def test_a_newcomer_by_events_of_no_kind_that_is_kept(run: Any, bundle: Path) -> None:
    result = run("recommend", "--bundle", bundle, "--event", "view=31", "-k", "2", "--json")
    assert len(json.loads(result.stdout)) == 2
    assert "events: 1 of a kind that is not kept beside the history: 'view'" in result.stderr


def test_a_newcomer_by_attributes(run: Any, bundle: Path) -> None:
    """This bundle's model reads none, and says so."""
    result = run("recommend", "--bundle", bundle, "--attribute", "age=31", "-k", "2", "--json")
    assert len(json.loads(result.stdout)) == 2
    assert "attributes: no model of the bundle reads any" in result.stderr


KINDS = """
[data]
events = "shop.parquet"
target = ["buy"]

[model]
name = "youtube_retrieval"
factors = 16
hidden = 32
length = 1
batch_size = 64
learning_rate = 0.02
epochs = 8
negatives = 10

[pipeline]
fallback = []

[evaluate]
metrics = ["hit_rate@5", "coverage@5"]
compare = ["popular"]

[run]
threads = 1
"""


@pytest.fixture
def kinds(here: Path) -> Path:
    shop(users=70).write_parquet(here / "shop.parquet")
    path = here / "recipe.toml"
    path.write_text(KINDS)
    return path


def test_from_a_recipe_with_a_target_to_answers(run: Any, kinds: Path) -> None:
    run("validate", kinds)
    found = json.loads(run("evaluate", kinds, "--json").stdout)
    figures = {
        name: next(row["mean"] for row in one["table"] if (row["metric"], row["segment"]) == ("hit_rate@5", "all"))
        for name, one in found["models"].items()
    }
    assert figures["youtube_retrieval"] > 0.8 and figures["popular"] < 0.5
    run("fit", kinds, "--out", "out/b", "--quiet")
    assert Bundle.load("out/b").manifest.recipe["data"]["target"] == ["buy"]
    for shelf in range(SHELVES):
        rows = json.loads(run("recommend", "--bundle", "out/b", "--event", f"view=s{shelf}", "-k", 3, "--json").stdout)
        assert {row["item_id"][:2] for row in rows} == {f"b{shelf}"}


def test_a_target_by_flags(run: Any, kinds: Path) -> None:
    flags = ("--events", "shop.parquet", "--model", "popular", "--out", "out/b", "--quiet")
    run("fit", *flags, "--target", "buy")
    assert {str(item)[0] for item in Bundle.load("out/b").recommend(["new"], k=6)["item_id"]} == {"b"}
    run("fit", *flags, "--target", "view, buy")
    assert {str(item)[0] for item in Bundle.load("out/b").recommend(["new"], k=6)["item_id"]} == {"s"}
