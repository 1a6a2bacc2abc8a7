"""Tables, pooling by hand, and features side by side."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from serendip.nn.embed import FeatureEmbedding, Table, dim_of, pooled, shared_tables
from serendip.nn.rows import RowAdagrad
from serendip.types import ABSENT, Input


def numbered(table: Table) -> Table:
    """Every vector of code c is (c, c, …)."""
    with torch.no_grad():
        table.weight[1:] = torch.arange(table.size).float()[:, None]
    return table


@pytest.mark.parametrize("sparse", [False, True])
def test_a_table_gives_each_code_its_vector_and_all_else_zero(sparse: bool) -> None:
    table = Table(3, 2, sparse=sparse)
    found = table(torch.tensor([[2, ABSENT], [0, 3], [-7, 1]]))
    torch.testing.assert_close(found[0, 0], table.weight[3])
    torch.testing.assert_close(found[1, 0], table.weight[1])
    torch.testing.assert_close(found[2, 1], table.all()[1])
    assert bool((found[[0, 1, 2], [1, 1, 0]] == 0).all())


@pytest.mark.parametrize("sparse", [False, True])
def test_codes_may_be_of_32_bits(sparse: bool) -> None:
    table = Table(3, 2, sparse=sparse)
    found = table(torch.tensor([1, 2, ABSENT, 3], dtype=torch.int32))
    torch.testing.assert_close(found, torch.cat([table.all()[1:], torch.zeros(2, 2)]))


def test_gradients_reach_touched_rows_only() -> None:
    table = Table(5, 2)
    table(torch.tensor([1, 3, 3, ABSENT, 9])).sum().backward()
    assert table.weight.grad is not None
    assert table.weight.grad.tolist() == [[0, 0], [0, 0], [1, 1], [0, 0], [2, 2], [0, 0]]


def test_a_step_leaves_the_zero_vector_and_untouched_rows_alone() -> None:
    table = Table(4, 3)
    before = table.weight.detach().clone()
    step = torch.optim.Adagrad(table.parameters(), lr=0.1)
    table(torch.tensor([2, ABSENT])).square().sum().backward()
    step.step()
    changed = (table.weight.detach() != before).any(dim=1)
    assert changed.tolist() == [False, False, False, True, False]
    assert bool((table.weight[0] == 0).all())


def test_a_sparse_table_learns_as_a_dense_one_does() -> None:
    dense, sparse = Table(6, 3), Table(6, 3, sparse=True)
    sparse.load_state_dict(dense.state_dict())
    steps = torch.optim.Adagrad(dense.parameters(), lr=0.1), RowAdagrad(sparse.parameters(), lr=0.1)
    for codes in ([1, 3, 3, ABSENT], [0, 9, 3]):
        for table, step in zip((dense, sparse), steps, strict=True):
            table(torch.tensor(codes)).square().sum().backward()
            step.step()
            step.zero_grad()
    torch.testing.assert_close(sparse.weight, dense.weight)
    assert sparse.weight.grad is None
    assert bool((sparse.weight[0] == 0).all())


def test_vectors_start_as_cut_off_normal_numbers() -> None:
    torch.manual_seed(0)
    weight = Table(20_000, 16).all().detach()
    assert float(weight.abs().max()) <= 0.5  # two deviations of ¼
    # a normal number cut off at two deviations has .8796 of its deviation
    assert float(weight.std()) == pytest.approx(0.25 * 0.8796, rel=0.01)
    assert float(Table(20_000, 16, sigma=0.01).all().detach().abs().max()) <= 0.02


@pytest.mark.parametrize("size, dim", [(0, 4), (4, 0)])
def test_a_table_of_nothing_is_refused(size: int, dim: int) -> None:
    with pytest.raises(ValueError, match=f"Got {size} and {dim} instead"):
        Table(size, dim)


@pytest.mark.parametrize("size, dim", [(1, 4), (2, 4), (3, 4), (4, 8), (1000, 20), (1_000_000, 40)])
def test_dimensions_grow_with_the_logarithm(size: int, dim: int) -> None:
    assert dim_of(size) == dim


def test_pooling_by_hand() -> None:
    vectors = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [50.0, 50.0], [2.0, 1.0]], [[9.0, 9.0]] * 4])
    present = torch.tensor([[True, True, False, True], [False] * 4])
    assert pooled(vectors, present, "sum").tolist() == [[6, 9], [0, 0]]
    assert pooled(vectors, present, "mean").tolist() == [[2, 3], [0, 0]]
    np.testing.assert_allclose(pooled(vectors, present, "sqrtn")[0], [6 / math.sqrt(3), 9 / math.sqrt(3)], rtol=1e-6)


GENRES = Input("genres", "item", size=4, width=3, dim=2)
CITY = Input("city", "item", size=6, dim=1)
NUMBERS = Input("numbers", "item", width=2)
AGE = Input("age", "item")


def item_features() -> dict[str, Tensor]:
    return {
        "genres": torch.tensor([[0, 2, ABSENT], [ABSENT, ABSENT, ABSENT]]),
        "city": torch.tensor([5, ABSENT]),
        "numbers": torch.tensor([[0.5, math.nan], [1.0, 2.0]]),
        "age": torch.tensor([7.0, math.nan]),
    }


def test_features_side_by_side_by_hand() -> None:
    net = FeatureEmbedding([GENRES, NUMBERS, CITY, AGE])
    for table in net.tables:
        numbered(table)  # type: ignore[arg-type]
    assert net.dim == 2 + 2 + 1 + 1
    # genres (0 + 2) / 2, numbers with NaN as 0, the city's 5, the age
    assert net(item_features()).tolist() == [[1, 1, 0.5, 0, 5, 7], [0, 0, 1, 2, 0, 0]]


def test_features_take_any_shape_in_front() -> None:
    net = FeatureEmbedding([GENRES, CITY, AGE])
    flat = item_features()
    shaped = {name: value.reshape(2, 1, 1, *value.shape[1:]) for name, value in flat.items()}
    torch.testing.assert_close(net(shaped).reshape(2, -1), net(flat))


@pytest.mark.parametrize("pooling, expected", [("sum", 5.0), ("mean", 2.5), ("sqrtn", 5 / math.sqrt(2))])
def test_the_pooling_is_the_features_own(pooling: Any, expected: float) -> None:
    net = FeatureEmbedding([Input("tags", "item", size=4, width=3, dim=1, pooling=pooling)])
    numbered(net.tables[0])  # type: ignore[arg-type]
    assert net({"tags": torch.tensor([[3, ABSENT, 2]])}).item() == pytest.approx(expected)


def test_features_of_one_kind_share_a_table_with_room_for_all() -> None:
    inputs = [
        Input("watched", "user", size=50, width=2, table="films"),
        Input("film", "context", size=80, table="films"),
        Input("other", "context", size=80),
    ]
    net = FeatureEmbedding(inputs)
    assert len(net.tables) == 2
    assert net.dim == 2 * dim_of(80) + dim_of(80)
    code = torch.tensor([7])
    found = net({"watched": torch.tensor([[7, ABSENT]]), "film": code, "other": code})
    torch.testing.assert_close(found[0, : dim_of(80)], found[0, dim_of(80) : 2 * dim_of(80)])
    assert not torch.equal(found[0, : dim_of(80)], found[0, -dim_of(80) :])


def test_two_sides_share_a_table() -> None:
    user, item = Input("home", "user", size=9, table="city"), Input("place", "item", size=12, table="city")
    tables = shared_tables([user, item], 3)
    one, other = FeatureEmbedding([user], tables=tables), FeatureEmbedding([item], tables=tables)
    code = torch.tensor([8])
    torch.testing.assert_close(one({"home": code}), other({"place": code}))
    one({"home": code}).sum().backward()
    assert other.tables[0].weight.grad is not None


def test_what_cannot_be_embedded_is_refused() -> None:
    with pytest.raises(ValueError, match=r'share the table "t" must have one dim\. Got 3 and 4 instead'):
        FeatureEmbedding([Input("a", "user", 5, table="t", dim=3), Input("b", "user", 5, table="t", dim=4)])
    with pytest.raises(ValueError, match=r"each of another name. Got \['a', 'a'\] instead"):
        FeatureEmbedding([Input("a", "user"), Input("a", "item")])
    with pytest.raises(ValueError, match="1 or more"):
        FeatureEmbedding([])
    with pytest.raises(ValueError, match=r'table of "b" must have 7 codes\. Got 5 instead'):
        FeatureEmbedding([Input("b", "user", 7, table="t")], tables={"t": Table(5, 2)})
    with pytest.raises(ValueError, match=r"Got none for \['city'\] instead"):
        FeatureEmbedding([CITY, AGE])({"age": torch.zeros(2)})


class ByPlace(torch.nn.Module):
    """Features as arguments, which is how an exported network is given them."""

    def __init__(self, net: FeatureEmbedding) -> None:
        super().__init__()
        self.net = net

    def forward(self, *values: Tensor) -> Tensor:
        return self.net({one.name: value for one, value in zip(self.net.inputs, values, strict=True)})


def test_it_can_be_exported_for_any_batch() -> None:
    net = ByPlace(FeatureEmbedding([GENRES, NUMBERS, CITY, AGE])).eval()
    two = tuple(item_features()[one.name] for one in net.net.inputs)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(net, two, dynamic_shapes={"values": tuple({0: batch} for _ in two)})
    five = tuple(value[torch.tensor([0, 1, 1, 0, 0])] for value in two)
    torch.testing.assert_close(exported.module()(*five), net(*five))
