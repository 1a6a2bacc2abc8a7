"""What a score says of a label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serendip.data.scales import on_scale


@pytest.mark.parametrize(
    ("kind", "score", "means"),
    [("binary", 0.0, 0.5), ("count", np.log(3), 3), ("duration", np.log(8), 7), ("rating", 3.5, 3.5)],
)
def test_scores_mean_what_the_label_measures(kind: Any, score: float, means: float) -> None:
    assert on_scale(kind, np.array([score]))[0] == pytest.approx(means)
    assert np.isneginf(on_scale(kind, np.array([-np.inf]))[0])
    assert np.isfinite(on_scale(kind, np.array([1e30]))[0])
