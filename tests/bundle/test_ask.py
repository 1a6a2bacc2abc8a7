"""External ids in, tables with external ids out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from serendip.bundle import Bundle, ask, ids
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.filter import parse
from serendip.pipeline import retrieve
from serendip.scorers import Blend, StaticScores, TowerScorer
from serendip.scorers.feeds import Feed
from serendip.types import ABSENT, Queries, Scorer, SerendipError, unpack_mask
from tests.scorers.networks import CODES, MEAN, ROW, constant, made

from .conftest import DAY, ITEMS, SEEN, USERS


def history(bundle: Bundle, queries: Queries) -> list[list[Any]]:
    return [bundle.item_ids.decode(row[row != ABSENT]).to_list() for row in queries.history]


def shut(bundle: Bundle, queries: Queries) -> list[list[Any]]:
    assert queries.exclude is not None
    return [sorted(bundle.item_ids.decode(row[row != ABSENT]).to_list()) for row in queries.exclude]


@pytest.mark.parametrize(
    "users",
    [
        [101, 104],
        ["101", "104"],
        (101, "104"),
        np.array([101, 104]),
        np.array(["101", "104"]),
        pl.Series([101, 104]),
        pd.Series([101, 104]),
        [np.int64(101), np.str_("104")],
        (user for user in [101, 104]),
    ],
    ids=lambda users: type(users).__name__,
)
def test_users_are_found_in_whatever_they_come(bundle: Bundle, users: Any) -> None:
    queries = bundle.queries(users, k=4)
    assert bundle.user_ids.decode(queries.users).to_list() == [101, 104]
    assert history(bundle, queries) == shut(bundle, queries) == [[10, 11, 12], [15]]
    assert queries.k == 4


@pytest.mark.parametrize("user", [103, "103", " 103", np.int64(103)])
def test_one_user_may_stand_alone(bundle: Bundle, user: Any) -> None:
    assert history(bundle, bundle.queries(user)) == [SEEN[103]]


def test_text_ids_are_text(text_bundle: Bundle) -> None:
    queries = text_bundle.queries("u101", history=["i10", "u101"])
    assert history(text_bundle, queries) == [["i10"]]
    assert text_bundle.answer(101).known.tolist() == [False]


def test_many_users_are_found_as_few_are(bundle: Bundle) -> None:
    users: list[Any] = USERS * 40
    assert len(users) > ids.FEW
    for asked in (
        users,
        [str(user) for user in users],
        [str(user) if at % 2 else user for at, user in enumerate(users)],
    ):
        assert bundle.user_ids.decode(bundle.queries(asked).users).to_list() == users


def test_somebody_unknown_has_no_history(bundle: Bundle) -> None:
    answer = bundle.answer([None, 999, 102, "nobody"])
    assert answer.known.tolist() == [False, False, True, False]
    assert answer.notes[0] == "users: 2 not known: 999, 'nobody'"
    queries = bundle.queries([None, 999])
    assert history(bundle, queries) == shut(bundle, queries) == [[], []]


def test_no_users_are_answered_by_an_empty_table(bundle: Bundle) -> None:
    frame = bundle.recommend([])
    assert frame.height == 0
    assert frame.schema == bundle.recommend([101]).schema


def test_the_user_column_has_the_stored_type_where_every_id_fits_it(bundle: Bundle, text_bundle: Bundle) -> None:
    assert bundle.recommend(["101", "999", None], k=1)["user_id"].to_list() == [101, 999, None]
    assert bundle.recommend(["101", "nobody"], k=1)["user_id"].to_list() == ["101", "nobody"]
    assert bundle.recommend([10**30], k=1)["user_id"].to_list() == [str(10**30)]
    assert text_bundle.recommend(["u101", 5, None], k=1)["user_id"].to_list() == ["u101", "5", None]


def test_what_was_seen_may_be_shown_again(bundle: Bundle) -> None:
    queries = bundle.queries(102, exclude_seen=False)
    assert queries.exclude is None
    assert history(bundle, queries) == [[12, 13]]


def test_a_given_history_takes_the_place_of_the_stored_one(bundle: Bundle) -> None:
    queries = bundle.queries([101, 102, None], history=[[20, 21], None, ["19"]])
    assert history(bundle, queries) == [[20, 21], [12, 13], [19]]
    assert shut(bundle, queries) == [[10, 11, 12, 20, 21], [12, 13], [19]]
    assert history(bundle, bundle.queries(101, history=[])) == [[]]
    assert history(bundle, bundle.queries(101, history=pl.Series([15, 14]))) == [[15, 14]]
    assert bundle.queries([101], history=[[20]], exclude_seen=False).exclude is None


def test_given_events_are_as_recent_as_any_and_weigh_one(bundle: Bundle) -> None:
    latest = 1_000_000_000 + 3 * DAY
    queries = bundle.queries([101, 102], history=[[20, 21], None])
    assert queries.bags["time"].tolist() == [[0, latest, latest], [0, 1_000_000_000, 1_000_000_000 + DAY]]


def test_weights_stay_beside_their_events() -> None:
    events = pl.DataFrame({"user_id": [1, 1, 1, 2], "item_id": [1, 2, 3, 1], "weight": [2.0, 0.0, 3.0, 1.0]})
    data = Dataset.from_frames(events, schema=Schema(weight="weight"))
    made = Bundle.build(data, retrieve(StaticScores(np.zeros(3, np.float32)), name="all"))
    queries = made.queries([1, 2, 3], history=[None, [3, 2, 1], None])
    assert history(made, queries) == [[1, 3], [3, 2, 1], []]
    assert queries.bags["weight"].tolist() == [[0, 2, 3], [1, 1, 1], [0, 0, 0]]
    assert shut(made, queries) == [[1, 2, 3], [1, 1, 2, 3], []]


def test_items_may_be_excluded_for_one_each_or_all(bundle: Bundle) -> None:
    assert shut(bundle, bundle.queries(102, exclude=[20, "21"])) == [[12, 13, 20, 21]]
    assert shut(bundle, bundle.queries([102, 104], exclude=[20])) == [[12, 13, 20], [15, 20]]
    assert shut(bundle, bundle.queries([102, 104], exclude=[[20], None])) == [[12, 13, 20], [15]]
    assert shut(bundle, bundle.queries([102, 104], exclude=[], exclude_seen=False)) == [[], []]


def allowed(bundle: Bundle, **options: Any) -> list[list[int]]:
    mask = bundle.queries([102, 104], **options).allow
    assert mask is not None
    return [np.array(ITEMS)[row].tolist() for row in unpack_mask(mask, len(ITEMS))]


def test_items_may_be_allowed_for_each_or_all(bundle: Bundle) -> None:
    assert allowed(bundle, allow=[20, "11"]) == [[11, 20]]
    assert allowed(bundle, allow=np.array([20, 11])) == [[11, 20]]
    assert allowed(bundle, allow=[[20], None]) == [[20], ITEMS]
    assert allowed(bundle, allow=[]) == [[]]


def test_lists_may_come_in_whatever_holds_them(bundle: Bundle) -> None:
    as_lists = bundle.recommend([102, 104], history=[[10], None], exclude=[[20], [21]], allow=[[14, 20, 21], None])
    for wrap in (np.array, pl.Series, tuple, iter):
        frame = bundle.recommend(
            wrap([102, 104]),
            history=[wrap([10]), None],
            exclude=(wrap(part) for part in ([20], [21])),
            allow=[wrap([14, 20, 21]), None],
        )
        assert frame.equals(as_lists)
    assert bundle.recommend(102, exclude=iter([20, 21])).equals(bundle.recommend(102, exclude=[20, 21]))
    assert bundle.recommend([], history=[], exclude=[], allow=[]).height == 0
    assert bundle.recommend([], history=[], exclude=[10], allow=[10]).height == 0


def test_many_users_are_answered_in_blocks(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    users = [105, "nobody", 101, None, 103, 102]
    options: dict[str, Any] = {
        "history": [[10], None, None, [13, 14], None, []],
        "exclude": [[21], [21, 20], None, None, [1], None],
        "allow": [None, None, [14, 15, 16, 17], None, None, ITEMS[5:]],
    }
    whole = bundle.answer(users, **options)
    shared = bundle.answer(users, exclude=[21], allow=ITEMS[3:])
    for cells in (1, 8, 12):
        monkeypatch.setattr(ask, "BLOCK_CELLS", cells)
        blocks = bundle.answer(users, **options)
        assert blocks.frame.equals(whole.frame)
        assert blocks.known.tolist() == whole.known.tolist()
        assert set(blocks.notes) >= {"users: 1 not known: 'nobody'", "exclude: 1 not known: 1"}
        assert bundle.answer(users, exclude=[21], allow=ITEMS[3:]).frame.equals(shared.frame)


def test_ids_that_are_not_known_are_left_out_and_noted(bundle: Bundle) -> None:
    answer = bundle.answer(101, history=[20, "x"], exclude=[1, 2, 3, 4, 5, 6], allow=[10, 21, 99])
    assert answer.notes == (
        "history: 1 not known: 'x'",
        "exclude: 6 not known: 1, 2, 3, 4, 5 …",
        "allow: 1 not known: 99",
        "popular: every item is listed already, excluded or not allowed for 1 of 1 queries",
    )
    assert answer.frame["item_id"].to_list() == [21]


def test_an_allowed_set_without_a_known_item_is_an_error(bundle: Bundle) -> None:
    with pytest.raises(
        SerendipError, match=r"allow must name items of the catalogue\. Got 1, 'x', none of which is known"
    ):
        bundle.recommend(101, allow=[1, "x"])
    with pytest.raises(SerendipError, match="none of which is known"):
        bundle.recommend([101, 102], allow=[[1], []])


def test_an_empty_allowed_set_gives_nothing_and_says_why(bundle: Bundle) -> None:
    answer = bundle.answer([101, 102], allow=[])
    assert answer.frame.height == 0
    assert "popular: every item is listed already, excluded or not allowed for 2 of 2 queries" in answer.notes


def test_more_than_the_catalogue_has_is_noted(bundle: Bundle) -> None:
    answer = bundle.answer(None, 1000)
    assert answer.frame.height == 12
    assert answer.notes[0] == "1000 items were asked for; the catalogue has 12"


@pytest.mark.parametrize("k", [0, -1, True, 2.0, "3", None])
def test_k_is_a_whole_number(bundle: Bundle, k: Any) -> None:
    for ask_for in (bundle.recommend, bundle.similar_items):
        with pytest.raises(SerendipError, match=rf"^k must be a whole number, 1 or more\. Got {k!r} instead\.$"):
            ask_for([11], k)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"users": 1.5}, r"users must be a list of ids\. Got 1\.5 instead"),
        ({"users": {101: 1}}, r"users must be a list of ids\. Got \{101: 1\} instead"),
        ({"users": [1.5]}, r"users must be ids: whole numbers or text\. Got 1\.5 instead"),
        ({"users": [True]}, r"users must be ids: whole numbers or text\. Got True instead"),
        ({"users": [[101]]}, r"users must be ids: whole numbers or text\. Got \[101\] instead"),
        ({"users": ["\ud800"]}, r"users must be ids: whole numbers or text\. Got '\\ud800' instead"),
        (
            {"users": [101], "history": [10]},
            r"history must hold one list of item ids \(or None\) per user, 1 in all\. Got \[10\]",
        ),
        ({"users": [101, 102], "history": [[10]]}, r"per user, 2 in all\. Got \[\[10\]\]"),
        ({"users": 101, "history": "10"}, r"history must hold one list .* Got '10'"),
        ({"users": 101, "history": [[1.5]]}, r"history must be ids: whole numbers or text\. Got 1\.5"),
        ({"users": 101, "exclude": 5}, r"exclude must hold one list .* Got 5"),
        ({"users": [101], "exclude": [[1], [2]]}, r"exclude must hold one list .* 1 in all"),
        ({"users": 101, "allow": "abc"}, r"allow must hold one list .* Got 'abc'"),
        ({"users": 101, "allow": {10: 1}}, r"allow must hold one list"),
        ({"users": 101, "allow": ["a" * 200, None]}, r"Got \['a{70,}…\."),
    ],
)
def test_what_is_no_list_of_ids_is_refused(bundle: Bundle, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SerendipError, match=message):
        bundle.queries(**options)


def shop_of(scorer: Scorer) -> Bundle:
    """Three users who look and buy."""
    rows = [(1, 10, "view"), (1, 11, "buy"), (1, 12, "view"), (2, 13, "cart"), (2, 10, "buy"), (3, 12, "buy")]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event_type"], orient="row")
    data = Dataset.from_frames(events, target=["buy"])
    return Bundle.build(data, retrieve(scorer, name="all"))


def by_views() -> TowerScorer:
    """A scorer that reads what was looked at, and nothing else."""
    inputs, outputs = 'int64[batch, 2] "events.view"', "float[batch, 1] vector"
    body = 'history = Identity("events.view") ' + ROW + MEAN + "vector = Identity(mean)"
    network = made(inputs, outputs, f"{CODES}, {constant('table', [[0], [1], [1], [-1], [-1]])}", body)
    items = np.arange(1, 5, dtype=np.float32)[:, None]
    return TowerScorer(network, (Feed("events.view", "bag", 2, 4),), items, np.empty((4, 0), np.float32), alone=True)


@pytest.fixture(scope="module")
def shop() -> Bundle:
    """What they looked at is kept beside the history."""
    return shop_of(StaticScores(np.zeros(4, np.float32)))


def bag(made: Bundle, queries: Queries, kind: str) -> list[list[Any]]:
    return [made.item_ids.decode(row[row != ABSENT]).to_list() for row in queries.bags[f"events.{kind}"]]


def test_events_of_other_kinds_are_read_as_stored_or_as_given(shop: Bundle) -> None:
    queries = shop.queries([1, 2, None])
    assert bag(shop, queries, "view") == [[10, 12], [], []]
    assert bag(shop, queries, "cart") == [[], [13], []]
    given = [{"view": [13, "11", 10]}, {"cart": []}, {"view": [12], "cart": [13]}]
    queries = shop.queries([1, 2, None], events=given)
    assert bag(shop, queries, "view") == [[13, 11, 10], [], [12]]
    assert bag(shop, queries, "cart") == [[], [], [13]]
    assert history(shop, queries) == [[11], [10], []]
    assert shut(shop, queries) == [[10, 10, 11, 11, 12, 13], [10, 13], [12, 13]], "what is given was seen, too"
    assert bag(shop, shop.queries(1, events={"view": [11]}, exclude_seen=False), "view") == [[11]]


def test_a_given_history_leaves_other_events_as_they_are(shop: Bundle) -> None:
    queries = shop.queries([1, 2], history=[[12, 13, 10], None])
    assert history(shop, queries) == [[12, 13, 10], [10]]
    assert bag(shop, queries, "view") == [[10, 12], []]


def test_events_that_no_model_reads_are_noted(shop: Bundle) -> None:
    """Those of a kind that one reads count; of the others it is said that they count as seen at most."""
    no_use = "no model of the bundle reads such"
    for scorer in (by_views(), Blend((by_views(),), (1.0,))):
        reads = shop_of(scorer)
        assert reads.kinds_read == ("view",)
        given: dict[str, Any] = {"view": [10], "cart": [13]}
        found = reads.answer(None, 3, events=given)
        assert found.frame["item_id"].to_list() == [12, 11]
        assert found.notes[0] == f"events of 'cart': {no_use}; they count as seen, and no more"
        assert reads.answer(None, 4, events=given, exclude_seen=False).notes == (f"events of 'cart': {no_use}",)
        assert reads.answer(None, 1, events={"view": [12]}).notes == ()
    assert shop.kinds_read == ()
    assert shop.answer(1, 1, events={"cart": [], "view": [11]}).notes[0].startswith("events of 'cart', 'view': no mo")


def test_kinds_that_are_not_kept_and_items_that_are_not_known_are_noted(shop: Bundle, bundle: Bundle) -> None:
    answer = shop.answer(1, events={"buy": [10], "vue": [11], "view": [10, 99]})
    assert answer.notes[:2] == (
        "events: 2 of a kind that is not kept beside the history: 'buy', 'vue' (those that are: 'cart', 'view')",
        "events of view: 1 not known: 99",
    )
    (note, *_) = bundle.answer(101, events={"view": [10]}).notes
    assert note == "events: 1 of a kind that is not kept beside the history: 'view' (those that are: none)"


@pytest.mark.parametrize("events", ["view", {"view": [10]}, [{"view": [10]}], [None, ["view"]], [{"view": 10}, None]])
def test_events_of_another_form_are_refused(shop: Bundle, events: Any) -> None:
    with pytest.raises(SerendipError, match=r"events( of view)? must"):
        shop.queries([1, 2], events=events)


def test_a_filter_says_what_items_must_be_like(bundle: Bundle) -> None:
    for users in (101, [104, None], None):
        found = bundle.recommend(users, 4, filter='genres has "b" and year < 2020')
        assert set(found["item_id"]) <= {11, 14, 17}
        assert len(found)
    assert set(bundle.recommend(101, 4, filter='genres has "b"')["item_id"]) == {14, 17, 20}  # 11 is seen
    both = bundle.recommend([101, 102], 4, filter='genres has "b"', allow=[[14, 15], None], exclude=[20])
    assert both.filter(both["user_id"] == 101)["item_id"].to_list() == [14]
    assert set(both.filter(both["user_id"] == 102)["item_id"]) == {11, 14, 17}
    whole = pl.concat(bundle.iter_recommend(2, filter=parse("year == 2015"), exclude_seen=False))
    assert whole["item_id"].to_list() == [15] * 5


def test_a_filter_that_leaves_little_says_so(bundle: Bundle) -> None:
    none = bundle.answer(101, 3, filter='genres has "zebra"')
    assert len(none.frame) == 0
    assert none.notes[0] == 'filter: no item of the catalogue fits genres has "zebra"'
    one = bundle.answer(101, 3, filter="year == 2021")
    assert one.frame["item_id"].to_list() == [21]
    assert one.notes[0] == "filter: 1 item of the catalogue fits year == 2021"
    assert bundle.answer(101, 50, filter="year > 0").notes == bundle.answer(101, 50).notes
    assert bundle.answer(101, 3, filter="year > 2018").notes == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yaer > 3", r"Got 'yaer' instead\. Did you mean 'year'\?"),
        ("year > 'x'", r"the attribute 'year' \(number\)"),
        ("year >", "Got the end"),
        (3, "filter must be a text. Got 3"),
    ],
)
def test_a_filter_that_does_not_fit_is_an_error(bundle: Bundle, text: Any, said: str) -> None:
    with pytest.raises(SerendipError, match=said):
        bundle.recommend(101, filter=text)
