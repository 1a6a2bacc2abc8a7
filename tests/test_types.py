"""The values everything passes through: lists, truths, queries, masks."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serendip.types import ABSENT, Queries, Recs, Truth, as_rows, pack_mask, unpack_mask

A = ABSENT
lists = st.lists(st.lists(st.integers(0, 6), max_size=5, unique=True), min_size=1, max_size=4)


def recs(rows: list[list[int]], width: int | None = None) -> Recs:
    """Lists of items whose scores are 10, 9, 8 …"""
    k = max([len(row) for row in rows], default=0) if width is None else width
    items = np.full((len(rows), k), A, np.int32)
    scores = np.full((len(rows), k), -np.inf, np.float32)
    for number, row in enumerate(rows):
        items[number, : len(row)] = row
        scores[number, : len(row)] = 10 - np.arange(len(row))
    return Recs(items, scores)


def plain(found: Recs) -> list[list[int]]:
    """The lists without padding; fails if an `ABSENT` stands before an item."""
    for row in found.items:
        assert not (np.diff((row != A).astype(int)) > 0).any(), f"a gap in {row}"
    assert np.isneginf(found.scores[found.items == A]).all()
    return [[item for item in row if item != A] for row in found.items.tolist()]


def test_keep_moves_what_stays_to_the_left_with_its_score_and_columns() -> None:
    start = Recs(
        np.array([[4, 2, 7], [1, 3, A]], np.int32),
        np.array([[3, 2, 1], [5, 4, -np.inf]], np.float32),
        {"source": np.array([["a", "b", "c"], ["d", "e", ""]]), "p": np.array([[0.1, 0.2, 0.3], [0.4, 0.5, np.nan]])},
        ("a note",),
    )
    kept = start.keep(np.array([[True, False, True], [False, True, False]]))
    assert kept.items.tolist() == [[4, 7, A], [3, A, A]]
    assert kept.scores.tolist() == [[3, 1, -np.inf], [4, -np.inf, -np.inf]]
    assert kept.columns["source"].tolist() == [["a", "c", ""], ["e", "", ""]]
    np.testing.assert_array_equal(kept.columns["p"], [[0.1, 0.3, np.nan], [0.5, np.nan, np.nan]])
    assert kept.notes == ("a note",)
    assert start.items.tolist() == [[4, 2, 7], [1, 3, A]], "the list it came from is unchanged"
    assert (kept.items.dtype, kept.scores.dtype) == (np.int32, np.float32)


@pytest.mark.parametrize(
    ("values", "blank"),
    [
        (np.array([[1, 2]], np.int16), -1),
        (np.array([[1, 2]], np.uint8), 0),
        (np.array([[True, True]]), False),
        (np.array([["x", "y"]]), ""),
        (np.array([["x", 3]], object), None),
    ],
)
def test_a_column_is_blank_where_there_is_no_item(values: NDArray[np.generic], blank: object) -> None:
    start = Recs(np.array([[5, 6]], np.int32), np.array([[2, 1]], np.float32), {"c": values})
    kept = start.keep(np.array([[False, True]])).columns["c"]
    assert kept.dtype == values.dtype
    assert kept.tolist() == [[values.tolist()[0][1], blank]]


@given(lists, lists)
def test_without_drops_what_is_seen_per_query(rows: list[list[int]], seen: list[list[int]]) -> None:
    seen = (seen * len(rows))[: len(rows)]
    padded = recs(seen).items[:, ::-1]  # padding may stand anywhere
    expected = [[item for item in row if item not in gone] for row, gone in zip(rows, seen, strict=True)]
    assert plain(recs(rows).without(padded)) == expected


def test_without_nothing_is_the_same_list() -> None:
    start = recs([[1, 2]])
    assert start.without(np.empty((1, 0), np.int32)) is start
    assert plain(start.without(np.full((1, 2), A, np.int32))) == [[1, 2]]
    assert plain(Recs.empty(2, 3).without(np.array([[1], [2]], np.int32))) == [[], []]


@given(lists, lists)
def test_fill_appends_what_is_missing_once_and_as_wide_as_the_wider(
    rows: list[list[int]], rest: list[list[int]]
) -> None:
    rest = (rest * len(rows))[: len(rows)]
    left, right = recs(rows), recs(rest)
    filled = left.fill(right)
    k = max(left.items.shape[1], right.items.shape[1])
    expected = [(row + [item for item in more if item not in row])[:k] for row, more in zip(rows, rest, strict=True)]
    assert filled.items.shape[1] == k
    assert plain(filled) == expected


def test_fill_keeps_scores_columns_and_notes_of_both() -> None:
    left = Recs(np.array([[1, A, A]], np.int32), np.array([[0.5, -np.inf, -np.inf]], np.float32),
                {"source": np.array([["a", "", ""]])}, ("x",))  # fmt: skip
    right = Recs(np.array([[1, 2]], np.int32), np.array([[9, 8]], np.float32),
                 {"source": np.array([["popular", "popular"]]), "rank": np.array([[4, 5]])}, ("x", "y"))  # fmt: skip
    both = left.fill(right)
    assert both.items.tolist() == [[1, 2, A]]
    assert both.scores.tolist() == [[0.5, 8.0, -np.inf]], "each keeps the scale of its stage"
    assert both.columns["source"].tolist() == [["a", "popular", ""]]
    assert both.columns["rank"].tolist() == [[A, 5, A]]
    assert both.notes == ("x", "y")


def test_fill_needs_the_same_queries() -> None:
    with pytest.raises(ValueError, match="the same 1 queries"):
        recs([[1]]).fill(recs([[1], [2]]))


def test_top_and_counts() -> None:
    start = recs([[3, 1, 2], [5]])
    assert plain(start.top(2)) == [[3, 1], [5]]
    assert start.counts.tolist() == [3, 1]
    assert len(Recs.empty(4, 2)) == 4
    assert Recs.empty(4, 2).counts.tolist() == [0] * 4


def test_frame_has_external_ids_rank_from_1_and_the_columns() -> None:
    start = Recs(
        np.array([[2, 0], [1, A]], np.int32),
        np.array([[3, 2], [1, -np.inf]], np.float32),
        {"source": np.array([["ials", "popular"], ["popular", ""]])},
    )
    frame = start.frame(pl.Series(["ann", "bob"]), pl.Series([10, 11, 12]))
    assert frame.to_dict(as_series=False) == {
        "user_id": ["ann", "ann", "bob"],
        "item_id": [12, 10, 11],
        "score": [3.0, 2.0, 1.0],
        "rank": [1, 2, 1],
        "source": ["ials", "popular", "popular"],
    }
    assert frame.schema["rank"] == pl.Int32
    empty = Recs.empty(2, 3).frame(pl.Series(["ann", "bob"]), pl.Series([10, 11, 12]))
    assert empty.schema == {"user_id": pl.String, "item_id": pl.Int64, "score": pl.Float32, "rank": pl.Int32}
    assert len(empty) == 0


def test_recs_of_unlike_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Recs.scores must have the shape of items \(1, 2\). Got \(1, 3\) instead"):
        Recs(np.zeros((1, 2), np.int32), np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match=r"Recs\.source must have the shape of items"):
        Recs(np.zeros((1, 2), np.int32), np.zeros((1, 2), np.float32), {"source": np.array([["a"]])})


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), max_size=6), st.data())
def test_truth_takes_rows_in_the_order_given(rows: list[list[int]], data: st.DataObject) -> None:
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    truth = Truth(indptr, np.array([item for row in rows for item in row], np.int32))
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8) if rows else st.just([]))
    taken = truth.take(np.array(chosen, np.int64))
    assert len(taken) == len(chosen)
    got = [taken.items[taken.indptr[row] : taken.indptr[row + 1]].tolist() for row in range(len(taken))]
    assert got == [rows[row] for row in chosen]
    assert taken.counts.tolist() == [len(rows[row]) for row in chosen]
    half = truth.take(slice(0, len(rows) // 2))
    assert half.items.tolist() == [item for row in rows[: len(rows) // 2] for item in row]


def test_queries_take_takes_everything_that_has_a_row_per_query() -> None:
    queries = Queries(
        users=np.array([7, 8, A], np.int32),
        history=np.array([[A, 1], [2, 3], [A, A]], np.int32),
        bags={"weight": np.array([[0, 1], [2, 3], [0, 0]], np.float32)},
        features={"age": np.array([1.0, 2.0, np.nan])},
        time=np.array([5, 6, 7]),
        exclude=np.array([[1], [2], [A]], np.int32),
        allow=pack_mask(np.eye(3, 4, dtype=bool)),
        k=4,
    )
    taken = queries.take(np.array([2, 0]))
    assert taken.users.tolist() == [A, 7]
    assert taken.history.tolist() == [[A, A], [A, 1]]
    assert taken.bags["weight"].tolist() == [[0, 0], [0, 1]]
    np.testing.assert_array_equal(taken.features["age"], [np.nan, 1])
    assert (taken.time is not None, taken.exclude is not None, taken.k) == (True, True, 4)
    assert taken.time is not None and taken.time.tolist() == [7, 5]
    assert taken.exclude is not None and taken.exclude.tolist() == [[A], [1]]
    assert taken.allow is not None and unpack_mask(taken.allow, 4).tolist() == np.eye(3, 4, dtype=bool)[[2, 0]].tolist()
    shared = Queries(queries.users, queries.history, allow=pack_mask(np.ones(4, bool))).take(np.array([1]))
    assert shared.allow is not None and len(shared.allow) == 1, "one row for all stays one row for all"


def test_queries_of_plain_lists() -> None:
    queries = Queries.of([[3], [], [1, 2]], users=[0, 1, 2], k=5)
    assert queries.history.tolist() == [[A, 3], [A, A], [1, 2]]
    assert queries.users.tolist() == [0, 1, 2]
    assert Queries.of([[3]]).users.tolist() == [A]
    assert Queries.of([]).history.shape == (0, 0)


@pytest.mark.parametrize("name", ["history", "time", "exclude", "bags", "features", "allow"])
def test_queries_with_a_row_too_many_are_refused(name: str) -> None:
    parts = {
        "history": np.zeros((3, 1), np.int32),
        "time": np.zeros(3, np.int64),
        "exclude": np.zeros((3, 1), np.int32),
        "bags": {"weight": np.zeros((3, 1), np.float32)},
        "features": {"age": np.zeros(3)},
        "allow": np.zeros((3, 1), np.uint8),
    }
    right = {"users": np.zeros(2, np.int32), "history": np.zeros((2, 1), np.int32)}
    with pytest.raises(ValueError, match=f"Queries.{name}.* per user .2.. Got 3 instead"):
        Queries(**{**right, name: parts[name]})


@given(
    st.integers(0, 40).flatmap(
        lambda n: st.lists(st.lists(st.booleans(), min_size=n, max_size=n), min_size=1, max_size=3)
    )
)
def test_masks_survive_packing(rows: list[list[bool]]) -> None:
    mask = np.array(rows, bool).reshape(len(rows), -1)
    packed = pack_mask(mask)
    assert packed.shape == (len(rows), (mask.shape[1] + 7) // 8)
    assert unpack_mask(packed, mask.shape[1]).tolist() == mask.tolist()


def test_bit_i_of_a_mask_is_bit_i_mod_8_of_byte_i_div_8() -> None:
    mask = np.zeros(12, bool)
    mask[[0, 9]] = True
    assert pack_mask(mask).tolist() == [[1, 2]]


def test_as_rows_accepts_one_row_for_all_or_one_each() -> None:
    assert as_rows(None, 2, 5) is None
    one = as_rows(np.array([1, 2], np.int64), 2, 5)
    assert one is not None and one.dtype == np.int32 and one.tolist() == [1, 2]
    each = as_rows(np.array([[1], [2]]), 2, 5)
    assert each is not None and each.tolist() == [[1], [2]]
    with pytest.raises(ValueError, match=r"\[c\] or \[2, c\] item codes. Got an array of shape \(3, 1\) instead"):
        as_rows(np.zeros((3, 1)), 2, 5)
