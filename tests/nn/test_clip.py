from __future__ import annotations

import torch
from torch import nn

from serendip.nn.clip import clip
from serendip.nn.rows import gather, merge


def test_a_long_gradient_is_shortened_over_all_parameters_together() -> None:
    one, other = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1))
    (one @ torch.tensor([3.0, 0.0]) + 4 * other.sum()).backward()
    clip([one, other], 2.5)
    assert one.grad is not None and other.grad is not None
    torch.testing.assert_close(one.grad, torch.tensor([1.5, 0.0]))
    torch.testing.assert_close(other.grad, torch.tensor([2.0]))
    clip([one, other, nn.Parameter(torch.zeros(1))], 100.0)
    torch.testing.assert_close(one.grad, torch.tensor([1.5, 0.0]))


def test_rows_that_were_touched_count_with_their_sum() -> None:
    table, dense = nn.Parameter(torch.zeros(5, 1)), nn.Parameter(torch.zeros(1))
    found = gather(table, torch.tensor([2, 4, 2]), 0)
    (found.sum() + 2 * dense.sum()).backward()  # rows 2 and 4: gradients 2 and 1; norm √(4 + 1 + 4) = 3
    clip([table, dense], 1.5)
    kept = merge(table)
    assert kept is not None and dense.grad is not None
    assert kept.rows.tolist() == [2, 4]
    torch.testing.assert_close(kept.gradients, torch.tensor([[1.0], [0.5]]))
    torch.testing.assert_close(dense.grad, torch.tensor([1.0]))
