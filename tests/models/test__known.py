from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from serendip.data.dataset import Dataset
from serendip.models._known import Normalize, related, rows_of, sums
from serendip.types import SerendipError

ACTIVE = np.array([True, True, False])
NOBODY = csr_array((3, 3), dtype=np.float32)


def part(values: Any) -> csr_array:
    return csr_array(np.array(values, np.float32))


def trusting(**tables: list[tuple[int, int]]) -> Dataset:
    events = pl.DataFrame({"user_id": [0, 1, 2, 3], "item_id": [0, 1, 0, 1]})
    frames = {name: pl.DataFrame(rows, schema=["user_id", "other_id"], orient="row") for name, rows in tables.items()}
    return Dataset.from_frames(events, relations=frames or None)


def test_an_identity_stands_first_and_what_only_others_have_is_left_out() -> None:
    # Rows 0 and 1 are in the log, row 2 is not: its own second value, and its identity, are nothing that can be learnt.
    rows = rows_of(ACTIVE, True, [part([[3, 0], [0, 0], [4, 5]])], "none", NOBODY)
    np.testing.assert_array_equal(rows.toarray(), [[1, 0, 3], [0, 1, 0], [0, 0, 4]])
    np.testing.assert_array_equal(rows.indices[rows.indptr[:2]], [0, 1])


@pytest.mark.parametrize(("normalize", "expected"), [("l2", [0.6, 0.8]), ("l1", [3 / 7, 4 / 7]), ("none", [3, 4])])
def test_rows_are_made_of_one_length(normalize: Normalize, expected: list[float]) -> None:
    rows = rows_of(ACTIVE, False, [part([[3], [0], [1]]), part([[4], [0], [1]])], normalize, NOBODY)
    np.testing.assert_allclose(rows.toarray()[0], expected, rtol=1e-6)
    assert rows.toarray()[1].tolist() == [0, 0]


def test_others_share_the_identities_and_come_after_the_own() -> None:
    others = part([[0, 0, 0.5], [0.3, 0, 0], [0, 0.2, 0]])
    rows = rows_of(ACTIVE, True, [part([[2], [2], [2]])], "none", others)
    np.testing.assert_allclose(rows.toarray(), [[1, 0, 0.5, 2], [0.3, 1, 0, 2], [0, 0.2, 0, 2]], rtol=1e-6)
    assert rows.indices[rows.indptr[1]] == 1
    assert rows_of(ACTIVE, False, [part([[2], [2], [2]])], "none", others).shape == (3, 1)


def test_sums_are_those_of_the_features() -> None:
    vectors = np.array([[1, 2], [3, 4]], np.float32)
    np.testing.assert_array_equal(sums(part([[1, 2], [0, 0]]), vectors), [[7, 10], [np.nan, np.nan]])


def test_the_related_are_averaged_in_one_direction() -> None:
    data = trusting(friends=[(0, 1), (0, 2), (0, 1), (1, 1), (3, 0)], trust=[(1, 3)])
    friends = np.array([[0, 0.5, 0.5, 0], [0] * 4, [0] * 4, [1, 0, 0, 0]])
    np.testing.assert_allclose(related(data, "m", "friends").toarray(), friends)
    both = related(data, "m", "auto").toarray()
    np.testing.assert_allclose(both, [friends[0], np.array([0, 0, 0, 1]), friends[2], friends[3]])
    np.testing.assert_allclose(related(data, "m", "trust, friends").toarray(), both)
    for nothing in ("none", ""):
        assert related(data, "m", nothing).nnz == 0
    assert related(trusting(), "m", "auto").shape == (4, 4)


def test_an_unknown_relation_is_named() -> None:
    with pytest.raises(SerendipError, match=r"m: relation_names must .* Got 'foes' instead\. There are: friends\."):
        related(trusting(friends=[(0, 1)]), "m", "friends, foes")
