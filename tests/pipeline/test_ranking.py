"""Lists in the order of a ranker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle
from serendip.data.dataset import Dataset
from serendip.pipeline import chain, first_of, from_dict, rank, retrieve, retrievers, scoring, standing, to_dict
from serendip.scorers import Calibrated, Calibration, StaticScores
from serendip.types import Floats, Ids, Queries, Recs, SerendipError

FOUND = StaticScores(np.array([5, 4, 3, 2, 1], np.float32))
NAMES = retrieve(FOUND, name="found", k=4)


class Asked:
    """Ranks by number, cannot score item 1, and notes what it was asked."""

    def __init__(self, n: int = 5) -> None:
        self.n_items, self.asked = n, list[tuple[int, ...]]()

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        assert items is not None
        self.asked.append(items.shape)
        return np.where((items == 1) | (items < 0), -np.inf, items * 10).astype(np.float32)


def test_what_cannot_be_scored_stays_in_its_order_behind_the_rest_and_all_keep_their_source() -> None:
    ranker = Asked()
    recs = chain(NAMES, rank(ranker, name="ranker"))(Queries.of([[], []], k=4))
    assert ranker.asked == [(2, 4)]
    assert recs.items.tolist() == [[3, 2, 0, 1]] * 2
    assert recs.scores.tolist() == [[30, 20, 0, 4]] * 2
    assert recs.columns["source"].tolist() == [["found"] * 4] * 2
    assert recs.notes == ()


def test_a_ranker_keeps_as_many_as_asked_for_or_its_own_number() -> None:
    assert chain(NAMES, rank(Asked(), name="r"))(Queries.of([[]], k=2)).items.tolist() == [[3, 2]]
    assert chain(NAMES, rank(Asked(), name="r", k=3))(Queries.of([[]], k=2)).items.tolist() == [[3, 2, 0]]


def test_notes_say_where_nothing_can_be_scored_and_exclusions_hold() -> None:
    asked = replace(Queries.of([[], []], k=3), exclude=np.array([[0, 2, 3, 4], [3, -1, -1, -1]], np.int32))
    recs = chain(NAMES, rank(Asked(), name="r"))(asked)
    assert recs.items.tolist() == [[1, -1, -1], [4, 2, 0]]
    assert recs.notes == ("r: none of the items named can be scored for 1 of 2 queries",)
    assert rank(Asked(), name="r")(asked, Recs.empty(2)).counts.tolist() == [0, 0]


def test_a_calibrated_ranker_says_probabilities() -> None:
    turned = StaticScores(np.array([0, np.log(3), 0, 0, 0], np.float32))
    ranker = rank(Calibrated(turned, "liked", Calibration("platt")), name="r")
    recs = chain(NAMES, ranker)(Queries.of([[]], k=2))
    assert recs.items.tolist() == [[1, 0]]
    np.testing.assert_allclose(recs.scores, [[0.75, 0.5]], rtol=1e-6)


def test_the_order_in_which_items_were_named_may_count_too() -> None:
    def lists(named: float) -> Recs:
        return chain(NAMES, rank(Asked(), name="r", named=named))(Queries.of([[]], k=4))

    assert lists(1.0).items.tolist() == [[0, 2, 3, 1]]
    found = lists(0.75)  # places as named 1, 2, 3 of 0, 2, 3, and by the scorer 3, 2, 1
    assert found.items.tolist() == [[0, 2, 3, 1]]
    np.testing.assert_allclose(found.scores[0, 0], 0.25 / 63 + 0.75 / 61, rtol=1e-6)
    assert lists(0.25).items.tolist() == [[3, 2, 0, 1]]
    with pytest.raises(SerendipError, match=r"rank\(named=…\) must be between 0 and 1\. Got 2 instead"):
        lists(2)


def test_a_ranker_is_told_what_named_each_item_and_how_high_it_stood() -> None:
    """Scores 5, 4 of one source and 9 of another: less the mean over the deviation they are 1, -1 and 0."""

    class Told(Asked):
        pair_names = ("source.found", "source.other", "source.third")

        def score(self, queries: Queries, items: Ids | None = None) -> Floats:
            self.pairs = queries.pairs
            return super().score(queries, items)

    ranker, other = Told(), StaticScores(np.array([-np.inf, -np.inf, 9, -np.inf, -np.inf], np.float32))
    stage = chain(retrieve(FOUND, name="found", k=2), retrieve(other, name="other"), rank(ranker, name="r"))
    stage(Queries.of([[], []], k=3))
    nothing = [np.nan, np.nan]
    assert set(ranker.pairs) == {"source.found", "source.other"}
    np.testing.assert_allclose(ranker.pairs["source.found"], [[[1, 1], [1, -1], nothing]] * 2)
    np.testing.assert_array_equal(ranker.pairs["source.other"], [[nothing, nothing, [1, 0]]] * 2)
    np.testing.assert_array_equal(standing(np.array([[3, 3, 3, np.nan]], np.float32)), [[0, 0, 0, np.nan]])


def test_a_ranker_is_described_and_made_again() -> None:
    ranker = StaticScores(np.arange(5, dtype=np.float32))
    stage = first_of(chain(NAMES, rank(ranker, name="r", k=3)), retrieve(FOUND, name="found"))
    header = to_dict(stage)
    assert header["stages"][0]["stages"][1] == {"stage": "rank", "scorer": "r", "name": "r", "k": 3, "named": 0.0}
    again = from_dict(header, {"found": FOUND, "r": ranker})
    assert again(Queries.of([[]], k=5)).items.tolist() == stage(Queries.of([[]], k=5)).items.tolist()
    assert [part.name for part in retrievers(again)] == ["found", "found"]
    assert [part.name for part in scoring(again)] == ["found", "r", "found"]


def test_so_many_are_named_for_a_ranker_as_it_takes() -> None:
    named = first_of(retrieve(FOUND, name="found"), least=4)
    stage = chain(named, rank(Asked(), name="r"))
    assert stage(Queries.of([[]], k=2)).items.tolist() == [[3, 2]]
    assert stage(Queries.of([[]], k=5)).items.tolist() == [[4, 3, 2, 0, 1]]
    assert to_dict(named)["least"] == 4 and "least" not in to_dict(first_of(retrieve(FOUND, name="found")))
    again = from_dict(to_dict(named), {"found": FOUND})
    assert again(Queries.of([[]], k=1)).items.tolist() == [[0, 1, 2, 3]]
    with pytest.raises(SerendipError, match=r"first_of\(least=…\) must be at least 1, or None\. Got 0"):
        first_of(NAMES, least=0)


def test_a_bundle_keeps_its_ranker(tmp_path: Path) -> None:
    data = Dataset.from_frames(pl.DataFrame({"user_id": ["a"] * 3 + ["b"], "item_id": ["w", "x", "y", "z"]}))
    found, ranker = (StaticScores(np.array(row, np.float32)) for row in ([4, 3, 2, 1], [1, 2, 3, 4]))
    pipeline = chain(retrieve(found, name="found", k=2), rank(ranker, name="r"))
    Bundle.build(data, pipeline).save(tmp_path / "bundle")
    frame = Bundle.load(tmp_path / "bundle").recommend(["b"], k=2)
    assert frame["item_id"].to_list() == ["x", "w"]
    assert frame["source"].unique().to_list() == ["found"]


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"r ranks what other stages name\. Got no lists\. Try chain\(retrieve"):
        first_of(rank(Asked(), name="r"))(Queries.of([[]]))
    with pytest.raises(SerendipError, match=r"rank must be given a scorer"):
        rank(NAMES, name="r")  # type: ignore[arg-type]
    with pytest.raises(SerendipError, match=r"The name of a ranker must be"):
        rank(FOUND, name="../r")
    with pytest.raises(SerendipError, match=r"rank\(k=…\) must be at least 1"):
        rank(FOUND, name="r", k=0)
    with pytest.raises(SerendipError, match=r"must know the same items\. Got 5 in 'found' and 4 in 'r'"):
        chain(NAMES, rank(Asked(4), name="r"))
    with pytest.raises(SerendipError, match=r"must have different names"):
        chain(NAMES, rank(Asked(), name="found"))
