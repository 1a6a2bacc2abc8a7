"""Why an item is in a list, or is not: worlds in which the reason is known, one for each."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from serendip.bundle import Bundle
from serendip.catalogue import Catalogue
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.pipeline import chain, first_of, guarded, in_turn, merge, rank, reranked, retrieve
from serendip.rerank import Boost, Cap, Explore, Mmr, Pin, Repeat, Reranker
from serendip.scorers import KINDS, Factors, ItemToItem, StaticScores
from serendip.types import ABSENT, Floats, Ids, Queries, SerendipError, Stage

from .described import ByGroup
from .described import world as described

N = 12
UP = StaticScores(np.arange(N, dtype=np.float32))
DOWN = StaticScores(np.arange(N, dtype=np.float32)[::-1].copy())
NEAR = np.zeros((N, N), np.float32)
NEAR[0, 2], NEAR[1, 2], NEAR[3, 4] = 5, -1, 2
KIN = ItemToItem(csr_array(NEAR))


def shop(pipeline: Stage) -> Bundle:
    """Ada had items 0 and 1, Bob 3, Eve all of them; items have one of two colours, and a price but for the last."""
    events = [("ada", 0), ("ada", 1), ("bob", 3), *(("eve", item) for item in range(N))]
    items = pl.DataFrame(
        {
            "item_id": range(N),
            "name": [f"Title {item}" for item in range(N)],
            "colour": ["red", "blue"] * (N // 2),
            "tags": [["a", "b"][: item % 3] for item in range(N)],
            "price": [*(float(item) for item in range(N - 1)), None],
        }
    )
    frame = pl.DataFrame(events, schema=["user_id", "item_id"], orient="row")
    return Bundle.build(Dataset.from_frames(frame, items=items, schema=Schema(title="name")), pipeline)


def re_ranked(stage: Stage, candidates: int, *options: Reranker) -> Stage:
    return reranked(stage, *in_turn(options), candidates=candidates)


PLAIN = first_of(retrieve(KIN, name="kin"), retrieve(UP, name="popular"))


@pytest.fixture(scope="module")
def plain() -> Bundle:
    """What goes with the history, then what is popular: the higher the code, the more."""
    return shop(PLAIN)


def test_an_item_of_the_list_says_its_place_what_named_it_and_what_carried_it(plain: Bundle) -> None:
    why = plain.why("ada", 2, k=3)
    assert (why.verdict, why.place, why.listed, why.score, why.lost_at) == ("listed", 1, 3, 4.0, None)
    assert why.said == "2 (Title 2) is at place 1 of the 3."
    kin, popular = why.sources
    assert (kin.source, kin.place, kin.named, kin.score, kin.standing, kin.among) == ("kin", 1, 1, 4.0, 1, 1)
    assert (popular.place, popular.named, popular.score, popular.last, popular.standing) == (None, 2, 2.0, 10.0, 10)
    assert [(one.source, one.item_id, one.title, one.contribution, one.how) for one in why.reasons] == [
        ("kin", 0, "Title 0", 5.0, "sum"), ("kin", 1, "Title 1", -1.0, "sum"),
    ]  # fmt: skip
    assert plain.why("ada", "2", reasons=1).reasons == why.reasons[:1] and plain.why("ada", 2, reasons=0).reasons == []
    assert plain.why("ada", 11, k=3).place == 2 and plain.why("ada", 11).reasons == []  # popular whoever asks


@pytest.mark.parametrize(
    ("item", "given", "verdict", "words", "otherwise"),
    [
        (1, {}, "seen", "the user has seen it already. Otherwise it would be at place 11.", 11),
        (11, {"exclude": [11]}, "excluded", "the request excludes it. Otherwise it would be at place 2.", 2),
        (11, {"allow": [2, 4]}, "not_allowed", "not among those that the request allows", 2),
        (10, {"filter": "price < 5"}, "filter", "it does not fit price < 5 (price is 10.0)", 2),
        (11, {"filter": "price < 5 and colour == 'red'"}, "filter",
         'it does not fit price < 5 (price is missing); it does not fit colour == "red" (colour is \'blue\')', 2),
        (9, {"filter": "tags has 'a'"}, "filter", 'it does not fit tags has "a" (tags is [])', 4),
        (9, {"filter": "price < 3 or colour == 'red'"}, "filter", 'price < 3 or colour == "red" (price is 9.0', 3),
        (2, {"exclude": [2], "allow": [1]}, "excluded", "the request excludes it; it is not among those", 1),
        (0, {"k": 2}, "seen", "the user has seen it already. Nor would it be among them otherwise.", None),
    ],
)  # fmt: skip
def test_what_an_item_does_not_get_through_is_named(
    plain: Bundle, item: int, given: dict[str, Any], verdict: str, words: str, otherwise: int | None
) -> None:
    why = plain.why("ada", item, **{"k": 12, **given})
    assert (why.verdict, why.place, why.score, why.otherwise) == (verdict, None, None, otherwise)
    assert words in why.said and why.gates[0].reason == verdict
    assert why.listed == len(plain.recommend("ada", **{"k": 12, **given}))


def test_seen_is_what_the_request_counts_as_seen(plain: Bundle) -> None:
    assert plain.why("ada", 1, 12, exclude_seen=False).place == 11
    assert plain.why(None, 1, 12, history=[3]).verdict == "listed"
    assert plain.why("ada", 3, 12, history=[3]).verdict == plain.why("ada", 1, 12, history=[3]).verdict == "seen"


def test_an_item_that_was_deleted_is_told_so_and_others_go_on(tmp_path: Path) -> None:
    vectors = np.stack([np.arange(N), np.ones(N)], axis=1).astype(np.float32)
    made = shop(retrieve(Factors(vectors, alpha0=0.1, reg=0.1, nu=1.0), name="factors"))
    live = Catalogue.open(made, tmp_path / "live")
    live.delete([11])
    why = live.bundle.why("ada", 11)
    assert why.verdict == "deleted" and why.said.endswith("it was deleted from the live catalogue.")
    assert why.sources == [] and why.otherwise is None
    live.upsert([{"item_id": 99, "title": "New"}], {"factors": vectors[2:3] * 1.1})
    new = live.bundle.why("ada", 99, k=2)
    assert new.place == live.bundle.recommend("ada", k=2)["item_id"].to_list().index(99) + 1
    assert {one.item_id for one in new.reasons if one.item_id is not None} <= {0, 1} and new.reasons


def test_what_no_source_names_stands_somewhere(plain: Bundle) -> None:
    why = plain.why("ada", 5, k=4)
    assert (why.verdict, why.lost_at, why.place) == ("not_named", None, None)
    assert why.said.endswith(
        "is not among the 4: popular has it at place 7 of 10 and names 3, score 5 against 9 of the last."
    )
    full = plain.why("ada", 5, k=1)
    assert full.said.endswith(
        "is not the one item of the list: popular (place 7) was not asked, for the list was full."
    )
    assert [(one.source, one.score) for one in full.scores] == [("popular", 5.0)]


def test_a_source_that_also_fills_carries_a_score_once() -> None:
    """Bob had 3, which speaks for 4 alone: two items are wanted."""
    up = retrieve(UP, name="up")
    made = shop(first_of(merge(retrieve(KIN, name="kin", k=1), up), retrieve(KIN, name="kin"), up))
    why = made.why("bob", 4, k=2)
    assert [one.source for one in why.sources] == ["kin", "up"] and why.place is not None
    assert [(one.source, one.score) for one in why.scores] == [("kin", 2.0)]
    assert [(one.source, one.item_id, one.contribution) for one in why.reasons if one.how == "sum"] == [("kin", 3, 2.0)]


def test_what_nothing_can_score_says_so() -> None:
    why = shop(retrieve(KIN, name="kin")).why("bob", 9)
    assert why.verdict == "not_scored" and "no model has a score for it (kin)" in why.said
    assert why.reasons == why.scores == [] and why.sources[0].standing is None


def test_a_ranker_that_puts_it_too_low_is_named_with_the_score_it_needs() -> None:
    made = shop(chain(first_of(retrieve(UP, name="up"), least=6), rank(DOWN, name="down")))
    assert made.recommend("bob", k=2)["item_id"].to_list() == [6, 7]
    low = made.why("bob", 10, k=2)
    assert (low.verdict, low.lost_at) == ("ranked_low", "down")
    (step,) = low.steps
    assert (step.kind, step.before, step.of, step.after, step.kept) == ("rank", 2, 6, None, 2)
    assert (step.score, step.last, step.standing) == (1.0, 4.0, 5)
    assert low.said.endswith("down has it at place 5 of 6 and keeps 2, score 1 against 4 of the last.")
    first = made.why("bob", 6, k=2)
    assert first.place == 1 and (first.steps[0].before, first.steps[0].after, first.steps[0].standing) == (6, 1, None)


def test_a_source_that_also_fills_lists_is_told_of_once_and_a_score_of_places_is_called_so() -> None:
    up, down = retrieve(UP, name="up", k=5), retrieve(DOWN, name="down", k=5)
    made = shop(first_of(chain(merge(up, down), rank(DOWN, name="ranker", named=0.25)), retrieve(DOWN, name="down")))
    why = made.why("bob", 0, k=2)
    assert [one.source for one in why.sources] == ["up", "down"]
    assert why.score_is == "0.75 / (60 + place by ranker) + 0.25 / (60 + place as it was named)"
    assert why.score == pytest.approx(0.75 / (60 + 1) + 0.25 / (60 + 2), rel=1e-5)
    other = replace(made, pipeline=first_of(merge(up, down), retrieve(UP, name="more")))
    assert [one.source for one in other.why("bob", 10, k=2).sources] == ["up", "down", "more"]


@dataclass(frozen=True)
class Broken:
    """Cannot be asked."""

    n_items: int = N

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        raise RuntimeError("on fire")


@dataclass(frozen=True)
class Slow:
    """Takes its time."""

    n_items: int = N

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        time.sleep(0.03)
        return DOWN.score(queries, items)


def test_a_stage_that_fails_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "serendip")
    made = shop(PLAIN)
    parts = first_of(guarded(retrieve(Broken(), name="broken"), name="broken"), retrieve(UP, name="up", k=3))
    broken = replace(made, pipeline=parts)
    why = broken.why("bob", 9, k=3)
    assert why.place == 3 and [one.skipped for one in why.sources] == [True, False]
    assert "broken was skipped" in why.notes[0] and "broken was skipped" in msgspec.to_builtins(why)["notes"][0]
    assert "broken was skipped; up has it at place 5 of 11 and names 3" in broken.why("bob", 7, k=3).said
    alone = replace(made, pipeline=guarded(retrieve(Broken(), name="broken"), name="broken"))
    none = alone.why("bob", 9)
    assert none.verdict == "skipped" and none.said.endswith("is not shown, and nothing else is: broken was skipped.")


def test_what_was_named_within_a_stage_that_fails_is_lost_there(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "serendip")
    inner = chain(retrieve(DOWN, name="down", k=3), rank(Broken(), name="broken"))
    made = replace(shop(PLAIN), pipeline=first_of(guarded(inner, name="both"), retrieve(UP, name="up")))
    why = made.why("bob", 0, k=2)
    assert (why.verdict, why.lost_at, why.sources[0].place) == ("skipped", "both", 1)
    assert why.said.endswith("both was skipped.") and made.why("bob", 11, k=2).place == 1


def test_a_stage_that_is_too_late_says_nothing_even_if_it_ends_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "serendip")
    slow = guarded(retrieve(Slow(), name="slow"), name="slow", budget=5)
    made = replace(shop(PLAIN), pipeline=chain(slow, retrieve(Slow(), name="patient")))
    why = made.why("bob", 0, k=2)
    assert [(one.source, one.skipped, one.place) for one in why.sources] == [
        ("slow", True, None), ("patient", False, 1),
    ]  # fmt: skip
    assert why.place == 1 and why.verdict == "listed"


def test_a_re_ranker_that_moves_it_out_is_named() -> None:
    """By code: 11 blue, 10 red, 9 blue, 8 red …; at most one of a colour is in a list of three, then the rest."""
    made = shop(re_ranked(retrieve(UP, name="up"), 6, Cap(by="colour", most=1)))
    assert made.recommend("bob", k=2)["item_id"].to_list() == [11, 10]
    boosted = shop(
        re_ranked(retrieve(UP, name="up"), 6, Boost(fits="colour == 'red'", weight=2), Mmr(weight=1.0, by="tags"))
    )
    assert boosted.recommend("bob", k=3)["item_id"].to_list() == [10, 8, 6]
    why = boosted.why("bob", 11, k=3)
    assert (why.verdict, why.lost_at) == ("moved", "boost")
    assert why.said.endswith("is not among the 3: boost moved it from place 1 to 4.")
    assert [(one.stage, one.before, one.after) for one in why.steps[:2]] == [("boost", 1, 4), ("mmr", 4, 4)]
    up = boosted.why("bob", 6, k=3)
    assert up.place == 3 and [(one.before, one.after) for one in up.steps] == [(6, 3), (3, 3)]
    low = boosted.why("bob", 7, k=3)
    assert (low.verdict, low.lost_at) == ("cut", "reranked") and "the list ends before it: place 6 of 6" in low.said


def test_what_is_pinned_or_hidden_says_so() -> None:
    pinned = shop(re_ranked(retrieve(UP, name="up"), 4, Pin(items=(2,), place=2)))
    why = pinned.why("bob", 2, k=3)
    assert why.place == 2 and [(one.stage, one.before, one.after) for one in why.steps] == [("pin", None, 2)]
    hidden = shop(re_ranked(retrieve(UP, name="up"), 12, Repeat(policy="hide")))
    again = hidden.why("bob", 3, exclude_seen=False, k=12)
    assert (again.verdict, again.lost_at) == ("moved", "repeat")
    assert again.said.endswith("repeat moved it from place 9 out of the list.")


def test_a_list_that_ends_before_it_says_where_it_stood() -> None:
    """Whoever names more than are asked for, and a merged list that does not take all."""
    wide = shop(retrieve(UP, name="up", k=5)).why("bob", 8, k=2)
    assert (wide.verdict, wide.lost_at) == ("cut", "list")
    assert wide.said.endswith("the list ends before it: place 4 of 5, score 8 against 10 of the last.")
    inner = shop(first_of(retrieve(UP, name="up", k=5), retrieve(DOWN, name="down"))).why("bob", 8, k=2)
    assert (inner.verdict, inner.lost_at) == ("cut", "first_of") and "place 4 of 5" in inner.said
    both = shop(merge(retrieve(UP, name="up"), retrieve(DOWN, name="down"), how="round_robin"))
    assert both.recommend("bob", k=3)["item_id"].to_list() == [11, 0, 10]
    second = both.why("bob", 1, k=3)
    assert (second.verdict, second.lost_at) == ("cut", "merge")
    assert second.said.endswith("merge takes 3 of the items named; down has it at place 2 of 3.")
    first = both.why("bob", 0, k=3)
    assert [(one.stage, one.after) for one in first.steps] == [("merge", 2)]
    assert [(one.source, one.place) for one in first.sources] == [("up", None), ("down", 1)]


@pytest.fixture(scope="module")
def tall() -> Bundle:
    """Everything at once: three sources, one of them filled up, a ranker, re-rankers, one of which explores."""
    rng = np.random.default_rng(3)
    others = [StaticScores(rng.permutation(N).astype(np.float32)) for _ in range(2)]
    named = merge(
        first_of(retrieve(KIN, name="kin"), retrieve(UP, name="up", k=3)), retrieve(others[0], name="other"),
        how="fused", least=6,
    )  # fmt: skip
    ranked = chain(named, rank(others[1], name="ranker", k=9, named=0.3))
    return shop(
        re_ranked(
            ranked,
            7,
            Boost(by="price", weight=0.2),
            Mmr(weight=0.6, by="tags"),
            Cap(by="colour", most=2),
            Explore(epsilon=0.3),
        )
    )


def test_the_place_is_that_of_the_list_for_whatever_is_asked(tall: Bundle, plain: Bundle) -> None:
    """And so is the score; what is in the list has no other verdict, and what is not has a reason."""
    rng = np.random.default_rng(0)
    verdicts = set()
    for turn in range(35):
        made = tall if turn % 3 else plain
        some = [rng.permutation(N)[: rng.integers(0, 4)].tolist() for _ in range(3)]
        given: dict[str, Any] = {"k": int(rng.integers(1, 8)), "exclude": some[0], "exclude_seen": bool(turn % 2)}
        given |= {"history": some[1]} if turn % 4 == 0 else {}
        given |= {"explore": turn} if made is tall and turn % 2 else {}
        given |= {"allow": [*some[2], 5, 6]} if turn % 5 == 0 else {}
        given |= {"filter": "price < 9 and colour == 'red'"} if turn % 7 == 0 else {}
        user = ["ada", "bob", "eve"][turn % 3]
        listed = made.recommend(user, **given)
        where = dict(zip(listed["item_id"].to_list(), zip(listed["rank"], listed["score"], strict=True), strict=True))
        for item in rng.permutation(N)[:3].tolist():
            why = made.why(user, item, reasons=1, **given)
            verdicts.add(why.verdict)
            assert why.listed == len(listed) and (why.verdict == "listed") == (item in where)
            place, score = where.get(item, (None, None))
            assert why.place == place
            assert why.score == (None if score is None else pytest.approx(score, rel=1e-6))
            assert why.said.startswith(f"{item} (Title {item}) is ") and why.said.endswith(".")
    assert {"listed", "seen", "excluded", "not_allowed", "filter", "not_named", "cut", "moved"} <= verdicts


def test_features_of_whoever_asks_carry_a_score_that_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Item c is for group y: with the group unknown, nothing is scored at all."""
    monkeypatch.setitem(KINDS, ByGroup.kind, ByGroup)
    made = Bundle.build(*described())
    why = made.why("new", "c", attributes={"group": "y"})
    assert why.place == 1 and why.sources[0].place == 1
    (reason,) = why.reasons
    assert (reason.source, reason.side, reason.name, reason.contribution) == ("group", "user", "group", None)
    assert made.why(2, "d", attributes={"group": "y"}, exclude_seen=False).place == 4


@dataclass(frozen=True)
class Fields:
    """The product of an item's vector with the mean of what the history's items say, and what ``popular`` says of it.

    Item 0 says (2, 0) and item 1 (0, 1); item 5 is (3, 4), any other (1, 1).
    """

    n_items: int = N
    pair_names: tuple[str, ...] = ("source.popular",)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        assert items is not None
        known = queries.history != ABSENT
        said = np.stack([2 * (queries.history == 0), queries.history == 1], axis=2).sum(axis=1)
        mean = np.where(known.any(axis=1), said.T / np.maximum(known.sum(axis=1), 1), -np.inf).T
        vectors = np.where(items[..., None] == 5, (3, 4), 1)
        told = np.nan_to_num(queries.pairs.get("source.popular", np.zeros((*items.shape, 1)))).sum(axis=2)
        return np.asarray(np.einsum("qd,qcd->qc", mean, vectors) + told, np.float32)


def test_a_ranker_says_which_fields_carried_its_score_in_that_list() -> None:
    """(1, ½) · (3, 4) = 5; without item 0 it is 4, and without item 1 it is 6. Of ten named, item 5 stands sixth."""
    pipeline = chain(retrieve(UP, name="popular", k=10), rank(Fields(), name="ranker"))
    why = replace(shop(PLAIN), pipeline=pipeline).why("ada", 5, reasons=9)
    standing = (5 - 6.5) / np.arange(2, 12).std()
    assert why.place == 1 and why.score == pytest.approx(5 + 1 + standing, rel=1e-5)
    found = [(one.side, one.name, one.item_id, one.contribution) for one in why.reasons if one.source == "ranker"]
    assert found[0] == ("history", "history", None, None)  # without a history it has no score
    assert {one[1:3]: one[3] for one in found[1:]} == {
        ("history", 0): pytest.approx(1, rel=1e-5), ("history", 1): pytest.approx(-1, rel=1e-5),
        ("source.popular", None): pytest.approx(1 + standing, rel=1e-4),
    }  # fmt: skip
    assert {one.how for one in why.reasons} == {"left out"} and why.scores[-1].score == why.score


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"item": 99}, r"items must be among the 12 items of the bundle\. Got 99\."),
        ({"user": "zoe"}, r"or have a history, attributes or events given; an empty history .* Got 'zoe'\."),
        ({"user": None}, r"Got None\."),
        ({"k": 0}, r"k must be a whole number, 1 or more\. Got 0"),
        ({"reasons": -1}, r"reasons must be a whole number, 0 or more\. Got -1"),
        ({"filter": "prize < 3"}, "A filter must be about attributes of the items"),
    ],
)
def test_what_cannot_be_asked_says_what_to_do(plain: Bundle, call: dict[str, Any], words: str) -> None:
    with pytest.raises(SerendipError, match=words):
        plain.why(**{"user": "ada", "item": 2, **call})


def test_newcomers_and_empty_histories_are_answered(plain: Bundle) -> None:
    why = plain.why("zoe", 11, history=[])
    assert (why.place, why.user_id, why.reasons) == (1, "zoe", []) and why.notes[0] == "users: 1 not known: 'zoe'"
    unread = plain.why("zoe", 11, attributes={"age": 3})
    assert unread.place == 1 and "attributes: no model of the bundle reads any" in unread.notes
    assert plain.why(None, 4, history=[3]).reasons[0].item_id == 3
    assert shop(retrieve(UP, name="popular")).why("bob", 11).place == 1
