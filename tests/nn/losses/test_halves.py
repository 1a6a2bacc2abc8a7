"""The softmax by products of bfloat16 against the one that rounds nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from serendip.kernels.registers import LANES
from serendip.kernels.softmax_halves import powers
from serendip.nn.losses import full_softmax, halves, retrieval_softmax


def vectors(b: int = 700, n: int = 601, d: int = 24) -> tuple[Tensor, Tensor, Tensor]:
    maker = torch.Generator().manual_seed(3)
    x, y = (torch.randn(rows, d, generator=maker).requires_grad_() for rows in (b, n))
    return x, y, torch.randint(0, n, (b,), generator=maker)


def mixed(*arguments: Tensor, **options: object) -> tuple[Tensor, Tensor, Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        value = retrieval_softmax(*arguments[:2], positives=arguments[2], **options)  # type: ignore[arg-type]
    return (value, *torch.autograd.grad(value, arguments[:2]))


@pytest.fixture(autouse=True)
def anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same path on every processor: without tiles it is slow, not wrong."""
    monkeypatch.setattr(halves, "_tiles", lambda: True)


@pytest.mark.parametrize("further", [False, True])
def test_agrees_with_the_whole_softmax_to_8_bits(further: bool) -> None:
    x, y, positives = vectors()
    maker = torch.Generator().manual_seed(4)
    more = {"log_q": -4 * torch.rand(len(y), generator=maker), "weights": torch.rand(len(x), generator=maker)}
    options = {"temperature": 1.3, **(more if further else {})}
    whole = retrieval_softmax(x, y, positives=positives, **options)  # type: ignore[arg-type]
    gradients = torch.autograd.grad(whole, (x, y))
    value, *rough = mixed(x, y, positives, **options)
    assert value.item() == pytest.approx(whole.item(), rel=1e-3)
    assert value.item() != whole.item()  # it did go the other way
    for one, other in zip(rough, gradients, strict=True):
        assert float((one - other).norm() / other.norm()) < 0.01


def test_shares_of_a_row_add_up_so_that_a_common_shift_of_the_items_changes_nothing() -> None:
    x, y, positives = vectors()
    _, _, to_items = mixed(x, y, positives)
    assert float(to_items.sum(dim=0).norm()) < 0.01 * float(to_items.norm())


def test_a_loss_is_never_below_0() -> None:
    x = (torch.eye(640) * 9).requires_grad_()
    value, *_ = mixed(x, x.detach().clone().requires_grad_(), torch.arange(640))
    assert 0 <= value.item() < 1e-4


def test_small_ones_and_those_with_hidden_candidates_are_not_rounded() -> None:
    x, y, positives = vectors(40, 30)
    assert mixed(x, y, positives)[0].item() == full_softmax(x, y, positives).item()
    x, y, positives = vectors()
    ids = torch.arange(len(y)) // 2
    hidden = {"candidate_ids": ids, "positive_ids": ids[positives]}
    assert mixed(x, y, positives, **hidden)[0].item() == retrieval_softmax(x, y, positives=positives, **hidden).item()


def test_powers_against_numpy() -> None:
    maker = np.random.default_rng(5)
    logits = torch.from_numpy(maker.normal(0, 6, (130, 5 * LANES)).astype(np.float32)).bfloat16()
    bias = maker.normal(size=5 * LANES).astype(np.float32)
    bias[-3:] = -np.inf
    wanted = logits.float().numpy() * 1.7 + bias
    outcomes = []
    for threads in (1, 3):
        kept = logits.clone()
        most, total = powers(kept.view(torch.uint16).numpy(), bias, 1.7, threads=threads)
        np.testing.assert_allclose(most, wanted.max(axis=1), rtol=1e-5)
        np.testing.assert_allclose(kept.float().numpy(), np.exp2(wanted - most[:, None]), rtol=5e-3, atol=1e-30)
        np.testing.assert_allclose(total, kept.float().numpy().sum(axis=1), rtol=1e-5)
        outcomes.append((most, total))
    np.testing.assert_array_equal(outcomes[0], outcomes[1])
