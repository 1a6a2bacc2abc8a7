"""The page about events one by one: a table per label, chances and what came true of them."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.recipe import judge_recipe, read
from serendip.report import render
from serendip.report.judged import read_judged
from serendip.types import SerendipError


@pytest.fixture(scope="module")
def stored() -> Any:
    rng = np.random.default_rng(0)
    rows = [(u, i, int(rng.random() < (i + 1) / 8)) for u in range(80) for i in range(7)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "liked"], orient="row")
    recipe = read(
        overrides=[
            'evaluate.metrics=["auc", "logloss", "ece"]',
            'evaluate.compare=["popular"]',
            "fit.calibration=platt",
            "model.label=liked",
            "model.boldness=4",
        ],
        model="tests.recipe.toys",
    )
    found = judge_recipe(recipe, data=Dataset.from_frames(frame, labels={"liked": "binary"}))
    return json.loads(json.dumps(found.to_dict()))


def test_the_page_shows_every_label_and_the_gap_before_and_after(stored: Any) -> None:
    page = render(evaluation=stored)
    for words in ("Events one by one", "liked", "tests.recipe.toys, not calibrated", "popular", "What was foretold"):
        assert words in page
    (judged,), notes = read_judged(stored)
    assert judged.metrics == ["auc", "logloss", "ece"] and len(judged.chances) == 2 and notes
    cells = {name: dict(zip(judged.metrics, row, strict=True)) for name, row in judged.table()}
    assert cells["popular"]["ece"].mean == "" and cells["tests.recipe.toys"]["ece"].best
    gaps = [float(cells[name]["ece"].mean) for name in list(cells)[:2]]
    assert gaps[0] < gaps[1]
    assert f"Mean gaps: tests.recipe.toys {gaps[0]:.4f}" in page
    assert page.count("<g><title>tests.recipe.toys: ") == len(next(iter(judged.chances.values())))
    assert "least true difference" in page and judged.least_effects()[0][0] == "auc"
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_chances_of_what_is_rare_fill_the_plot(stored: Any) -> None:
    """The same chances, all a fiftieth as large: every mark stands where it stood, and the axes say 0.02 for 1."""
    small = json.loads(json.dumps(stored))
    for model in small["labels"]["liked"]["models"].values():
        for name in ("predicted", "observed", "low", "high") if model["bins"] else ():
            model["bins"][name] = [value / 50 for value in model["bins"][name]]
    plots = [str(read_judged(one)[0][0].plot()) for one in (stored, small)]
    marks = [re.findall(r"</title>.*?</g>", plot) for plot in plots]
    assert len(marks[0]) > 2 and marks[0] == marks[1]
    ticks = [re.findall(r'text-anchor="middle">([0-9.]+)<', plot) for plot in plots]
    assert [float(end) for end in (ticks[0][-1], ticks[1][-1])] == [1, 0.02]


def test_other_figures_are_refused(stored: Any) -> None:
    with pytest.raises(SerendipError, match=r"at least one model\. Got none"):
        render(evaluation={"labels": {}})
    with pytest.raises(SerendipError, match="as serendip evaluate writes them"):
        render(evaluation={"labels": {"liked": 1}})
