"""A heat map covers a cell the more, the larger its value; what is not drawn is the weakest."""

from __future__ import annotations

import numpy as np
import pytest

from serendip.report.heat import NAMES, ROW, heat, strongest
from tests.report.test_plots import of_class, percent, tree


def test_cells_stand_where_row_and_column_meet_and_are_covered_by_their_share_of_the_largest() -> None:
    markup = heat("two fields", ["town", "<item>"], np.array([[0.0, 4.0], [1.0, 2.0]], np.float32))
    assert tree(markup).get("aria-label") == "two fields"
    cells = of_class(markup, "heat")
    assert [float(cell.get("fill-opacity", "")) for cell in cells] == pytest.approx([0, 1, 0.25, 0.5])
    left, width = 100 * NAMES, 50 * (1 - NAMES)
    assert [percent(cell.get("x")) for cell in cells] == pytest.approx([left, left + width] * 2)
    assert [float(cell.get("y", "")) for cell in cells] == [ROW, ROW, 2 * ROW, 2 * ROW]
    assert [one.text for one in tree(markup).iter() if one.tag.endswith("title")][1] == "town by <item>: 4"
    assert [one.text for one in of_class(markup, "tick")] == ["1", "2", "1 town", "2 <item>"]


def test_where_nothing_is_crossed_nothing_is_covered() -> None:
    cells = of_class(heat("none", ["a"], np.zeros((1, 1))), "heat")
    assert [cell.get("fill-opacity") for cell in cells] == ["0.000"]


def test_fields_that_are_left_out_have_the_weakest_crosses_with_others() -> None:
    values = np.diag([9.0, 9.0, 9.0, 9.0])
    values[0, 2], values[3, 0] = 3, 2
    assert strongest(values, 2) == [0, 2]
    assert strongest(values, 3) == [0, 2, 3]
    assert strongest(values, 9) == [0, 1, 2, 3]
