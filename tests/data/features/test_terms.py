"""Categories and words, fitted once and applied to other rows."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from serendip.data.features.terms import Terms
from serendip.types import SerendipError

TABLE = pl.DataFrame(
    {"item_id": [1, 2, 3], "genre": ["a|b", "b", None], "title": ["Red Hat", "red shoe", "hat"], "price": [1, 2, 3]}
)
HOW: dict[str, Any] = {"share": 0.5, "min_items": 1, "max_share": 1.0, "max_words": 100}


@pytest.fixture(scope="module")
def terms() -> Terms:
    return Terms.unpack(Terms.fit(TABLE, ["genre"], ["title"], **HOW).pack())


def test_rows_are_the_same_alone_and_together(terms: Terms) -> None:
    whole = terms.rows(TABLE).toarray()
    np.testing.assert_array_equal(np.concatenate([terms.rows(TABLE[[row]]).toarray() for row in range(3)]), whole)
    np.testing.assert_allclose((whole**2).sum(axis=1), 1, rtol=1e-5)
    assert terms.tokens[: terms.own] == ("genre=a", "genre=b")
    assert terms.tokens[terms.own :] == ("hat", "red", "shoe")


def test_what_was_not_fitted_says_nothing(terms: Terms) -> None:
    new = pl.DataFrame({"genre": ["c", "b|c", "b,a"], "title": [None, None, "green"]})
    found = terms.rows(new).toarray()
    assert found[0].tolist() == [0] * 5
    assert found[1].tolist() == [0, 1, 0, 0, 0]
    assert found[2].tolist() == [0] * 5
    assert terms.rows(pl.DataFrame({"other": [1, 2]})).shape == (2, 5)
    assert terms.renamed({"title": "name"}).rows(pl.DataFrame({"name": ["hat"]})).toarray()[0, 2] == 1


@pytest.mark.parametrize(
    "change",
    [{"idf": b"\0" * 8}, {"own": 9}, {"separators": {}}, {"tokens": ("a", "a", "b", "c", "d")}, {"share": 2.0}],
)
def test_what_is_stored_is_not_trusted(terms: Terms, change: dict[str, Any]) -> None:
    packed = msgspec.msgpack.encode({**msgspec.to_builtins(terms, builtin_types=(bytes,)), **change})
    with pytest.raises(SerendipError, match="as they were stored"):
        Terms.unpack(np.frombuffer(packed, np.uint8))
    with pytest.raises(SerendipError, match="as they were stored"):
        Terms.unpack(np.frombuffer(b"nothing", np.uint8))
