"""Which calibration is learned: the one asked for, unless another is better on rows that it has not learned from."""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.rows import EventRows
from serendip.evaluate import at_random
from serendip.recipe import learning, run_recipe
from serendip.recipe.calibrating import borne_out, chosen, in_place_of, learned_on, recoded
from serendip.recipe.reading import read
from serendip.scorers import Calibrated, Calibration, StaticScores
from tests.recipe.test_rows import CHANCES, ODDS, meals


def rows(n: int, begin: float, seed: int = 0, steepness: float = 1.0) -> tuple[Any, Any]:
    """Log-odds, times ``steepness``, and labels that come true by what they were before."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(begin, 1, n)
    return logit * steepness, (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)


def loss(made: Calibration, begin: float, steepness: float = 1.0) -> float:
    """The mean log-loss of many rows that it has not seen."""
    scores, labels = rows(200_000, begin, seed=9, steepness=steepness)
    p = np.clip(made(scores), 1e-7, 1 - 1e-7)
    return float(-np.log(np.where(labels == 1, p, 1 - p)).mean())


@pytest.mark.parametrize("seed", range(5))
def test_isotonic_regression_gives_way_on_a_few_positives(seed: int) -> None:
    """Of scores that are right already, some thirty positives teach it to foretell 0 of whole ranges."""
    scores, labels = rows(4000, -5.5, seed)
    assert 10 < labels.sum() < 60
    found = chosen(scores, labels, "isotonic", probabilities=False)
    asked = Calibration.fit(scores, labels, kind="isotonic")
    assert found.kind == "platt" and loss(found, -5.5) < loss(asked, -5.5)
    assert loss(found, -5.5) < loss(Calibration("platt"), -5.5) + 1e-3
    (said,) = in_place_of("isotonic", {"followed": found})
    assert said.startswith("Leaving followed as it is" if found.unchanged else "Calibrating followed by platt")


def test_it_stays_where_it_is_right() -> None:
    """No sigmoid bends like that: low scores and high ones come true alike."""
    rng = np.random.default_rng(0)
    scores = rng.uniform(-4, 4, 20_000)
    labels = (rng.random(20_000) < np.where(scores < 0, 0.1, 0.3)).astype(float)
    found = chosen(scores, labels, "isotonic", probabilities=False)
    assert found.kind == "isotonic" and not in_place_of("isotonic", {"clicked": found})
    assert found(np.array([-3.0, 3.0])) == pytest.approx([0.1, 0.3], abs=0.03)


def test_what_is_too_sure_is_calibrated_whichever_way_is_asked_for() -> None:
    scores, labels = rows(2000, -1, steepness=4)
    for kind in ("isotonic", "platt"):
        found = chosen(scores, labels, kind, probabilities=False)  # type: ignore[arg-type]
        assert not found.unchanged
        assert loss(found, -1, steepness=4) < loss(Calibration("platt"), -1, steepness=4) - 0.1


def test_a_steep_calibration_is_not_carried_over_to_scores_that_lie_elsewhere() -> None:
    """The scores of two fits tell dishes apart alike, by a hundredth of what they should; one lies a little higher."""
    dishes = meals()
    order = dishes.item_ids.encode(pl.Series(range(8)))
    scores = np.empty(8, np.float32)
    scores[order] = 0.01 * np.log(np.array(CHANCES) / (1 - np.array(CHANCES)))
    asked = EventRows.of(dishes)
    learned = learned_on(StaticScores(scores), "liked", asked, "platt")
    assert learned["liked"].slope > 50
    kept, said = borne_out(StaticScores(scores + 0.002), learned, "liked", asked)
    assert kept == learned and not said
    kept, said = borne_out(StaticScores(scores + 0.05), learned, "liked", asked)
    assert kept["liked"].unchanged
    assert re.fullmatch(r"Leaving liked as it is: .* foretells 0\.9\d* on average where 0\.\d+ came true", said[0])
    assert not borne_out(StaticScores(scores + 0.05), kept, "liked", asked)[1]


def test_rows_are_recoded_from_a_part_to_the_whole() -> None:
    data = meals(60)
    split = at_random(data.where(data.events.users % 3 > 0), repeats=True)
    part = split.rows()
    whole = recoded(part, data)
    assert whole.data is data and (part.users != whole.users).any()
    assert list(split.train.user_ids.decode(part.users)) == list(data.user_ids.decode(whole.users))
    assert list(split.train.item_ids.decode(part.items)) == list(data.item_ids.decode(whole.items))
    before, after = (one.queries().history for one in (part, whole))
    assert (np.where(before < 0, -1, data.item_ids.encode(split.train.item_ids.ids)[before]) == after).all()


def test_a_fit_leaves_out_a_calibration_that_it_does_not_bear_out(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def watch(what: str) -> Any:
        told.append(what)
        return nullcontext(None)

    steep = Calibration("platt", slope=300.0, intercept=400.0)
    monkeypatch.setattr(learning, "learned_on", lambda *_: {"liked": steep})
    recipe = read(overrides=["model.label=liked", "fit.calibration=platt", "pipeline.fallback=[]"], model=ODDS)
    bundle = run_recipe(recipe, data=meals(60), watch=watch)
    assert bundle.pipeline.scorer.calibration.unchanged  # type: ignore[attr-defined]
    assert [one for one in told if one.startswith("Leaving liked as it is: calibrated, the fit to all of the data")]


def test_a_handful_of_rows_teaches_nothing() -> None:
    assert chosen(np.array([0.1, 0.9]), np.array([0.0, 1.0]), "isotonic", probabilities=True).unchanged
    raw = Calibrated(StaticScores(np.zeros(2, np.float32)), "liked", Calibration("platt"))
    assert raw.meaning() == "the probability that liked is 1, which no calibration makes better"


def test_the_fit_says_what_it_took_instead() -> None:
    """Held out are about a hundred rows of eight dishes: too few for isotonic regression."""
    told: list[str] = []

    def watch(what: str) -> Any:
        told.append(what)
        return nullcontext(None)

    recipe = read(overrides=["model.label=liked", "fit.calibration=isotonic", "pipeline.fallback=[]"], model=ODDS)
    bundle = run_recipe(recipe, data=meals(60), watch=watch)
    kind = bundle.pipeline.scorer.calibration.kind  # type: ignore[attr-defined]
    said = [one for one in told if "in place of isotonic" in one]
    assert kind == "platt" and len(said) == 1 and "liked" in said[0]
