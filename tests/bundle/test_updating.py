"""A bundle takes new events in: it answers as one fitted to all, stays whole, and says what it could not take in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

import serendip
from serendip.bundle import Bundle, BundleError
from serendip.data.findings import SchemaError
from serendip.data.synthetic import World, catalogue
from serendip.model import Run, find
from serendip.pipeline import retrieve, retrievers
from serendip.scorers import StaticScores
from serendip.types import SerendipError

from .conftest import world as small

ONE = Run(threads=1)


@pytest.fixture(scope="module")
def world() -> World:
    return catalogue(seed=4, users=80, items=50)


def cut(world: World) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Known and new events by time, of which some users and items are all new; and the items known at first."""
    events = world.events.sort("timestamp")
    late = pl.col("user_id").is_in(events["user_id"].unique().sort()[:3].to_list()) | pl.col("item_id").is_in(
        events["item_id"].unique().sort()[:2].to_list()
    )
    events = events.with_columns(known=~late & (pl.int_range(pl.len()) < len(events) * 9 // 10))
    known, new = (events.filter(known=side).drop("known") for side in (True, False))
    return known, new, world.items.filter(pl.col("item_id").is_in(known["item_id"].unique().to_list()))


def fitted(world: World, model: str, **options: Any) -> Bundle:
    known, _, items = cut(world)
    return serendip.fit(known, items=items, model=model, run=ONE, **options)


@pytest.mark.parametrize("model", ["item_knn", "user_knn", "ease", "popular"])
def test_it_answers_as_one_fitted_to_all_events(model: str, world: World) -> None:
    _, new, _ = cut(world)
    before = fitted(world, model)
    kept = before.recommend(k=5)
    made = before.update(new, items=world.items, run=ONE)
    whole = serendip.fit(world.events, items=world.items, model=model, run=ONE)
    users = whole.user_ids.ids.to_list()
    ours, expected = (one.recommend(users, k=5) for one in (made, whole))
    assert ours["source"].to_list() == expected["source"].to_list()
    np.testing.assert_allclose(ours["score"], expected["score"], rtol=1e-4)
    # Codes break ties, and those of new items differ: items of equal score may change places.
    at = (ours["item_id"] == expected["item_id"]).to_numpy()
    assert at.mean() > 0.9
    assert before.recommend(k=5).equals(kept)
    assert made.manifest.data.events == whole.manifest.data.events
    assert made.manifest.updates[0].notes == ()


def test_the_new_are_known_and_answered(world: World, tmp_path: Path) -> None:
    _, new, _ = cut(world)
    before = fitted(world, "ials", factors=8)
    made = before.update(new, items=world.items, run=ONE)
    entry = made.manifest.updates[-1]
    assert (entry.events, entry.users, entry.items) == (
        len(new),
        len(made.user_ids) - len(before.user_ids),
        len(made.item_ids) - len(before.item_ids),
    )
    assert entry.users >= 3 and entry.items >= 2
    newcomer = made.user_ids.ids[-1]
    assert not before.answer(newcomer).known[0] and made.answer(newcomer).known[0]
    assert made.recommend(newcomer, k=3)["source"].to_list() == ["ials"] * 3
    item = made.item_ids.ids[-1]
    assert item in made.similar_items(made.item_ids.ids.head(20), k=49)["similar_item_id"].to_list()
    assert made.items.filter(item_id=item)["title"].to_list() == world.items.filter(item_id=item)["title"].to_list()
    loaded = Bundle.load(made.save(tmp_path / "b"))
    loaded.check()
    assert loaded.manifest == msgspec.structs.replace(made.manifest, sha256=loaded.manifest.sha256)
    assert loaded.recommend(newcomer).equals(made.recommend(newcomer))
    assert before.manifest.updates == ()


@pytest.mark.parametrize("model", ["ials", "ease", "spectral", "gf_cf", "item_knn", "bpr"])
def test_who_has_nothing_but_what_nobody_else_has_is_shown_what_is_popular(model: str, world: World) -> None:
    known, _, items = cut(world)
    before = serendip.fit(known, items=items, model=model, fallback=("popular",), run=ONE)
    new = known.head(2).with_columns(user_id=pl.lit("newcomer"), item_id=pl.Series(["z1", "z2"]))
    assert before.update(new, run=ONE).recommend("newcomer", k=3)["source"].to_list() == ["popular"] * 3


def test_a_loaded_bundle_is_updated_again_and_again(world: World, tmp_path: Path) -> None:
    _, new, _ = cut(world)
    half = len(new) // 2
    once = fitted(world, "item_knn").update(new, items=world.items, run=ONE)
    bundle = Bundle.load(fitted(world, "item_knn").save(tmp_path / "b"))
    bundle = Bundle.load(bundle.update(new[:half], items=world.items, run=ONE).save(tmp_path / "b"))
    twice = bundle.update(new[half:], run=ONE)
    twice.check()
    assert [entry.events for entry in twice.manifest.updates] == [half, len(new) - half]
    users = once.user_ids.ids.to_list()
    np.testing.assert_allclose(twice.recommend(users)["score"], once.recommend(users)["score"], rtol=1e-5)
    assert twice.manifest.recipe == bundle.manifest.recipe and twice.manifest.schema == bundle.manifest.schema


def test_what_knows_no_way_says_so_and_new_items_come_from_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, new, _ = cut(world)
    before = fitted(world, "slim")
    monkeypatch.setattr(find("slim"), "renew", lambda *_: None)
    made = before.update(new, items=world.items, run=ONE)
    assert made.manifest.updates[0].notes == ("slim cannot take in new events: what is new stays unknown to it",)
    slim = retrievers(made.pipeline)[0].scorer
    assert slim.n_items == len(made.item_ids)
    queries = made.queries(made.user_ids.ids.head(5).to_list())
    assert (slim.score(queries)[:, len(before.item_ids) :] == -np.inf).all()
    content = retrievers(made.pipeline)[1].scorer
    assert np.isfinite(content.score(queries)[:, len(before.item_ids) :]).any()


def test_without_a_recipe_scorers_update_themselves_or_stay() -> None:
    """Nothing says which model made them: factors know a way by themselves, counts do not."""
    data, stage = small()
    made = Bundle.build(data, stage).update(
        pl.DataFrame({"user_id": [101, 777], "item_id": [13, 99], "timestamp": [1_100_000_000, 1_100_000_001]}),
        items=pl.DataFrame({"item_id": [99], "name": ["New"], "year": [1], "genres": [["a"]]}),
    )
    assert made.manifest.updates[0].notes == ("popular cannot take in new events: what is new stays unknown to it",)
    assert made.items.filter(item_id=99)["title"].to_list() == ["New"]
    assert made.items.columns == Bundle.build(data, stage).items.columns
    taste, popular = (part.scorer for part in retrievers(made.pipeline))
    scores = [scorer.score(made.queries(102))[0] for scorer in (taste, popular)]
    assert np.isfinite(scores[0]).all() and scores[1][-1] == -np.inf
    made.check()


def test_a_bundle_that_does_not_say_what_its_columns_mean_reads_what_it_can(world: World) -> None:
    _, new, _ = cut(world)
    before = fitted(world, "ials", factors=4)
    old = Bundle(
        msgspec.structs.replace(before.manifest, schema=None),
        before.user_ids,
        before.item_ids,
        before.items,
        before.histories,
        before.pipeline,
        before.golden,
    )
    made = old.update(new, items=world.items)
    assert [note.split()[0] for note in made.manifest.updates[0].notes] == ["content", "popular"]
    made.check()


def test_input_is_checked_as_for_a_fit(world: World, tmp_path: Path) -> None:
    _, new, _ = cut(world)
    bundle = fitted(world, "popular")
    with pytest.raises(SchemaError, match="timestamp"):
        bundle.update(new.drop("timestamp"))
    broken = new.with_columns(pl.when(pl.int_range(pl.len()) == 4).then(None).otherwise("item_id").alias("item_id"))
    with pytest.raises(SchemaError, match="row 5"):
        path = tmp_path / "new.csv"
        broken.write_csv(path)
        bundle.update(path)
    rejected = bundle.update(path, rejects=tmp_path / "rejects.csv")
    assert rejected.manifest.updates[0].events == len(new) - 1
    assert len(pl.read_csv(tmp_path / "rejects.csv")) == 1
    numbers = Bundle.build(*_plain())
    with pytest.raises(SerendipError, match=r"ids must be integers, as those that are there\. Got 'x' instead"):
        numbers.update(pl.DataFrame({"user_id": ["x"], "item_id": [1]}))


def test_a_recipe_that_names_a_module_runs_nothing() -> None:
    """Models from elsewhere count only where they are installed or declared, whatever a bundle says."""
    recipe = {"model": {"name": "antigravity"}}
    forged = Bundle.build(*_plain(), recipe=recipe)
    made = forged.update(pl.DataFrame({"user_id": [1], "item_id": [3]}))
    assert "antigravity" not in sys.modules
    assert made.manifest.updates[0].notes == ("popular cannot take in new events: what is new stays unknown to it",)


def _plain() -> tuple[Any, Any]:
    data = serendip.Dataset.from_frames(pl.DataFrame({"user_id": [1, 2], "item_id": [1, 2]}))
    return data, retrieve(StaticScores(np.array([1, 2], np.float32)), name="popular")


def stored(world: World, learned: dict[str, np.ndarray]) -> Bundle:
    known, _, items = cut(world)
    data = serendip.Dataset.from_frames(known, items=items)
    pipeline = retrieve(StaticScores(np.arange(data.n_items, dtype=np.float32)), name="lightgcn")
    return Bundle.build(data, pipeline, learned={"lightgcn": learned})


def test_what_was_learned_is_kept_and_finds_its_ids(world: World, tmp_path: Path) -> None:
    learned = {"items": np.arange(12, dtype=np.float32).reshape(4, 3), "step": np.array(7)}
    made = stored(world, learned)
    again = Bundle.load(made.save(tmp_path / "b"))
    assert again.learned == ("lightgcn",)
    whole = serendip.Dataset.from_frames(world.events, items=world.items)
    start = again.start(whole)
    assert start.model == "lightgcn"
    assert start.tensors.keys() == learned.keys()
    assert all((start.tensors[name] == value).all() for name, value in learned.items())
    assert (start.items == again.item_ids.encode(whole.item_ids.ids)).all()
    assert (start.users == again.user_ids.encode(whole.user_ids.ids)).all()
    assert (start.items == -1).any() and (start.users == -1).any()
    assert again.save(tmp_path / "c") and Bundle.load(tmp_path / "c").manifest.version == again.manifest.version
    updated = again.update(cut(world)[1], items=world.items, run=ONE)
    assert updated.learned == ("lightgcn",)
    with pytest.raises(SerendipError, match=r"must keep what ease learned .* This one keeps that of lightgcn\."):
        again.start(whole, "ease")
    with pytest.raises(SerendipError, match=r"must keep what its model learned .* This one keeps that of none\."):
        fitted(world, "popular").start(whole)


def test_a_damaged_file_of_what_was_learned_is_named(world: World, tmp_path: Path) -> None:
    made = stored(world, {"items": np.ones(3, np.float32)})
    path = made.save(tmp_path / "b")
    (file,) = path.glob("content-*/learned/*")
    content = bytearray(file.read_bytes())
    content[:4] = b"\xff\xff\xff\xff"
    file.write_bytes(content)
    with pytest.raises(BundleError, match="does not have the checksum"):
        Bundle.load(path)
    whole = serendip.Dataset.from_frames(world.events)
    with pytest.raises(BundleError, match=r"learned/lightgcn is not what it must be: .* length of its header"):
        Bundle.load(path, verify=False).start(whole)


def test_a_log_goes_on_after_the_one_that_is_known(world: World) -> None:
    known, new, _ = cut(world)
    made = fitted(world, "popular")
    later, both = (
        made.continued(serendip.Dataset.from_frames(part, items=world.items)) for part in (new, world.events)
    )
    whole = serendip.Dataset.from_frames(world.events, items=world.items)
    for found in (later, both):
        assert len(found.events) == len(whole.events)
        assert found.user_ids.ids[: len(made.user_ids)].to_list() == made.user_ids.ids.to_list()
        assert set(found.item_ids.ids) == set(whole.item_ids.ids)
        for mine, its in (("users", "user_ids"), ("items", "item_ids")):
            ids = [sorted(getattr(data, its).ids[getattr(data.events, mine)].to_list()) for data in (found, whole)]
            assert ids[0] == ids[1]
        assert found.items.filter(pl.col("item_id").is_in(new["item_id"].to_list()))["title"].null_count() == 0
    assert len(known) < len(whole.events)


def test_events_that_both_logs_have_weigh_as_the_new_one_says(world: World) -> None:
    made = fitted(world, "popular")
    whole = serendip.Dataset.from_frames(world.events, items=world.items, event_weights={"view": 0, "purchase": 7})
    found = made.continued(whole)
    assert len(found.events) == len(whole.events)
    assert sorted(found.events.weight.tolist()) == sorted(whole.events.weight.tolist())
    assert found.schema.event_weights == {"view": 0, "purchase": 7}


def test_without_times_a_pair_that_both_have_counts_as_often_as_in_the_new_log() -> None:
    first = pl.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [5, 6, 5, 5]})
    then = pl.DataFrame({"user_id": [2, 3], "item_id": [5, 6]})
    made = serendip.fit(first, model="popular")
    found = made.continued(serendip.Dataset.from_frames(then, part=True))
    pairs = zip(found.user_ids.ids[found.events.users], found.item_ids.ids[found.events.items], strict=True)
    assert sorted(pairs) == [(1, 5), (1, 6), (2, 5), (3, 6)]


def test_relations_of_the_new_log_are_kept_in_the_codes_of_both(world: World) -> None:
    made = fitted(world, "popular")
    users = world.events["user_id"].unique().sort()
    trust = pl.DataFrame({"user_id": users[:4].to_list(), "friend": users[4:8].to_list()})
    whole = serendip.Dataset.from_frames(world.events, items=world.items, relations={"trust": trust})
    moved = made.continued(whole)
    for end in ("left", "right"):
        before, after = whole.relations["trust"][end].to_numpy(), moved.relations["trust"][end].to_numpy()
        assert whole.user_ids.ids[before].to_list() == moved.user_ids.ids[after].to_list()


def kinds(*rows: tuple[int, int, int, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "event_type"], orient="row")


LOOKED = kinds((1, 10, 100, "view"), (1, 10, 100, "buy"), (2, 11, 101, "view"), (2, 10, 102, "buy"))


def views(made: Bundle, user: int) -> list[int]:
    row = made.queries(user).bags["events.view"][0]
    return [int(item) for item in made.item_ids.decode(row[row >= 0])]


def test_new_events_are_of_their_kinds() -> None:
    made = serendip.fit(LOOKED, target=["buy"], event_weights={"cart": 0.5}, model="popular", time_kind="unix")
    new = kinds((1, 11, 103, "view"), (1, 12, 104, "cart"), (3, 10, 105, "view"), (1, 11, 103, "cart"))
    later = made.update(new)
    assert (views(later, 1), views(later, 2), views(later, 3)) == ([10, 11], [11], [10])
    assert later.histories.kinds is not None
    assert set(later.histories.kinds.names) == {"buy", "view", "cart"}
    queries = later.queries(1)
    assert [int(item) for item in later.item_ids.decode(queries.history[0])] == [10, 11, 12], "carts weigh something"
    assert queries.bags["weight"][0].tolist() == [1, 0.5, 0.5]
    again = later.update(new)
    assert len(again.histories.items) == len(later.histories.items), "what is known is not taken in twice"


def test_a_log_that_goes_on_keeps_the_kinds_of_what_is_known() -> None:
    made = serendip.fit(LOOKED, model="popular", time_kind="unix")
    assert made.histories.kinds is not None and made.histories.kinds.target == ()
    new = kinds((1, 10, 100, "buy"), (2, 12, 200, "cart"))
    found = made.continued(serendip.Dataset.from_frames(new, target=["buy"], time_kind="unix", part=True))
    assert found.events.kind is not None
    named = [found.schema.event_types[kind] for kind in found.events.kind]
    assert named == ["view", "buy", "view", "buy", "cart"], "the view of the same second stays"
    assert found.wanted.tolist() == [False, True, False, True, False]
    assert sorted(found.histories.queries(np.array([0, 1], np.int32)).bags) == [
        "events.cart", "events.view", "time", "weight"
    ]  # fmt: skip
