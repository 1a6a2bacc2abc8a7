from __future__ import annotations

import numpy as np
import torch

from serendip.nn.adapter import Adapter, items, queries

RNG = np.random.default_rng(0)


def tensor(*shape: int) -> torch.Tensor:
    return torch.from_numpy(RNG.normal(size=shape).astype(np.float32))


def test_to_begin_with_it_changes_nothing() -> None:
    asked, ranked = tensor(3, 4), tensor(5, 4)
    adapter = Adapter(5, 4)
    products = queries(adapter, adapter(asked)) @ items(adapter, ranked).T
    assert torch.equal(adapter(asked), asked)
    torch.testing.assert_close(products, asked @ ranked.T)


def test_scores_are_of_the_turned_vector_and_the_bias() -> None:
    adapter = Adapter(5, 4)
    with torch.no_grad():
        for one in adapter.parameters():
            one.copy_(tensor(*one.shape))
    asked, ranked = tensor(2, 3, 4), tensor(5, 4)  # several vectors of a query
    weight, shift, bias = (one.detach().numpy() for one in (adapter.turn.weight, adapter.turn.bias, adapter.bias))
    wanted = (asked.numpy() @ weight.T + shift) @ ranked.numpy().T + bias
    turned = queries(adapter, adapter(asked))
    np.testing.assert_allclose((turned @ items(adapter, ranked).T).detach().numpy(), wanted, rtol=1e-4, atol=1e-5)
    some = torch.tensor([4, 1])
    found = turned @ items(adapter, ranked[some], some).T
    np.testing.assert_allclose(found.detach().numpy(), wanted[..., [4, 1]], rtol=1e-4, atol=1e-5)


def test_vectors_of_length_one_stay_so() -> None:
    adapter = Adapter(5, 4, normalise=True)
    with torch.no_grad():
        adapter.turn.weight.copy_(tensor(4, 4))
    torch.testing.assert_close(adapter(tensor(6, 4)).norm(dim=-1), torch.ones(6))


def test_without_one_vectors_are_as_they_were() -> None:
    asked, ranked = tensor(3, 4), tensor(5, 4)
    assert queries(None, asked) is asked
    assert items(None, ranked, torch.tensor([0, 1])) is ranked
