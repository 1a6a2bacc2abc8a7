"""Two tables by themselves learn as towers that look rows up do; whatever is more is not taken for that."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from serendip.data.features.declared import Category
from serendip.model import Run
from serendip.models.two_tower import TwoTower
from serendip.nn import rows
from serendip.nn.losses import retrieval_softmax
from serendip.nn.pair import held, pair, pair_softmax
from serendip.nn.query import QueryTower
from tests.models.test_two_tower import shops

DATA = shops({"town": Category(side="user", dim=8)})
ALONE: dict[str, Any] = {"factors": 8, "length": 0, "hidden": None, "projected": False, "optimiser": "adagrad"}


def tower(**options: Any) -> QueryTower:
    torch.manual_seed(0)
    net = TwoTower(**{**ALONE, **options}).build(DATA)
    assert isinstance(net, QueryTower)
    return net.train()


def test_the_value_and_what_is_noted_are_those_of_looked_up_rows() -> None:
    net = tower()
    tables = pair(net)
    assert tables is not None
    rng = np.random.default_rng(0)
    codes, candidates = rng.integers(-1, 2, 40), np.array([0, 3, 4, 9])
    places, log_q = rng.integers(0, 4, 40), np.log(rng.random(4)).astype(np.float32)
    weights = rng.random(40).astype(np.float32)
    found: list[tuple[float, list[rows.Touched | None]]] = []
    for apart in (True, False):
        if apart:
            how: dict[str, Any] = {"temperature": 0.5, "log_q": log_q, "weights": weights}
            loss = pair_softmax(tables, {"town": codes}, candidates, places, **how)
        else:
            how = {"temperature": 0.5, "log_q": torch.from_numpy(log_q), "weights": torch.from_numpy(weights)}
            items = net.rank(torch.from_numpy(candidates))
            queries = net({"town": torch.from_numpy(codes)})
            loss = retrieval_softmax(queries, items, positives=torch.from_numpy(places), **how)
        (3 * loss).backward()  # type: ignore[no-untyped-call]
        noted = [rows.merge(one.weight) for one in (tables.queries, tables.items)]
        found.append((float(loss.detach()), noted))
        for one in (tables.queries, tables.items):
            rows.forget(one.weight)
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-6)
    for here, there in zip(found[0][1], found[1][1], strict=True):
        assert here is not None and there is not None
        assert here.rows.tolist() == there.rows.tolist() and 0 not in here.rows  # nobody is never changed
        np.testing.assert_allclose(here.gradients, there.gradients, atol=1e-6)


def test_a_fit_ends_where_that_of_looked_up_rows_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def learned() -> dict[str, np.ndarray]:
        model = TwoTower(**ALONE, batch_size=64, epochs=2, learning_rate=0.05, clip_norm=0.5, reg=0.3)
        model.fit(DATA, Run(threads=1))
        return dict(model.learned() or {})

    apart = learned()
    monkeypatch.setattr("serendip.nn.pair.pair", lambda net: None)
    whole = learned()
    assert apart.keys() == whole.keys()
    for name in apart:
        np.testing.assert_allclose(apart[name], whole[name], atol=1e-4)


def test_what_holds_vectors_by_hand() -> None:
    queries, candidates = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([[0.0, 2.0]])
    assert float(held(queries, candidates, 0.5)) == pytest.approx(0.5 / 2 * (25 + 1 + 4) / 2)
    assert float(held(queries[:, None], candidates, 0.5)) == pytest.approx(3.75)


def test_a_frozen_table_is_left_alone() -> None:
    net = tower()
    tables = pair(net)
    assert tables is not None
    tables.items.weight.requires_grad_(False)
    loss = pair_softmax(tables, {"town": np.zeros(3, np.int64)}, np.arange(2), np.zeros(3, np.int64))
    loss.backward()  # type: ignore[no-untyped-call]
    assert rows.touched(tables.queries.weight) and not rows.touched(tables.items.weight)


@pytest.mark.parametrize(
    "more",
    [
        {"length": 5, "factors": 8, "hidden": 8, "projected": True},
        {"hidden": 8},
        {"projected": True},
        {"normalise": True},
        {"heads": 2, "projected": True},
        {"adapter": True},
        {"id_dropout": 0.1},
        {"optimiser": "adam"},
    ],
)
def test_whatever_is_more_is_no_pair(more: dict[str, Any]) -> None:
    assert pair(tower(**more)) is None


def test_neither_is_what_is_asked_or_multiplied_in_half_precision() -> None:
    net = tower()
    assert pair(net.eval()) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert pair(net.train()) is None
    assert pair(net) is not None
