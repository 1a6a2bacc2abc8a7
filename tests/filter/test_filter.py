"""Filters: what they allow of a table, and what is said of those that cannot be read or do not fit."""

import datetime
import operator

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serendip.filter import Filter, FilterError, parse
from serendip.filter.language import Both, Compare, Either, In, Not, read, written
from serendip.types import unpack_mask

ITEMS = pl.DataFrame(
    {
        "item_id": [10, 11, 12, 13, 14],
        "price": [5.0, 20.0, None, float("nan"), 30.0],
        "category": ["a", "b", "c", None, "a"],
        "genres": [["Comedy", "Drama"], ["Drama"], [], None, ["Comedy"]],
        "tags": ["red|blue", "blue", None, "green | red", ""],
        "new": [True, False, None, True, False],
        "out": [datetime.date(2026, 1, day) for day in (1, 2, 3, 4, 5)],
        "seen": [datetime.datetime(2026, 1, 1, hour) for hour in (1, 2, 3, 4, 5)],
        "two words": [1, 2, 3, 4, 5],
        "shape": [[0.5, 1.5]] * 5,
        "nested": [{"x": 1}] * 5,
    },
    schema_overrides={"shape": pl.Array(pl.Float32, 2)},
)


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("price < 20", [0]),
        ("price <= 20", [0, 1]),
        ("price != 20", [0, 4]),
        ("not price < 20", [1, 4]),
        ("price is missing", [2, 3]),
        ("price is not missing", [0, 1, 4]),
        ('category in ["a", "b"] and price < 25', [0, 1]),
        ('category not in ["a"]', [1, 2]),
        ("category in []", []),
        ("category not in []", [0, 1, 2, 4]),
        ("category >= 'b'", [1, 2]),
        ('genres has "Comedy"', [0, 4]),
        ('genres not has "Comedy"', [1, 2]),
        ('tags has "red"', [0, 3]),
        ('tags has "re"', []),
        ("shape has 1.5", [0, 1, 2, 3, 4]),
        ("new == true", [0, 3]),
        ("new in [false]", [1, 4]),
        ('out > "2026-01-03"', [3, 4]),
        ('out in ["2026-01-03"]', [2]),
        ('seen < "2026-01-01T03:00:00Z"', [0, 1]),
        ("`two words` >= 4", [3, 4]),
        ("item_id in [10, 14.0]", [0, 4]),
        ('category == "a" or category == "b" and price > 25', [0, 4]),
        ('(category == "a" or category == "b") AND NOT price > 25', [0, 1]),
        (r'category == "\a"', [0, 4]),
        ("nested is not missing", [0, 1, 2, 3, 4]),
        ("price == 1e1 or price == -.5 or price > 2.e1", [4]),
    ],
)
def test_allows(text, codes):
    found = parse(text)
    assert np.flatnonzero(found.mask(ITEMS)).tolist() == codes
    packed = found.allowed(ITEMS)
    assert packed.count == len(codes)
    assert np.flatnonzero(unpack_mask(packed.bits, len(ITEMS))[0]).tolist() == codes
    assert found.mask(ITEMS.clear()).tolist() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "A filter must be a text such as category in"),
        ("price", "must have ==, !=, <=, >=, <, >, in, has or is at character 6. Got the end"),
        ("price = 3", "at character 7. Got '='"),
        ("price = 3", "Try: == for equal."),
        ("price < cheap", "a text in quotes, a number, true or false at character 9. Got 'cheap'"),
        ("price < 3 price", "must have and, or, or the end at character 11"),
        ("price not < 3", "must have in or has at character 11"),
        ("price in 3", "must have a list in square brackets at character 10"),
        ("price in [3", "must have a comma or a closing bracket at character 12. Got the end"),
        ("(price < 3", "must have a closing parenthesis, and, or or at character 11"),
        ('category == "a', "must have a closing quote at character 13"),
        ("price < $3", "must have names, signs, texts in quotes and numbers only at character 9. Got '$3'"),
        ("price < 99999999999999999999", "must have numbers that 64 bits can hold"),
        ("price < 1e999", "must have numbers that 64 bits can hold"),
        ("(" * 60 + "price < 3" + ")" * 60, "must be nested at most 50 deep"),
        ("not " * 60 + "price < 3", "must be nested at most 50 deep"),
        ("x" * 10_001, "must have at most 10,000 characters. Got 10,001"),
        ("and < 3", "must have the name of an attribute at character 1. Got 'and'"),
    ],
)
def test_refuses_what_is_no_filter(text, said):
    with pytest.raises(FilterError) as caught:
        parse(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pice < 3", "about attributes of the items: item_id, price, category"),
        ("pice < 3", "Got 'pice' instead. Did you mean 'price'?"),
        ('price < "3"', "'price' (number): < must come with a number. Got '3'."),
        ("price == true", "== must come with a number. Got True."),
        ("category == 3", "'category' (text): == must come with a text in quotes. Got 3."),
        ("new < true", "must come with true or false, after == or !="),
        ("out == 3", 'must come with a date in quotes, such as "2026-01-31". Got 3.'),
        ('out == "May"', 'a date must be written such as "2026-01-31"'),
        ('genres == "Comedy"', "== cannot be about an attribute with several values. Try: has."),
        ("genres has 3", "has must come with a text in quotes. Got 3."),
        ("price has 3", "has must be about an attribute with several values"),
        ("tags has 3", "has must come with a text in quotes"),
        ("nested == 3", "no condition but is missing can be about an attribute of this type"),
    ],
)
def test_refuses_what_does_not_fit(text, said):
    found = parse(text)
    for table in (ITEMS, ITEMS.clear()):
        with pytest.raises(FilterError) as caught:
            found.mask(table)
        assert said in str(caught.value)


def test_reads_what_binds_first():
    a, b, c = (Compare(name, "==", 1) for name in "abc")
    assert read("a == 1 or b == 1 and not c == 1") == Either((a, Both((b, Not(c)))))
    assert read("a in [1, 'x', true]") == In("a", (1, "x", True))
    assert parse("b == 1 and (a == 1 or b == 1)").names == ("b", "a")
    assert parse("a == 1") == Filter("a == 1", a)


ORDERS = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}

CONDITIONS = st.recursive(
    st.one_of(
        st.tuples(st.sampled_from(sorted(ORDERS)), st.integers(0, 6)).map(
            lambda pair: (f"n {pair[0]} {pair[1]}", lambda row: None if row["n"] is None
                          else ORDERS[pair[0]](row["n"], pair[1]))
        ),
        st.sets(st.sampled_from("abcd")).map(
            lambda some: (f"c in [{', '.join(map(repr, sorted(some)))}]",
                          lambda row: None if row["c"] is None else row["c"] in some)
        ),
        st.sampled_from("abcd").map(
            lambda one: (f"l has '{one}'", lambda row: None if row["l"] is None else one in row["l"])
        ),
        st.sampled_from("ncl").map(lambda name: (f"{name} is missing", lambda row: row[name] is None)),
    ),
    lambda parts: st.one_of(
        parts.map(lambda part: (f"not ({part[0]})", lambda row: _not(part[1](row)))),
        st.tuples(parts, parts).map(
            lambda two: (f"({two[0][0]}) and ({two[1][0]})", lambda row: _and(two[0][1](row), two[1][1](row)))
        ),
        st.tuples(parts, parts).map(
            lambda two: (f"({two[0][0]}) or ({two[1][0]})",
                         lambda row: _not(_and(_not(two[0][1](row)), _not(two[1][1](row)))))
        ),
    ),
    max_leaves=6,
)  # fmt: skip


def _not(value):
    return None if value is None else not value


def _and(left, right):
    """Of three truth values: false if one is, else unknown if one is."""
    return False if False in (left, right) else None if None in (left, right) else True


@settings(max_examples=150, deadline=None)
@given(
    CONDITIONS,
    st.lists(
        st.tuples(
            st.none() | st.integers(0, 6),
            st.none() | st.sampled_from("abcd"),
            st.none() | st.lists(st.sampled_from("abcd"), max_size=2),
        ),
        min_size=1,
        max_size=8,
    ),
)
def test_any_filter_allows_what_its_words_say(condition, rows):
    text, means = condition
    table = pl.DataFrame(
        [dict(zip("ncl", row, strict=True)) for row in rows],
        schema={"n": pl.Int64, "c": pl.String, "l": pl.List(pl.String)},
    )
    allowed = parse(text).mask(table).tolist()
    assert allowed == [means(row) is True for row in table.iter_rows(named=True)]
    assert parse(written(read(text))).mask(table).tolist() == allowed
    for row, fits in enumerate(allowed):
        unmet = parse(text).unmet(table[row])
        assert (not unmet) == fits
        assert not any(parse(one.condition).mask(table[row])[0] for one in unmet)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("price < 40 and c == 'a'", []),
        ("price < 20 and c == 'a'", [("price < 20", (("price", 35),))]),
        ("price < 20 and (c != 'a' and n > 3)", ["price < 20", 'c != "a"', "n > 3"]),
        ("n > 3", [("n > 3", (("n", None),))]),
        ("price < 20 or l has 'z'", [('price < 20 or l has "z"', (("price", 35), ("l", ["x", "y"])))]),
        ("not (c == 'a' or n is missing)", ['not (c == "a" or n is missing)']),
        ("l not has 'x' and `in` not in [1]", ['l not has "x"', "`in` not in [1]"]),
    ],
)
def test_what_does_not_fit_is_the_smallest_conditions_that_must(text, expected):
    row = pl.DataFrame({"price": [35], "c": ["a"], "n": [None], "l": [["x", "y"]], "in": [1]},
                       schema_overrides={"n": pl.Int64})  # fmt: skip
    found = parse(text).unmet(row)
    assert [(one.condition, one.values) if isinstance(part, tuple) else one.condition
            for one, part in zip(found, expected, strict=True)] == expected  # fmt: skip
