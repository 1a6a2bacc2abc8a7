"""From a rich task to a sparse one: what is foretold, what is read, what stays, and that it pays."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

import serendip
from serendip.bundle import Bundle
from serendip.data.dataset import Dataset
from serendip.data.events import Kinds
from serendip.data.features.declared import Category, Feature
from serendip.model import Run, find
from serendip.recipe import Choice, read
from serendip.recipe.reading import RecipeError
from serendip.recipe.transfer import check_kinds, for_task, over_towers
from serendip.run import Start
from serendip.types import SerendipError

ONE = Run(threads=1)
SMALL: dict[str, dict[str, Any]] = {
    "two_tower": {"factors": 16, "hidden": 32, "batch_size": 256, "epochs": 15, "learning_rate": 0.02, "negatives": 64},
    "gru": {"factors": 16, "length": 20, "epochs": 15, "learning_rate": 0.02, "dropout": 0.0},
}
GROUPS, EACH, BOUGHT = 10, 8, 2
USERS, VIEWS, BUYERS, ASKED = 500, 8, 40, 200


@cache
def shop() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Everybody looks at things of one group. What is bought is one of two things of the group, so that who knows the
    group is right in half of all cases. 40 purchases are known, those of 150 others are asked for."""
    rng = np.random.default_rng(4)
    group = rng.integers(GROUPS, size=USERS)
    rows = [
        (user, EACH * int(group[user]) + int(rng.integers(EACH)), time, "view")
        for user in range(USERS)
        for time in range(VIEWS)
    ]
    buys = [(user, EACH * int(group[user]) + int(rng.integers(BOUGHT)), VIEWS, "buy") for user in range(USERS)]
    names = ["user_id", "item_id", "timestamp", "event_type"]
    known = pl.DataFrame([*rows, *buys[:BUYERS]], schema=names, orient="row")
    return known, pl.DataFrame(buys[-ASKED:], schema=names, orient="row")


def views() -> Dataset:
    return Dataset.from_frames(shop()[0].filter(event_type="view"), time_kind="rank")


def both() -> Dataset:
    return Dataset.from_frames(shop()[0], time_kind="rank", target=["buy"], event_weights={"view": 1.0})


def hits(model: Any) -> float:
    """The share of those asked for whose purchase is among the first two."""
    data, asked = both(), shop()[1]
    queries = data.histories.queries(data.user_ids.encode(asked["user_id"]), k=BOUGHT, exclude_seen=False)
    best = np.argsort(-model.score(queries), axis=1)[:, :BOUGHT]
    return float((best == data.item_ids.encode(asked["item_id"])[:, None]).any(axis=1).mean())


def start_of(model: Any, data: Dataset) -> Start:
    known = views()
    codes = known.user_ids.encode(data.user_ids.ids), known.item_ids.encode(data.item_ids.ids)
    return Start(model.name, model.learned(), *codes)


@pytest.mark.parametrize("name", SMALL)
def test_towers_that_stay_beat_what_the_sparse_task_teaches_alone(name: str) -> None:
    model, options = find(name), {**SMALL[name], **({"bags": False} if name == "two_tower" else {})}
    rich = model(**options).fit(views(), ONE)
    learned = rich.learned()
    assert learned is not None
    data, start = both(), start_of(rich, both())
    task = {**options, "foretell": "target", "learning_rate": 0.02, "epochs": 20}
    frozen = model(**task, adapter=True).fit(data, Run(threads=1, start=start, freeze=("towers",)))
    after = frozen.learned()
    assert after is not None
    assert all(np.array_equal(after[key], value) for key, value in learned.items())  # to the bit
    assert {key for key in after if key not in learned} == {"adapter.turn.weight", "adapter.turn.bias", "adapter.bias"}
    alone = hits(model(**task).fit(data, ONE))
    assert hits(frozen) > max(alone, hits(rich)) + 0.2


def test_without_freezing_everything_goes_on() -> None:
    model, options = find("gru"), SMALL["gru"]
    rich = model(**options).fit(views(), ONE)
    start, task = start_of(rich, both()), {**options, "foretell": "target"}
    on = model(**task).fit(both(), Run(threads=1, start=start))
    before, after = rich.learned(), on.learned()
    assert before is not None and after is not None
    assert set(before) == set(after)
    assert not any(np.array_equal(after[key], value) for key, value in before.items())
    assert hits(on) > hits(model(**task).fit(both(), ONE)) + 0.2


def test_only_a_part_may_stay() -> None:
    model, options = find("two_tower"), {**SMALL["two_tower"], "epochs": 1, "bags": False}
    rich = model(**options).fit(views(), ONE)
    start = start_of(rich, both())
    for group, kept in (("items", "rank."), ("query", "tower.")):
        on = model(**options).fit(both(), Run(threads=1, start=start, freeze=(group,)))
        before, after = rich.learned(), on.learned()
        assert before is not None and after is not None
        for key, value in before.items():
            assert np.array_equal(after[key], value) == key.startswith(kept)
    with pytest.raises(SerendipError, match=r"freeze must leave something to learn\. .* Try the option adapter"):
        model(**options).fit(both(), Run(threads=1, start=start, freeze=("towers",)))


@pytest.mark.parametrize(("name", "loss"), [("two_tower", ""), ("gru", "sampled_softmax"), ("gru", "gbce")])
def test_what_is_learned_over_towers_answers(name: str, loss: str) -> None:
    """New items, too, which have no bias yet."""
    events, _ = shop()
    items = pl.DataFrame({"item_id": range(GROUPS * EACH), "group": [str(n // EACH) for n in range(GROUPS * EACH)]})
    features: dict[str, Feature] = {"group": Category(side="item")}
    options = {**SMALL[name], "epochs": 2, "items_by": "both", "adapter": True, **({"loss": loss} if loss else {})}
    bundle = serendip.fit(events, items=items, features=features, model=name, run=ONE, time_kind="rank", **options)
    tensors = bundle.start(both()).tensors
    assert np.abs(tensors["adapter.bias"]).max() > 0
    new = pl.DataFrame({"item_id": [9999], "group": ["0"]})
    event = pl.DataFrame({"user_id": [0], "item_id": [0], "timestamp": [99], "event_type": ["view"]})
    after = bundle.update(event, items=new, run=ONE)
    found = after.recommend(1, k=200, exclude_seen=False)
    assert 9999 in found["item_id"]
    assert found["source"].to_list()[0] == name


def test_nothing_to_foretell_is_said() -> None:
    how: dict[str, Any] = {"target": ["return"], "event_weights": {"view": 1.0}, "part": True}
    data = Dataset.from_frames(shop()[0], time_kind="rank", **how)
    for name in ("two_tower", "gru"):
        with pytest.raises(
            SerendipError, match=r"foretell = target needs events of the target \(return\) with a weight"
        ):
            find(name)(foretell="target", epochs=1).fit(data, ONE)


def made(name: str = "gru", **how: Any) -> Bundle:
    events = shop()[0].tail(BUYERS + 60)  # purchases come last
    return serendip.fit(events, model=name, run=ONE, time_kind="rank", epochs=1, factors=8, **how)


def test_a_task_is_a_target_and_reads_what_was_read() -> None:
    bundle = made(event_weights={"view": 2.0, "buy": 0.0})
    recipe = read(given={"data": {"events": "log.parquet"}}, model="gru")
    found = for_task(recipe, bundle.manifest, ("buy",))
    assert found.data.target == ("buy",)
    assert found.data.event_weights == {"view": 2.0}
    assert found.model == Choice("gru", {"foretell": "target"})
    said = msgspec.structs.replace(recipe, data=msgspec.structs.replace(recipe.data, event_weights={"view": 0.5}))
    assert for_task(said, bundle.manifest, ("buy",)).data.event_weights == {"view": 0.5}
    assert over_towers(found, ("towers",)).model.options == {"foretell": "target", "adapter": True}
    assert over_towers(found, ("rank",)) == found
    plain = read(given={"data": {"events": "log.parquet"}}, model="lightgcn")
    assert over_towers(plain, ("towers",)) == plain


def test_items_that_nobody_bought_are_met() -> None:
    recipe = read(given={"data": {"events": "log.parquet"}}, model="two_tower")
    found = for_task(recipe, made("two_tower").manifest, ("buy",))
    assert found.model.options == {"foretell": "target", "negatives": 1024, "bags": False}
    few = msgspec.structs.replace(recipe, model=Choice("two_tower", {"negatives": 7}))
    assert for_task(few, made("two_tower").manifest, ("buy",)).model.options["negatives"] == 7


def test_tasks_that_nothing_can_be_carried_to() -> None:
    manifest = made("two_tower", target=["view"], event_weights={"view": 1.0}).manifest
    recipe = read(given={"data": {"events": "log.parquet"}}, model="two_tower")
    for task in ((), ("",), ("buy", "")):
        with pytest.raises(RecipeError, match="--task must name kinds of events"):
            for_task(recipe, manifest, task)
    with pytest.raises(RecipeError, match=r"--task must go with a model that reads more than it foretells"):
        for_task(read(given={"data": {"events": "log.parquet"}}, model="lightgcn"), manifest, ("buy",))
    with pytest.raises(RecipeError) as caught:
        for_task(recipe, manifest, ("buy",))
    assert "This one foretold view and read buy in bags of their own, which are others if buy is" in str(caught.value)
    assert for_task(recipe, manifest, ("view",)).model.options == {"foretell": "target", "negatives": 1024}
    one = made("two_tower", target=["view"], event_weights={"view": 1.0, "buy": 1.0}, bags=False).manifest
    assert for_task(recipe, one, ("buy",)).model.options["bags"] is False


def test_a_model_that_reads_bags_goes_on_with_the_same_kinds() -> None:
    kinds = Kinds(("buy", "view", "vew"), ("buy",))
    with pytest.raises(RecipeError, match=r"It reads view; new are vew\. Is one misspelt"):
        check_kinds(read(model="two_tower"), ("view",), kinds)
    for recipe, known, there in (
        (read(model="two_tower"), ("view", "vew"), kinds),
        (read(model="two_tower"), ("view",), None),
        (read(None, ["model.name=two_tower", "model.bags=false"]), ("view",), kinds),
        (read(model="two_tower"), (), kinds),
        (read(model="gru"), ("view",), kinds),
    ):
        check_kinds(recipe, known, there)
