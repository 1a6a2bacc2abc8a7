"""Replies over bundles whose right answers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from msgspec import UNSET

from serendip.bundle import Bundle
from serendip.bundle.ask import NO_CHANCE
from serendip.bundle.shelving import shelved
from serendip.data.dataset import Dataset
from serendip.pipeline import Skipped, first_of, guarded, in_turn, rerank, reranked, retrieve
from serendip.rerank import Explore, Pin
from serendip.scorers import KINDS, Calibrated, Calibration, StaticScores
from serendip.serve import wire
from serendip.serve.answers import Answers
from serendip.serve.wire import ApiError, RecommendRequest, SimilarRequest
from serendip.types import Queries, Recs
from tests.bundle.described import MONDAY, ByGroup, world
from tests.serve.conftest import LATEST, data_of, events, titles


@pytest.fixture(scope="module")
def answers(bundle: Bundle) -> Answers:
    return Answers(bundle)


@pytest.fixture(scope="module")
def named(named_bundle: Bundle) -> Answers:
    return Answers(named_bundle)


def one(answers: Answers, **asked: object) -> wire.RecommendReply:
    return answers.recommend([RecommendRequest(**asked)])[0]


def ids(reply: wire.RecommendReply | wire.SimilarReply) -> list[int | str]:
    return [item.item_id for item in reply.items]


def test_a_user_is_shown_what_the_others_of_the_group_liked(answers: Answers) -> None:
    for user in (1, 5, 20):
        first = one(answers, user_id=user, k=1).items[0]
        # The nine others of the group liked it; each of the eight pairs with another item of the group counts.
        assert (first.item_id, first.rank, first.source, first.score) == (100 + user, 1, "together", 9 * 8.0)


def test_text_and_numbers_find_the_same_user_and_replies_use_the_stored_type(answers: Answers, named: Answers) -> None:
    assert ids(one(answers, user_id=7)) == ids(one(answers, user_id="7"))
    assert ids(one(answers, user_id="7", k=1)) == [107]
    assert ids(one(named, user_id="007", k=1)) == ["a/107 é"]
    assert not one(named, user_id=7).user_known


def test_sources_scores_and_reasons_come_where_they_are_asked_for(answers: Answers) -> None:
    plain, full = answers.recommend([RecommendRequest(user_id=1, k=2), RecommendRequest(user_id=1, k=2, reasons=True)])
    assert wire.encode(plain.items[0]).count(b"reason") == 0 and ids(plain) == ids(full)
    first, second = full.items
    assert first.sources == ["together"] and first.scores == {"together": 72.0}
    assert str(first.reason).startswith("like what you chose: ")
    assert second.sources == ["popular"] and second.scores == {"popular": 14.0} and second.reason == "popular now"
    batch = answers.batch(wire.BatchRequest(queries=[wire.Query(user_id=1)] * 2, k=2, reasons=True))
    assert [reply.items for reply in batch.replies] == [full.items] * 2


def test_a_stage_that_is_skipped_is_told_of_and_counted(bundle: Bundle) -> None:
    def broken(queries: Queries, recs: Recs | None = None) -> Recs:
        raise RuntimeError("no memory")

    told: list[Skipped] = []
    stage = first_of(guarded(broken, name="taste"), bundle.pipeline)
    took: list[str] = []
    answers = Answers(replace(bundle, pipeline=stage), skipped=told.append, took=lambda name, _: took.append(name))
    reply = one(answers, user_id=1, k=1)
    assert ids(reply) == [101] and reply.notes == ["taste was skipped: it failed (RuntimeError)"]
    assert took == ["taste"]
    assert b"taste was skipped" in wire.encode(reply)
    assert b"taste was skipped" in wire.encode(answers.explain(wire.ExplainRequest(item_id=101, user_id=1)))
    assert [(note.stage, note.why) for note in told] == [("taste", "failed")]


def test_a_short_list_is_filled_by_popularity_and_scores_fall_within_a_source(answers: Answers) -> None:
    reply = one(answers, user_id=1, k=5)
    assert ids(reply) == [101, 115, 111, 112, 113]
    assert [item.source for item in reply.items] == ["together"] + ["popular"] * 4
    assert [item.rank for item in reply.items] == [1, 2, 3, 4, 5]
    assert [item.score for item in reply.items[1:]] == [14, 9, 9, 9]
    assert reply.items[1].title == LATEST and reply.notes == []


def test_an_unknown_user_gets_what_is_popular(answers: Answers) -> None:
    reply = one(answers, user_id="nobody", k=2)
    assert not reply.user_known and ids(reply) == [115, 101]
    assert reply.notes == ["user_id: 1 not known: 'nobody'"]
    assert one(answers, k=2).notes == []


def test_a_given_history_replaces_the_stored_one(answers: Answers) -> None:
    reply = one(answers, user_id=1, history=["111", 112], k=8)
    assert reply.user_known and set(ids(reply)) == set(range(113, 121))
    assert {item.source for item in reply.items} == {"together"}


def test_unknown_items_are_left_out_and_named(answers: Answers) -> None:
    reply = one(answers, user_id=1, history=[101, 9, "x"], exclude=[8], allow=[102, 103, 7], k=2, exclude_seen=False)
    assert ids(reply) == [102, 103]
    assert reply.notes == ["history: 2 not known: 9, 'x'", "exclude: 1 not known: 8", "allow: 1 not known: 7"]
    assert one(answers, exclude=list(range(10))).notes == ["exclude: 10 not known: 0, 1, 2, 3, 4 …"]


def test_excluded_and_seen_items_are_not_shown_and_allowed_ones_only(answers: Answers) -> None:
    assert ids(one(answers, user_id=1, exclude=[101, 115], k=2)) == [111, 112]
    assert 102 not in ids(one(answers, user_id=1, k=21))
    assert 102 in ids(one(answers, user_id=1, k=21, exclude_seen=False))
    assert ids(one(answers, user_id=1, allow=[120, 101], k=9)) == [101, 120]


def test_a_filter_says_what_items_must_be_like(answers: Answers) -> None:
    assert ids(one(answers, user_id=1, k=3, filter="item_id in [111, 101, 102]")) == [101, 111]
    replies = answers.batch(wire.BatchRequest(queries=[wire.Query(user_id=1)], k=1, filter="title is missing")).replies
    assert ids(replies[0]) == [121]
    none = one(answers, user_id=1, k=2, filter='title == "x"')
    assert none.items == []
    assert none.notes[0] == 'filter: no item of the catalogue fits title == "x"'
    for wrong in ("price < 3", "title <", "title < 3"):
        with pytest.raises(ApiError) as caught:
            one(answers, filter=wrong)
        assert (caught.value.status, caught.value.reply.error.code) == (422, "invalid_filter")
    together = answers.recommend([RecommendRequest(k=1, filter=text) for text in ("item_id == 120", "item_id == 101")])
    assert [ids(reply) for reply in together] == [[120], [101]]


def test_a_list_that_cannot_be_filled_says_so(answers: Answers) -> None:
    for allow in ([], [999]):
        reply = one(answers, user_id=1, allow=allow)
        assert reply.items == []
        assert reply.notes[-1] == "0 of 10 items: there is no other that may be shown and can be scored"
    assert one(answers, user_id=1, k=1000).notes == [
        "12 of 1000 items: there is no other that may be shown and can be scored"
    ]


def test_requests_answered_together_get_what_each_would_get_alone(answers: Answers) -> None:
    asked = [
        RecommendRequest(user_id=1, k=3),
        RecommendRequest(user_id="nobody", k=3),
        RecommendRequest(user_id=2, k=5, exclude_seen=False),
        RecommendRequest(history=[111], k=3),
        RecommendRequest(user_id=3, k=3, exclude=[103]),
        RecommendRequest(user_id=4, k=3, allow=[104, 115]),
        RecommendRequest(user_id=5, k=3, allow=[104, 116]),
    ]
    together = answers.recommend(asked)
    assert len({reply.recommendation_id for reply in together}) == len(asked)
    for request, reply in zip(asked, together, strict=True):
        alone = answers.recommend([request])[0]
        assert (reply.items, reply.notes, reply.user_known) == (alone.items, alone.notes, alone.user_known)


def test_a_batch_is_answered_in_order_and_bounded(answers: Answers) -> None:
    queries = [wire.Query(user_id=user) for user in (9, 3, "nobody")]
    reply = answers.batch(wire.BatchRequest(queries=queries, k=1, allow=[109, 103, 115]))
    assert [ids(part) for part in reply.replies] == [[109], [103], [115]]
    with pytest.raises(ApiError, match=r"must not exceed 100000\. Got 101 × 1000 = 101000 instead"):
        answers.batch(wire.BatchRequest(queries=[wire.Query()] * 101, k=1000))


def test_similar_items_are_those_liked_together(answers: Answers, named: Answers) -> None:
    reply = answers.similar(SimilarRequest(item_id="101", k=20))
    assert set(ids(reply)) == set(range(102, 111))
    assert {item.score for item in reply.items} == {8.0} and reply.items[0].source == "together"
    assert ids(named.similar(SimilarRequest(item_id="a/101 é", k=1))) == ["a/102 é"]


def test_an_item_without_company_has_no_similar_ones(answers: Answers) -> None:
    reply = answers.similar(SimilarRequest(item_id=121))
    assert reply.items == [] and reply.notes == ["Nothing is known that this item could be compared by."]


def test_similar_items_of_an_unknown_item_and_of_a_bundle_that_cannot(answers: Answers) -> None:
    with pytest.raises(ApiError, match="No item has the id 999") as unknown:
        answers.similar(SimilarRequest(item_id=999))
    assert unknown.value.status == 404
    with pytest.raises(ApiError, match="no model that compares items") as cannot:
        Answers(unpersonal(0.5)).similar(SimilarRequest(item_id=101))
    assert cannot.value.status == 501


def unpersonal(score: float) -> Bundle:
    """Every item has the same score; items have no titles."""
    data = data_of(events(), titles().select("item_id", name="title"))
    return Bundle.build(data, retrieve(StaticScores(np.full(data.n_items, score, np.float32)), name="same"))


def test_history_is_newest_first_and_each_item_once(answers: Answers, named: Answers) -> None:
    reply = answers.history("1", limit=3)
    assert (reply.user_id, reply.total) == (1, 9)
    assert [(item.item_id, item.title) for item in reply.items] == [
        (item, f"Item number {item}") for item in (110, 109, 108)
    ]
    assert named.history("007", limit=1).items[0].item_id == "a/110 é"
    with pytest.raises(ApiError, match="No user has the id 'nobody'"):
        answers.history("nobody", limit=1)


def test_items_without_a_title_have_none(answers: Answers) -> None:
    found = answers.search("121", limit=1).items[0]
    assert wire.encode(found) == b'{"item_id":121}'
    with pytest.raises(ApiError, match="at most 200 characters"):
        answers.search("x" * 201, limit=1)


def test_scores_have_the_digits_of_a_float32_and_items_without_titles_no_title() -> None:
    item = one(Answers(unpersonal(0.3)), k=1).items[0]
    assert wire.encode(item) == b'{"item_id":101,"score":0.3,"rank":1,"source":"same"}'


def test_the_bundle_is_described_without_its_files(answers: Answers, bundle: Bundle) -> None:
    described = answers.described
    assert described.version == bundle.manifest.version
    assert described.data["users"] == 25 and described.data["items"] == 21 and described.data["events"] == 185
    assert described.example_user_id == 1


def test_an_item_is_explained_by_what_was_liked_with_it(answers: Answers, named: Answers) -> None:
    """User 1 liked 102 … 110; with 101, each of them was liked by the 8 users from 2 to 10 but one."""
    reply = answers.explain(wire.ExplainRequest(user_id="1", item_id="101", reasons=20))
    assert (reply.item_id, reply.place, reply.listed, reply.notes) == (101, 1, 10, [])
    assert [(one.source, one.place) for one in reply.sources] == [("together", 1), ("popular", None)]
    assert {reason.item_id for reason in reply.reasons} == set(range(102, 111))
    assert {(reason.source, reason.contribution) for reason in reply.reasons} == {("together", 8.0)}
    assert reply.score == reply.scores[0].score == 72 == sum(reason.contribution or 0 for reason in reply.reasons)
    assert [reason.rank for reason in reply.reasons] == list(range(1, 10))
    assert reply.reasons[0].title == "Item number 102"
    given = answers.explain(wire.ExplainRequest(user_id="new", item_id=101, history=[103, 999]))
    assert [reason.item_id for reason in given.reasons] == [103] and given.score == 8
    assert given.notes == ["user_id: 1 not known: 'new'", "history: 1 not known: 999"]
    first = named.explain(wire.ExplainRequest(user_id="001", item_id="a/101 é", k=1)).reasons[0]
    assert first.item_id == "a/102 é"


def test_an_item_that_is_not_in_the_list_is_explained_as_the_same_request_has_it(answers: Answers) -> None:
    """115 is first by popularity; 120 is the last of the others, all of them as popular."""
    asked = {"user_id": 1, "item_id": 115, "k": 2}
    assert answers.explain(wire.ExplainRequest(**asked)).place == 2
    for field, value, verdict, said in (
        ("exclude", [115], "excluded", "the request excludes it"),
        ("allow", [101], "not_allowed", "it is not among those that the request allows"),
        ("filter", "item_id < 103", "filter", "it does not fit item_id < 103 (item_id is 115)"),
    ):
        reply = answers.explain(wire.ExplainRequest(**asked, **{field: value}))
        assert (reply.verdict, reply.place, reply.otherwise, reply.gates[0].said) == (verdict, None, 2, said)
    seen = answers.explain(wire.ExplainRequest(user_id=1, item_id=102))
    assert seen.verdict == "seen" and "the user has seen it already" in seen.said
    assert answers.explain(wire.ExplainRequest(user_id=1, item_id=102, exclude_seen=False)).place is not None
    new = answers.explain(wire.ExplainRequest(user_id=99, item_id=115, attributes={"age": 3}))
    assert new.place == 1 and "attributes: 'age' are read by no model of the bundle" in new.notes
    low = answers.explain(wire.ExplainRequest(user_id=1, item_id=120, k=3))
    assert (low.verdict, low.lost_at, low.sources[1].standing) == ("not_named", None, 11)
    assert "popular has it at place 11 of 12 and names 2, score 9 against 9 of the last" in low.said


def test_what_a_model_of_labels_foretells_stands_beside_reasons() -> None:
    """Odds of 3 to 1 for the first item, and as many against the second; the third cannot be scored."""
    data = data_of(events(), titles())
    scores = np.full(data.n_items, -np.inf, np.float32)
    scores[:2] = np.log(3) / 2, -np.log(3) / 2
    part = Calibrated(StaticScores(scores), "liked", Calibration("platt", slope=2.0))
    answers = Answers(Bundle.build(data, retrieve(part, name="ranker")))
    first, second, third = data.item_ids.ids[:3].to_list()
    reply = answers.explain(wire.ExplainRequest(history=[], item_id=first))
    assert (reply.place, reply.sources[0].source, reply.reasons, reply.notes[1:]) == (1, "ranker", [], [])
    assert reply.foretold == {"liked": pytest.approx(0.75)} and reply.score == reply.foretold["liked"]
    assert reply.score_is == "the probability that liked is 1, calibrated by Platt's sigmoid"
    assert reply.foretold_by == "ranker"
    given = answers.explain(wire.ExplainRequest(history=[third, 999], item_id=second))
    assert given.foretold == {"liked": pytest.approx(0.25)} and given.notes[0] == "history: 1 not known: 999"
    none = answers.explain(wire.ExplainRequest(history=[], item_id=third))
    assert (none.verdict, none.foretold) == ("not_scored", {})


@pytest.mark.parametrize(
    ("asked", "status", "words"),
    [
        ({"user_id": 1, "item_id": 999}, 404, "No item has the id 999"),
        ({"user_id": 99, "item_id": 101}, 404, "No user has the id 99"),
        ({"item_id": 101}, 422, "One of the fields `user_id` and `history` is required"),
        ({"user_id": 1, "item_id": 101, "filter": "price <"}, 422, "a text in quotes"),
    ],
)
def test_what_cannot_be_explained_says_so(answers: Answers, asked: dict[str, object], status: int, words: str) -> None:
    with pytest.raises(ApiError, match=words) as refused:
        answers.explain(wire.ExplainRequest(**asked))
    assert refused.value.status == status


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Item 0 is for groups that training has not seen, item 1 for x, item 2 for y."""
    monkeypatch.setitem(KINDS, ByGroup.kind, ByGroup)
    return Answers(Bundle.build(*world()))


def test_what_is_said_of_a_user_counts_at_once(described: Answers) -> None:
    asked = [{"attributes": {"group": group}, "k": 1} for group in ("new", "x", "y")]
    replies = described.recommend([RecommendRequest(**one) for one in asked])
    assert [ids(reply) for reply in replies] == [["a"], ["b"], ["c"]]
    assert [reply.items[0].source for reply in replies] == ["group"] * 3
    assert one(described, k=1).items[0].source == "popular"
    assert ids(one(described, user_id=2, k=1, exclude_seen=False)) == ["c"]
    assert ids(one(described, user_id=2, k=1, exclude_seen=False, attributes={"group": "x"}, time=MONDAY)) == ["b"]


def test_each_query_of_a_batch_has_attributes_of_its_own(described: Answers) -> None:
    queries = [wire.Query(attributes={"group": "x"}), wire.Query(user_id=9), wire.Query(attributes={"group": "y"})]
    replies = described.batch(wire.BatchRequest(queries=queries, k=1)).replies
    assert [reply.items[0].source for reply in replies] == ["group", "popular", "group"]
    assert [ids(reply)[0] for reply in replies[::2]] == ["b", "c"]


def test_attributes_that_nobody_reads_are_noted(described: Answers, answers: Answers) -> None:
    note = "attributes: 'shoes' are read by no model of the bundle"
    assert note in one(described, attributes={"shoes": 44, "group": "x"}).notes
    assert note in one(answers, attributes={"shoes": 44}).notes
    moment = "attributes: 'timestamp' is when events were, and was left out: when it is asked is said by time"
    assert one(described, attributes={"shoes": 44, "timestamp": MONDAY}).notes[:2] == [moment, note]


def test_attributes_of_another_type_are_refused(described: Answers) -> None:
    with pytest.raises(ApiError, match=r"the column must hold one value a row\. Got lists instead") as caught:
        one(described, attributes={"group": ["x", "y"]})
    assert (caught.value.status, caught.value.reply.error.code) == (422, "invalid_attributes")


def test_events_of_other_kinds_count_by_query_and_what_is_not_read_is_noted(answers: Answers) -> None:
    rows = [(1, "a", "view"), (1, "b", "buy"), (2, "b", "buy"), (2, "c", "view"), (3, "d", "buy")]
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "event_type"], orient="row")
    data = Dataset.from_frames(log, target=["buy"])
    made = Answers(Bundle.build(data, retrieve(StaticScores(np.arange(4, dtype=np.float32)), name="all")))
    queries = [wire.Query(user_id=1), wire.Query(user_id=1, events={"view": ["d", "x"]}), wire.Query(user_id=3)]
    first, second, third = made.batch(wire.BatchRequest(queries=queries, k=3)).replies
    assert [ids(reply) for reply in (first, second, third)] == [["d", "c"], ["c"], ["c", "b", "a"]], "seen is left out"
    seen = "events of 'view': no model of the bundle reads such; they count as seen, and no more"
    assert second.notes[:2] == ["events of view: 1 not known: 'x'", seen]
    again = one(made, events={"view": ["d"]}, exclude_seen=False, k=1)
    assert (ids(again), again.notes) == (["d"], ["events of 'view': no model of the bundle reads such"])
    assert third.notes == []
    note = "events: 'look' is of no kind that the bundle keeps beside the history"
    assert one(made, events={"look": ["a"]}).notes[0] == note
    assert one(answers, events={"look": [101]}).notes[0] == note


def test_what_is_left_to_chance_comes_with_how_likely_it_was(bundle: Bundle) -> None:
    steps = in_turn([Pin(items=(111,)), Explore(epsilon=0.5)])
    pipeline = shelved(reranked(bundle.pipeline, *steps), bundle.items, bundle.histories)
    answers = Answers(replace(bundle, pipeline=pipeline))
    plain, *others = answers.recommend([RecommendRequest(user_id=1, k=4, explore=one) for one in (False, *[True] * 20)])
    assert all(item.propensity is UNSET for item in plain.items)
    assert len({tuple(ids(reply)) for reply in others}) > 1
    for reply in others:
        assert (reply.items[0].source, reply.items[0].propensity) == ("pinned", 1)
        assert all(isinstance(item.propensity, float) and 0 < item.propensity < 1 for item in reply.items[1:])
    batch = answers.batch(wire.BatchRequest(queries=[wire.Query(user_id=1)], k=4, explore=True))
    assert isinstance(batch.replies[0].items[1].propensity, float)
    assert NO_CHANCE in one(Answers(bundle), user_id=1, explore=True).notes


def test_an_explorer_that_is_skipped_is_not_said_to_be_missing(bundle: Bundle) -> None:
    def broken(queries: Queries, recs: Recs | None = None) -> Recs:
        raise RuntimeError

    explorer = rerank(Explore(epsilon=0.5))
    stage = reranked(bundle.pipeline, guarded(replace(explorer, step=broken), name="explore"))
    reply = one(Answers(replace(bundle, pipeline=stage)), user_id=1, explore=True)
    assert reply.notes == ["explore was skipped: it failed (RuntimeError)"]
    assert all(item.propensity is UNSET for item in reply.items)
