"""Plots say what the numbers say: positions are read back from the markup."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serendip.report import plots
from serendip.report.plots import Dot, Row


def tree(markup: str) -> ElementTree.Element:
    return ElementTree.fromstring(markup)


def of_class(markup: str, name: str) -> list[ElementTree.Element]:
    return [one for one in tree(markup).iter() if name in one.get("class", "").split()]


def percent(value: str | None) -> float:
    assert value is not None
    return float(value.removesuffix("%"))


@given(st.floats(1e-9, 1e12))
def test_steps_are_few_round_and_reach_the_top(top: float) -> None:
    ticks = plots.steps(top)
    assert 2 <= len(ticks) <= 6
    assert ticks[0] == 0
    assert ticks[-1] >= top * (1 - 1e-6)
    assert ticks[-2] < top
    mantissa = f"{ticks[1]:.6e}".partition("e")[0]
    assert float(mantissa) in (1, 2, 2.5, 5)


def test_steps_of_nothing_are_still_an_axis() -> None:
    assert plots.steps(0) == [0, 1]
    assert plots.steps(0.1) == pytest.approx([0, 0.02, 0.04, 0.06, 0.08, 0.1])


def test_dots_and_whiskers_stand_where_the_numbers_say() -> None:
    rows = [
        Row("one", "n = 5", [Dot("a", 0, 0.2, 0.1, 0.3), Dot("b", 1, 0.5)]),
        Row("two", "", [Dot("a", 0, None), Dot("b", 1, 0.4, -0.1, 0.45)]),
    ]
    markup = plots.whiskers("shows this", rows)
    assert tree(markup).get("aria-label") == "shows this"
    assert [percent(mark.get("x")) for mark in of_class(markup, "mark")] == pytest.approx([40, 100, 80])
    ends = [(percent(line.get("x1")), percent(line.get("x2"))) for line in of_class(markup, "whisker")]
    assert ends == [(20.0, 60.0), (0.0, 90.0)]
    assert [one.text for one in of_class(markup, "label")] == ["one", "two"]
    heights = [float(mark.get("y", "")) for mark in of_class(markup, "mark")]
    assert heights == sorted(heights)
    assert max(heights) < float(tree(markup).get("height", "0"))


def test_a_line_breaks_where_a_value_is_missing() -> None:
    series = [[Dot("a", 0, 0.5), Dot("a", 0, None), Dot("a", 0, 1.0), Dot("a", 0, 0.0)]]
    markup = plots.lines("found", ["w", "x", "y", "z"], series)
    assert len(of_class(markup, "line")) == 1
    assert [percent(mark.get("x")) for mark in of_class(markup, "mark")] == pytest.approx([12.5, 62.5, 87.5])
    top, bottom = plots.TEXT_GAP, plots.HEIGHT
    assert [float(mark.get("y", "")) for mark in of_class(markup, "mark")] == pytest.approx(
        [(top + bottom) / 2, top, bottom]
    )


def test_bars_are_as_high_as_their_counts_and_fill_the_width() -> None:
    markup = plots.bars("events", ["2024-01-01", "2024-01-02", "2024-01-03"], [50, 0, 100])
    bars = of_class(markup, "bar")
    span = plots.HEIGHT - plots.TEXT_GAP
    assert [float(bar.get("height", "")) for bar in bars] == pytest.approx([span / 2, 0, span])
    assert percent(bars[-1].get("x")) + percent(bars[-1].get("width")) == pytest.approx(100, abs=4)
    assert [one.text for one in of_class(markup, "tick")][-3:] == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert bars[2].find("title") is not None


@pytest.mark.parametrize("counts", [[], [3], [3, 4]])
def test_few_bars_are_drawn_too(counts: list[int]) -> None:
    markup = plots.bars("events", [str(count) for count in counts], counts)
    assert len(of_class(markup, "bar")) == len(counts)


def test_the_tail_falls_from_the_most_popular_to_the_least() -> None:
    markup = plots.curve("tail", [1000, 100, 10, 1, 0])
    edge = next(one for one in of_class(markup, "edge"))
    points = [tuple(map(float, point.split(","))) for point in edge.get("points", "").split()]
    assert [x for x, _ in points] == [0, 250, 500, 750, 1000]
    assert [y for _, y in points] == sorted(y for _, y in points)
    assert points[0][1] == pytest.approx(0)
    assert points[-1][1] == 1000
    gaps = [after - before for (_, before), (_, after) in pairwise(points[:4])]
    assert gaps == pytest.approx([gaps[0]] * 3, abs=0.2)
    assert [one.text for one in of_class(markup, "tick")] == ["1", "10", "100", "1,000", "most popular item", "item 5"]


@pytest.mark.parametrize("counts", [[], [0], [7], [5] * 100_000])
def test_any_tail_is_drawn_with_few_points(counts: list[int]) -> None:
    markup = plots.curve("tail", counts)
    assert len(of_class(markup, "edge")[0].get("points", "").split()) <= 160


def test_every_series_differs_from_the_others_by_colour_or_mark() -> None:
    markup = plots.legend([f"model {number}" for number in range(30)])
    looks = [
        (mark.get("class"), ElementTree.tostring(mark[0]))
        for mark in tree(markup).iter()
        if "mark" in mark.get("class", "").split()
    ]
    assert len(set(looks)) == 30


def test_words_are_escaped() -> None:
    evil = '<script>alert("1")</script>'
    markups = [
        plots.whiskers(evil, [Row(evil, evil, [Dot(evil, 0, 1.0, 0.5, 1.5)])]),
        plots.lines(evil, [evil], [[Dot(evil, 0, 1.0)]]),
        plots.bars(evil, [evil], [1]),
        plots.curve(evil, [1]),
        plots.legend([evil]),
    ]
    for markup in markups:
        assert "<script" not in markup
        tree(markup)
