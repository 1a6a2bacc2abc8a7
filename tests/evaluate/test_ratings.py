from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.data.synthetic import checkerboard
from serendip.evaluate import Split, evaluate_ratings, given, last_out
from serendip.model import find
from serendip.types import SerendipError

SCHEMA = Schema(timestamp="timestamp", time_kind="unix", rating="rating")


def frame(*rows: tuple[int, int, float | None]) -> pl.DataFrame:
    user, item, rating = zip(*rows, strict=True)
    return pl.DataFrame({"user_id": user, "item_id": item, "rating": rating, "timestamp": 10**9 + np.arange(len(rows))})


def split() -> Split:
    """Held out: a known pair, an unknown user, an unknown item, an item without a training rating, and no rating."""
    train = Dataset.from_frames(frame((1, 1, 3.0), (1, 2, 5.0), (2, 1, 1.0), (2, 3, None)), schema=SCHEMA)
    return given(train, frame((2, 2, 4.0), (9, 1, 2.0), (1, 8, 3.0), (1, 3, 1.0), (2, 2, None)))


@dataclass
class Constant:
    value: float = 3.0

    def predict(self, users: Any, items: Any, time: Any = None) -> Any:
        return np.full(len(users), self.value, np.float32)


def test_figures_by_hand() -> None:
    # Errors of a constant 3: −1, 1, 0 and 2: RMSE √(6/4), MAE 1.
    found = evaluate_ratings(Constant(), split())
    assert found.name == "Constant"
    assert len(found) == 4
    assert sorted(found.squared) == [0, 1, 1, 4]
    assert found.rmse == pytest.approx(np.sqrt(1.5))
    assert found.mae == 1
    sizes = {segment: int(mask.sum()) for segment, mask in found.segments.items()}
    assert sizes == {"all": 4, "known": 1, "new_users": 1, "new_items": 2}
    assert found.figure("rmse", "known") == 1
    assert found.figure("mae", "new_items") == 1


def test_the_bootstrap_resamples_users() -> None:
    # Two users; one is always off by 1, the other by 3: a resample has the one, the other or both.
    train = Dataset.from_frames(frame((1, 1, 3.0), (2, 1, 3.0), (1, 2, 3.0)), schema=SCHEMA)
    rows = [(1, item, 4.0) for item in range(3, 43)] + [(2, item, 6.0) for item in range(3, 43)]
    found = evaluate_ratings(Constant(), given(train, frame(*rows)))
    interval = found.interval("rmse")
    assert interval.mean == pytest.approx(np.sqrt(5))
    assert (interval.low, interval.high) == pytest.approx((1, 3))
    assert interval.n == 80
    alone = evaluate_ratings(Constant(), given(train, frame(*rows[:40])))
    assert np.isnan(alone.interval("mae").low)


def test_ratings_of_strangers_stand_for_themselves() -> None:
    train = Dataset.from_frames(frame((1, 1, 3.0), (2, 1, 3.0), (1, 2, 3.0)), schema=SCHEMA)
    rows = [(100 + number, 1, 3.0 + number % 2) for number in range(200)]
    interval = evaluate_ratings(Constant(), given(train, frame(*rows))).interval("mae")
    assert interval.mean == 0.5
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(200), rel=0.1)


def test_models_are_evaluated_and_tables_can_be_stored() -> None:
    held = split()
    model = find("baseline")(reg_u=0.0, reg_i=0.0).fit(held.train)
    found = evaluate_ratings(model, held, threads=1)
    assert found.name == "baseline"
    np.testing.assert_array_equal(found.predicted, model.predict(found.users, found.items))
    table = found.table()
    assert table.columns == ["metric", "segment", "mean", "low", "high", "n"]
    assert table.filter(metric="rmse", segment="all")["mean"].item() == pytest.approx(found.rmse)
    stored = json.loads(json.dumps(found.to_dict()))
    assert stored["n"] == 4
    known = next(row for row in stored["figures"] if row["segment"] == "known")
    assert known["low"] is None


def test_what_cannot_predict_is_refused() -> None:
    held = split()
    with pytest.raises(SerendipError, match=r"needs something that predicts ratings: .* Got a object instead\. Try"):
        evaluate_ratings(object(), held)
    with pytest.raises(SerendipError, match=r"popular ranks items but does not predict ratings\. Try a model that"):
        evaluate_ratings(find("popular")().fit(held.train), held)
    with pytest.raises(SerendipError, match=r"must give a number for each of 4 pairs\. Got .* with 4 NaN"):
        evaluate_ratings(Constant(float("nan")), held)


def test_a_split_without_ratings_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"needs held-out ratings in the label 'rating'\. The split has: none\."):
        evaluate_ratings(Constant(), last_out(checkerboard()))
    with pytest.raises(SerendipError, match=r"in the label 'stars'\. The split has: rating\."):
        evaluate_ratings(Constant(), split(), label="stars")


def test_unknown_figures_are_refused() -> None:
    found = evaluate_ratings(Constant(), split())
    with pytest.raises(SerendipError, match=r"must be one of rmse, mae\. Got 'ndcg' instead"):
        found.figure("ndcg")
    with pytest.raises(SerendipError, match="segment must be one of all, known, new_users, new_items"):
        found.interval("mae", "tail")
