from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.kernels.hybrid import LOSSES, learn

LR, REG = 0.1, 0.01


@dataclass
class World:
    """One user with the items ``own``, and one item that may be a negative.

    Attributes:
        x: ``[n, f]`` features of items, their identity first where ``item_identity``.
        a: ``[1, s]`` features of the user.
        near: ``[1, n]``.
    """

    x: Any
    a: Any
    near: Any
    own: Sequence[int]
    negative: int
    loss: str = "bpr"
    weights: Sequence[float] = (2.5,)
    power: float = 0.5
    dropout: float = 0.0
    item_identity: bool = False
    user_identity: bool = False
    d: int = 3
    tables: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(5)
        shapes = {"v": (len(self.x[0]), self.d + 1), "y": (len(self.x[0]), self.d), "w": (len(self.a[0]), self.d)}
        for name, shape in shapes.items():
            self.tables[name] = (rng.normal(0, 0.3, shape), rng.uniform(0.5, 2, shape))

    def learned(self) -> dict[str, Any]:
        """What the kernel makes of the tables in one pass."""
        tables = {name: tuple(part.astype(np.float32) for part in pair) for name, pair in self.tables.items()}
        pending = np.zeros_like(tables["y"][0])
        learn(
            LOSSES.index(self.loss), np.array([0]), np.array([0, len(self.own)]), np.array(self.own, np.int32),
            (*arrays(self.x), int(self.item_identity)), (*arrays(self.a), int(self.user_identity)), arrays(self.near),
            np.array([self.negative], np.int32), np.array(self.weights, np.float32), self.power, self.dropout,
            np.float32(LR), np.float32(REG), tables["v"], tables["y"], tables["w"], pending,
            np.array([7], np.uint64),
        )  # fmt: skip
        assert not pending.any()
        return tables

    def expected(self, order: Sequence[int]) -> dict[str, Any]:
        """The same in plain steps, the events in this order."""
        tables = {name: (pair[0].copy(), pair[1].copy()) for name, pair in self.tables.items()}
        x, a, near = (np.array(part, float) for part in (self.x, self.a[0], self.near[0]))
        said, around = x @ tables["y"][0], near @ x @ tables["y"][0]
        norm = max(len(self.own) - 1, 1) ** -self.power
        changes = []
        for i in order:
            others = sum((said[j] for j in self.own if j != i), np.zeros(self.d))
            z = np.append(a @ tables["w"][0] + around + norm * others, 1)
            mine, other = x[i] @ tables["v"][0], x[self.negative] @ tables["v"][0]
            up, down = slopes(self.loss, z @ mine, z @ other, self.weights[0])
            change = down * other[:-1] - up * mine[:-1]
            if up or down:
                step(tables["v"], x[i], -up * z)
                step(tables["v"], x[self.negative], down * z)
                step(tables["w"], a, change)
            changes.append((i, change))
        total = sum(change for _, change in changes)
        owed = np.outer(near @ x, total)
        for i, change in changes:
            owed += norm * np.outer(x[i], total - change) if len(self.own) > 1 else 0
        touched = (near @ x + (x[list(self.own)].sum(axis=0) if len(self.own) > 1 else 0)) != 0
        for f in np.flatnonzero(touched):
            step(tables["y"], np.eye(len(owed))[f], owed[f])
        return tables


def arrays(dense: Any) -> Any:
    rows = csr_array(np.array(dense, np.float32))
    return rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data


def sigmoid(value: float) -> float:
    return float(1 / (1 + np.exp(-value)))


def slopes(loss: str, own: float, other: float, weight: float) -> tuple[float, float]:
    if loss == "bpr":
        return sigmoid(other - own), sigmoid(other - own)
    if loss == "logistic":
        return sigmoid(-own), sigmoid(other)
    return (weight, weight) if other > own - 1 else (0.0, 0.0)


def step(table: Any, row: Any, slope: Any) -> None:
    numbers, squares = table
    for f in np.flatnonzero(row):
        gradient = row[f] * slope + REG * numbers[f]
        squares[f] += gradient**2
        numbers[f] -= LR * gradient / np.sqrt(squares[f])


def close(found: Any, expected: Any) -> bool:
    return all(
        np.allclose(found[name][part], expected[name][part], rtol=2e-5, atol=2e-6)
        for name in expected
        for part in (0, 1)
    )


X = [[1, 0, 0, 0.5, 0], [0, 1, 0, 0, 2], [0, 0, 1, 0.5, 1], [0, 0, 0, 0.7, 0.1]]


@pytest.mark.parametrize("loss", LOSSES)
def test_one_event_is_one_step(loss: str) -> None:
    world = World(X, [[1, 0.5]], [[0, 0, 0, 0]], own=[0], negative=2, loss=loss)
    assert close(world.learned(), world.expected([0]))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("near", [[[0, 0, 0, 0]], [[0, 0.3, 0, 0.2]]])
def test_a_history_is_summed_without_the_item_itself(loss: str, near: Any) -> None:
    world = World(X, [[1, 0.5]], near, own=[0, 1, 3], negative=2, loss=loss)
    found = world.learned()
    assert sum(close(found, world.expected(order)) for order in permutations(world.own)) == 1


def test_one_step_of_warp_by_hand() -> None:
    # One factor, all vectors 1, squares 1, no bias yet: z = 1, s_i = s_j = 1, the weight is 2. The bias of i has the
    # gradient −2, so its square is 5 and it rises by 0.1 · 2 / √5. The gradient of w is 2 v_j − 2 v_i = 0.
    world = World([[1, 0], [0, 1]], [[1]], [[0, 0]], own=[0], negative=1, loss="warp", weights=[2.0], d=1)
    ones = {"v": (2, 2), "y": (2, 1), "w": (1, 1)}
    world.tables = {name: (np.ones(shape), np.ones(shape)) for name, shape in ones.items()}
    world.tables["v"][0][:, 1] = 0
    found = world.learned()
    assert found["v"][0][0, 1] == pytest.approx(0.2 / 5**0.5, rel=1e-5)
    assert found["v"][0][1, 1] == pytest.approx(-0.2 / 5**0.5, rel=1e-5)
    assert found["v"][1][0, 1] == pytest.approx(5)
    assert found["w"][0][0, 0] == pytest.approx(1 - 0.1 * REG / np.sqrt(1 + REG**2), rel=1e-6)
    assert (found["y"][0] == 1).all()


def test_warp_learns_nothing_where_the_order_is_right_by_the_margin() -> None:
    world = World(X, [[1, 0]], [[0] * 4], own=[0], negative=2, loss="warp")
    world.tables["v"][0][0, -1] = 5
    found = world.learned()
    for name, (numbers, squares) in world.tables.items():
        np.testing.assert_array_equal(found[name][0], numbers.astype(np.float32))
        np.testing.assert_array_equal(found[name][1], squares.astype(np.float32))


@pytest.mark.parametrize("loss", LOSSES)
def test_an_item_of_the_user_is_no_negative(loss: str) -> None:
    world = World(X, [[1, 0]], [[0] * 4], own=[0, 2], negative=2, loss=loss)
    found = world.learned()
    np.testing.assert_array_equal(found["v"][0], world.tables["v"][0].astype(np.float32))


def test_warp_weighs_by_the_number_of_draws() -> None:
    # The second draw is the first that counts: the only other candidate is the user's own, and is drawn first.
    steps = set()
    for negative in ([0, 1], [1, 0]):
        tables = {name: (np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)) for name in "vyw"}
        for seed in range(20):
            bias = np.zeros((2, 2), np.float32)
            v = (bias, np.ones_like(bias))
            learn(
                0, np.array([0]), np.array([0, 1]), np.array([0], np.int32), (*arrays(np.eye(2)), 0),
                (*arrays([[0.0]]), 0), arrays([[0.0, 0.0]]), np.array(negative, np.int32),
                np.array([3, 0.5], np.float32), 1.0, 0.0, np.float32(1), np.float32(0), v,
                (tables["y"][0][:, :1].copy(), tables["y"][1][:, :1].copy()),
                (np.zeros((1, 1), np.float32), np.ones((1, 1), np.float32)), np.zeros((2, 1), np.float32),
                np.array([seed], np.uint64),
            )  # fmt: skip
            steps.add(round(float(bias[0, 1]), 4))
    by_weight = {round(weight / float(np.sqrt(1 + weight**2)), 4) for weight in (3, 0.5)}
    assert steps == {0.0, *by_weight}


def test_what_is_left_out_of_every_step_is_not_learned() -> None:
    identity_first = [[1, 0, 0, 0.5], [0, 1, 0, 0.5], [0, 0, 1, 0]]
    always = np.nextafter(1, 0)
    world = World(
        identity_first, [[1, 0.5]], [[0] * 3], own=[0, 1], negative=2,
        dropout=always, item_identity=True, user_identity=True,
    )  # fmt: skip
    found = world.learned()
    moved = {name: (found[name][0] != pair[0].astype(np.float32)).any(axis=1) for name, pair in world.tables.items()}
    np.testing.assert_array_equal(moved["v"], [False, False, True, True])  # item 2 is nothing but itself
    np.testing.assert_array_equal(moved["w"], [False, True])
    assert not moved["y"].any()
    alone = World(identity_first, [[1, 0]], [[0] * 3], own=[0, 1], negative=2, dropout=always, user_identity=True)
    assert (alone.learned()["y"][0] != alone.tables["y"][0].astype(np.float32))[[0, 1, 3]].all()


def test_the_same_state_gives_the_same_bits() -> None:
    world = World(X, [[1, 0.5]], [[0, 0.3, 0, 0.2]], own=[0, 1, 3], negative=2, dropout=0.5, item_identity=True)
    once, again = world.learned(), world.learned()
    for name in once:
        np.testing.assert_array_equal(once[name][0], again[name][0])
