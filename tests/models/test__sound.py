from __future__ import annotations

import numpy as np
import pytest

from serendip.models._sound import RUNAWAY, sound


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2 * RUNAWAY, -2 * RUNAWAY])
def test_one_wrong_number_is_enough(value: float) -> None:
    fine = np.linspace(-9, 9, 12, dtype=np.float32).reshape(3, 4)
    assert sound(fine, np.empty((0, 4), np.float32), np.full(3, RUNAWAY / 2))
    wrong = fine.copy()
    wrong[1, 2] = value
    assert not sound(fine, wrong)


def test_products_of_what_is_sound_fit_into_float32() -> None:
    largest = np.full(4096, RUNAWAY, np.float32)
    assert np.isfinite(largest @ largest)
