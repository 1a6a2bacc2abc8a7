"""Vectors of items from ids, features or both, and what new items get."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from serendip.nn.catalogue import Catalogue, looked_up
from serendip.nn.rows import touched
from serendip.types import ABSENT, Input

N, D = 7, 4
INPUTS = (Input("genres", "item", size=5, width=2, dim=3), Input("year", "item"))
VALUES: dict[str, np.ndarray] = {
    "genres": np.array([[0, 1], [1, ABSENT], [ABSENT, ABSENT], [4, 2], [3, 3], [0, 1], [2, ABSENT]], np.int32),
    "year": np.array([0.1, 0.2, np.nan, 0.4, 0.5, 0.1, 0.7], np.float32),
}
BOTH: dict[str, Any] = {"inputs": INPUTS, "values": VALUES}
KINDS: dict[str, dict[str, Any]] = {
    "ids": {},
    "ids in a tower": {"widths": (6,)},
    "sum": BOTH,
    "tower": {**BOTH, "widths": (6,)},
    "features": {**BOTH, "ids": False},
    "features in a tower": {**BOTH, "ids": False, "widths": ()},
    "of length 1": {**BOTH, "normalise": True},
}


def made(name: str, **more: Any) -> Catalogue:
    torch.manual_seed(0)
    return Catalogue(N, D, **{**KINDS[name], **more})


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("training", [True, False])
def test_some_have_the_vectors_they_have_among_all(name: str, training: bool) -> None:
    net = made(name).train(training)
    every = net()
    assert every.shape == (N, D)
    few, many = torch.tensor([[3], [0]]), torch.tensor([[6, 1, 1, 5], [0, 2, 3, 4]])
    torch.testing.assert_close(net(few), every[few])
    torch.testing.assert_close(net(many), every[many])
    torch.testing.assert_close(net.table()(many), every[many])
    assert net.training is training


@pytest.mark.parametrize("name", KINDS)
def test_what_is_no_item_has_the_zero_vector(name: str) -> None:
    net = made(name)
    for codes in (torch.tensor([ABSENT, N, 2]), torch.tensor([ABSENT, N, 2] * 4)):
        assert bool((net(codes)[[0, 1]] == 0).all())
        assert bool((net(codes)[2] != 0).all())


def test_without_a_tower_id_and_features_are_added() -> None:
    net = made("sum")
    assert net.ids is not None
    assert net.project is not None
    assert net.features is not None
    features = {name: torch.from_numpy(values) for name, values in VALUES.items()}
    torch.testing.assert_close(net(), net.ids.all() + net.project(net.features(features)))


def test_items_alike_in_their_features_differ_by_their_ids_only() -> None:
    alone, both = made("features in a tower")(), made("tower")()
    torch.testing.assert_close(alone[0], alone[5])
    assert not torch.allclose(both[0], both[5])


def test_a_new_item_has_what_its_features_say() -> None:
    net = made("tower")
    features = {name: torch.from_numpy(values[[0, 5]]) for name, values in VALUES.items()}
    new = net.vectors(torch.tensor([ABSENT, ABSENT]), features)
    torch.testing.assert_close(new[0], new[1])
    with torch.no_grad():
        net.ids.weight.zero_()  # type: ignore[union-attr]
    torch.testing.assert_close(new, net(torch.tensor([0, 5])))


def test_with_all_ids_left_out_items_are_what_new_ones_are() -> None:
    net = made("tower", id_dropout=0.99999)
    features = {name: torch.from_numpy(values) for name, values in VALUES.items()}
    new = net.vectors(torch.full((N,), ABSENT), features)
    torch.testing.assert_close(net.train()(), new)
    assert not torch.allclose(net.eval()(), new)
    assert bool((made("ids", id_dropout=0.99999).train()() == 0).all())


def test_id_dropout_teaches_the_features_what_the_ids_would_have_learned() -> None:
    """What is to be learned follows from the year. With ids at hand the features learn a part of it only."""

    def error(rate: float) -> float:
        torch.manual_seed(0)
        years = np.linspace(-1, 1, 32, dtype=np.float32)
        net = Catalogue(32, 1, inputs=(INPUTS[1],), values={"year": years}, id_dropout=rate).train()
        wanted = torch.from_numpy(3 * years)[:, None]
        step = torch.optim.Adam(net.parameters(), lr=0.05)
        for _ in range(300):
            step.zero_grad()
            (net() - wanted).square().mean().backward()
            step.step()
        new = net.vectors(torch.full((32,), ABSENT), net.values())
        return float((new - wanted).square().mean().detach())

    assert error(0.5) < 0.05 * error(0.0)


def test_vectors_of_ids_start_as_small_as_asked() -> None:
    assert 0 < float(made("ids", sigma=0.001)().detach().abs().max()) <= 0.002


def test_features_are_no_weights() -> None:
    assert not [name for name in made("tower").state_dict() if name.startswith("feature_")]


def test_gradients_of_a_sparse_catalogue_are_noted_by_row() -> None:
    net = made("ids", sparse=True).train()
    assert net.ids is not None
    (net(torch.tensor([1, 4])).sum() + net().sum()).backward()
    assert net.ids.weight.grad is None
    assert sorted(one.rows.tolist() for one in touched(net.ids.weight)) == [[1, 2, 3, 4, 5, 6, 7], [2, 5]]


def test_looking_up_by_hand() -> None:
    vectors = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    found = looked_up(vectors, torch.tensor([1, ABSENT, 0, 2, 1]))
    assert found.tolist() == [[3, 4], [0, 0], [1, 2], [0, 0], [3, 4]]
    found.sum().backward()
    assert vectors.grad is not None
    assert vectors.grad.tolist() == [[1, 1], [2, 2]]


def test_what_cannot_be_a_catalogue_is_refused() -> None:
    with pytest.raises(ValueError, match=r"ids or features to learn from\. Got neither"):
        Catalogue(N, D, ids=False)
    with pytest.raises(ValueError, match=r'"year" must have a value for each of 7 items\. Got none instead'):
        Catalogue(N, D, inputs=INPUTS[1:])
    with pytest.raises(ValueError, match=r"for each of 7 items\. Got 3 instead"):
        Catalogue(N, D, inputs=INPUTS[1:], values={"year": np.zeros(3)})


class Given(torch.nn.Module):
    """The tower of new items, as it is exported."""

    def __init__(self, net: Catalogue) -> None:
        super().__init__()
        self.net = net

    def forward(self, codes: Tensor, genres: Tensor, year: Tensor) -> Tensor:
        return self.net.vectors(codes, {"genres": genres, "year": year})


@pytest.mark.parametrize("name", ["sum", "tower"])
def test_it_can_be_exported_for_any_batch(name: str) -> None:
    net, batch = Given(made(name).eval()), torch.export.Dim("batch")
    every = torch.arange(N), *(torch.from_numpy(VALUES[one.name]) for one in INPUTS)
    shapes = {argument: {0: batch} for argument in ("codes", "genres", "year")}
    exported = torch.export.export(net, tuple(value[:2] for value in every), dynamic_shapes=shapes)
    torch.testing.assert_close(exported.module()(*every), net(*every))
