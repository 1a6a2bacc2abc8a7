from __future__ import annotations

import pytest

from serendip.report.scatter import Axis, Point, history, scatter, worth
from tests.report.test_plots import of_class, percent, tree


def test_an_axis_is_even_or_by_orders_of_magnitude_and_ends_at_its_ends() -> None:
    assert Axis(2, 4).share(3) == 0.5 and Axis(2, 4).share(9) == 1 and Axis(2, 4).share(-9) == 0
    assert Axis(0.01, 100, log=True).share(1) == pytest.approx(0.5)
    assert Axis(0.01, 100, log=True).share(0) == 0
    assert Axis(3, 3).share(3) == 0.5


def test_ticks_are_round_and_within() -> None:
    assert Axis(0.13, 0.18).ticks() == pytest.approx([0.13, 0.14, 0.15, 0.16, 0.17, 0.18])
    assert Axis(5, 1000, log=True).ticks() == pytest.approx([10, 100, 1000])
    assert Axis(0.0001, 1000, log=True).ticks() == pytest.approx([0.0001, 0.01, 1, 100])
    assert Axis(2, 8, log=True).ticks() == pytest.approx([2, 4, 6, 8])
    assert Axis(-1, 1).ticks() == pytest.approx([-1, -0.5, 0, 0.5, 1])


def test_the_axis_of_values_leaves_out_what_is_far_worse_than_the_median() -> None:
    values = [0.2, 0.19, 0.18, 0.17, 0.001]
    axis = worth([Point(0, value, "") for value in values], False)
    assert axis.low < 0.14 + 1e-9 and axis.low > 0.1 and axis.high > 0.2
    errors = worth([Point(0, value, "") for value in (0.9, 0.95, 1.0, 50.0)], True)
    assert errors.low < 0.9 and 1.0 < errors.high < 1.4
    assert worth([], False) == Axis(0.0, 1.0)
    same = worth([Point(0, 0.5, "")], False)
    assert same.low < 0.5 < same.high


def test_points_stand_where_the_numbers_say_and_the_best_has_a_mark_of_its_own() -> None:
    axis = Axis(0, 1)
    points = [Point(1, 0.25, "one"), Point(100, 0.75, "two", best=True), Point(10, None, "three")]
    markup = scatter("values by x", points, axis, across=Axis(1, 100, log=True))
    assert tree(markup).get("aria-label") == "values by x"
    marks = of_class(markup, "mark")
    assert [percent(mark.get("x")) for mark in marks] == pytest.approx([3, 97, 50])
    heights = [float(mark.get("y", "")) for mark in marks]
    assert heights[1] < heights[0] < heights[2]
    assert [mark.get("class", "").split()[1] for mark in marks] == ["s0", "s1", "s4"]
    assert [one.text for one in tree(markup).iter() if one.tag.endswith("title")] == ["one", "two", "three"]


def test_named_values_stand_side_by_side() -> None:
    points = [Point("a", 0.1, ""), Point("b", 0.2, ""), Point("a", 0.3, "")]
    markup = scatter("by name", points, Axis(0, 1))
    assert [percent(mark.get("x")) for mark in of_class(markup, "mark")] == pytest.approx([25, 75, 25])
    assert {"a", "b"} <= {one.text for one in of_class(markup, "tick")}


@pytest.mark.parametrize(("minimise", "levels"), [(False, [0.4, 0.4, 0.8]), (True, [0.4, 0.2, 0.2])])
def test_the_line_of_a_history_is_the_best_so_far(minimise: bool, levels: list[float]) -> None:
    points = [Point(0, 0.4, ""), Point(1, 0.2, ""), Point(2, 0.8, ""), Point(3, None, "")]
    markup = history("so far", points, Axis(0, 1), minimise)
    lines = of_class(markup, "line")
    flat = [float(line.get("y1", "")) for line in lines if line.get("y1") == line.get("y2")]
    assert flat == pytest.approx([8 + 182 * (1 - level) for level in levels], abs=0.1)
    assert percent(lines[-1].get("x2")) == pytest.approx(97)


def test_nothing_is_drawn_of_nothing() -> None:
    assert not of_class(history("empty", [], Axis(0, 1), False), "mark")
