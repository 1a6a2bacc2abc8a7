from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serendip.kernels import pairwise

WORD = (1 << 64) - 1
EVENTS = [(0, 3), (0, 0), (0, 5), (1, 1), (1, 3), (2, 4), (2, 2), (2, 0), (2, 6)]
LOW, HIGH = 0, 8
SEED = 12345


def mixed(state: int) -> int:
    bits = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & WORD
    return bits ^ (bits >> 31)


class Draws:
    """The numbers that the kernels draw, worked out in plain Python."""

    def __init__(self, seed: int) -> None:
        self.state = seed

    def below(self, count: int) -> int:
        self.state = (self.state + 0x9E3779B97F4A7C15) & WORD
        return ((mixed(self.state) >> 32) * count) >> 32


def world(d: int = 5, adaptive: bool = True) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    tables: dict[str, Any] = {"p": rng.normal(0, 0.5, (3, d)), "q": rng.normal(0, 0.5, (8, d))}
    tables["bias"] = rng.normal(0, 0.1, 8)
    out = {name: table.astype(np.float32) for name, table in tables.items()}
    return out | {f"{name}_sums": np.ones_like(table) if adaptive else table[:0].copy() for name, table in out.items()}


def part() -> tuple[Any, ...]:
    users, items = (np.array(side, np.int32) for side in zip(*EVENTS, strict=True))
    return users, items, 0, len(EVENTS), LOW, HIGH, np.uint64(SEED)


def step(tables: Any, u: int, i: int, j: int, pull: float, biased: bool, lr: float, reg: float) -> None:
    """Of one event, in double precision; Adagrad where there are sums."""
    p, q, bias = tables["p"], tables["q"], tables["bias"]
    slopes = {
        ("p", u): pull * (q[i] - q[j]) - reg * p[u],
        ("q", i): pull * p[u] - reg * q[i],
        ("q", j): -pull * p[u] - reg * q[j],
    }
    if biased:
        slopes |= {("bias", i): pull - reg * bias[i], ("bias", j): -pull - reg * bias[j]}
    for (name, row), slope in slopes.items():
        scale: Any = 1.0
        if len(tables["p_sums"]):
            tables[f"{name}_sums"][row] += slope**2
            scale = np.sqrt(tables[f"{name}_sums"][row])
        tables[name][row] = tables[name][row] + lr * slope / scale


def oracle_bpr(tables: Any, popular: bool, biased: bool, lr: float, reg: float) -> None:
    draws = Draws(SEED)
    for u, i in EVENTS:
        own = {item for user, item in EVENTS if user == u}
        for _ in range(pairwise.TRIES):
            j = EVENTS[draws.below(len(EVENTS))][1] if popular else draws.below(HIGH)
            if j not in own:
                margin = tables["p"][u] @ (tables["q"][i] - tables["q"][j]) + tables["bias"][i] - tables["bias"][j]
                step(tables, u, i, j, 1 / (1 + np.exp(margin)), biased, lr, reg)
                break


def oracle_warp(tables: Any, weights: Any, biased: bool, lr: float, reg: float) -> int:
    draws, learned = Draws(SEED), 0
    for u, i in EVENTS:
        own = {item for user, item in EVENTS if user == u}
        for weight in weights:
            j = draws.below(HIGH)
            scores = tables["q"] @ tables["p"][u] + tables["bias"]
            if j not in own and scores[j] > scores[i] - 1:
                step(tables, u, i, j, float(weight), biased, lr, reg)
                learned += 1
                break
    return learned


def tables_of(tables: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(tables[name] for name in ("p", "p_sums", "q", "q_sums", "bias", "bias_sums"))


def doubled(tables: dict[str, Any]) -> dict[str, Any]:
    return {name: table.astype(np.float64) for name, table in tables.items()}


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("popular", [True, False])
@pytest.mark.parametrize("biased", [True, False])
def test_bpr_is_a_sequence_of_single_steps(adaptive: bool, popular: bool, biased: bool) -> None:
    tables = world(adaptive=adaptive)
    expected = doubled(tables)
    oracle_bpr(expected, popular, biased, 0.1, 0.05)
    pairwise.bpr(*part(), popular, biased, *tables_of(tables), np.float32(0.1), np.float32(0.05))
    for name, table in tables.items():
        np.testing.assert_allclose(table, expected[name], rtol=2e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("biased", [True, False])
def test_warp_is_a_sequence_of_single_steps(biased: bool) -> None:
    tables, weights = world(), np.array([2.0, 1.5, 1.0], np.float32)
    tables["bias"][:] += np.linspace(0, 1.5, 8, dtype=np.float32)  # so that some draws find nothing wrong
    expected = doubled(tables)
    learned = oracle_warp(expected, weights, biased, 0.1, 0.05)
    assert 0 < learned < len(EVENTS)
    pairwise.warp(*part(), biased, *tables_of(tables), weights, np.float32(0.1), np.float32(0.05))
    for name, table in tables.items():
        np.testing.assert_allclose(table, expected[name], rtol=2e-5, atol=1e-6, err_msg=name)


def one_event(p: float, own: float, other: float) -> tuple[Any, ...]:
    """A user with item 0 of two, in one dimension; plain steps."""
    empty = np.empty((0, 0), np.float32)
    q, bias = np.array([[own], [other]], np.float32), np.zeros(2, np.float32)
    return np.array([[p]], np.float32), empty, q, empty, bias, empty[0:0, 0:0].reshape(0)


def test_a_step_of_bpr_by_hand() -> None:
    # s_i − s_j = 1·(2 − 1) = 1, σ(−1) = 0.268941; γ = 0.1, λ = 0.5.
    tables = one_event(1, 2, 1)
    first = np.zeros(1, np.int32)
    pairwise.bpr(first, first, 0, 1, 0, 2, np.uint64(1), False, True, *tables, np.float32(0.1), np.float32(0.5))
    assert tables[0][0, 0] == pytest.approx(1 + 0.1 * (0.268941 * 1 - 0.5 * 1), rel=1e-6)
    assert tables[2][0, 0] == pytest.approx(2 + 0.1 * (0.268941 * 1 - 0.5 * 2), rel=1e-6)
    assert tables[2][1, 0] == pytest.approx(1 + 0.1 * (-0.268941 * 1 - 0.5 * 1), rel=1e-6)
    np.testing.assert_allclose(tables[4], [0.0268941, -0.0268941], rtol=1e-5)


def test_a_step_of_warp_by_hand() -> None:
    # 1·1 > 1·1.5 − 1: wrong at the first draw of item 1. The gradient of p is 3·(1.5 − 1) = 1.5, Adagrad divides it by
    # √(1 + 1.5²); that of an item is ±3, divided by √10.
    p, q, bias = np.array([[1.0]], np.float32), np.array([[1.5], [1.0]], np.float32), np.zeros(2, np.float32)
    sums = [np.ones_like(table) for table in (p, q, bias)]
    first, weights = np.zeros(1, np.int32), np.full(50, 3, np.float32)
    pairwise.warp(
        first, first, 0, 1, 0, 2, np.uint64(1), True, p, sums[0], q, sums[1], bias, sums[2], weights,
        np.float32(0.1), np.float32(0),
    )  # fmt: skip
    assert p[0, 0] == pytest.approx(1 + 0.1 * 1.5 / 3.25**0.5, rel=1e-6)
    np.testing.assert_allclose(q[:, 0], [1.5 + 0.3 / 10**0.5, 1 - 0.3 / 10**0.5], rtol=1e-6)
    np.testing.assert_allclose(bias, [0.3 / 10**0.5, -0.3 / 10**0.5], rtol=1e-6)
    np.testing.assert_allclose(sums[0], [[3.25]])


@pytest.mark.parametrize("popular", [True, False])
@pytest.mark.parametrize("loss", ["bpr", "warp"])
def test_an_item_that_the_user_has_is_never_drawn(loss: str, popular: bool) -> None:
    # 200 users with items 0 … 5 of 8 and one with 6 and 7: seen items can only rise, for one user, and only fall when
    # drawn for the other. The bias of 0 … 5 falls by user 200 alone.
    users = np.repeat(np.arange(200, dtype=np.int32), 6)
    items = np.tile(np.arange(6, dtype=np.int32), 200)
    tables = world(d=4)
    p, p_sums = np.zeros((200, 4), np.float32), np.ones((200, 4), np.float32)
    others = [np.zeros_like(tables["q"]), np.ones_like(tables["q"]), np.zeros(8, np.float32), np.ones(8, np.float32)]
    if popular:  # what a part does not hold cannot be drawn by popularity, so nothing is left to draw
        pairwise.bpr(
            users, items, 0, 1200, 0, 8, np.uint64(3), True, True, p, p_sums, *others, np.float32(0.1), np.float32(0)
        )
        assert not others[2].any()
        return
    if loss == "bpr":
        pairwise.bpr(
            users, items, 0, 1200, 0, 8, np.uint64(3), False, True, p, p_sums, *others, np.float32(0.1), np.float32(0)
        )
    else:
        pairwise.warp(
            users, items, 0, 1200, 0, 8, np.uint64(3), True, p, p_sums, *others, np.ones(9, np.float32),
            np.float32(0.1), np.float32(0),
        )  # fmt: skip
    assert (others[2][:6] > 0).all()
    assert (others[2][6:] < 0).all()


@pytest.mark.parametrize("loss", ["bpr", "warp"])
def test_a_user_who_has_everything_teaches_nothing(loss: str) -> None:
    users, items = np.zeros(8, np.int32), np.arange(8, dtype=np.int32)
    tables = world()
    before = doubled(tables)
    rest = (np.ones(9, np.float32),) if loss == "warp" else ()
    kinds = (True,) if loss == "warp" else (False, True)
    kernel = getattr(pairwise, loss)
    kernel(users, items, 0, 8, 0, 8, np.uint64(1), *kinds, *tables_of(tables), *rest, np.float32(0.1), np.float32(0.1))
    for name, table in tables.items():
        np.testing.assert_array_equal(table, before[name])


def test_numbers_are_those_of_splitmix() -> None:
    # The first output for the seed 0 is 0xE220A8397B1DCDAF; of its upper half, times 1000, the integer part.
    assert pairwise.drawn(np.uint64(0x9E3779B97F4A7C15), 1000) == (0xE220A839 * 1000) >> 32
    draws = Draws(7)
    counts = np.bincount([draws.below(10) for _ in range(10_000)], minlength=10)
    assert counts.min() > 880
    assert counts.max() < 1120


def test_events_are_sorted_by_item_block() -> None:
    # Users 0 {2, 0, 3}, 1 {1}, 2 {3, 0}; places are codes turned round, 3 … 0; blocks {0, 1} and {2, 3}.
    starts, columns = np.array([0, 3, 4, 6]), np.array([2, 0, 3, 1, 3, 0], np.int32)
    place, block_of = np.array([3, 2, 1, 0], np.int32), np.array([0, 0, 1, 1], np.uint8)
    users, items, bounds = np.full(6, -1, np.int32), np.full(6, -1, np.int32), np.zeros(3, np.int64)
    pairwise.deal(starts, columns, place, block_of, 0, 3, users, items, bounds)
    np.testing.assert_array_equal(bounds, [0, 3, 6])
    np.testing.assert_array_equal(users, [0, 0, 2, 0, 1, 2])
    np.testing.assert_array_equal(items, [1, 0, 0, 3, 2, 3])
    pairwise.deal(starts, columns, place, block_of, 2, 3, users, items, bounds)
    np.testing.assert_array_equal(bounds, [4, 5, 6])
