from __future__ import annotations

from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

import serendip
from serendip.data.synthetic import World
from serendip.model import Run
from serendip.recipe import Choice, read, run_recipe
from serendip.recipe.fitting import Fitter, portable
from serendip.recipe.funnel import automatic_fallback
from serendip.recipe.sections import PipelineSection
from serendip.types import SerendipError


def sources(bundle: Any) -> list[str]:
    return list(bundle.summary()["sources"])


def test_frames_in_frames_out_with_the_right_answer() -> None:
    users, items = np.divmod(np.arange(400), 20)
    same = (users % 2) == (items % 2)
    kept = same & ((items // 2) % 10 != users % 10)  # each user lacks exactly one item of the own parity
    frame = pl.DataFrame({"user_id": users[kept], "item_id": items[kept]})
    bundle = serendip.fit(frame, model="ease", reg=1.0)
    found = bundle.recommend(list(range(20)), k=1)
    lacking = {int(u): int(i) for u, i in zip(users[same & ~kept], items[same & ~kept], strict=True)}
    assert dict(zip(found["user_id"], found["item_id"], strict=True)) == lacking


def test_the_fallback_suits_the_data(world: World) -> None:
    described = world.dataset()
    bare = replace(described, schema=msgspec.structs.replace(described.schema, categories=(), text=()))
    assert automatic_fallback(Choice("ials"), described) == (Choice("content"), Choice("popular"))
    assert automatic_fallback(Choice("content"), described) == (Choice("popular"),)
    assert automatic_fallback(Choice("ials"), bare) == (Choice("popular"),)
    assert automatic_fallback(Choice("popular"), described) == ()


def test_a_newcomer_gets_what_is_popular(world: World) -> None:
    bundle = serendip.fit(world.events, world.users, world.items, model="ease")
    assert sources(bundle) == ["ease", "content", "popular"]
    assert set(bundle.recommend("nobody", k=5)["source"]) == {"popular"}


def test_the_fallback_can_be_named_or_left_out(world: World) -> None:
    assert sources(serendip.fit(world.dataset(), model="ease", fallback=())) == ["ease"]
    bundle = serendip.fit(world.dataset(), model="ease", fallback=("popular",))
    assert sources(bundle) == ["ease", "popular"]
    assert bundle.manifest.recipe == {
        "model": {"name": "ease"},
        "pipeline": {"fallback": [{"name": "popular"}]},
    }


def test_options_of_the_data_and_of_the_model(world: World) -> None:
    bundle = serendip.fit(world.events, model="popular", positive_from=4, columns={"event_type": None}, weight="count")
    assert bundle.manifest.recipe["model"] == {"name": "popular", "weight": "count"}
    top = bundle.recommend(["nobody"], k=1)
    rating = world.events["rating"]
    counts = world.events.filter((rating >= 4) | rating.is_null())["item_id"].value_counts(sort=True)
    assert top["score"][0] == counts["count"][0]


def test_a_data_set_is_given_alone(world: World) -> None:
    with pytest.raises(TypeError, match="a Dataset already holds"):
        serendip.fit(world.dataset(), items=world.items)
    with pytest.raises(TypeError, match="a Dataset already holds"):
        serendip.fit(world.dataset(), positive_from=3)


def test_relations_reach_the_model(world: World, tmp_path: Path) -> None:
    ids = world.users["user_id"]
    trust = pl.DataFrame({"user_id": ids[:-1], "trusts": ids[1:]})
    options: dict[str, Any] = {"model": "hybrid_mf", "epochs": 2, "factors": 4}
    linked = serendip.fit(world.events, world.users, world.items, relations={"trust": trust}, **options)
    plain = serendip.fit(world.events, world.users, world.items, **options)
    assert linked.manifest.version != plain.manifest.version
    again = serendip.fit(
        world.events, world.users, world.items, relations={"trust": trust}, **options | {"relation_weight": 0.0}
    )
    asked = ids[:20].to_list()
    assert again.recommend(asked)["item_id"].to_list() == plain.recommend(asked)["item_id"].to_list()
    named = serendip.fit(
        world.events, world.users, world.items, relations={"trust": trust}, **options, relation_names="none"
    )
    assert named.recommend(asked)["item_id"].to_list() == plain.recommend(asked)["item_id"].to_list()
    with pytest.raises(SerendipError, match=r"relations must be tables by name.* Got 'trust' instead"):
        serendip.fit(world.events, relations="trust", **options)
    with pytest.raises(TypeError, match="a Dataset already holds"):
        serendip.fit(world.dataset(), relations={"trust": trust})


def test_an_unknown_option_is_refused(world: World) -> None:
    with pytest.raises(SerendipError, match="ease has no option 'factors'"):
        serendip.fit(world.dataset(), model="ease", factors=3)


def test_a_recipe_and_the_call_give_the_same_bundle(shop: Path) -> None:
    recipe = read(
        given={"data": {"events": str(shop / "events.parquet"), "items": str(shop / "items.parquet")}},
        overrides=["model.name=ease", "model.reg=20"],
    )
    bundle = run_recipe(recipe, evaluation={"said": 1})
    direct = serendip.fit(str(shop / "events.parquet"), items=str(shop / "items.parquet"), model="ease", reg=20)
    assert bundle.manifest.version == direct.manifest.version
    assert bundle.manifest.evaluation == {"said": 1}
    assert read(bundle.manifest.recipe).model == Choice("ease", {"reg": 20})


def test_every_step_is_told(world: World) -> None:
    steps = []

    @contextmanager
    def watch(what: str) -> Any:
        steps.append(what)
        yield None

    run_recipe(read(model="ease"), data=world.dataset(), watch=watch)
    assert steps == ["Fitting ease", "Fitting content", "Fitting popular", "Building the bundle"]


def test_a_model_asked_for_twice_is_fitted_once(world: World) -> None:
    steps = []

    def watch(what: str) -> Any:
        steps.append(what)
        return nullcontext()

    fitter = Fitter(world.dataset(), Run(), watch)
    fitter.pipeline(Choice("ease"), PipelineSection(fallback=(Choice("popular"),)))
    fitter.pipeline(Choice("ease", {"reg": 9}), PipelineSection(fallback=(Choice("popular"),)))
    fitter.pipeline(Choice("popular"), PipelineSection(fallback=(Choice("popular"),)))
    assert steps == ["Fitting ease", "Fitting popular", "Fitting ease"]


ENCODERS = {"title": "data/../lm", "text": "/elsewhere/lm"}


def test_a_bundle_keeps_paths_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {"events": "data/../data/log.csv", "items": "/elsewhere/items.csv", "rejects": "bad.csv"}
    given |= {"relations": {"trust": "data/x/../trust.csv"}}
    features = {name: {"kind": "sentence", "side": "item", "encoder": place} for name, place in ENCODERS.items()}
    found = portable(read(given={"data": given, "run": {"out": "b"}, "features": features}))
    assert {name: msgspec.to_builtins(one)["encoder"] for name, one in found.features.items()} == {
        "title": "lm",
        "text": "/elsewhere/lm",
    }
    assert found.data.events == "data/log.csv"
    assert found.data.items == "/elsewhere/items.csv"
    assert found.data.relations == {"trust": "data/trust.csv"}
    assert found.data.rejects is None
    assert found.run.out is None
