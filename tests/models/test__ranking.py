"""What rankers share: labels of every kind, negatives that are nobody's own, features on all sides, new items."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.features import Feature
from serendip.data.features.declared import Category
from serendip.model import Run, find
from serendip.types import ABSENT, Queries, SerendipError

ONE = Run(threads=1)
SMALL: dict[str, Any] = {"factors": 8, "batch_size": 64, "learning_rate": 0.02, "epochs": 50}
SIDES: dict[str, Feature] = {
    "town": Category(side="user"),
    "where": Category(side="item"),
    "weather": Category(side="context"),
}


def meals(features: dict[str, Feature] | None = SIDES) -> Dataset:
    """Users of two towns; people like what is of their town, and in the rain what is odd. The rating is 1 and 2 more
    for each; ``liked`` says whether both hold, ``times`` counts. The last item of each town has no event."""
    rng = np.random.default_rng(0)
    rows: list[tuple[Any, ...]] = []
    for user in range(60):
        for item in rng.choice(8, 6, replace=False):
            town, number, rain = "ab"[item // 4], item % 4, bool(rng.integers(2))
            good = int(town == "ab"[user % 2]) + int(rain == (number % 2 == 1))
            rows.append((user, f"{town}{number}", "rain" if rain else "sun", 1 + 2.0 * good, int(good == 2), 3 * good))
    schema = ["user_id", "item_id", "weather", "rating", "liked", "times"]
    names = [f"{town}{number}" for town in "ab" for number in range(5)]
    return Dataset.from_frames(
        pl.DataFrame(rows, schema=schema, orient="row"),
        pl.DataFrame({"user_id": range(60), "town": list("ab") * 30}),
        pl.DataFrame({"item_id": names, "where": [name[0] for name in names]}),
        labels={"liked": "binary", "times": "count"},
        columns={"rating": "rating"},
        features=features,
    )


DATA = meals()


def asked(town: int, weather: int, items: list[str]) -> np.ndarray[Any, Any]:
    """Who nobody knows, with these features, and codes of items."""
    data = DATA
    assert data.features is not None
    user = data.features.users(pl.DataFrame({"town": ["ab"[town]]}))
    moment = data.features.context(None, pl.DataFrame({"weather": [["sun", "rain"][weather]]}))
    queries = Queries(np.array([ABSENT], np.int32), np.empty((1, 0), np.int32), features={**user, **moment})
    codes = data.item_ids.encode(pl.Series(items))[None]
    return np.asarray(SCORERS["rating"].score(queries, codes)[0])


RARE = Dataset.from_frames(
    pl.DataFrame(
        [(0, "rare", 9.0), *((user, item, 1.0 + 2 * (item > "b")) for user in range(60) for item in "abcd")],
        schema=["user_id", "item_id", "rating"],
        orient="row",
    ),
    pl.DataFrame({"user_id": range(60), "side": list("xy") * 30}),
    columns={"rating": "rating"},
    features={"side": Category(side="user")},
)
"""One of five items is rated once, the others by everybody."""


SCORERS: dict[str, Any] = {}


@pytest.fixture(scope="module", autouse=True)
def fitted() -> None:
    model = find("deepfm")(**SMALL, label="rating", length=0)
    SCORERS["rating"] = model.fit(DATA, ONE).lower()


def test_ratings_follow_from_features_on_all_three_sides() -> None:
    assert np.allclose(asked(0, 1, ["a1", "a0", "b1", "b0"]), [5, 3, 3, 1], atol=0.5)
    assert np.allclose(asked(1, 0, ["a1", "a0", "b1", "b0"]), [1, 3, 3, 5], atol=0.5)


@pytest.mark.parametrize("name", ["deepfm", "two_tower"])
def test_a_category_never_seen_counts_as_none(name: str) -> None:
    small = {"factors": 8, "epochs": 2, "batch_size": 64}
    scorer = find(name)(**small).fit(DATA, ONE).lower()
    assert DATA.features is not None
    towns = DATA.features.users(pl.DataFrame({"town": ["nowhere", None, "a"]}))
    assert towns["town"].tolist()[0] != ABSENT
    sun = DATA.features.context(None, pl.DataFrame({"weather": ["sun"] * 3}))
    nobody = np.full(3, ABSENT, np.int32)
    found = scorer.score(Queries(nobody, np.empty((3, 0), np.int32), features={**towns, **sun}))
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


def test_an_item_without_events_is_rated_by_its_features_and_one_that_comes_later_too() -> None:
    mine, other = asked(0, 0, ["a4", "b4"])
    assert mine > other + 1
    new = {"user_id": [0], "item_id": ["a9"], "weather": ["sun"], "rating": [5.0], "liked": [1], "times": [3]}
    later = Change.read(DATA, pl.DataFrame(new), items=pl.DataFrame({"item_id": ["a9"], "where": ["a"]}))
    model = find("deepfm")(**SMALL, label="rating", length=0)
    grown = model.renew(SCORERS["rating"], later, ONE)
    assert grown is not None and grown.n_items == DATA.n_items + 1
    code = later.after.item_ids.encode(pl.Series(["a9", "a4"]))
    assert DATA.features is not None
    user = DATA.features.users(pl.DataFrame({"town": ["a"]}))
    who = Queries(np.array([ABSENT], np.int32), np.empty((1, 0), np.int32), features=user)
    fresh, known = grown.score(who, code[None])[0]
    assert np.isfinite(fresh) and abs(fresh - known) < 1


@pytest.mark.parametrize(("label", "of"), [("liked", lambda s: 1 / (1 + np.exp(-s))), ("times", np.exp)])
def test_labels_of_other_kinds_are_learned_on_their_own_scale(label: str, of: Any) -> None:
    scorer = find("fm")(**SMALL, label=label, length=0).fit(DATA, ONE).lower()
    events = DATA.events
    queries = Queries(events.users, np.empty((len(events), 0), np.int32), features=_of_events(DATA))
    found = of(scorer.score(queries, events.items[:, None])[:, 0])
    truth = events.labels[label]
    assert np.isfinite(found).all()
    assert np.square(found - truth).mean() < 0.5 * truth.var()
    assert abs(found.mean() - truth.mean()) < 0.2 * truth.mean()


def _of_events(data: Dataset) -> dict[str, Any]:
    assert data.features is not None
    users = {name: values[data.events.users] for name, values in data.features.users(data.users).items()}
    return {**users, **data.features.examples(data)}


def test_negatives_are_items_that_the_user_did_not_take_up() -> None:
    data = meals(None)
    model: Any = find("fm")(negatives=3, batch_size=64)
    taken = data.matrix().toarray() > 0
    seen = 0
    for step in model.batches(data, np.random.default_rng(0)):
        assert (step.labels[:, :, 0] == [1, 0, 0, 0]).all() and step.items.shape == (len(step), 4)
        seen += len(step)
    assert seen == len(data.events)
    users = data.events.users
    order = next(iter(model.batches(data, np.random.default_rng(1))))
    rows = np.random.default_rng(1).permutation(len(users))[:64]
    assert np.array_equal(order.items[:, 0], data.events.items[rows])
    assert taken[users[rows], order.items[:, 0]].all()
    assert not taken[users[rows][:, None], order.items[:, 1:]].any()


def test_vectors_that_are_rarely_read_fall_back_where_tables_are_held() -> None:
    sizes = []
    for held in (0.0, 0.3):
        model = find("fm")(**SMALL, label="rating", length=0, table_reg=held).fit(RARE, ONE)
        learned: Any = model.learned()
        sizes.append(np.linalg.norm(learned["items.ids.weight"][1:], axis=1))  # row 0 is nobody's
    assert RARE.item_ids.decode(np.arange(5, dtype=np.int32)).to_list()[4] == "rare"
    free, held_down = sizes
    assert held_down[4] < 0.1 * free[4] and (held_down[:4] > 0.5 * free[:4]).all()


def test_what_holds_the_tables_is_half_of_the_option_times_their_squares() -> None:
    model: Any = find("fm")(label="rating", length=0, table_reg=0.5)
    net = model.build(RARE)
    batch = next(iter(model.batches(RARE, np.random.default_rng(0))))
    tables = [values for name, values in net.named_parameters() if name.endswith("weight")]
    expected = sum(float(values.detach().square().sum()) for values in tables)
    assert len(tables) == 2
    assert model.loss(net, batch)["table_reg"].item() == pytest.approx(0.25 * expected)
    with pytest.raises(SerendipError, match=r"table_reg holds all vectors .* Got adagrad and 5\. Try reg"):
        find("fm")(label="rating", length=0, table_reg=0.5, optimiser="adagrad").fit(RARE, ONE)


def test_what_cannot_be_learned_is_said() -> None:
    with pytest.raises(SerendipError, match=r"label must be one .*\(liked, times, rating\).* Got 'likes' instead"):
        find("fm")(label="likes").fit(DATA, ONE)
    with pytest.raises(SerendipError, match="length = 0 leaves the features"):
        find("fm")(length=0).fit(meals(None), ONE)
    with pytest.raises(SerendipError, match=r"needs features of items\. The data have none"):
        find("fm")(items_by="features").fit(meals(None), ONE)
    nothing = DATA.where(np.zeros(len(DATA.events), bool))
    with pytest.raises(SerendipError, match=r"needs an event with the label 'liked'\. The data have none"):
        find("fm")(label="liked").fit(nothing, ONE)
    never = DATA.where(DATA.events.labels["liked"] == 0)
    for name, options in (("fm", {"label": "liked"}), ("shared_bottom", {"tasks": ("times", "liked")})):
        with pytest.raises(SerendipError, match=rf"{name}: the label 'liked' must be 1 for some of the events"):
            find(name)(**options).fit(never, ONE)
    always = DATA.where(DATA.events.labels["liked"] == 1)
    with pytest.raises(SerendipError, match=r"'liked' must be 0 for some .* not taken up, or no label, against items"):
        find("fm")(label="liked").fit(always, ONE)
