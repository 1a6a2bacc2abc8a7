"""Calibration to the history's mix."""

from __future__ import annotations

import numpy as np
import pytest

from serendip.rerank import Calibrate, bind
from serendip.rerank.calibrate import CalibrateStage

from .shelves import FILMS, asked, lists, shelf


def shares(items: list[int]) -> dict[str, float]:
    """Of the items that have genres, the mean of 1 over their number for each."""
    known = [genres for item in items if (genres := FILMS["genres"][item])]
    out: dict[str, float] = {}
    for genres in known:
        for one in genres.split("|"):
            out[one] = out.get(one, 0) + 1 / len(genres.split("|")) / len(known)
    return out


def divergence(history: list[int], shown: list[int], a: float) -> float:
    p, q = shares(history), shares(shown)
    return float(sum(value * np.log(value / ((1 - a) * q.get(name, 0) + a * value)) for name, value in p.items()))


def test_the_mix_of_a_history_is_the_mean_over_its_items() -> None:
    step = bind(Calibrate(by="genres"), shelf())
    assert isinstance(step, CalibrateStage)
    # By hand: d is Comedy, c half Comedy and half Drama, f has none: Comedy 3/4, Drama 1/4.
    assert sorted(step.mix(asked(history=[[3, 2, 5]]))[0].tolist()) == [0, 0.25, 0.75]


def test_a_list_of_dramas_makes_room_for_the_comedies_of_the_history() -> None:
    rows = lists([0, 1, 4, 3])
    found = bind(Calibrate(by="genres", weight=0.9), shelf())(asked(history=[[0, 3]], k=2), rows)
    assert found.items.tolist() == [[0, 3, 1, 4]]
    assert bind(Calibrate(by="genres", weight=0), shelf())(asked(history=[[0, 3]]), rows).items.tolist() == [
        [0, 1, 4, 3]
    ]


def test_whose_history_says_nothing_keeps_the_list() -> None:
    found = bind(Calibrate(by="genres", weight=0.9), shelf())(asked(history=[[], [5]]), lists([0, 1, 3], [1, 4, 0]))
    assert found.items.tolist() == [[0, 1, 3], [1, 4, 0]]


@pytest.mark.parametrize("weight", [0.3, 0.8])
def test_each_step_takes_what_the_formula_says(weight: float) -> None:
    rng = np.random.default_rng(0)
    histories = [[int(i) for i in rng.integers(0, 5, 3)] for _ in range(20)]
    rows = [rng.permutation(6).tolist() for _ in range(20)]
    step = bind(Calibrate(by="genres", weight=weight, smoothing=0.05), shelf())
    found = step(asked(history=histories, k=3), lists(*rows))
    for history, row, got in zip(histories, rows, found.items, strict=True):
        worth = {item: 1 - place / 5 for place, item in enumerate(row)}
        chosen: list[int] = []
        for _ in range(3):
            left = [i for i in row if i not in chosen]
            gain = [(1 - weight) * worth[i] - weight * divergence(history, [*chosen, i], 0.05) for i in left]
            chosen.append(left[int(np.argmax(np.round(gain, 9)))])
        assert got.tolist()[:3] == chosen
