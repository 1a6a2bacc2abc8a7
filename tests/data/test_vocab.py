"""External ids ↔ codes: round trips, integers and their texts, what cannot be an id."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serendip.data.vocab import Vocab, factorise, normalise
from serendip.types import ABSENT, SerendipError

integers = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Z", "Cc"]), min_size=1, max_size=8)
id_lists = st.one_of(st.lists(integers, min_size=1), st.lists(texts, min_size=1))


@given(id_lists)
def test_encoding_and_decoding_give_the_ids_back(ids: list[Any]) -> None:
    vocab = Vocab.build(pl.Series(ids))
    codes = vocab.encode(pl.Series(ids))
    assert codes.dtype == np.int32
    assert vocab.decode(codes).to_list() == ids
    assert [vocab.find(one) for one in ids] == codes.tolist()


@given(id_lists, st.randoms())
def test_codes_do_not_depend_on_the_order_of_rows(ids: list[Any], random: Any) -> None:
    shuffled = ids.copy()
    random.shuffle(shuffled)
    assert (
        Vocab.build(pl.Series(shuffled)).ids.to_list() == Vocab.build(pl.Series(ids)).ids.to_list() == sorted(set(ids))
    )


@given(st.lists(integers, min_size=1))
def test_integers_are_found_by_their_texts_and_answered_as_integers(ids: list[int]) -> None:
    vocab = Vocab.build(pl.Series(ids))
    written = [str(one) for one in ids]
    assert vocab.is_integer
    assert vocab.encode(written).tolist() == vocab.encode(ids).tolist() == [vocab.find(one) for one in written]
    assert vocab.decode(vocab.encode(written)).to_list() == ids


def test_text_ids_are_found_by_the_integers_they_write() -> None:
    vocab = Vocab.build(pl.Series(["1", "a"]))
    assert not vocab.is_integer
    assert vocab.find(1) == vocab.find("1") == 0
    assert vocab.encode([1, "a", 2]).tolist() == [0, 1, ABSENT]
    assert vocab.decode(vocab.encode([1])).to_list() == ["1"]


@pytest.mark.parametrize("value", ["007", "+7", "7.0", "", " ", "seven", "٧", None, True, 7.0, [7], "9" * 30, 2**70])
def test_what_is_not_the_id_7_is_not_found(value: object) -> None:
    vocab = Vocab.build(pl.Series([0, 1, 7]))
    assert vocab.find(value) == ABSENT
    if isinstance(value, str) or value is None:
        assert vocab.encode([value]).tolist() == [ABSENT]


def test_blanks_around_an_id_do_not_count() -> None:
    assert Vocab.build(pl.Series([7])).find(" 7 ") == 0
    assert Vocab.build(pl.Series([7])).encode([" 7"]).tolist() == [0]
    assert Vocab.build(pl.Series(["a"])).find(" a") == 0
    assert Vocab.build(pl.Series(["a"])).encode(["a "]).tolist() == [0]


def test_nineteen_digits_are_still_an_integer() -> None:
    largest = 2**63 - 1
    assert Vocab.build(pl.Series([1, largest])).find(str(largest)) == 1
    assert Vocab.build(pl.Series([-largest])).find(-largest) == 0


def test_unknown_and_missing_ids_are_absent() -> None:
    vocab = Vocab.build(pl.Series([3, 1]), pl.Series([None, 2]))
    assert vocab.ids.to_list() == [1, 2, 3]
    assert vocab.encode(pl.Series([2, None, 9])).tolist() == [1, ABSENT, ABSENT]
    assert vocab.decode(np.array([ABSENT, 2, ABSENT], np.int32)).to_list() == [None, 3, None]
    assert vocab.encode([]).tolist() == []
    assert vocab.decode(np.empty(0, np.int32)).to_list() == []


def test_an_empty_vocabulary_knows_nobody() -> None:
    for vocab in (Vocab.build(), Vocab.build(pl.Series([], dtype=pl.String)), Vocab(pl.Series([], dtype=pl.String))):
        assert len(vocab) == 0
        assert vocab.find("a") == vocab.find(1) == ABSENT
        assert vocab.encode(["a", "1"]).tolist() == [ABSENT, ABSENT]


def test_one_text_column_makes_all_ids_texts() -> None:
    assert Vocab.build(pl.Series([2, 10]), pl.Series(["x"])).ids.to_list() == ["10", "2", "x"]
    assert Vocab.build(pl.Series([2, 10]), pl.Series([], dtype=pl.String)).ids.to_list() == [2, 10]


def test_extending_keeps_the_codes_that_are_there() -> None:
    vocab = Vocab.build(pl.Series([5, 3]))
    more = vocab.extend(pl.Series([4, 5, 1]))
    assert more.ids.to_list() == [3, 5, 1, 4]
    assert more.encode([3, 5, 1, 4, 2]).tolist() == [0, 1, 2, 3, ABSENT]
    assert vocab.ids.to_list() == [3, 5]
    assert vocab.extend(pl.Series(["9", "3"])).ids.to_list() == [3, 5, 9]
    assert Vocab.build(pl.Series(["b"])).extend(pl.Series([1])).ids.to_list() == ["b", "1"]
    with pytest.raises(SerendipError, match=r"ids must be integers, as those that are there\. Got 'x' instead"):
        vocab.extend(pl.Series(["x"]))


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pl.Series([1, 255], dtype=pl.UInt8), [1, 255]),
        (pl.Series([1, 2**63], dtype=pl.UInt64), ["1", str(2**63)]),
        (pl.Series([1, 2**40], dtype=pl.UInt64), [1, 2**40]),
        (pl.Series([1.0, None, float("nan"), 3.0]), [1, None, None, 3]),
        (pl.Series(["x", "y"], dtype=pl.Categorical), ["x", "y"]),
        (pl.Series(["x", "y"], dtype=pl.Enum(["y", "x"])), ["x", "y"]),
        (pl.Series([Decimal("12"), Decimal("3")]), [12, 3]),
        (pl.Series([None, None]), [None, None]),
    ],
)
def test_many_types_hold_ids(column: pl.Series, expected: list[Any]) -> None:
    assert normalise(column).to_list() == expected


@pytest.mark.parametrize(
    ("column", "came"),
    [
        (pl.Series([1.0, 1.5]), "the number 1.5"),
        (pl.Series([1.0, float("inf")]), "the number inf"),
        (pl.Series([2.0**60]), "the number 1.15"),
        (pl.Series([[1], [2]]), r"List\(Int64\)"),
        (pl.Series([True]), "Boolean"),
        (pl.Series([b"x"]), "Binary"),
        (pl.Series([Decimal("1.5")]), "Decimal"),
    ],
)
def test_other_types_are_refused(column: pl.Series, came: str) -> None:
    with pytest.raises(SerendipError, match=f"ids must be integers or text. Got {came}"):
        normalise(column)


def test_a_vocabulary_holds_integers_or_texts_only() -> None:
    with pytest.raises(TypeError, match=r"must be Int64 or String\. Got Float64"):
        Vocab(pl.Series([1.0]))


@given(st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "", "c"]))))
def test_factorising_gives_distinct_values_and_where_they_are(column: list[str | None]) -> None:
    coded = factorise(pl.Series(column, dtype=pl.String))
    values = coded.values.to_list()
    assert len(values) == len(set(values))
    assert [None if code == ABSENT else values[code] for code in coded.codes] == column
    assert coded.codes.dtype == np.int32


def test_factorising_several_chunks() -> None:
    column = pl.concat([pl.Series(["a", "b"]), pl.Series(["b", None, "c"])], rechunk=False)
    coded = factorise(column)
    assert coded.codes.tolist() == [0, 1, 1, ABSENT, 2]
    assert coded.values.to_list() == ["a", "b", "c"]
