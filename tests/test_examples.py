"""The recipes in examples/ on a small shop, for a short while: each does what its first lines say."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from serendip.bundle import Bundle
from serendip.catalogue import Catalogue, beside
from serendip.cli import app
from serendip.data import synthetic
from serendip.data.synthetic import World, catalogue
from serendip.pipeline import retrievers, scoring
from serendip.pipeline.ranking import said_of
from serendip.scorers import TowerScorer

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
Asked = Callable[..., Any]


@cache
def shop() -> World:
    return catalogue(users=400, items=120)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Asked:
    """What a verb of the command line says of a recipe, as JSON; the shop has 400 users and 120 items."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(synthetic, "catalogue", shop)

    def run(*flags: object) -> Any:
        result = CliRunner().invoke(app, [*map(str, flags), "--json"])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


def figures(asked: Asked, name: str, label: str, *overrides: str) -> dict[str, dict[str, float]]:
    """By model and figure, of what was held out."""
    sets = [flag for one in ("run.threads=1", *overrides) for flag in ("--set", one)]
    models = asked("evaluate", EXAMPLES / f"{name}.toml", *sets)["labels"][label]["models"]
    return {model: {one["metric"]: one["value"] for one in found["figures"]} for model, found in models.items()}


def test_probabilities_of_likes(asked: Asked) -> None:
    """They come true about as often as they say, and put more likes first than where all were alike."""
    found = figures(asked, "click", "liked", "model.batch_size=64", "model.epochs=1")
    assert list(found) == ["dcn_v2", "dcn_v2, not calibrated", "popular"]
    assert found["dcn_v2"]["auc"] > 0.54 > found["popular"]["auc"] and found["dcn_v2"]["ece"] < 0.1


def test_ratings(asked: Asked) -> None:
    """Nearer than the mean rating is, whose error is the deviation of the ratings."""
    found = figures(asked, "rating", "rating", "model.batch_size=64", "model.epochs=4")
    ratings = shop().events["rating"].drop_nulls()
    assert found["deepfm"]["rmse"] < 0.98 * float(ratings.std())  # type: ignore[arg-type]
    assert list(found) == ["deepfm", "baseline"] and set(found["baseline"]) == {"rmse", "mae"}


def test_several_tasks_and_another_score(asked: Asked) -> None:
    sets = ("--set", "run.threads=1", "--set", "model.batch_size=64", "--set", "model.epochs=1")
    asked("fit", EXAMPLES / "multi_task.toml", *sets, "--out", "b")
    made = Bundle.load("b")
    user, items = made.user_ids.ids[0], made.item_ids.ids.to_list()
    told = made.foretold(user, items).pivot("task", index=["item_id", "score"], values="foretold")
    liked, bought, seconds = (told[task].to_numpy() for task in ("liked", "purchased", "watch_time"))
    np.testing.assert_allclose(told["score"], liked + 2 * bought + 0.1 * np.log1p(seconds / 60), rtol=1e-4)
    events = shop().events.filter(event_type="view")
    assert liked.mean() == pytest.approx(events["liked"].mean(), rel=0.25)
    assert bought.mean() == pytest.approx(events["purchased"].mean(), rel=0.35)
    means = events.group_by("item_id").agg(pl.col("watch_time").mean())
    both = told.join(means, on="item_id", suffix="_true")
    assert np.corrcoef(both["watch_time"], both["watch_time_true"])[0, 1] > 0.7
    asked("rescore", "--bundle", "b", "--score", "watch_time", "--out", "c")
    longest = Bundle.load("c").recommend(user, 1, exclude_seen=False)["item_id"][0]
    assert longest == told["item_id"][int(seconds.argmax())]


def test_seconds_of_watching(asked: Asked) -> None:
    """Who will watch longer is found out, and the mean error is below that of the median."""
    found = figures(asked, "watch_time", "watch_time", "evaluate.compare=[]", "model.batch_size=64", "model.epochs=1")
    seconds = shop().events["watch_time"].drop_nulls()
    constant = float((seconds - seconds.median()).abs().mean())  # type: ignore[arg-type]
    assert found["watch_time"]["xauc"] > 0.75 and found["watch_time"]["mae"] < 0.8 * constant


def test_a_ranker_behind_retrieval(asked: Asked) -> None:
    """What retrieval names comes in another order, that of the ranker counting as much as its own."""
    sets = ("--set", "run.threads=1", "--set", "pipeline.rank.batch_size=128", "--set", "pipeline.rank.epochs=1")
    asked("fit", EXAMPLES / "ranking.toml", *sets, "--out", "b")
    made = Bundle.load("b")
    user = made.user_ids.ids[0]
    (why,) = asked("explain", "--bundle", "b", "--user", user, "--item", made.recommend(user, k=1)["item_id"][0])
    assert why["place"] == 1 and [one["kind"] for one in why["steps"]] == ["rank"]
    assert {one["source"] for one in why["reasons"]} == {"ials", why["steps"][0]["stage"]}
    queries = made.queries([user, None], k=10)
    first, guard = made.pipeline.stages  # type: ignore[attr-defined]
    named, ranked = first(queries), made.pipeline(queries)
    assert named.items.shape[1] == 100 and ranked.items.shape[1] == 10
    assert (ranked.items != named.items[:, :10]).any()
    assert ranked.columns["source"][:, 0].tolist() == ["ials", "popular"]
    told = replace(queries, pairs=said_of(named))
    by_ranker = np.argsort(np.argsort(-guard.stage.scorer.score(told, named.items), axis=1), axis=1)
    places = np.argsort(-(1 / (61 + by_ranker) + 1 / (61 + np.arange(100))), axis=1, kind="stable")[:, :10]
    np.testing.assert_array_equal(ranked.items, np.take_along_axis(named.items, places, axis=1))


def test_the_whole_funnel(asked: Asked) -> None:
    """Four sources, the last of them held to its quota, a ranker, diversity and exploration; each told of. One source
    names an item from the moment it comes."""
    sets = ("--set", "run.threads=1", "--set", "pipeline.rank.batch_size=128", "--set", "pipeline.rank.epochs=1")
    sets = (*sets, "--set", "pipeline.moments=2", "--set", "pipeline.budget={}")
    stages = asked("validate", EXAMPLES / "funnel.toml", *sets)["stages"]
    assert [line.partition(":")[0] for line in stages] == ["name", "fill", "rank", "re-rank"]
    found = asked("fit", EXAMPLES / "funnel.toml", *sets, "--out", "b")
    assert found["sources"] == ["ials", "item_knn", "content", "popular"] and found["stages"] == stages
    made = Bundle.load("b")
    users = made.user_ids.ids[:20].to_list()
    rows = asked("recommend", "--bundle", "b", *(flag for user in users for flag in ("--user", user)), "--reasons")
    assert {row["source"] for row in rows} >= {"ials", "item_knn"} and all(row["reason"] for row in rows)
    many = [row for row in rows if row["sources"].count(",") == 3]
    assert many and all(row[f"score.{source}"] for row in many for source in found["sources"])
    assert all(row["score.deepfm"] == pytest.approx(row["score"]) for row in rows)
    (ranker,) = (part for part in scoring(made.pipeline) if part.name == "deepfm")
    assert set(ranker.scorer.pair_names) >= {f"source.{source}" for source in found["sources"]}  # type: ignore[attr-defined]
    named = made.pipeline.stages[0].stages[0].stages[0](made.queries(users, k=100))  # type: ignore[attr-defined]
    assert ((named.columns["source"] == "popular").sum(axis=1) <= 20).all()
    told = made.recommend(users, explore=3)
    assert "propensity" in told.columns and told["propensity"].is_between(0, 1).all()
    (alike,) = made.items.filter(pl.col("item_id") == rows[0]["item_id"]).to_dicts()
    live = Catalogue.open(made, beside(Path("b"))).upsert([{**alike, "item_id": "brand new"}]).bundle
    shown = live.recommend(made.user_ids.ids.to_list(), k=100).filter(pl.col("item_id") == "brand new")
    assert "content" in set(shown["source"])


def test_retrieval_and_ratings_on_the_same_towers(asked: Asked) -> None:
    sets = ("--set", "run.threads=1", "--set", "model.batch_size=128", "--set", "model.epochs=1")
    asked("fit", EXAMPLES / "joint.toml", *sets, "--out", "b")
    (why,) = asked("explain", "--bundle", "b", "--user", "u0007", "--item", "i0042")
    assert list(why["foretold"]) == ["retrieval", "rating"]
    told = why["foretold"]
    assert told["retrieval"] == pytest.approx(why["sources"][0]["score"], rel=1e-4) and 2 < told["rating"] < 5
    asked("rescore", "--bundle", "b", "--score", "retrieval + 2 * rating", "--out", "c")
    (again,) = asked("explain", "--bundle", "c", "--user", "u0007", "--item", "i0042")
    assert again["sources"][0]["score"] == pytest.approx(told["retrieval"] + 2 * told["rating"], rel=1e-4)


def test_purchases_over_towers_of_all_that_people_do(asked: Asked) -> None:
    """The towers stay to the last bit, and what stands over them learns."""
    sets = ("--set", "run.threads=1", "--set", "model.batch_size=256", "--set", "model.epochs=1")
    recipe = EXAMPLES / "transfer.toml"
    asked("fit", recipe, *sets, "--out", "a")
    asked("fit", recipe, *sets, "--from", "a", "--task", "purchase", "--freeze", "towers", "--out", "b")
    rich, poor = (Bundle.load(name) for name in "ab")
    assert poor.manifest.recipe["data"]["target"] == ["purchase"]
    before, after = (next(iter(retrievers(one.pipeline))).scorer for one in (rich, poor))
    assert isinstance(before, TowerScorer) and isinstance(after, TowerScorer)
    was, now = before.item_vectors(), after.item_vectors()
    np.testing.assert_array_equal(now[:, : was.shape[1]], was)
    assert now.shape[1] == was.shape[1] + 1 and np.nanstd(now[:, -1]) > 0
