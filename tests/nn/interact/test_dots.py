"""Inner products in their order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from serendip.nn.interact import FM, Dots


def test_by_hand() -> None:
    # of (1, 2), (3, −1), (2, 2): ⟨1, 0⟩ = 1, ⟨2, 0⟩ = 6, ⟨2, 1⟩ = 4; with themselves 5, 10 and 8
    x = torch.tensor([[[1.0, 2.0], [3.0, -1.0], [2.0, 2.0]]])
    assert Dots(3)(x).tolist() == [[1, 6, 4]]
    assert Dots(3, self_interaction=True)(x).tolist() == [[5, 1, 10, 6, 4, 8]]


@pytest.mark.parametrize("self_interaction", [False, True])
def test_the_order_is_that_of_the_lower_triangle_by_rows(self_interaction: bool) -> None:
    x = np.random.default_rng(0).normal(size=(4, 5, 3))
    layer = Dots(5, self_interaction=self_interaction)
    expected = [x[:, i] @ x[:, j].swapaxes(0, 1) for i in range(5) for j in range(i + self_interaction)]
    found = layer(torch.from_numpy(x))
    np.testing.assert_allclose(found, np.stack([np.diag(one) for one in expected], axis=1))
    assert found.shape == (4, layer.out) == (4, 15 if self_interaction else 10)


def test_their_sum_is_that_of_a_factorisation_machine() -> None:
    x = torch.from_numpy(np.random.default_rng(1).normal(size=(4, 6, 3)))
    torch.testing.assert_close(Dots(6)(x).sum(dim=1), FM()(x))


def test_a_checkpoint_keeps_nothing_of_it() -> None:
    assert not Dots(4).state_dict()


def test_there_must_be_something_to_multiply() -> None:
    with pytest.raises(ValueError, match=r"2 or more fields to multiply\. Got 1 instead"):
        Dots(1)
    assert Dots(1, self_interaction=True)(torch.tensor([[[3.0]]])).tolist() == [[9]]
    with pytest.raises(ValueError, match="1 or more"):
        Dots(0, self_interaction=True)
