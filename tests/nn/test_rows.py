"""Optimisers of rows against PyTorch's dense ones and a NumPy Adam; what is not touched stays."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from serendip.nn import rows
from serendip.nn.rows import RowAdagrad, RowAdam, RowOptimiser, gather
from serendip.types import SerendipError

N, D = 50, 20


def table(n: int = N, d: int = D) -> nn.Parameter:
    return nn.Parameter(torch.randn(n, d, generator=torch.Generator().manual_seed(0)))


def batches(count: int = 5, m: int = 40, n: int = N, d: int = D) -> list[tuple[Tensor, Tensor]]:
    source = torch.Generator().manual_seed(1)
    return [
        (torch.randint(0, n // 2, (m,), generator=source), torch.randn(m, d, generator=source)) for _ in range(count)
    ]


def learn(optimiser: torch.optim.Optimizer, weight: nn.Parameter, read: Callable[..., Tensor], **how: Any) -> None:
    for codes, gradients in batches(**how):
        optimiser.zero_grad()
        (read(weight, codes) * gradients).sum().backward()
        optimiser.step()


def dense(weight: nn.Parameter, codes: Tensor) -> Tensor:
    return weight[codes]


class Elsewhere(Tensor):
    """A table whose device has no kernel."""

    @property
    def is_cpu(self) -> bool:  # type: ignore[override]
        return False


def test_gather_reads_rows_and_notes_their_gradients() -> None:
    weight = table()
    codes = torch.tensor([[3, 0], [3, 7]])
    found = gather(weight, codes)
    assert (found == weight[codes]).all()
    (found * torch.tensor([1.0, 2.0])[:, None]).sum().backward()
    assert weight.grad is None
    (noted,) = rows.touched(weight)
    assert noted.rows.tolist() == [3, 0, 3, 7]
    assert noted.gradients[:, 0].tolist() == [1.0, 2.0, 1.0, 2.0]


def test_merge_adds_up_and_takes_the_place_of_what_was_noted() -> None:
    weight = table()
    for codes in ([3, 0, 3], [7, 3]):
        gather(weight, torch.tensor(codes), padding=0).sum().backward()
    found = rows.merge(weight)
    assert found is not None and rows.touched(weight) == [found]
    assert found.rows.tolist() == [3, 7]  # nothing of the row that is padding
    assert found.gradients.tolist() == [[3.0] * D, [1.0] * D]
    found.gradients.mul_(0.5)
    again = rows.merge(weight)
    assert again is found
    before = weight.detach().clone()
    RowAdagrad([weight], lr=1.0, initial=0.0).step()
    np.testing.assert_allclose((before - weight.detach())[[3, 7]].numpy(), 1.0, rtol=1e-5)
    rows.forget(weight)
    assert rows.merge(weight) is None


def test_frozen_tables_note_nothing() -> None:
    weight = table().requires_grad_(False)
    assert not gather(weight, torch.tensor([1])).requires_grad
    with torch.no_grad():
        gather(table(), torch.tensor([1]))


def test_adagrad_by_hand() -> None:
    weight = nn.Parameter(torch.tensor([[1.0], [5.0]]))
    optimiser = RowAdagrad([weight], lr=0.1)
    # row 0 twice, g = 3 + 1 = 4: s = 16, w = 1 − 0.1·4/4 = 0.9; then g = 3: s = 25, w = 0.9 − 0.1·3/5 = 0.84
    for codes, gradient in ([0, 0], [3.0, 1.0]), ([0], [3.0]):
        optimiser.zero_grad()
        (gather(weight, torch.tensor(codes))[:, 0] * torch.tensor(gradient)).sum().backward()
        optimiser.step()
    assert weight.tolist() == [[pytest.approx(0.84)], [5.0]]
    assert optimiser.state[weight]["sum"].tolist() == [[25.0], [0.0]]


def test_adagrad_is_the_dense_one_and_leaves_other_rows_alone() -> None:
    weight, other = table(), table()
    learn(RowAdagrad([weight], lr=0.3), weight, gather)
    learn(torch.optim.Adagrad([other], lr=0.3), other, dense)
    torch.testing.assert_close(weight, other, rtol=1e-5, atol=1e-6)
    assert (weight[N // 2 :] == table()[N // 2 :]).all()
    assert (weight[: N // 2] != table()[: N // 2]).any(dim=1).all()


def test_adam_is_the_dense_one_where_every_row_is_touched_every_time() -> None:
    weight, other = table(), table()
    how = {"m": 400, "n": 2 * N}
    learn(RowAdam([weight], lr=0.3), weight, gather, **how)
    learn(torch.optim.Adam([other], lr=0.3), other, dense, **how)
    torch.testing.assert_close(weight, other, rtol=1e-4, atol=1e-5)


def lazy_adam(weight: np.ndarray, lr: float) -> np.ndarray:
    """Row by row, in double precision."""
    w = weight.astype(np.float64)
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, (codes, gradients) in enumerate(batches(), start=1):
        for row in set(codes.tolist()):
            g = gradients[codes == row].double().sum(dim=0).numpy()
            m[row] = 0.9 * m[row] + 0.1 * g
            v[row] = 0.999 * v[row] + 0.001 * g**2
            w[row] -= lr * (m[row] / (1 - 0.9**t)) / (np.sqrt(v[row] / (1 - 0.999**t)) + 1e-8)
    return w


def test_adam_is_lazy() -> None:
    weight = table()
    learn(RowAdam([weight], lr=0.1), weight, gather)
    np.testing.assert_allclose(weight.detach().numpy(), lazy_adam(table().detach().numpy(), 0.1), rtol=1e-4, atol=1e-5)
    assert (weight[N // 2 :] == table()[N // 2 :]).all()


@pytest.mark.parametrize("kind", [RowAdagrad, RowAdam])
def test_other_devices_get_the_same(kind: type[RowOptimiser]) -> None:
    weight, other = table(), nn.Parameter(table().detach().as_subclass(Elsewhere))
    learn(kind([weight], lr=0.1), weight, lambda *args: gather(*args, padding=0))
    learn(kind([other], lr=0.1), other, lambda *args: gather(*args, padding=0))
    torch.testing.assert_close(weight.detach(), other.detach().as_subclass(Tensor), rtol=1e-5, atol=1e-6)
    assert (weight[0] == table()[0]).all()


@pytest.mark.parametrize("kind", [RowAdagrad, RowAdam])
def test_threads_change_nothing(kind: type[RowOptimiser]) -> None:
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            weight = table(6000)
            learn(kind([weight], lr=0.1), weight, gather, m=9000, n=12000)
            found.append(weight.detach())
    finally:
        torch.set_num_threads(before)
    assert (found[0] == found[1]).all()


@pytest.mark.parametrize("kind", [RowAdagrad, RowAdam])
def test_the_state_goes_into_a_checkpoint_and_back(kind: type[RowOptimiser]) -> None:
    weight = table()
    optimiser = kind([weight], lr=0.1)
    learn(optimiser, weight, gather)
    other = nn.Parameter(weight.detach().clone())
    again = kind([other], lr=0.5)
    again.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    assert again.param_groups[0]["lr"] == 0.1
    learn(optimiser, weight, gather)
    learn(again, other, gather)
    assert (weight == other).all()
    fresh = nn.Parameter(table().detach())
    learn(kind([fresh], lr=0.1), fresh, gather)
    learn(kind([fresh], lr=0.1), fresh, gather)
    assert (weight != fresh).any()  # the state does count


def test_steps_without_a_gradient_change_nothing() -> None:
    weight = table()
    optimiser = RowAdam([weight], lr=0.1)
    optimiser.step()
    gather(weight, torch.tensor([1])).sum().backward()
    optimiser.zero_grad()
    optimiser.step(lambda: 1.0)
    assert (weight == table()).all()
    assert not optimiser.state[weight]


def test_a_dense_gradient_is_refused() -> None:
    weight = table()
    weight.sum().backward()
    with pytest.raises(SerendipError, match="must be read by gather alone"):
        RowAdagrad([weight], lr=0.1).step()


def test_one_table_has_one_padding() -> None:
    weight = table()
    (gather(weight, torch.tensor([1]), padding=0).sum() + gather(weight, torch.tensor([1])).sum()).backward()
    with pytest.raises(SerendipError, match="padding must be the same"):
        RowAdagrad([weight], lr=0.1).step()


def test_half_precision_gradients_are_added_in_single() -> None:
    weight = table()
    (gather(weight, torch.tensor([1, 1])).bfloat16() * torch.tensor([1.0, 0.001])[:, None].bfloat16()).sum().backward()
    found = rows.merge(weight)
    assert found is not None and found.gradients.dtype == torch.float32
    assert float(found.gradients[0, 0]) == pytest.approx(1.001, rel=1e-4)
