"""What several stages name as one list, against lists made item by item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serendip.pipeline import How, Quota, chain, first_of, from_dict, merge, rank, retrieve, to_dict
from serendip.scorers import StaticScores
from serendip.types import ABSENT, Floats, Ids, Queries, Recs, SerendipError, Stage, pack_mask

N = 8
NOTHING = -np.inf


def scores(*rows: Sequence[float]) -> Floats:
    return np.array(rows, np.float32)


class Table:
    """Answers row ``users[r]`` of a table."""

    def __init__(self, table: Floats) -> None:
        self.table, self.n_items = table, table.shape[1]

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        found = self.table[queries.users]
        return found if items is None else np.take_along_axis(found, np.maximum(items, 0), axis=1)


def everybody(q: int, k: int) -> Queries:
    return Queries.of([[]] * q, users=range(q), k=k)


A = scores([9, 8, 7, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING])
B = scores([NOTHING, NOTHING, 50, 40, 10, NOTHING, NOTHING, NOTHING])


def both(**how: object) -> Stage:
    return merge(retrieve(Table(A), name="a"), retrieve(Table(B), name="b"), **how)  # type: ignore[arg-type]


def test_in_turn_each_gives_its_next_and_an_item_of_both_stands_at_its_better_place() -> None:
    recs = both()(everybody(1, 5))
    assert recs.items.tolist() == [[0, 2, 1, 3, 4]]  # places a: 0 1 2, b: 2 3 4
    np.testing.assert_allclose(recs.scores, [[1, 1, 1 / 2, 1 / 2, 1 / 3]], rtol=1e-6)
    assert recs.columns["source"].tolist() == [["a", "b", "a", "b", "b"]]
    np.testing.assert_array_equal(recs.columns["score.a"], scores([9, 7, 8, np.nan, np.nan]))
    np.testing.assert_array_equal(recs.columns["score.b"], scores([np.nan, 50, np.nan, 40, 10]))


def test_by_places_and_by_normalised_scores_worked_by_hand() -> None:
    recs = both(how="fused", weights=(1, 2))(everybody(1, 5))
    assert recs.items.tolist() == [[2, 3, 4, 0, 1]]
    np.testing.assert_allclose(recs.scores[0, :2], [1 / 63 + 2 / 61, 2 / 62], rtol=1e-6)
    assert recs.columns["source"].tolist() == [["b", "b", "b", "a", "a"]]
    # a: 9, 8, 7 are 1.2247, 0, -1.2247; b: 50, 40, 10 are 0.9806, 0.3922, -1.3728. Whoever is not named counts as the
    # last: 0 is worth 1.2247 - 1.3728, 2 -1.2247 + 0.9806, 3 -1.2247 + 0.3922 …
    recs = both(how="normalised")(everybody(1, 5))
    assert recs.items.tolist() == [[0, 2, 3, 1, 4]]
    np.testing.assert_allclose(recs.scores, [[-0.1481, -0.2441, -0.8325, -1.3728, -2.5975]], atol=1e-4)


def by_hand(tables: Sequence[Floats], row: int, how: How, weights: Sequence[float], k: int) -> list[int]:
    """The merged list of one query, item by item."""
    lists = [
        sorted(
            (item for item in range(N) if np.isfinite(table[row, item])), key=lambda item: (-table[row, item], item)
        )[:k]
        for table in tables
    ]
    standings: list[dict[int, float]] = []
    for table, names in zip(tables, lists, strict=True):
        own = np.array([table[row, item] for item in names], np.float64)
        spread = own.std() if len(own) else 0
        standings.append({item: (table[row, item] - own.mean()) / spread if spread > 1e-6 else 0.0 for item in names})

    def worth(item: int) -> tuple[float, int, int]:
        first = min((names.index(item), part) for part, names in enumerate(lists) if item in names)
        if how == "round_robin":
            return -1 / (first[0] + 1), *first
        if how == "fused":
            total = sum(w / (61 + names.index(item)) for w, names in zip(weights, lists, strict=True) if item in names)
        else:
            total = sum(w * own.get(item, min(own.values())) for w, own in zip(weights, standings, strict=True) if own)
        return -round(total, 9), *first

    return sorted({item for names in lists for item in names}, key=worth)[:k]


tables_of = st.lists(
    st.lists(
        st.lists(st.sampled_from([NOTHING, 1.0, 2.0, 3.5, 7.0]), min_size=N, max_size=N), min_size=2, max_size=2
    ).map(lambda rows: np.array(rows, np.float32)),
    min_size=1,
    max_size=4,
)


@given(tables_of, st.sampled_from(["round_robin", "normalised", "fused"]), st.integers(1, N + 2))
def test_lists_are_those_made_item_by_item(tables: list[Floats], how: How, k: int) -> None:
    weights = [1.0, 0.5, 2.0, 1.5][: len(tables)]
    parts = [retrieve(Table(table), name=f"t{place}") for place, table in enumerate(tables)]
    recs = merge(*parts, how=how, weights=weights)(everybody(2, k))
    for row in range(2):
        assert recs.items[row, : recs.counts[row]].tolist() == by_hand(tables, row, how, weights, k)
    held = recs.items != ABSENT
    assert np.isfinite(recs.scores[held]).all() and (np.diff(np.where(held, recs.scores, -1e9)) <= 1e-6).all()
    for row, place in np.argwhere(held):
        given_by = [part.name for part in parts if not np.isnan(recs.columns[f"score.{part.name}"][row, place])]
        assert recs.columns["source"][row, place] in given_by


def test_quotas_hold_and_what_they_leave_open_goes_by_score() -> None:
    many = StaticScores(np.arange(N, 0, -1, dtype=np.float32))
    few = StaticScores(np.array([NOTHING] * 5 + [3, 2, 1], np.float32))
    a, b = retrieve(many, name="a"), retrieve(few, name="b")

    def sources(k: int, **quota: Quota | None) -> str:
        recs = merge(a, b, how="fused", weights=(9, 1), quotas=[quota.get("a"), quota.get("b")])(Queries.of([[]], k=k))
        assert recs.items.shape[1] <= k
        return "".join(recs.columns["source"][0])

    assert sources(4) == "aaaa"
    assert sources(4, b=Quota(least=2)).count("b") == 2
    assert sources(8, a=Quota(most=3)).count("a") == 3
    assert sources(2, a=Quota(least=2), b=Quota(least=2)) == "aa"  # no room for both: the first of them
    assert sources(8, b=Quota(least=7)).count("b") == 3  # it names no more


def test_exclusions_and_what_is_allowed_hold_and_given_lists_stay_in_front() -> None:
    asked = replace(
        everybody(1, 5), exclude=np.array([[0]], np.int32), allow=pack_mask(np.array([[1, 1, 1, 1, 0, 0, 0, 0]], bool))
    )
    assert both()(asked).items.tolist() == [[1, 2, 3]]
    given_ = Recs(np.array([[3]], np.int32), np.array([[1]], np.float32))
    assert both()(asked, given_).items.tolist() == [[3, 1, 2]]
    assert both()(replace(asked, k=0)).items.shape == (1, 0)
    assert both()(everybody(0, 3)).items.shape[0] == 0


def test_each_source_is_asked_for_more_where_that_is_said_and_short_lists_are_filled() -> None:
    stage = merge(retrieve(Table(A), name="a"), retrieve(Table(B), name="b"), how="fused", least=3)
    assert stage(everybody(1, 1)).items.tolist() == [[2]]  # third of one, first of the other
    assert merge(*stage.stages, how="fused")(everybody(1, 1)).items.tolist() == [[0]]
    filled = first_of(
        both(quotas=(None, Quota(most=1))), retrieve(StaticScores(np.arange(N, dtype=np.float32)), name="p")
    )
    recs = filled(everybody(1, 6))
    assert recs.columns["source"][0].tolist() == ["a", "b", "a", "p", "p", "p"]


def test_a_ranker_is_told_of_all_that_named_an_item() -> None:
    class Told(Table):
        pair_names = ("source.a", "source.b")

        def score(self, queries: Queries, items: Ids | None = None) -> Floats:
            self.pairs = queries.pairs
            return super().score(queries, items)

    ranker = Told(scores(range(N)))
    recs = chain(both(), rank(ranker, name="r"))(everybody(1, 5))
    assert recs.items.tolist() == [[4, 3, 2, 1, 0]]
    merged = both()(everybody(1, 5)).items[0].tolist()
    third = merged.index(2)
    np.testing.assert_allclose(ranker.pairs["source.a"][0, third], [1, -1.2247], atol=1e-4)
    np.testing.assert_allclose(ranker.pairs["source.b"][0, third], [1, 0.9806], atol=1e-4)
    assert np.isnan(ranker.pairs["source.b"][0, merged.index(0)]).all()
    np.testing.assert_array_equal(recs.columns["score.r"], scores([4, 3, 2, 1, 0]))


def test_it_is_described_and_made_again() -> None:
    a, b = (StaticScores(np.arange(3, dtype=np.float32) * sign) for sign in (1, -1))
    stage = merge(
        retrieve(a, name="a"), retrieve(b, name="b", k=2), how="normalised", weights=(1, 3), quotas=(None, Quota(1, 2)),
        least=5,
    )  # fmt: skip
    header = to_dict(stage)
    again = from_dict(header, {"a": a, "b": b})
    assert to_dict(again) == header and header["stage"] == "merge"
    asked = Queries.of([[]], k=3)
    assert again(asked).items.tolist() == stage(asked).items.tolist()
    with pytest.raises(SerendipError, match="least ≥ 0 and most ≥ least"):
        from_dict({**header, "quotas": [{"least": 3, "most": 1}, {}]}, {"a": a, "b": b})
    with pytest.raises(SerendipError, match=r"not valid: Invalid enum value 'best'"):
        from_dict({**header, "how": "best"}, {"a": a, "b": b})


def test_what_cannot_be_merged_is_refused() -> None:
    a, b = (retrieve(StaticScores(np.zeros(2, np.float32)), name=name) for name in "ab")
    for wrong, text in (
        ({"weights": (1,)}, r"must be a number above 0 for each of the 2 stages\. Got \[1\.0\]"),
        ({"weights": (1, 0)}, r"Got \[1\.0, 0\.0\]"),
        ({"quotas": (None,)}, r"must be one for each of the 2 stages\. Got 1"),
        ({"quotas": (None, Quota(-1))}, r"Got least = -1, most = None"),
        ({"how": "best"}, r"must be one of round_robin, normalised, fused\. Got 'best'"),
        ({"least": 0}, r"merge\(least=…\) must be at least 1"),
    ):
        with pytest.raises(SerendipError, match=text):
            merge(a, b, **wrong)
    with pytest.raises(SerendipError, match="must have different names"):
        merge(a, retrieve(StaticScores(np.zeros(2, np.float32)), name="A"))
    with pytest.raises(SerendipError, match="merge must be given at least one stage"):
        merge()
