"""Re-rankers of a bundle: stored by their options, joined to the items wherever the bundle goes."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle, BundleError
from serendip.catalogue import Catalogue
from serendip.data.dataset import Dataset
from serendip.data.synthetic import World, catalogue
from serendip.model import Run, find
from serendip.pipeline import guarded, in_turn, reranked, rerankers, retrieve, retrievers
from serendip.rerank import Boost, Cap, Explore, Mmr, Pin
from serendip.types import Queries, Recs, SerendipError, Stage


@pytest.fixture(scope="module")
def world() -> World:
    return catalogue(seed=1, users=60, items=80, choices=12)


@pytest.fixture(scope="module")
def data(world: World) -> Dataset:
    return world.dataset()


def pipeline(data: Dataset, *options: Any, model: str = "popular", **said: Any) -> Stage:
    scorer = find(model)(**said).fit(data, Run(threads=1)).lower()
    return reranked(retrieve(scorer, name=model), *in_turn(options), candidates=60)


def test_it_answers_alike_when_it_is_loaded(data: Dataset, tmp_path: Path) -> None:
    made = Bundle.build(data, pipeline(data, Mmr(by="categories", weight=0.4), Cap(by="kind", most=1)))
    made.save(tmp_path / "b")
    again = Bundle.load(tmp_path / "b")
    again.check()
    user = data.user_ids.ids[3]
    found = again.recommend(user, k=4)
    assert found.equals(made.recommend(user, k=4))
    kinds = again.items.filter(pl.col("item_id").is_in(found["item_id"].to_list()))["kind"]
    assert kinds.n_unique() == min(4, again.items["kind"].n_unique())
    stored = json.loads(next((tmp_path / "b").rglob("pipeline.json")).read_text())
    assert stored["stages"][2] == {
        "stage": "rerank", "name": "cap", "options": {"name": "cap", "by": "kind", "most": 1, "places": None}
    }  # fmt: skip


def test_a_column_that_is_not_there_is_said_when_it_is_built(data: Dataset) -> None:
    with pytest.raises(SerendipError, match=r"cap\.by must be a column of the items: title.*Did you mean 'kind'"):
        Bundle.build(data, pipeline(data, Cap(by="kinds")))
    with pytest.raises(SerendipError, match=r"Got 'popular', which has none"):
        Bundle.build(data, pipeline(data, Mmr(by="popular")))


def test_it_is_joined_anew_after_an_update(data: Dataset, world: World) -> None:
    made = Bundle.build(data, pipeline(data, Boost(fits='kind == "poster"', weight=5), Pin(items=("fresh",))))
    user, other = data.user_ids.ids[0], data.user_ids.ids[1]
    assert "fresh" not in made.recommend(user, k=3)["item_id"]
    assert made.answer(user, k=3).notes == ("pinned: 1 not known: fresh",)
    row = world.items.head(1).with_columns(item_id=pl.lit("fresh"), kind=pl.lit("poster"))
    events = world.events.head(1).with_columns(user_id=pl.lit(other), item_id=pl.lit("fresh"))
    after = made.update(events, items=row)
    found = after.recommend(user, k=3)
    assert found.row(0, named=True)["item_id"] == "fresh" and found["source"][0] == "pinned"
    assert "fresh" not in after.recommend(other, k=3)["item_id"]  # who has seen it


def test_live_items_are_known_to_re_rankers(data: Dataset, tmp_path: Path) -> None:
    made = Bundle.build(data, pipeline(data, Pin(items=("late",)), Cap(by="kind", most=1, places=2)))
    made.save(tmp_path / "b")
    live = Catalogue.open(Bundle.load(tmp_path / "b"), tmp_path / "b.live")
    user = data.user_ids.ids[0]
    top = live.view.bundle.recommend(user, k=1)["item_id"][0]
    kind = made.items.filter(pl.col("item_id") == top)["kind"][0]
    live.upsert([{"item_id": "late", "kind": kind}])
    found = live.view.bundle.recommend(user, k=2)
    assert found["item_id"][0] == "late"
    assert top not in found["item_id"]  # of the same kind, which is capped
    live.delete(["late"])
    assert live.view.bundle.recommend(user, k=1)["item_id"][0] == top


def test_what_is_left_to_chance_is_said_and_can_be_had_again(data: Dataset) -> None:
    made = Bundle.build(data, pipeline(data, Explore(epsilon=0.5)))
    users = data.user_ids.ids[:5].to_list()
    plain = made.recommend(users, k=3)
    assert "propensity" not in plain.columns and plain.equals(made.recommend(users, k=3))
    one, again, other = (made.recommend(users, k=3, explore=seed) for seed in (4, 4, 5))
    assert one.equals(again) and not one["item_id"].equals(other["item_id"])
    assert one["propensity"].is_between(0, 1, closed="right").all()
    assert not made.recommend(users, k=9, explore=True).equals(made.recommend(users, k=9, explore=True))
    everybody = pl.concat(made.iter_recommend(k=3, block=7, explore=4))
    assert everybody.equals(made.recommend(None, k=3, explore=4))
    made.check()
    with pytest.raises(SerendipError, match=r"explore must be true, false or a whole number of 0 or more. Got 'yes'"):
        made.recommend(users, explore="yes")  # type: ignore[arg-type]


def test_lists_whose_explorer_is_skipped_have_no_propensity_and_join_the_others(data: Dataset) -> None:
    made = Bundle.build(data, pipeline(data, Explore(epsilon=0.5)))
    explorer = next(rerankers(made.pipeline))
    asked = count()

    def flaky(queries: Queries, recs: Recs) -> Recs:
        if next(asked) % 2:
            raise RuntimeError
        assert explorer.step is not None
        return explorer.step(queries, recs)

    steps = guarded(replace(explorer, step=flaky), name="explore")
    broken = replace(made, pipeline=reranked(retrievers(made.pipeline)[0], steps))
    blocks = list(broken.iter_recommend(k=3, block=7, explore=4))
    assert len(blocks) > 2
    for place, block in enumerate(blocks):
        assert block["propensity"].null_count() == (len(block) if place % 2 else 0)
    assert pl.concat(blocks)["user_id"].n_unique() == len(made.user_ids)


def test_a_bundle_that_leaves_nothing_to_chance_says_so(data: Dataset) -> None:
    made = Bundle.build(data, retrieve(find("popular")().fit(data, Run(threads=1)).lower(), name="popular"))
    assert made.answer(None, k=2, explore=True).notes == ("explore: the bundle has no re-ranker that explores",)


def test_thompson_draws_from_the_model_of_the_bundle(data: Dataset) -> None:
    made = Bundle.build(
        data, pipeline(data, Explore(policy="thompson", scale=3, draws=50), model="ials", factors=8, iterations=2)
    )
    users = data.user_ids.ids[:20].to_list()
    found = made.recommend(users, k=5, explore=1)
    assert not found["item_id"].equals(made.recommend(users, k=5)["item_id"])
    assert found["propensity"].is_between(1 / 51, 1).all()
    assert next(rerankers(made.pipeline)).step is not None


def test_dates_are_read_when_it_is_asked(data: Dataset) -> None:
    dated = Dataset.from_frames(
        pl.DataFrame({"user_id": ["u", "u", "v"], "item_id": ["a", "b", "c"], "timestamp": [1_700_000_000] * 3}),
        items=pl.DataFrame({"item_id": ["a", "b", "c"], "out": np.array(["2024-01-01"] * 3, "M8[D]")}),
    )
    made = Bundle.build(dated, pipeline(dated, Boost(by="out", half_life=10)))
    assert made.queries("u").time is not None
    plain = Bundle.build(dated, pipeline(dated, Cap(by="out")))
    assert plain.queries("u").time is None


def test_a_stored_re_ranker_is_not_trusted(data: Dataset, tmp_path: Path) -> None:
    from serendip.bundle import content

    made = Bundle.build(data, pipeline(data, Cap(by="kind")))
    files = {name: memoryview(b"".join(map(bytes, parts))) for name, parts in content.encode(made._content).items()}
    sizes: Any = type("Sizes", (), {"users": data.n_users, "items": data.n_items})
    assert content.decode(files, sizes).items.equals(made.items)
    text = bytes(files[content.PIPELINE])
    for changed in (text.replace(b'"kind"', b'"kund"'), text.replace(b'"most":2', b'"most":0')):
        assert changed != text
        with pytest.raises(BundleError, match=r"pipeline\.json"):
            content.decode({**files, content.PIPELINE: memoryview(changed)}, sizes)
