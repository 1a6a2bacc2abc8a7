"""Recipes judged event by event: which figures those are, one split for all, scores that become probabilities."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle
from serendip.data.dataset import Dataset
from serendip.data.features.declared import Category
from serendip.data.rows import EventRows
from serendip.evaluate import ROW_METRICS, evaluate_rows
from serendip.model import find
from serendip.recipe import Evaluated, EvaluatedRows, RecipeError, evaluate_labels, judge_recipe, reading, run_recipe
from serendip.recipe.calibrating import calibrated, learned_on, uncalibrated
from serendip.recipe.learning import figure_of
from serendip.recipe.rows import by_labels, of_rows
from serendip.recipe.sections import Choice
from serendip.recipe.splitting import splits_of
from serendip.scorers import Calibrated
from serendip.types import SerendipError

START = 1_600_000_000
ODDS = "tests.recipe.toys"
ROWS = 'evaluate.metrics=["auc", "logloss", "ece"]'
CHANCES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.9)


def meals(users: int = 120) -> Dataset:
    """Eight dishes, each liked with a chance of its own, some offered more than once."""
    rng = np.random.default_rng(0)
    rows = [
        (user, int(item), START + place * 3600 + user, ["sun", "rain"][user % 2], int(rng.random() < CHANCES[item]))
        for user in range(users)
        for place, item in enumerate(rng.choice(8, 8))
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "weather", "liked"], orient="row")
    return Dataset.from_frames(frame, labels={"liked": "binary"}, features={"weather": Category(side="context")})


DATA = meals()


def recipe(*overrides: str, model: str = ODDS) -> Any:
    return reading.read(overrides=overrides, model=model)


def labelled(*overrides: str) -> Any:
    return recipe(*overrides, "model.label=liked")


def test_figures_are_of_lists_or_of_events() -> None:
    assert of_rows(labelled(ROWS)) and of_rows(labelled('evaluate.metrics=["auc"]'))
    assert not of_rows(recipe('evaluate.metrics=["auc"]', model="ease"))
    assert not of_rows(labelled('evaluate.metrics=["auc", "ndcg@10"]'))
    assert of_rows(recipe('evaluate.metrics=["rmse"]', model="baseline"))
    with pytest.raises(RecipeError, match=r"of lists, such as ndcg@10, or of events.*such as logloss\. Got both"):
        of_rows(labelled('evaluate.metrics=["ndcg@10", "logloss"]'))
    with pytest.raises(RecipeError, match=r"logloss judge models that learn a label\. ease learns none"):
        judge_recipe(recipe('evaluate.metrics=["logloss"]', model="ease"), data=DATA)
    for asked in (labelled('evaluate.metrics=["auc", "ndcg@10"]'), recipe('evaluate.metrics=["auc"]', model="ease")):
        with pytest.raises(RecipeError, match=r"auc is of events one by one.* Try leaving auc out"):
            judge_recipe(asked, data=DATA)
    assert reading.ROW_METRICS == ROW_METRICS


def test_a_ranker_of_a_label_is_judged_by_it_unless_lists_are_asked_for() -> None:
    """By all figures that suit the label; whatever finds items, or has something before or behind it, by lists."""
    found = judge_recipe(labelled("evaluate.compare=[]"), data=DATA)
    assert isinstance(found, EvaluatedRows) and found.main.metrics == ("auc", "logloss", "ece")
    assert found.main.figure("auc") > 0.6
    assert isinstance(
        judge_recipe(labelled("evaluate.metrics=['ndcg@5']", "evaluate.compare=[]"), data=DATA), Evaluated
    )
    assert isinstance(judge_recipe(recipe("evaluate.compare=[]", model="popular"), data=DATA), Evaluated)
    assert by_labels(labelled(), DATA) and by_labels(recipe(model="mmoe"), DATA)
    assert by_labels(recipe("model.tasks=['interest', 'liked']", model="mmoe"), DATA)
    for other in (
        recipe(model="joint"),
        recipe("model.tasks=['interest']", model="mmoe"),
        recipe("pipeline.rank={name='deepfm', label='liked'}", model="popular"),
        labelled("pipeline.rerank=[{name='mmr', by='weather'}]"),
        labelled("pipeline.sources=['popular']"),
    ):
        assert not by_labels(other, DATA)
    unlabelled = Dataset.from_frames(pl.DataFrame({"user_id": [1, 1, 2], "item_id": [1, 2, 1]}))
    assert not by_labels(recipe(model="mmoe"), unlabelled)


def test_models_are_judged_on_the_same_rows_and_what_only_ranks_by_its_order() -> None:
    found = judge_recipe(labelled(ROWS, 'evaluate.compare=["popular"]'), data=DATA)
    assert isinstance(found, EvaluatedRows)
    odds, popular = found.evaluations["liked"].values()
    assert odds.split == "global_time" and odds.questions == popular.questions
    assert odds.metrics == ("auc", "logloss", "ece") and popular.metrics == ("auc",)
    assert odds.figure("auc") > popular.figure("auc") + 0.1
    (one,) = found.comparisons["liked"]
    assert (one.b, one.metric, one.paired.verdict) == ("popular", "auc", "better")
    stored = json.loads(json.dumps(found.to_dict()))
    assert list(stored["labels"]["liked"]["models"]) == [ODDS, "popular"]
    assert any("popular ranks and does not foretell liked" in note for note in stored["notes"])


def test_nothing_is_compared_by_a_figure_that_there_is_not() -> None:
    """Held out are likes alone: no order is right or wrong, but a probability is."""
    liked = np.where(DATA.events.time >= np.quantile(DATA.events.time, 0.8), 1, DATA.events.labels["liked"])
    data = replace(DATA, events=replace(DATA.events, labels={"liked": liked.astype(np.float32)}))
    asked = reading.read(
        overrides=["model.label=liked", ROWS, "evaluate.split=global_time", "evaluate.test=0.1"], model=ODDS
    )
    section = msgspec.structs.replace(
        asked.evaluate, compare=(Choice(ODDS, {"label": "liked", "boldness": 4.0}), Choice("popular"))
    )
    found = judge_recipe(msgspec.structs.replace(asked, evaluate=section), data=data)
    assert isinstance(found, EvaluatedRows) and np.isnan(found.main.figure("auc"))
    (one,) = found.comparisons["liked"]
    assert one.metric == "logloss" and not np.isnan(one.a_mean)


def test_what_could_have_no_figure_is_not_fitted() -> None:
    asked: list[str] = []

    def watch(what: str) -> Any:
        asked.append(what)
        return nullcontext()

    events = DATA.events
    ratings = Dataset.from_frames(
        pl.DataFrame({"user_id": events.users, "item_id": events.items, "rating": events.labels["liked"] + 1.0})
    )
    chosen = recipe('evaluate.metrics=["rmse"]', 'evaluate.compare=["popular"]', model="baseline")
    found = evaluate_labels(chosen, data=ratings, watch=watch)
    assert list(found.evaluations["rating"]) == ["baseline"] and found.main.split == "at_random"
    assert "Fitting popular" not in asked and found.notes[0].startswith("popular ranks and foretells nothing")
    assert isinstance(judge_recipe(recipe("evaluate.metrics=['ndcg@5']", model="popular"), data=ratings), Evaluated)


def test_every_event_of_every_fold_is_judged_once() -> None:
    found = judge_recipe(labelled(ROWS, "evaluate.split=k_fold", "evaluate.folds=2", "evaluate.compare=[]"), data=DATA)
    assert isinstance(found, EvaluatedRows)
    assert (found.main.n, found.main.users) == (len(DATA.events), DATA.n_users)


def test_pairs_that_occur_often_are_dealt_out_event_by_event() -> None:
    section = recipe("evaluate.split=at_random", "evaluate.test=0.3").evaluate
    by_pair, by_row = (splits_of(section, DATA, 0, rows=rows)[0] for rows in (False, True))
    assert len(by_row.test) == round(0.3 * len(DATA.events)) != len(by_pair.test)


def test_epochs_can_be_chosen_by_figures_of_events() -> None:
    """Whatever the way of a figure, what is better judges higher; a figure of rows is by the label of the model."""
    split = splits_of(recipe().evaluate, DATA, 0, rows=True)[0]
    model = find(ODDS)(label="liked")
    good, bad = (find(ODDS)(label="liked", boldness=bold).fit(split.train).lower() for bold in (1, 9))
    for metric in ("logloss", "ece"):
        judge = figure_of(metric, model, split, 1)
        assert judge(bad) < judge(good) < 0
    assert figure_of("auc", model, split, 1)(good) == pytest.approx(
        evaluate_rows(good, split, ["auc"], label="liked")["liked"].figure("auc")
    )
    nothing = replace(split, asked=lambda: split.rows().take(np.flatnonzero(split.rows().labels["liked"] == 0)))
    with pytest.raises(SerendipError, match="auc must have something to judge in the part held out"):
        figure_of("auc", model, nothing, 1)(good)


@pytest.mark.parametrize("kind", ["isotonic", "platt"])
def test_scores_become_probabilities_in_the_bundle_and_keep_their_order(kind: str, tmp_path: Path) -> None:
    alone = ("pipeline.fallback=[]", "model.boldness=3")
    bundle, raw = (run_recipe(labelled(*alone, *more), data=DATA) for more in ([f"fit.calibration={kind}"], []))
    again = Bundle.load(bundle.save(tmp_path / "b"))
    lists, listed = (one.recommend([0, 1, 2], 8, exclude_seen=False) for one in (again, raw))
    assert lists["item_id"].equals(listed["item_id"])
    scores = dict(zip(lists["item_id"], lists["score"], strict=True))
    gaps = [abs(scores[item] - chance) for item, chance in enumerate(CHANCES)]
    assert max(gaps) < 0.2 and np.mean(gaps) < 0.08
    assert not listed["score"].is_between(0, 1).all()
    scorer = again.pipeline.scorer  # type: ignore[attr-defined]
    assert isinstance(scorer, Calibrated) and scorer.tasks == ("liked",)
    with pytest.raises(SerendipError, match=r"whose score is the probability that liked is 1, calibrated by "):
        again.explain([0], [0])
    new = pl.DataFrame({"user_id": [0], "item_id": [99], "timestamp": [START + 10**6], "weather": "sun", "liked": [1]})
    assert again.update(new).recommend([0], 8, exclude_seen=False)["score"].is_between(0, 1).all()


def test_calibration_closes_the_gap_and_the_evaluation_shows_both() -> None:
    asked = labelled(ROWS, "fit.calibration=platt", "model.boldness=4", "evaluate.compare=[]")
    found = judge_recipe(asked, data=meals(400))
    assert isinstance(found, EvaluatedRows)
    after, before = found.evaluations["liked"].values()
    assert before.name == f"{ODDS}, not calibrated"
    assert after.figure("ece") < 0.5 * before.figure("ece") and after.figure("logloss") < before.figure("logloss")
    assert after.figure("auc") == pytest.approx(before.figure("auc"), abs=1e-6)


SEVERAL = (
    'model.tasks=["liked", "again"]',
    "model.score=liked + again",
    "model.length=2",
    "model.hidden=4",
    "model.factors=2",
    "model.epochs=1",
    "pipeline.fallback=[]",
)


def revisited() -> Dataset:
    """As `meals`; the dishes that are liked most are seldom eaten again."""
    rng = np.random.default_rng(1)
    labels = {
        "liked": DATA.events.labels["liked"],
        "again": (rng.random(len(DATA.events)) < 0.5 - 0.4 * np.array(CHANCES)[DATA.events.items]).astype(np.float32),
    }
    kinds: Any = dict.fromkeys(labels, "binary")
    schema = msgspec.structs.replace(DATA.schema, labels=kinds)
    return replace(DATA, events=replace(DATA.events, labels=labels), schema=schema)


def test_each_task_of_several_is_calibrated(tmp_path: Path) -> None:
    data, learned = revisited(), (*SEVERAL, "model.epochs=5", "model.learning_rate=0.05")
    found = judge_recipe(
        recipe(*learned, ROWS, "fit.calibration=platt", "evaluate.compare=[]", model="mmoe"), data=data
    )
    assert isinstance(found, EvaluatedRows) and list(found.evaluations) == ["liked", "again"]
    for label in ("liked", "again"):
        after, before = found.evaluations[label].values()
        assert before.name == "mmoe, not calibrated" and after.figure("logloss") != before.figure("logloss")
        assert after.figure("logloss") < before.figure("logloss") + 0.05
    bundle = run_recipe(recipe(*learned, "fit.calibration=isotonic", model="mmoe"), data=data)
    again = Bundle.load(bundle.save(tmp_path / "b"))
    scorer = again.pipeline.scorer  # type: ignore[attr-defined]
    assert [one.task for one in scorer.calibrations] == ["liked", "again"]
    told = again.foretold([0], [3])
    assert told["score"][0] == pytest.approx(told["foretold"].sum(), rel=1e-5)
    assert again.rescored("again").foretold([0], [3])["score"][0] == pytest.approx(told["foretold"][1], rel=1e-5)


def test_a_calibration_learned_from_some_rows_is_right_on_others() -> None:
    """What a model foretells of rare tasks is off as a rule, whatever it knows of their order."""
    rows = EventRows.of(revisited())
    scorer = find("mmoe")(tasks=("liked", "again"), length=2, hidden=4, factors=2, epochs=1, learning_rate=0.1).fit(
        rows.data
    )
    made = learned_on(scorer.lower(), None, rows, "platt")
    raw = evaluate_rows(scorer, rows, ("logloss",))
    after = evaluate_rows(calibrated(scorer.lower(), made), rows, ("logloss",))
    for label in ("liked", "again"):
        assert after[label].figure("logloss") <= raw[label].figure("logloss") + 1e-4
    assert uncalibrated(scorer.lower()) is None
    with pytest.raises(SerendipError, match=r"needs a task that is a binary label of the events\. Got none"):
        learned_on(find("popular")().fit(rows.data).lower(), None, rows, "platt")


def test_epochs_can_be_chosen_by_some_of_the_tasks() -> None:
    data = revisited()
    split = splits_of(recipe().evaluate, data, 0, rows=True)[0]
    model = find("mmoe")(tasks=("liked", "again"), length=2, hidden=4, factors=2, epochs=1).fit(split.train)
    own = {name: one.figure("auc") for name, one in evaluate_rows(model, split, ("auc",)).items()}
    for tasks in (("liked",), ("again",), ()):
        expected = np.mean([own[name] for name in tasks or own])
        assert figure_of("auc", model, split, 1, tasks=tasks)(model.lower()) == pytest.approx(expected)
    with pytest.raises(SerendipError, match=r"labels to judge by must be learned: liked, again\. Got gone instead"):
        figure_of("auc", model, split, 1, tasks=("gone",))(model.lower())
    with pytest.raises(RecipeError, match=r"fit\.validate_tasks must come with fit\.validate"):
        run_recipe(recipe('fit.validate_tasks=["liked"]'), data=DATA)


def test_calibration_needs_a_binary_label() -> None:
    for chosen in (recipe("fit.calibration=platt", model="ease"), recipe("fit.calibration=platt")):
        with pytest.raises(RecipeError, match="calibration must go with a model that learns a label"):
            run_recipe(chosen, data=DATA)
    frame = pl.DataFrame({"user_id": [1, 1, 2, 2] * 5, "item_id": [1, 2, 1, 2] * 5, "stars": [1.0, 2.0, 3.0, 4.0] * 5})
    rated = Dataset.from_frames(frame, labels={"stars": "rating"})
    with pytest.raises(SerendipError, match=r"a binary label, such as dcn_v2 with model\.label.*learns stars"):
        run_recipe(recipe("fit.calibration=platt", "model.label=stars"), data=rated)
