"""What a step gives back, the next one gets, and two that are under way never the same."""

from __future__ import annotations

import torch

from serendip.nn import spare
from serendip.nn.spare import Lent


def test_what_is_given_back_is_lent_again_and_never_to_two_at_once() -> None:
    spare.drop()
    first, second = Lent(), Lent()
    one, other = first.take(3, 4), second.take(2, 6)
    assert one.shape == (3, 4) and one.data_ptr() != other.data_ptr()
    place = one.data_ptr()
    first.back()
    assert second.take(5).data_ptr() == place  # less than there was will do
    del one, other, second  # nobody holds it any more
    assert {Lent().take(12).data_ptr() for _ in range(3)} <= {place, *(x.data_ptr() for x in spare._free)}
    assert Lent().take(12, kind=torch.bfloat16).dtype == torch.bfloat16
    spare.drop()
    assert not spare._free
