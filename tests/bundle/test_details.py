"""All that named an item, what each stage gave it, and why it is there."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from serendip.bundle import Bundle
from serendip.data.dataset import Dataset
from serendip.pipeline import chain, first_of, guarded, in_turn, merge, rank, reranked, retrieve
from serendip.rerank import Explore, Pin
from serendip.scorers import ItemToItem, StaticScores
from serendip.types import Queries, Recs, Stage

IDS = ["w", "x", "y", "z", "zz"]
EVENTS = pl.DataFrame({"user_id": ["a", "a", "b", "b", "c"], "item_id": ["w", "x", "y", "z", "w"]})
ITEMS = pl.DataFrame({"item_id": IDS, "title": ["Wool", "Xylem", "Yarn", None, "Fresh"]})
SAID = np.zeros((5, 5), np.float32)
SAID[0, [2, 3]], SAID[1, 2] = (2, 1), 5  # w speaks for y and z, x for y
POPULAR = StaticScores(np.array([5, 4, 3, 2, 1], np.float32))


def bundle(pipeline: Stage, items: pl.DataFrame = ITEMS) -> Bundle:
    data = Dataset.from_frames(EVENTS, items=items)
    assert data.item_ids.ids.to_list() == IDS
    return Bundle.build(data, pipeline)


def taste(name: str = "taste") -> Stage:
    return retrieve(ItemToItem(csr_array(SAID)), name=name)


def popular(k: int | None = None) -> Stage:
    return retrieve(POPULAR, name="popular", k=k)


def test_all_sources_their_scores_and_what_was_chosen() -> None:
    made = bundle(chain(first_of(merge(taste(), popular(2)), popular(), least=5), rank(POPULAR, name="r")))
    plain = made.recommend("a", 3)
    assert plain.columns == ["user_id", "item_id", "title", "score", "rank", "source"]
    frame = made.recommend("a", 3, reasons=True)
    assert frame.select(plain.columns).equals(plain)
    assert frame["item_id"].to_list() == ["y", "z", "zz"]
    assert frame["source"].to_list() == ["taste", "taste", "popular"]
    assert frame["sources"].to_list() == ["taste, popular", "taste, popular", "popular"]
    assert frame["score.taste"].to_list() == [7, 1, None]
    assert frame["score.popular"].to_list() == [3, 2, 1]
    assert frame["score.r"].to_list() == frame["score"].to_list() == [3, 2, 1]
    assert frame["reason"].to_list() == ["like what you chose: Xylem", "like what you chose: Wool", "new"]
    stranger = made.recommend([None], 2, reasons=True)
    assert stranger["reason"].to_list() == ["popular now"] * 2
    assert stranger["score.taste"].to_list() == [None, None]
    both = made.recommend(["a", None], 2, reasons=True)
    assert both["reason"].to_list() == [*frame["reason"].to_list()[:2], *stranger["reason"].to_list()]
    assert made.recommend(reasons=True)["reason"].null_count() == 0


def test_an_item_is_called_by_its_id_where_it_has_no_title() -> None:
    made = bundle(taste(), ITEMS.with_columns(title=pl.lit(None, pl.String)))
    frame = made.recommend([None], 1, history=[["w"]], reasons=True)
    assert frame["reason"].to_list() == ["like what you chose: w"]
    made = bundle(taste(), ITEMS.drop("title"))
    assert made.recommend(None, 1, history=["w"], reasons=True)["reason"].to_list() == ["like what you chose: w"]


def test_what_no_model_can_say_is_said_by_its_kind() -> None:
    class Deaf:
        n_items = 5

        def score(self, queries: Queries, items: object = None) -> np.ndarray:
            raise AssertionError

    made = bundle(popular())
    queries = made.queries(["a", None], k=1)
    lists = Recs(np.array([[2], [2]], np.int32), np.ones((2, 1), np.float32), {"source": np.array([["d"], ["d"]])})
    told = replace(made, pipeline=retrieve(Deaf(), name="d")).detailed(queries, lists)
    assert told.reasons == ("fits what you chose", "fits what is known of you") and told.sources == (("d",), ("d",))


def test_pins_and_what_is_shown_by_chance() -> None:
    made = bundle(reranked(popular(), *in_turn([Pin(items=("z",), place=1), Explore(epsilon=1.0)])))
    frame = made.recommend([None], 4, reasons=True, explore=1)
    said = dict(frame.select("item_id", "reason").iter_rows())
    assert said["z"] == "pinned by the shop"
    stood = {item: place for place, item in enumerate(["z", "w", "x", "y", "zz"])}
    for place, item in enumerate(frame["item_id"].to_list()):
        if item != "z" and stood[item] > place:
            assert said[item] == "to try something new"
    assert "to try something new" in said.values()
    assert "to try something new" not in set(made.recommend([None], 4, reasons=True)["reason"])


def test_what_a_first_answer_makes_counts_against_no_budget() -> None:
    """A stage with a budget runs on a thread of its own; the one that makes things ready does not."""
    ran: list[bool] = []

    def stage(queries: Queries, recs: Recs | None = None) -> Recs:
        ran.append(threading.current_thread() is threading.main_thread())
        return popular()(queries, recs)

    whole = bundle(popular())
    made = replace(whole, pipeline=guarded(stage, name="slow", budget=60_000))
    for _ in range(2):
        assert made.answer([None], 2).notes == ()
    assert ran == [True, False, False]
    ran.clear()
    patient = replace(whole, pipeline=guarded(stage, name="slow"))
    assert patient.answer([None], 2).notes == () and ran == [True]  # nobody waits for it: nothing to make ready


def test_a_stage_that_fails_is_told_of_and_the_list_is_full() -> None:
    def broken(queries: Queries, recs: Recs | None = None) -> Recs:
        raise RuntimeError("no memory")

    made = replace(bundle(popular()), pipeline=first_of(guarded(broken, name="taste"), popular()))
    answer = made.answer([None], 2)
    assert answer.frame["item_id"].to_list() == ["w", "x"]
    assert answer.notes == ("taste was skipped: it failed (RuntimeError)",)
    with pytest.raises(RuntimeError):  # what a check asks has no guards
        made.check()
