"""What is foretold of held-out rows, judged by their labels: known answers, intervals over users, honest gaps."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.rows import EventRows
from serendip.data.scales import on_scale
from serendip.evaluate import RowEvaluation, at_random, compare_rows, evaluate_rows, rows
from serendip.evaluate.row_evaluation import joined_rows, resamples_of
from serendip.types import Floats, Ids, Queries, SerendipError

CHANCE = {"a": 0.1, "b": 0.4, "c": 0.8}


def offers(users: int = 40, seed: int = 0) -> Dataset:
    """Items are liked with chances that are known, and watched for as many seconds as there are users before."""
    rng = np.random.default_rng(seed)
    found = [
        (user, item, int(rng.random() < CHANCE[item]), float(user % 5 if item != "a" else 0), 3.0)
        for user in range(users)
        for item in "abcabc"
    ]
    columns = ["user_id", "item_id", "liked", "seconds", "stars"]
    labels: Any = {"liked": "binary", "seconds": "duration", "stars": "rating"}
    return Dataset.from_frames(pl.DataFrame(found, schema=columns, orient="row"), labels=labels)


class Logits:
    """A scorer that says what it is told of each item, as a model of a binary label would."""

    def __init__(self, data: Dataset, chances: dict[str, float], labels: tuple[str, ...] = ("liked",)) -> None:
        known = np.array([chances[name] for name in data.item_ids.ids])
        with np.errstate(divide="ignore"):
            self.scores = np.log(known / (1 - known)).astype(np.float32)
        self.n_items, self.labels, self.asked = data.n_items, labels, 0

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        self.asked += len(queries)
        assert items is not None
        found: Floats = self.scores[items]
        return found


class Several(Logits):
    """One that foretells two labels at once and something else, and ranks by another score."""

    tasks = ("liked", "seconds", "interest")

    def foretold(self, queries: Queries, items: Ids | None = None) -> dict[str, Floats]:
        self.asked += len(queries)
        chance = on_scale("binary", self.scores[items]).astype(np.float32)
        return {"liked": chance, "seconds": 2 * chance}


def test_figures_are_those_of_the_measures_themselves() -> None:
    data = offers()
    found = evaluate_rows(Logits(data, CHANCE), EventRows.of(data))["liked"]
    chance = np.array([CHANCE[name] for name in data.item_ids.ids])[data.events.items]
    truth = data.events.labels["liked"]
    assert found.figure("auc") == pytest.approx(rows.auc(truth, chance))
    assert found.figure("logloss") == pytest.approx(rows.logloss(truth, chance), rel=1e-6)
    assert found.figure("gauc") == pytest.approx(rows.gauc(truth, chance, data.events.users).mean)
    assert found.metrics == ("auc", "gauc", "logloss", "ece")
    assert (found.n, found.users) == (240, 40) and found.mean == pytest.approx(float(truth.mean()))
    inside = found.interval("auc")
    assert inside.low < inside.value < inside.high and inside.users == 40
    assert found.table()["least_effect"][0] == pytest.approx(2.8016 * inside.standard_error, rel=1e-4)
    assert found.reliability is not None and len(found.reliability) == 3
    assert "liked" in str(found) and "240 rows of 40 users" in str(found)


def test_a_worked_number() -> None:
    """Two rows, foretold 0.8 and 0.4, of which the first came true: −(log 0.8 + log 0.6) / 2."""
    data = Dataset.from_frames(
        pl.DataFrame({"user_id": [1, 2], "item_id": ["c", "b"], "liked": [1, 0]}), labels={"liked": "binary"}
    )
    found = evaluate_rows(Logits(data, CHANCE), EventRows.of(data), ["logloss"])["liked"]
    assert found.figure("logloss") == pytest.approx(-(np.log(0.8) + np.log(0.6)) / 2, rel=1e-6)


def test_only_rows_with_the_label_count_and_each_is_asked_once() -> None:
    data = offers()
    scorer = Several(data, CHANCE, ())
    held = at_random(data, 0.5, repeats=True)
    found = evaluate_rows(scorer, held, ["auc", "mae", "weighted_per_user_loss"])
    assert scorer.asked == len(held.rows())
    assert found["liked"].metrics == ("auc",) and found["seconds"].metrics == ("mae", "weighted_per_user_loss")
    assert found["seconds"].figure("mae") == pytest.approx(
        np.abs(found["seconds"].predicted - held.rows().labels["seconds"]).mean()
    )
    # A row of item a has no seconds and the lowest score: no pair is in the wrong order.
    assert found["seconds"].figure("weighted_per_user_loss") == 0
    assert found["liked"].split == "at_random"


def test_what_only_ranks_has_no_figures_of_chances() -> None:
    data = offers()
    mere = Logits(data, CHANCE, ())
    with pytest.raises(SerendipError, match=r"learned no label.*liked, seconds, stars"):
        evaluate_rows(mere, EventRows.of(data))
    found = evaluate_rows(mere, EventRows.of(data), label="liked")["liked"]
    assert found.metrics == ("auc", "gauc") and found.reliability is None
    assert found.notes == ("Logits ranks and does not foretell liked, so it has no logloss, ece.",)
    known = evaluate_rows(mere, EventRows.of(data), learned="liked")["liked"]
    assert "logloss" in known.metrics


def test_what_cannot_be_scored_is_foretold_the_mean_of_training() -> None:
    data = offers()
    found = evaluate_rows(Logits(data, {**CHANCE, "a": 0.0}), EventRows.of(data))["liked"]
    alone = data.events.items == data.item_ids.encode(pl.Series(["a"]))[0]
    assert np.allclose(found.predicted[alone], data.events.labels["liked"].mean())
    assert found.notes == ("Rows that Logits has no score for: 80; the mean liked of training was foretold.",)
    mere = evaluate_rows(Logits(data, {**CHANCE, "a": 0.0}, ()), EventRows.of(data), label="liked")["liked"]
    assert np.isneginf(mere.predicted[alone]).all() and "they stand below all others" in mere.notes[0]


def test_rows_without_the_label_are_not_counted_among_those_that_have_no_score() -> None:
    data = offers()
    liked = data.events.labels["liked"].copy()
    liked[np.flatnonzero(data.events.items == data.item_ids.encode(pl.Series(["a"]))[0])[7:]] = np.nan
    some = replace(data, events=replace(data.events, labels={**data.events.labels, "liked": liked}))
    found = evaluate_rows(Logits(data, {**CHANCE, "a": 0.0}), EventRows.of(some))["liked"]
    assert found.n == 160 + 7
    assert found.notes == ("Rows that Logits has no score for: 7; the mean liked of training was foretold.",)


def test_a_difference_is_shown_where_there_is_one_and_lower_losses_are_better() -> None:
    data = offers(users=100)
    right, wrong = (
        evaluate_rows(Logits(data, chances), EventRows.of(data), name=name)["liked"]
        for name, chances in (("right", CHANCE), ("wrong", {"a": 0.5, "b": 0.5, "c": 0.5}))
    )
    for metric in ("auc", "logloss", "ece"):
        assert compare_rows(right, wrong, metric).paired.verdict == "better"
        assert compare_rows(wrong, right, metric).paired.verdict == "worse"
    same = compare_rows(right, right, "auc")
    assert same.paired.verdict == "no difference shown" and same.paired.p_value == 1
    other = evaluate_rows(Logits(data, CHANCE), EventRows.of(data).take(slice(0, 50)))["liked"]
    with pytest.raises(SerendipError, match="same rows and label"):
        compare_rows(right, other, "auc")
    stored = RowEvaluation.from_dict(right.to_dict())
    with pytest.raises(SerendipError, match="right must have rows and the figure auc"):
        compare_rows(stored, wrong, "auc")


def test_it_survives_json() -> None:
    data = offers()
    found = evaluate_rows(Logits(data, CHANCE), EventRows.of(data))["liked"]
    again = RowEvaluation.from_dict(json.loads(json.dumps(found.to_dict())))
    assert str(again) == str(found) and again.table().equals(found.table())
    assert again.reliability is not None and found.reliability is not None
    assert again.reliability.error == found.reliability.error == pytest.approx(found.figure("ece"))
    with pytest.raises(SerendipError, match="as to_dict gives it"):
        RowEvaluation.from_dict({"name": 1})


def test_folds_are_joined_row_by_row_and_users_stay_one() -> None:
    data = offers()
    halves = [np.arange(0, 240, 2), np.arange(1, 240, 2)]
    for label in ("liked", "seconds"):
        one, *parts = (
            evaluate_rows(Logits(data, CHANCE), EventRows.of(data).take(chosen), label=label, learned=label)[label]
            for chosen in (np.concatenate(halves), *halves)
        )
        both = joined_rows(parts, "k_fold", "All.")
        assert (both.n, both.users) == (240, 40) and both.mean == pytest.approx(one.mean)
        for metric in one.metrics:
            if metric == "weighted_per_user_loss":  # of pairs within a fold
                assert both.users == 40 and 0 <= both.figure(metric) <= 1
            else:
                assert both.figure(metric) == pytest.approx(one.figure(metric)), metric


def test_rows_of_one_label_and_labels_without_rows() -> None:
    data = offers()
    ones = EventRows.of(data).take(np.flatnonzero(data.events.labels["liked"] == 0))
    found = evaluate_rows(Logits(data, CHANCE), ones)["liked"]
    assert np.isnan(found.figure("auc")) and np.isnan(found.interval("gauc").low)
    assert found.figure("logloss") > 0
    assert f"All {len(ones):,} rows have liked = 0" in found.notes[0]
    with pytest.raises(SerendipError, match=r"the label 'stars' is a rating\. None of auc is a figure of such"):
        evaluate_rows(Logits(data, CHANCE), EventRows.of(data), ["auc"], label="stars")
    with pytest.raises(SerendipError, match="Did you mean 'auc'"):
        evaluate_rows(Logits(data, CHANCE), EventRows.of(data), ["aux"])
    missing = Dataset.from_frames(
        pl.DataFrame({"user_id": [1, 2], "item_id": ["a", "b"], "liked": [1.0, None]}), labels={"liked": "binary"}
    )
    unknown = EventRows.of(missing).take(np.flatnonzero(np.isnan(missing.events.labels["liked"])))
    with pytest.raises(SerendipError, match="none of the 1 held-out events has the label 'liked'"):
        evaluate_rows(Logits(missing, CHANCE), unknown)


def test_something_else_is_refused() -> None:
    data = offers()
    with pytest.raises(SerendipError, match=r"rows need a fitted model or a scorer.*Got int instead"):
        evaluate_rows(7, EventRows.of(data), label="liked")
    smaller = data.where(data.events.items != 0)
    with pytest.raises(SerendipError, match=r"must know the 2 items of the training part\. Got 3 instead"):
        evaluate_rows(Logits(data, CHANCE), EventRows.of(smaller))


def test_predicted_ratings_are_judged_as_they_are_elsewhere() -> None:
    from serendip.evaluate import evaluate_ratings
    from serendip.model import find

    rng = np.random.default_rng(1)
    frame = pl.DataFrame(
        [(u, i, float(1 + (u + i) % 5)) for u in range(30) for i in rng.permutation(12)[:8]],
        schema=["user_id", "item_id", "rating"],
        orient="row",
    )
    split = at_random(Dataset.from_frames(frame), 0.3, repeats=True)
    model = find("baseline")().fit(split.train)
    found = evaluate_rows(model, split)["rating"]
    assert found.metrics == ("mae", "rmse", "xauc")
    assert found.figure("rmse") == pytest.approx(evaluate_ratings(model, split).rmse, rel=1e-6)


def test_large_evaluations_are_resampled_less_often() -> None:
    assert resamples_of(1000) == 1000 and resamples_of(1_000_000) == 200 and resamples_of(10**8) == 100
