"""Vectors spread over a graph, against the dense matrix written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from serendip.nn.graph import BipartiteGraph, GraphConvolution, joined

USERS, ITEMS, D = 7, 5, 6


def edges() -> csr_array:
    """A user without items (6) and an item without users (4)."""
    rng = np.random.default_rng(1)
    dense = (rng.random((USERS, ITEMS)) < 0.5).astype(np.float32)
    dense[6], dense[:, 4] = 0, 0
    return csr_array(dense * 3)


def dense(matrix: csr_array) -> torch.Tensor:
    """The normalised adjacency of all nodes, ``[users + items]²``, by its definition."""
    taken = (matrix.toarray() > 0).astype(np.float64)
    whole = np.block([[np.zeros((USERS, USERS)), taken], [taken.T, np.zeros((ITEMS, ITEMS))]])
    degree = whole.sum(axis=1)
    root = np.divide(1, np.sqrt(degree), out=np.zeros_like(degree), where=degree > 0)
    return torch.from_numpy(root[:, None] * whole * root)


def vectors(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(size, D, generator=source, requires_grad=True) for size in (USERS, ITEMS))  # type: ignore[return-value]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_mean_and_its_gradient_are_those_of_the_dense_matrix(layers: int) -> None:
    graph, whole = BipartiteGraph(edges()), dense(edges())
    users, items = vectors()
    found = torch.cat(graph.mean(users, items, layers))
    plain = torch.cat([users, items]).detach().double().requires_grad_()
    powers = [plain]
    for _ in range(layers):
        powers.append(whole @ powers[-1])
    expected = torch.stack(powers).mean(dim=0)
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-5)
    outer = torch.randn(USERS + ITEMS, D, generator=torch.Generator().manual_seed(5))
    found.backward(outer)
    expected.backward(outer.double())
    assert plain.grad is not None
    torch.testing.assert_close(torch.cat([users.grad, items.grad]).double(), plain.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("asked", [[0, 2, 6], [5, 1, 5, 5], [3]], ids=["rising", "repeated", "one"])
def test_the_mean_of_some_users_and_its_gradient_are_those_of_the_dense_matrix(layers: int, asked: list[int]) -> None:
    graph, whole = BipartiteGraph(edges()), dense(edges())
    users, items = vectors()
    found = torch.cat(graph.mean(users, items, layers, np.array(asked)))
    plain = torch.cat([users, items]).detach().double().requires_grad_()
    powers = [plain]
    for _ in range(layers):
        powers.append(whole @ powers[-1])
    every = torch.stack(powers).mean(dim=0)
    expected = torch.cat([every[asked], every[USERS:]])
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-5)
    outer = torch.randn(len(asked) + ITEMS, D, generator=torch.Generator().manual_seed(5))
    found.backward(outer)
    expected.backward(outer.double())
    assert plain.grad is not None
    torch.testing.assert_close(torch.cat([users.grad, items.grad]).double(), plain.grad, atol=1e-6, rtol=1e-5)


def test_a_step_and_its_gradient_are_those_of_the_dense_matrix() -> None:
    graph, whole = BipartiteGraph(edges()), dense(edges())
    users, items = vectors()
    found = torch.cat(graph.step(users, items))
    expected = whole @ torch.cat([users, items]).detach().double()
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-5)
    outer = torch.randn(USERS + ITEMS, D, generator=torch.Generator().manual_seed(5))
    found.backward(outer)
    turned = whole.T @ outer.double()
    torch.testing.assert_close(torch.cat([users.grad, items.grad]).double(), turned, atol=1e-6, rtol=1e-5)


def test_other_devices_give_the_same() -> None:
    graph = BipartiteGraph(edges())
    users, items = vectors()
    for layers, mean in ((1, False), (1, True), (3, True)):
        here = graph.mean(users, items, layers) if mean else graph.step(users, items)
        for one, other in zip(here, graph.spread_elsewhere(users, items, layers, mean), strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_nodes_without_edges_keep_their_own_part_only() -> None:
    users, items = vectors()
    left, right = BipartiteGraph(edges()).mean(users, items, 3)
    torch.testing.assert_close(left[6], users[6] / 4)
    torch.testing.assert_close(right[4], items[4] / 4)


def test_a_convolution_follows_its_equation() -> None:
    torch.manual_seed(0)
    net = GraphConvolution(edges(), D, 1, 0.0).eval()
    first, second = net.sums[0], net.products[0]
    whole = dense(edges()).float()
    start = torch.cat([net.users, net.items])
    near = whole @ start
    mixed = (start + near) @ first.weight.T + first.bias + (near * start) @ second.weight.T
    expected = torch.where(mixed > 0, mixed, 0.2 * mixed)
    expected = torch.cat([start, expected / expected.norm(dim=1, keepdim=True)], dim=1)
    torch.testing.assert_close(torch.cat(net()), expected, atol=1e-5, rtol=1e-4)


def test_messages_are_dropped_in_training_only() -> None:
    torch.manual_seed(0)
    net = GraphConvolution(edges(), D, 2, 0.5)
    assert float((net.train().layers()[1][0] == 0).float().mean()) > 0.2
    assert float((net.eval().layers()[1][0] == 0).float().mean()) == 0


def test_joined_layers_after_the_first_have_length_one() -> None:
    found = joined([torch.tensor([[3.0, 4.0]]), torch.tensor([[3.0, 4.0]])])
    torch.testing.assert_close(found, torch.tensor([[3.0, 4.0, 0.6, 0.8]]))
