"""Models of several tasks: each foretells what is true, on its own scale, and a formula makes one score of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from serendip.data.dataset import Dataset
from serendip.data.features import Feature
from serendip.data.features.declared import Category
from serendip.model import Model, Run, find
from serendip.models._tasks import balance, task_errors, tasks_of
from serendip.scorers import Calibration, TaskCalibration, TaskScorer, dump, restore
from serendip.types import ABSENT, Queries, SerendipError

ONE = Run(threads=1)
SMALL: dict[str, Any] = {
    "factors": 4, "hidden": 16, "layers": 1, "length": 0, "batch_size": 128, "learning_rate": 0.02, "epochs": 12,
}  # fmt: skip
SIDES: dict[str, Feature] = {"town": Category(side="user"), "weather": Category(side="context")}
CLICK = {True: 0.8, False: 0.2}
"""How probable a click is where the item is of the user's town, and elsewhere."""
BUY = {True: 0.7, False: 0.1}
"""How probable it is in the rain that what was clicked is bought, and in the sun."""
SECONDS = {True: 90.0, False: 30.0}
"""How long what was clicked is watched, in the rain and in the sun."""


@cache
def shown(rows: int = 6000) -> Dataset:
    """What was shown to users of two towns, with what they did; few rows have a rating, 1 more in the own town."""
    rng = np.random.default_rng(0)
    user, item, rain = rng.integers(0, 60, rows), rng.integers(0, 8, rows), rng.integers(0, 2, rows) == 1
    own = user % 2 == item % 2
    click = rng.random(rows) < np.where(own, CLICK[True], CLICK[False])
    buy = click & (rng.random(rows) < np.where(rain, BUY[True], BUY[False]))
    seconds = np.where(click, rng.exponential(np.where(rain, SECONDS[True], SECONDS[False])), 0)
    rating = np.where(rng.random(rows) < 0.2, 3.0 + own, np.nan)
    events = pl.DataFrame(
        {
            "user_id": user,
            "item_id": item,
            "weather": np.where(rain, "rain", "sun"),
            "clicked": click.astype(int),
            "bought": buy.astype(int),
            "seconds": seconds,
            "stars": rating,
        },
        nan_to_null=True,
    )
    users = pl.DataFrame({"user_id": np.arange(60), "town": np.where(np.arange(60) % 2, "odd", "even")})
    labels: Any = {"clicked": "binary", "bought": "binary", "seconds": "duration", "stars": "rating"}
    return Dataset.from_frames(events, users, labels=labels, features=SIDES)


def asked(town: str, weather: str) -> Queries:
    """Somebody nobody knows."""
    features = shown().features
    assert features is not None
    known = {
        **features.users(pl.DataFrame({"town": [town]})),
        **features.context(None, pl.DataFrame({"weather": [weather]})),
    }
    return Queries(np.array([ABSENT], np.int32), np.empty((1, 0), np.int32), features=known)


@cache
def learned(name: str, options: tuple[tuple[str, Any], ...] = ()) -> Model:
    return find(name)(**{**SMALL, **dict(options)}).fit(shown(), ONE)


def scorer(fitted: Model) -> TaskScorer:
    found = fitted.lower()
    assert isinstance(found, TaskScorer)
    return found


def told(found: TaskScorer, town: str, weather: str, items: list[int]) -> dict[str, float]:
    """The means over the items of what is foretold."""
    values = found.foretold(asked(town, weather), np.array([items], np.int32))
    return {name: float(value.mean()) for name, value in values.items()}


EVEN, ODD = [0, 2, 4, 6], [1, 3, 5, 7]


@pytest.mark.parametrize("name", ["shared_bottom", "mmoe", "ple"])
def test_every_task_is_foretold_on_its_own_scale(name: str) -> None:
    found = scorer(learned(name, (("tasks", ("clicked", "stars", "bought")),)))
    assert found.tasks == ("clicked", "stars", "bought")
    for town, items, own in (("even", EVEN, True), ("even", ODD, False), ("odd", ODD, True)):
        for weather, rain in (("rain", True), ("sun", False)):
            values = told(found, town, weather, items)
            assert values["clicked"] == pytest.approx(CLICK[own], abs=0.09)
            assert values["bought"] == pytest.approx(CLICK[own] * BUY[rain], abs=0.09)
            assert values["stars"] == pytest.approx(3 + own, abs=0.2)


def test_a_conversion_is_foretold_of_what_is_shown_and_of_what_is_clicked() -> None:
    found = scorer(learned("esmm", (("click", "clicked"), ("conversion", "bought"))))
    assert found.tasks == ("clicked", "bought", "after")
    for weather, rain in (("rain", True), ("sun", False)):
        for items, own in ((EVEN, True), (ODD, False)):
            values = told(found, "even", weather, items)
            assert values["bought"] == pytest.approx(CLICK[own] * BUY[rain], abs=0.08)
        assert told(found, "even", weather, EVEN)["after"] == pytest.approx(BUY[rain], abs=0.12)


@pytest.mark.parametrize(
    ("options", "share"), [((), 1.0), ((("positives", "instead"),), 1 / (1 - CLICK[True]))], ids=["mean", "published"]
)
def test_the_odds_are_the_expected_time(options: tuple[tuple[str, Any], ...], share: float) -> None:
    found = scorer(learned("watch_time", (("label", "seconds"), *options)))
    for weather, rain in (("rain", True), ("sun", False)):
        expected = CLICK[True] * SECONDS[rain] * share
        assert told(found, "even", weather, EVEN)["seconds"] == pytest.approx(expected, rel=0.25)


def test_time_by_regression_on_its_logarithm_is_a_geometric_mean() -> None:
    found = scorer(learned("watch_time", (("label", "seconds"), ("form", "log"))))
    data = shown()
    rain = data.events.context["weather"] == "rain"
    own = data.events.users % 2 == 0
    own &= data.events.items % 2 == 0
    expected = np.expm1(np.log1p(data.events.labels["seconds"][own & rain]).mean())
    assert told(found, "even", "rain", EVEN)["seconds"] == pytest.approx(float(expected), rel=0.3)


def test_another_formula_ranks_otherwise_and_nothing_is_learned_anew() -> None:
    found = scorer(learned("shared_bottom", (("tasks", ("clicked", "stars", "bought")),)))
    query = asked("even", "rain")
    assert set(np.argsort(-found.score(query)[0])[:4]) == set(EVEN)
    against = found.scored_by("2 - clicked^2")
    assert set(np.argsort(-against.score(query)[0])[:4]) == set(ODD)
    np.testing.assert_allclose(against.score(query), 2 - found.foretold(query)["clicked"] ** 2, rtol=1e-5)
    again = restore(*dump(against))
    np.testing.assert_array_equal(again.score(query), against.score(query))


def test_each_task_has_a_calibration_of_its_own_and_the_formula_reads_what_it_says() -> None:
    found = scorer(learned("shared_bottom", (("tasks", ("clicked", "stars", "bought")),)))
    query = asked("even", "rain")
    raw = found.foretold(query)
    levels = Calibration("isotonic", True, centres=np.array([0.2, 0.4]), levels=np.array([0.1, 0.5]))
    sigmoid = Calibration("platt", True, slope=2.0, intercept=-1.0)
    by = [TaskCalibration.of("clicked", levels), TaskCalibration.of("bought", sigmoid)]
    made = found.calibrated(by).scored_by("clicked + 2 * bought")
    said = made.foretold(query)
    for name, curve in (("clicked", levels), ("bought", sigmoid)):
        np.testing.assert_allclose(said[name], 0.999 * curve(raw[name]) + 0.001 * raw[name], rtol=1e-5)
    np.testing.assert_array_equal(said["stars"], raw["stars"])
    np.testing.assert_allclose(made.score(query), said["clicked"] + 2 * said["bought"], rtol=1e-5)
    assert len(np.unique(said["clicked"])) == len(np.unique(raw["clicked"]))  # where the curve is level, too
    again = restore(*dump(made))
    np.testing.assert_array_equal(again.score(query), made.score(query))
    np.testing.assert_array_equal(made.calibrated(()).foretold(query)["bought"], raw["bought"])
    for wrong in ([by[0], by[0]], [TaskCalibration.of("hide", sigmoid)]):
        with pytest.raises(SerendipError, match="calibrations must be of its tasks, of each at most one"):
            found.calibrated(wrong)
    tensors, header = dump(made)
    header["calibrations"][0]["levels"] = [0.1, 1.5]
    with pytest.raises(SerendipError, match=r"levels must lie in 0 … 1"):
        restore(tensors, header)


def test_the_score_of_the_recipe_is_a_formula_over_the_tasks() -> None:
    fitted = learned("mmoe", (("tasks", ("clicked", "bought")), ("score", "bought / clicked"), ("epochs", 1)))
    query = asked("odd", "rain")
    values = scorer(fitted).foretold(query)
    np.testing.assert_allclose(fitted.score(query), values["bought"] / values["clicked"], rtol=1e-5)


def test_a_task_that_counts_nothing_is_not_learned() -> None:
    options: dict[str, Any] = {"tasks": ("clicked", "stars"), "weights": {"clicked": 0.0}}
    found = scorer(find("shared_bottom")(**SMALL, **options).fit(shown(), ONE))
    values = told(found, "even", "sun", EVEN), told(found, "even", "sun", ODD)
    assert values[0]["stars"] - values[1]["stars"] > 0.7
    assert abs(values[0]["clicked"] - values[1]["clicked"]) < 0.3


def test_what_tasks_count_can_be_learned() -> None:
    options = (("tasks", ("clicked", "seconds")), ("balance", "uncertainty"))
    found = scorer(learned("shared_bottom", options))
    assert told(found, "even", "sun", EVEN)["clicked"] == pytest.approx(CLICK[True], abs=0.09)


def test_what_tasks_count_is_learned_from_where_the_mean_is_foretold() -> None:
    """0.41 of what is shown is clicked; a rare task so counts as much more as its loss is smaller."""
    taught = tasks_of("mmoe", shown(), ("clicked", "bought", "stars", "interest"), {})
    learned = balance("uncertainty", taught, negatives=4)
    assert learned is not None and balance("fixed", taught, negatives=4) is None
    labels = shown().events.labels
    clicked, bought = (labels[name].mean() for name in ("clicked", "bought"))
    spread = np.nanvar(labels["stars"])

    def entropy(p: float) -> float:
        return float(-p * np.log(p) - (1 - p) * np.log(1 - p))

    expected = [2 * entropy(clicked), 2 * entropy(bought), spread, 2 * entropy(0.2)]
    assert torch.exp(learned.log_variances).tolist() == pytest.approx(expected, rel=1e-3)


def test_what_a_task_counts_is_told_beside_what_is_learned() -> None:
    """Weights that learn would undo what their losses are multiplied with before."""
    taught = tasks_of("mmoe", shown(), ("clicked", "bought"), {})
    learned = balance("uncertainty", taught, negatives=0)
    scores, labels = torch.zeros(2, 2), torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    alike, more = (task_errors(scores, labels, taught.tasks, None, counts, learned) for counts in ({}, {"bought": 3.0}))
    assert float(more["bought"].detach() / alike["bought"].detach()) == pytest.approx(3)
    assert float(more["clicked"].detach()) == float(alike["clicked"].detach())


def test_interest_is_a_task_beside_labels() -> None:
    """Of each user's events so few that there are items they did not take up."""
    data = shown()
    some = data.where((data.events.labels["clicked"] > 0) & (np.arange(len(data.events)) % 20 == 0))
    options = {**SMALL, "tasks": ("interest", "seconds"), "weights": {"seconds": 0.1}, "epochs": 60, "batch_size": 16}
    found = scorer(find("shared_bottom")(**options).fit(some, ONE))
    own, other = told(found, "even", "rain", EVEN), told(found, "even", "rain", ODD)
    assert own["interest"] > other["interest"] + 0.1
    assert own["seconds"] > told(found, "even", "sun", EVEN)["seconds"] * 1.5


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("shared_bottom", {"tasks": ("clicked", "likes")}, r"bottom: tasks must be of .*clicked.* Got 'likes'"),
        ("mmoe", {"tasks": ("cliked",)}, r"Got 'cliked' instead\. Did you mean 'clicked'\? Otherwise name the column"),
        ("esmm", {"click": "likes", "conversion": "bought"}, r"esmm: click must be one of the labels .* Got 'likes'"),
        ("esmm", {"click": "clicked", "conversion": "bougt"}, r"conversion must be .* Did you mean 'bought'\?"),
        (
            "watch_time",
            {"label": "second"},
            r"label must be .* you mean 'seconds'\? Leave it out to learn interest",
        ),
        ("shared_bottom", {"tasks": ("clicked", "clicked")}, "tasks must be different ones"),
        ("shared_bottom", {"tasks": ("clicked",), "weights": {"liked": 2.0}}, "weights must be of the tasks clicked"),
        ("mmoe", {"tasks": ("clicked",), "score": "clicked * hide"}, "hide"),
        ("mmoe", {"tasks": ("clicked",), "score": "clicked / 0"}, "0"),
        ("esmm", {"click": "clicked"}, "two labels, or neither"),
        (
            "esmm",
            {"click": "clicked", "conversion": "stars"},
            "conversion must be a binary label. Got 'stars', a rat",
        ),
        ("watch_time", {"label": "clicked"}, "label must name durations, 0 or more. Got a binary"),
    ],
)
def test_what_cannot_be_learned_is_said_before_training(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(SerendipError, match=said):
        find(name)(**SMALL, **options).fit(shown(), ONE)
