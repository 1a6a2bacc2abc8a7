"""A ranker of one label foretells it on its own scale, beside the score."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from serendip.bundle import Bundle
from serendip.cli import app
from serendip.model import Run, find
from serendip.pipeline import first_of, retrieve
from serendip.scorers import LabelScorer, LabelWeights, RankScorer, dump, restore
from serendip.scorers.calibrated import Calibrated
from serendip.types import ABSENT, Foreteller, Queries, SerendipError
from tests.models.fields import FEW, log, of_events

LIKED = log(lambda user, item, moment: item % 2)
"""What is odd is liked by everybody."""


def fitted(name: str = "fm", **options: Any) -> Any:
    own = {"factors": 4} if name == "fm" else {}
    return find(name)(**{**FEW, **own, "epochs": 5, **options}).fit(LIKED, Run(threads=1)).lower()


@pytest.mark.parametrize(("name", "kind"), [("fm", LabelScorer), ("lr", LabelWeights)])
def test_what_is_foretold_is_the_probability_of_the_score(name: str, kind: type[Any]) -> None:
    scorer = fitted(name)
    assert type(scorer) is kind and isinstance(scorer, Foreteller) and scorer.tasks == ("liked",)
    kept = restore(*dump(scorer))
    queries, items = of_events(LIKED), LIKED.events.items[:, None]
    found, scores = kept.foretold(queries, items)["liked"], scorer.score(queries, items)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-scores.astype(np.float64))), rtol=1e-6)
    odd = LIKED.events.labels["liked"][:, None] == 1
    assert found[odd].min() > 0.5 > found[~odd].max()


def test_of_what_has_no_score_nothing_is_foretold() -> None:
    found = fitted().foretold(of_events(LIKED).take(slice(0, 1)), np.array([[0, ABSENT]], np.int32))["liked"]
    assert np.isfinite(found[0, 0]) and np.isnan(found[0, 1])


@pytest.mark.parametrize("options", [{"label": None}, {"loss": "softmax"}])
def test_what_learns_an_order_alone_foretells_nothing(options: dict[str, Any]) -> None:
    scorer = fitted(**options)
    assert type(scorer) is RankScorer and not isinstance(scorer, Foreteller)


def test_a_label_must_have_a_name() -> None:
    with pytest.raises(SerendipError, match="it must name a label"):
        replace(fitted(), label="")


@pytest.mark.parametrize("calibrated", [False, True])
def test_explain_says_the_probability_and_what_the_score_is(calibrated: bool, tmp_path: Path) -> None:
    from serendip.scorers import Calibration

    scorer = fitted(length=5)
    if calibrated:
        scorer = Calibrated(scorer, "liked", Calibration("platt", False, slope=2.0, intercept=0.0))
    made = Bundle.build(LIKED, first_of(retrieve(scorer, name="fm")))
    made.save(tmp_path / "b")
    frame = made.foretold([0, 0], [1, 2])
    assert frame["task"].to_list() == ["liked"] * 2 and frame["source"].to_list() == ["fm"] * 2
    assert frame["foretold"][0] > 0.5 > frame["foretold"][1]
    asked = ["explain", "--bundle", str(tmp_path / "b"), "--user", "0", "--item", "1", "--include-seen", "-k", "20"]
    told = CliRunner().invoke(app, [*asked, "--json"])
    assert told.exit_code == 0, told.stderr
    (why,) = json.loads(told.stdout)
    assert why["foretold"]["liked"] == pytest.approx(frame["foretold"][0], rel=1e-3) and why["foretold_by"] == "fm"
    assert ("calibrated by Platt" if calibrated else "log-odds that liked is 1") in why["score_is"]


def test_a_query_alone_is_answered_for_all_items() -> None:
    scorer = fitted("lr")
    nobody = Queries(np.array([ABSENT], np.int32), np.empty((1, 0), np.int32))
    assert scorer.foretold(nobody)["liked"].shape == (1, LIKED.n_items)
