"""What each change of a history keeps and what it changes."""

from __future__ import annotations

import numpy as np
import pytest

from serendip.nn.augment import crop, left_padded, mask, reorder, right_padded
from serendip.types import ABSENT

A = ABSENT
TOKEN = 99


def many(length: int, rows: int = 600, width: int = 12) -> np.ndarray:
    """The history 0, 1, 2 … so many times, padded wherever chance wants it."""
    rng = np.random.default_rng(5)
    codes = np.full((rows, width), A, np.int32)
    for row in codes:
        row[np.sort(rng.choice(width, length, replace=False))] = np.arange(length)
    return codes


def events(row: np.ndarray) -> list[int]:
    return [int(code) for code in row if code != A]


def test_padding_by_hand() -> None:
    codes = np.array([[A, 3, A, 1], [2, 7, 5, A], [A, A, A, A]], np.int32)
    assert left_padded(codes).tolist() == [[A, A, 3, 1], [A, 2, 7, 5], [A] * 4]
    assert right_padded(codes).tolist() == [[3, 1, A, A], [2, 7, 5, A], [A] * 4]


def test_a_crop_is_a_run_and_starts_anywhere() -> None:
    found = [events(row) for row in crop(many(10), 0.4, np.random.default_rng(0))]
    assert all(row == list(range(row[0], row[0] + 4)) for row in found)
    assert {row[0] for row in found} == set(range(7))


def test_a_crop_keeps_one_of_what_there_is() -> None:
    found = crop(np.array([[A, A, 5], [A, A, A]], np.int32), 0.1, np.random.default_rng(0))
    assert found.tolist() == [[A, A, 5], [A, A, A]]


def test_masks_stand_where_events_were_and_fall_anywhere() -> None:
    found = mask(many(10), 0.3, TOKEN, np.random.default_rng(0))
    hidden = found[:, 2:] == TOKEN
    assert bool((found[:, :2] == A).all())
    assert bool((hidden.sum(axis=1) == 3).all())
    assert bool((found[:, 2:][~hidden] == np.broadcast_to(np.arange(10), hidden.shape)[~hidden]).all())
    # each of 10 places is hidden in .3 of 600 rows: 180, give or take 4 · √(600 · .3 · .7) = 45
    assert np.abs(hidden.sum(axis=0) - 180).max() < 45


def test_a_mask_may_leave_events_out_and_may_have_to_hide_one() -> None:
    found = mask(many(10), 0.3, ABSENT, np.random.default_rng(0))
    assert all(row == sorted(row) and len(row) == 7 for row in map(events, found))
    codes, rng = np.array([[A, 4, 6], [A, A, A]], np.int32), np.random.default_rng(0)
    assert mask(codes, 0.1, TOKEN, rng).tolist() == codes.tolist()
    assert (mask(codes, 0.1, TOKEN, rng, at_least=1) == TOKEN).sum(axis=1).tolist() == [1, 0]


def test_reordering_moves_a_run_only_and_loses_nothing() -> None:
    found = [events(row) for row in reorder(many(10), 0.5, np.random.default_rng(0))]
    assert all(sorted(row) == list(range(10)) for row in found)
    moved = [[place for place, code in enumerate(row) if place != code] for row in found]
    assert all(not places or places[-1] - places[0] < 5 for places in moved)
    assert sum(map(bool, moved)) > 550  # a run of 5 stays in order once in 120 times
    assert {place for places in moved for place in places} == set(range(10))


@pytest.mark.parametrize("change", [crop, reorder, lambda codes, share, rng: mask(codes, share, TOKEN, rng)])
def test_chance_is_the_generators_and_what_came_in_stays(change: object) -> None:
    codes = many(8)
    before = codes.copy()
    one, again, other = (change(codes, 0.5, np.random.default_rng(seed)) for seed in (1, 1, 2))  # type: ignore[operator]
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.array_equal(codes, before)
    assert one.dtype == codes.dtype
    assert one.shape == codes.shape
    with pytest.raises(ValueError, match=r"above 0 and at most 1\. Got 0 instead"):
        change(codes, 0, np.random.default_rng(0))  # type: ignore[operator]
