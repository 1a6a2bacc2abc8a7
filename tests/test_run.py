from __future__ import annotations

from typing import Any

import pytest

from serendip.model import Run
from serendip.types import SerendipError


@pytest.mark.parametrize(
    "wrong",
    [
        {"validate_every": 0},
        {"patience": 0},
        {"epochs": 0},
        {"time_budget": 0.0},
        {"checkpoint_every": 0.0},
        {"patience": 2},
        {"resume": True},
    ],
)
def test_a_run_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SerendipError, match=next(iter(wrong))):
        Run(**wrong)
