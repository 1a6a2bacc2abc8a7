"""Fields joined in one go are those looked up one by one, and so are their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from serendip.nn.embed import Table
from serendip.nn.fields import Fields, ItemFields
from serendip.nn.joined import Asked, joined
from serendip.nn.ranker import Ranker, Weights
from serendip.nn.rows import merge
from serendip.types import ABSENT, Input

B, C, D, N = 5, 3, 4, 6
INPUTS = (
    Input("town", "user", 3),
    Input("tags", "user", 4, 2),
    Input("age", "user"),
    Input("was", "user", 3, table="town"),
)
OWN = (Input("kind", "item", 5), Input("price", "item"))
VALUES = {"kind": np.array([0, 4, 2, ABSENT, 1, 3]), "price": np.array([0.5, 1, np.nan, 2, -1, 0])}


def ranker(sparse: bool = False) -> Ranker:
    """All kinds of fields: tables shared and not, several codes, numbers, and a history."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        items = ItemFields(N, D, inputs=OWN, values=VALUES, sigma=1.0, sparse=sparse)
        return Ranker(items, Fields(INPUTS, D, sigma=1.0, sparse=sparse), (Weights(),), histories=("history",))


def given() -> tuple[dict[str, Tensor], Tensor]:
    """Inputs with what is unknown, and items with one that there is not."""
    return {
        "history": torch.tensor([[1, 2], [ABSENT, 0], [ABSENT, ABSENT], [5, 5], [3, 0]]),
        "town": torch.tensor([0, 1, 2, ABSENT, 1]),
        "was": torch.tensor([1, 1, ABSENT, 2, 0]),
        "tags": torch.tensor([[0, 1], [2, ABSENT], [ABSENT, ABSENT], [3, 3], [1, 0]]),
        "age": torch.tensor([0.5, torch.nan, 1.0, 2.0, -1.0]),
    }, torch.tensor([[0, 1, 5], [2, 2, 3], [4, ABSENT, 0], [5, 1, 1], [3, 4, 2]])


def one_by_one(net: Ranker) -> Tensor:
    inputs, codes = given()
    wide = net.query(inputs).unsqueeze(1).expand(-1, C, -1, -1)
    return torch.cat([wide, net.items(codes)], dim=2).flatten(0, 1)


@pytest.mark.parametrize("many", [False, True])
def test_fields_of_all_kinds_and_their_gradients(monkeypatch: pytest.MonkeyPatch, many: bool) -> None:
    if many:  # so that rows and tables are dealt out to threads
        monkeypatch.setattr("serendip.kernels.fields._FEW", 0)
        monkeypatch.setattr("serendip.kernels.fields._CHUNK", 4)
    net = ranker()
    found, wanted = net.together(*given()), one_by_one(net)
    torch.testing.assert_close(found, wanted)
    over = torch.arange(found.numel(), dtype=torch.float32).view(found.shape)
    learned = [one for name, one in net.named_parameters() if name != "bias"]
    back = (torch.autograd.grad(one, learned, over) for one in (found, wanted))
    for one, other in zip(*back, strict=True):
        torch.testing.assert_close(one, other)


def test_gradients_of_tables_read_by_rows_are_noted() -> None:
    dense, sparse = ranker(), ranker(sparse=True)
    over = torch.randn(B * C, len(dense.names), D)
    for net in (dense, sparse):
        (net.together(*given()) * over).sum().backward()  # type: ignore[no-untyped-call]
    tables = [(a, b) for a, b in zip(dense.modules(), sparse.modules(), strict=True) if isinstance(a, Table)]
    assert tables
    for a, b in tables:
        assert isinstance(b, Table) and b.weight.grad is None
        noted, wanted = merge(b.weight), a.weight.grad
        assert noted is not None and wanted is not None
        torch.testing.assert_close(torch.zeros_like(wanted).index_copy_(0, noted.rows, noted.gradients), wanted)


def test_where_nothing_is_learned_the_same_comes_out() -> None:
    net = ranker().eval()
    torch.testing.assert_close(net.together(*given()), one_by_one(net))
    frozen = Table(3, D)
    frozen.weight.requires_grad_(False)
    other = nn.Parameter(torch.randn(2, 1, D))
    found = joined([(Asked(frozen, torch.tensor([0, ABSENT])), 2), (other, 2)])
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert frozen.weight.grad is None and other.grad is not None and bool((other.grad == 2).all())
