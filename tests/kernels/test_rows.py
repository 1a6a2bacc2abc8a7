"""Gradients go to their rows, in the order they came in."""

from __future__ import annotations

import numpy as np

from serendip.kernels.rows import grouped, merged


def test_positions_of_a_row_stand_together_in_their_order() -> None:
    found = grouped(np.array([5, 0, 5, 2, 0]))
    assert found.rows.tolist() == [0, 2, 5]
    parts = [found.order[begin:end].tolist() for begin, end in zip(found.begins, found.ends, strict=True)]
    assert parts == [[1, 4], [3], [0, 2]]


def test_padding_has_no_group() -> None:
    found = grouped(np.array([5, 0, 5, 2, 0]), padding=0)
    assert found.rows.tolist() == [2, 5]
    assert [found.order[begin] for begin in found.begins] == [3, 0]
    assert len(grouped(np.zeros(3, np.int64), padding=0).rows) == 0


def test_no_rows_at_all() -> None:
    assert len(grouped(np.zeros(0, np.int64)).rows) == 0
    assert merged(grouped(np.zeros(0, np.int64)), np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_large_row_numbers_keep_their_order() -> None:
    found = grouped(np.array([2**31 - 1, 0, 2**31 - 1]))
    assert found.rows.tolist() == [0, 2**31 - 1]


def test_merged_is_a_sum_by_row() -> None:
    rng = np.random.default_rng(0)
    for d in (1, 7, 64):
        rows, gradients = rng.integers(0, 30, 200), rng.standard_normal((200, d), np.float32)
        expected = np.zeros((30, d))
        np.add.at(expected, rows, gradients.astype(np.float64))
        found = grouped(rows)
        np.testing.assert_allclose(merged(found, gradients), expected[found.rows], rtol=1e-4, atol=1e-5)
