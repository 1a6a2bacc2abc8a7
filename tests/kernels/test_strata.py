from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.kernels.strata import Part, Strata, block_count


def matrix(users: int = 40, items: int = 60) -> csr_array:
    return csr_array((np.random.default_rng(0).random((users, items)) < 0.2).astype(np.float32))


def strata(blocks: int = 4, threads: int = 1, seed: int = 0) -> Strata:
    own = np.arange(60, dtype=np.float32)
    return Strata(matrix(), [own], rng=np.random.default_rng(seed), threads=threads, blocks=blocks)


@pytest.mark.parametrize("blocks", [1, 4, 7])
def test_an_epoch_shows_each_event_once(blocks: int) -> None:
    dealt = strata(blocks)
    for _ in range(2):
        seen: list[tuple[int, int]] = []
        parts: list[Part] = []

        def note(part: Part, seen: Any = seen, parts: Any = parts) -> None:
            rows = slice(part.first, part.last)
            codes = dealt.items[0][part.items[rows]].astype(int)  # the row says which item it is
            seen += zip(part.users[rows].tolist(), codes.tolist(), strict=True)
            parts.append(part)
            assert ((part.items[rows] >= part.low) & (part.items[rows] < part.high)).all()
            assert (np.diff(part.users[rows]) >= 0).all()

        dealt.epoch(note)
        assert sorted(seen) == list(zip(*(side.tolist() for side in matrix().nonzero()), strict=True))
        assert len({int(part.seed) for part in parts}) == len(parts) == blocks**2


def test_items_are_dealt_anew_and_put_back() -> None:
    dealt = strata()
    dealt.epoch(lambda part: None)
    once = dealt.items[0].copy()
    dealt.epoch(lambda part: None)
    assert not np.array_equal(once, dealt.items[0])
    np.testing.assert_array_equal(dealt.by_item(dealt.items[0]), np.arange(60))


def test_the_arrays_given_stay_as_they_were() -> None:
    own = np.arange(60, dtype=np.float32)
    dealt = Strata(matrix(), [own], rng=np.random.default_rng(0), threads=1, blocks=4)

    def clear(part: Part) -> None:
        dealt.items[0][part.low : part.high] = 0

    dealt.epoch(clear)
    np.testing.assert_array_equal(own, np.arange(60))
    assert not dealt.items[0].any()


def test_what_is_learned_does_not_depend_on_threads() -> None:
    results = []
    for threads in (1, 2, 4):
        dealt, users = strata(blocks=5, threads=threads), np.ones(40, np.float64)

        def learn(part: Part, dealt: Any = dealt, users: Any = users) -> None:
            for user, item in zip(part.users[part.first : part.last], part.items[part.first : part.last], strict=True):
                users[user] = np.sin(users[user] + dealt.items[0][item] + int(part.seed) % 7)
                dealt.items[0][item] += np.float32(users[user])

        for _ in range(3):
            dealt.epoch(learn)
        results.append((users, dealt.by_item(dealt.items[0])))
    for users, items in results[1:]:
        np.testing.assert_array_equal(users, results[0][0])
        np.testing.assert_array_equal(items, results[0][1])


def test_an_error_in_a_part_comes_out() -> None:
    def fail(part: Part) -> None:
        raise ValueError("of this part")

    for threads in (1, 3):
        with pytest.raises(ValueError, match="of this part"):
            strata(threads=threads).epoch(fail)


def test_nothing_to_learn_from() -> None:
    empty = Strata(csr_array((0, 0), dtype=np.float32), [np.empty((0, 3), np.float32)], rng=np.random.default_rng(0))
    parts: list[Part] = []
    empty.epoch(parts.append)
    assert [part.last - part.first for part in parts] == [0]


@pytest.mark.parametrize(
    ("n", "row_bytes", "expected"),
    [(0, 256, 1), (300, 256, 1), (1024, 256, 4), (10_000, 4, 8), (40_981, 256, 11), (10_000_000, 256, 64)],
)
def test_blocks_fit_the_cache_and_hold_enough(n: int, row_bytes: int, expected: int) -> None:
    assert block_count(n, row_bytes) == expected
