from __future__ import annotations

from serendip.evaluate.segments import DESCRIPTIONS, liked_counts
from serendip.evaluate.split import cold_users, given, last_out
from tests.evaluate.logs import log


def test_warm_and_cold_are_told_apart() -> None:
    # Training: user 1 has items 5, 6 and user 2 has 5; user 3 only looked at 6; item 7 is listed without events.
    train = log([(1, 5, 1, 1.0), (1, 6, 2, 1.0), (2, 5, 1, 1.0), (3, 6, 1, 0.0)], items=[7])
    split = given(train, log([(1, 7, 3, 1.0), (2, 6, 3, 1.0), (3, 5, 3, 1.0), (4, 5, 3, 1.0), (4, 9, 3, 1.0)]))
    by_user = {name: mask.tolist() for name, mask in split.segments.items()}
    assert by_user["warm_users"] == [True, True, False, False]
    assert by_user["cold_users"] == [False, False, True, True]
    assert by_user["any_cold_item"] == [True, False, False, True]  # 7 is only listed, 9 is unknown
    assert by_user["no_cold_item"] == [False, True, True, False]
    assert set(by_user) <= set(DESCRIPTIONS)
    assert [counts.tolist() for counts in liked_counts(train)] == [[2, 1, 0], [2, 1, 0]]


def test_askers_fall_into_thirds_by_activity() -> None:
    data = log([(user, item, item, 1.0) for user in range(1, 7) for item in range(user + 1)])
    segments = last_out(data).segments  # user u asks after u events
    assert segments["light_users"].tolist() == [True, True, False, False, False, False]
    assert segments["medium_users"].tolist() == [False, False, True, True, False, False]
    assert segments["heavy_users"].tolist() == [False, False, False, False, True, True]


def test_a_segment_of_all_or_none_is_left_out() -> None:
    data = log([(user, item, item, 1.0) for user in range(6) for item in range(4)])
    assert set(last_out(data).segments) == set()
    assert "cold_users" not in cold_users(data, 0.4).segments
