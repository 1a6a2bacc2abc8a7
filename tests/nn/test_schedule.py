from __future__ import annotations

import pytest

from serendip.nn.schedule import share


def test_by_hand() -> None:
    assert [share("constant", epoch, 4) for epoch in range(4)] == [1, 1, 1, 1]
    assert [share("linear", epoch, 4) for epoch in range(4)] == [1, 0.75, 0.5, 0.25]
    assert [share("cosine", epoch, 4) for epoch in range(4)] == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-6)


def test_the_warm_up_rises_evenly_and_multiplies() -> None:
    assert [share("constant", 0, 9, step, 4) for step in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert share("linear", 1, 2, 0, 4) == 0.125


def test_on_a_plateau_steps_fall_to_a_tenth() -> None:
    found = [share("plateau", epoch, 4, step=4 * epoch, warmup=2, falls=max(0, epoch - 1)) for epoch in range(4)]
    assert found == pytest.approx([0.5, 1, 0.1, 0.01])
