"""Items of the history."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from serendip.rerank import Repeat, bind
from serendip.types import ABSENT, Queries, SerendipError

from .shelves import asked, lists, shelf

DAY = 86_400


def timed(history: list[int], days: list[int], now: int | None = None) -> Queries:
    queries = replace(asked(history=[history]), bags={"time": np.array([days]) * DAY})
    return queries if now is None else replace(queries, time=np.array([now * DAY]))


def test_they_are_hidden_lowered_or_kept() -> None:
    queries, rows = asked(history=[[1, 3], []]), lists([0, 1, 2, 3], [3, 1])
    hidden = bind(Repeat(), shelf())(queries, rows)
    assert hidden.items.tolist() == [[0, 2, ABSENT, ABSENT], [3, 1, ABSENT, ABSENT]]
    lowered = bind(Repeat(policy="lower", weight=0.5), shelf())(queries, rows)
    assert lowered.items.tolist() == [[0, 2, 1, 3], [3, 1, ABSENT, ABSENT]]  # 1, 2/3 − 1/2, 1/3, −1/2
    assert bind(Repeat(policy="keep"), shelf())(queries, rows).items.tolist() == rows.items.tolist()


def test_after_some_days_they_are_as_others() -> None:
    step = bind(Repeat(after=10), shelf(latest=30 * DAY))
    assert step(timed([1, 3], [5, 25]), lists([0, 1, 3])).items.tolist() == [[0, 1, ABSENT]]
    assert step(timed([1, 3], [5, 25], now=40), lists([0, 1, 3])).items.tolist() == [[0, 1, 3]]
    # had again of late: it is hidden
    assert step(timed([1, 1], [5, 25]), lists([0, 1])).items.tolist() == [[0, ABSENT]]
    # a history without times counts as one of just now
    assert step(asked(history=[[1]]), lists([0, 1])).items.tolist() == [[0, ABSENT]]


def test_a_log_without_times_has_no_after() -> None:
    with pytest.raises(SerendipError, match=r"repeat.after must come with a log whose events have times in unix secon"):
        bind(Repeat(after=1), shelf())
