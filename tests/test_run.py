from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from serendip.model import Run
from serendip.run import Shown
from serendip.types import ABSENT, SerendipError


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


def test_lists_say_of_an_item_what_named_it_and_how_high_it_stood() -> None:
    lists = np.array([[7, 5, 2], [4, ABSENT, ABSENT]], np.int32)
    ials = [[1.5, -0.5, np.nan], [np.nan] * 3]
    popular = [[np.nan, 0.5, -1], [0, np.nan, np.nan]]
    scores = np.stack([np.array(ials, np.float32), np.array(popular, np.float32)], axis=-1)
    shown = Shown(lists, np.array([0, ABSENT, 1], np.int32), scores, ("ials", "popular"))
    said = shown.said(np.array([0, 1, 2]), np.array([[5, 9, 2], [5, 9, 2], [4, 7, 4]]))
    nothing = [np.nan, np.nan]
    one = [[[1, -0.5], nothing, nothing], [nothing] * 3, [nothing] * 3]
    other = [[[1, 0.5], nothing, [1, -1]], [nothing] * 3, [[1, 0], nothing, [1, 0]]]
    assert list(said) == ["source.ials", "source.popular"]
    np.testing.assert_array_equal(said["source.ials"], np.array(one, np.float32))
    np.testing.assert_array_equal(said["source.popular"], np.array(other, np.float32))
    assert Shown(lists, np.array([0], np.int32)).said(np.array([0]), np.array([[5]])) == {}
    none = Shown(np.empty((0, 0), np.int32), np.array([ABSENT], np.int32), scores[:0, :0, :1], ("ials",))
    assert np.isnan(none.said(np.array([0]), np.array([[5, 6]]))["source.ials"]).all()
