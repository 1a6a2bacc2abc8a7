"""Whatever comes to a model that reads features and histories, in training or when asked, has a defined answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

import serendip
from serendip.bundle import Bundle
from serendip.data.features.declared import Bucket, Category, Cycle, Feature, Hash, Number, Text, Unified, Vector
from serendip.model import Run
from serendip.serve.answers import Answers
from serendip.serve.wire import BatchRequest, decode
from serendip.types import SerendipError

ONE = Run(threads=1)
DAY = 86_400
FIRST = 1_700_006_400
LENGTH = 5
OPTIONS: dict[str, Any] = {"factors": 8, "length": LENGTH, "epochs": 3, "items_by": "both", "id_dropout": 0.3}
NAN, INF = float("nan"), float("inf")
TITLES = ["Red shoes", "千と千尋の神隠し", "Синий кот", "", None, "the 🐈", "قطة", "Red hat", "x", "\u200b"]

ITEMS = pl.DataFrame(
    {
        "item_id": [f"i{n}" for n in range(10)],
        "title": TITLES,
        "brand": ["only"] * 10,  # a vocabulary of one
        "shelf": pl.Series([None] * 10, dtype=pl.String),  # and of none
        "price": [1.0, NAN, 3.0, None, INF, -INF, 2.0, 1e300, -5.0, 0.0],
        "weight": [7.0] * 10,  # the same everywhere
        "nothing": [NAN] * 10,
        "picture": [[1.0, NAN], None, [0.0, 0.0], [1.0, 1.0], [INF, 1.0], [2.0, 2.0], [1.0, 0.0], None, [], [3.0, 1.0]],
    },
    strict=False,
)
USERS = pl.DataFrame({"user_id": range(12), "town": [*("ab" * 5), None, None], "age": [20.0, NAN, *([None] * 10)]})
FEATURES: dict[str, Feature] = {
    "title": Text(side="item", characters=(2,)),
    "brand": Category(side="item"),
    "shelf": Category(side="item", oov_buckets=2),
    "sorted": Unified(side="item", column="shelf"),
    "price": Number(side="item"),
    "steps": Bucket(side="item", column="price"),
    "weight": Number(side="item"),
    "nothing": Number(side="item"),
    "none_of_it": Bucket(side="item", column="nothing"),
    "picture": Vector(side="item", unit=True),
    "town": Category(side="user"),
    "hashed": Hash(side="user", column="town", buckets=3),
    "age": Number(side="user"),
    "device": Category(side="context"),
    "hour": Cycle(),
}


@pytest.fixture(scope="module", params=["two_tower", "gru"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Fitted, saved and read again. Nobody has an event with the last two items."""
    rng = np.random.default_rng(1)
    rows = [
        (user, f"i{item}", FIRST + place * DAY, ["phone", None][place % 2])
        for user in range(10)
        for place, item in enumerate(rng.permutation(8)[: 3 + user % 5])
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "device"], orient="row")
    made = serendip.fit(
        events, USERS, ITEMS, features=FEATURES, model=request.param, fallback=("popular",), run=ONE, **OPTIONS
    )
    loaded = Bundle.load(made.save(tmp_path_factory.mktemp("strange") / "b"))
    loaded.check()
    return loaded


def listed(frame: pl.DataFrame, n: int = 5) -> pl.DataFrame:
    """The list, once it has been seen to be one: full, every item once, finite scores."""
    assert len(frame) == frame["item_id"].n_unique() == n
    assert frame["score"].is_finite().all()
    return frame


def reads(bundle: Bundle) -> bool:
    """Whether something is read of those who ask."""
    return bundle.attributes is not None and bool(bundle.attributes.columns)


def test_every_item_and_user_is_answered(bundle: Bundle) -> None:
    for user in range(10):
        listed(bundle.recommend(user, k=9, exclude_seen=False), 9)
    found = bundle.recommend(0, k=10, exclude_seen=False)
    # Known by its features alone, none of which says anything, an item has a score nevertheless.
    assert {"i8", "i9"} <= set(found.filter(pl.col("source") != "popular")["item_id"])


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"town": None},
        {"town": "never seen"},
        {"town": "東京"},
        {"town": ""},
        {"town": 3},
        {"age": NAN},
        {"age": INF},
        {"age": None},
        {"age": -1e300},
        {"age": "31"},
        {"device": "fridge"},
        {"device": None, "town": "a", "age": 1},
        {"who_asks": "for this?"},
    ],
)
def test_attributes_may_be_missing_new_or_strange(bundle: Bundle, said: dict[str, Any]) -> None:
    for user in (0, 11, 12345, None):  # one without attributes, one unknown
        listed(bundle.recommend(user, k=5, exclude_seen=False, attributes=said))
    listed(bundle.recommend(None, k=5, history=["i0"], attributes=said))


def test_what_was_never_seen_counts_as_nothing_known(bundle: Bundle) -> None:
    """A vocabulary with a bucket knows no more of a new value than that it is new."""
    first, second = (bundle.recommend(0, attributes={"device": said}) for said in ("fridge", "toaster"))
    assert first.equals(second)


def test_text_where_training_had_numbers_is_named(bundle: Bundle) -> None:
    if not reads(bundle):
        return
    with pytest.raises(SerendipError, match=r"features\.age: the column must hold numbers\. Got 'old' instead"):
        bundle.recommend(0, attributes={"age": "old"})


def test_of_a_long_history_the_latest_count(bundle: Bundle) -> None:
    rng = np.random.default_rng(0)
    long = [f"i{item}" for item in rng.integers(8, size=400)]
    some = {"k": 10, "exclude_seen": False}
    whole, short = bundle.recommend(history=long, **some), bundle.recommend(history=long[-LENGTH:], **some)
    np.testing.assert_allclose(whole["score"], short["score"], rtol=1e-5)
    assert whole["item_id"].to_list() == short["item_id"].to_list()
    other = bundle.recommend(history=long[:LENGTH], **some)
    assert not np.allclose(whole["score"], other["score"], rtol=1e-5)


def test_without_a_history_features_suffice_where_there_are_any(bundle: Bundle) -> None:
    sources = set(bundle.recommend(None, k=5, history=[])["source"])
    assert sources == ({"two_tower"} if reads(bundle) else {"popular"})
    listed(bundle.recommend(None, k=5, history=["never heard of"]))
    assert len(bundle.recommend([])) == 0


def test_new_items_may_lack_anything(bundle: Bundle, tmp_path: Path) -> None:
    """A column that is missing, a category never seen, another script: the vector comes from what there is."""
    event = pl.DataFrame({"user_id": [0], "item_id": ["i0"], "timestamp": [FIRST + 99 * DAY], "device": ["a new one"]})
    for new in (
        pl.DataFrame({"item_id": ["n1", "n2"]}),
        pl.DataFrame({"item_id": ["n1", "n2"], "title": ["ผู้ชาย", None], "brand": ["other", ""]}),
        pl.DataFrame({"item_id": ["n1", "n2"], "price": [NAN, INF], "picture": [None, [NAN, 1.0]]}, strict=False),
    ):
        after = Bundle.load(bundle.update(event, items=new, run=ONE).save(tmp_path / "after"))
        after.check()
        found = listed(after.recommend(1, k=12, exclude_seen=False), 12)
        assert {"n1", "n2"} <= set(found.filter(pl.col("source") != "popular")["item_id"])
    assert "n1" in bundle.update(event.drop("device"), items=new, run=ONE).item_ids.ids
    with pytest.raises(SerendipError, match=r"features\.picture: every list must have 2 numbers"):
        bundle.update(event, items=pl.DataFrame({"item_id": ["n1"], "picture": [[1.0, 2.0, 3.0]]}), run=ONE)


def test_nothing_but_missing_values_fits_too() -> None:
    """Every feature of the items is missing or the same, and there are two items; of one alone nothing can be said."""
    items = pl.DataFrame({"item_id": ["a", "b"], "brand": [None, None], "price": [NAN, NAN]}, strict=False)
    events = pl.DataFrame({"user_id": [1, 1, 2], "item_id": ["a", "b", "a"], "timestamp": [1, 2, 3]})
    features: dict[str, Feature] = {"brand": Category(side="item"), "price": Number(side="item")}
    for by in ("features", "both"):
        made = serendip.fit(
            events,
            items=items,
            features=features,
            model="two_tower",
            time_kind="rank",
            run=ONE,
            **(OPTIONS | {"items_by": by}),
        )
        listed(made.recommend(2, k=2, exclude_seen=False), 2)
    with pytest.raises(SerendipError, match="expected events of at least two items"):
        serendip.fit(events.filter(item_id="a"), items=items, features=features, model="two_tower", time_kind="rank")


def test_a_server_takes_what_comes(bundle: Bundle) -> None:
    """JSON as people send it, in one batch."""
    said = [{}, {"town": "東京", "age": 1e308}, {"device": None}, {"age": "31", "town": "x" * 1000}]
    body = {"queries": [{"history": ["i0"] * 900, "attributes": one} for one in said], "k": 3}
    asked = decode(msgspec.json.encode(body), BatchRequest)
    for reply in Answers(bundle).batch(asked).replies:
        assert len({item.item_id for item in reply.items}) == 3
        assert all(np.isfinite(item.score) for item in reply.items)
