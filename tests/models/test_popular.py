from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle
from serendip.data.dataset import Dataset
from serendip.data.features.declared import Category, Number
from serendip.data.schema import Schema
from serendip.model import Run
from serendip.models.popular import DAY, Popular
from serendip.pipeline import retrieve
from serendip.types import Queries, SerendipError


def log(weight: list[float] | None = None, kind: str = "unix") -> Dataset:
    """Item 0: user 1 three times, user 2 once; item 1: user 1; item 2: user 3. Item 3 has no event."""
    columns: dict[str, Any] = {
        "user_id": [1, 1, 1, 2, 1, 3],
        "item_id": [0, 0, 0, 0, 1, 2],
        "timestamp": [day * DAY + 1_700_000_000 for day in (0, 1, 3, 2, 4, 4)],
    }
    schema = Schema(timestamp="timestamp", time_kind="unix")
    if kind == "rank":
        columns["timestamp"] = [0, 1, 2, 0, 3, 0]
        schema = Schema(timestamp="timestamp", time_kind="rank")
    if kind == "none":
        schema = Schema()
    if weight is not None:
        columns["weight"] = weight
        schema = Schema(timestamp="timestamp", time_kind="unix", weight="weight")
    return Dataset.from_frames(pl.DataFrame(columns), None, pl.DataFrame({"item_id": range(4)}), schema=schema)


def scores(data: Dataset, **options: Any) -> list[float]:
    fitted = Popular(**options).fit(data, Run())
    return fitted.score(Queries.of([[]]))[0].tolist()


def test_people_are_counted_once_unless_asked_otherwise() -> None:
    assert scores(log()) == [2, 1, 1, 0]
    assert scores(log(), weight="binary") == [2, 1, 1, 0]
    assert scores(log(), weight="count") == [4, 1, 1, 0]


def test_weights_are_summed_where_they_differ() -> None:
    data = log([1.0, 2.0, 0.0, 4.0, 0.0, 0.5])
    assert scores(data) == scores(data, weight="weight") == [7, 0, 0.5, 0]
    assert scores(data, weight="count") == [3, 0, 1, 0]
    assert scores(data, weight="binary") == [2, 0, 1, 0]


def test_events_count_half_after_a_half_life() -> None:
    # Ages in days: 4, 3, 1 (user 1, item 0), 2 (user 2, item 0), 0, 0.
    assert scores(log(), half_life=1, weight="count") == [2**-4 + 2**-3 + 2**-1 + 2**-2, 1, 1, 0]
    assert scores(log(), half_life=1) == [2**-1 + 2**-2, 1, 1, 0]
    np.testing.assert_allclose(scores(log(), half_life=2), [2**-0.5 + 2**-1, 1, 1, 0], rtol=1e-6)


@pytest.mark.parametrize("kind", ["rank", "none"])
def test_a_half_life_needs_times(kind: str) -> None:
    with pytest.raises(SerendipError, match=f"popular: half_life needs .* unix seconds. Got .* kind '{kind}'.*Leave"):
        scores(log(kind=kind), half_life=1)
    assert scores(log(kind=kind)) == [2, 1, 1, 0]


def test_a_list_is_never_short() -> None:
    data = log()
    empty = data.where(np.zeros(len(data.events), bool))
    fitted = Popular(half_life=3).fit(empty)
    assert fitted.score(Queries.of([[], [1]])).tolist() == [[0, 0, 0, 0]] * 2


def groups(**options: Any) -> Any:
    """In country x, of three users, item 0 is liked; in y, of two, item 1. Item 2 is liked once in each."""
    events = pl.DataFrame(
        {
            "user_id": [1, 2, 3, 4, 5, 1, 4],
            "item_id": [0, 0, 0, 1, 1, 2, 2],
            "device": ["tv", "tv", "pc", "pc", "pc", "tv", "pc"],
        }
    )
    users = pl.DataFrame({"user_id": [1, 2, 3, 4, 5], "country": ["x", "x", "x", "y", "y"]})
    features = {
        "country": Category(side="user"),
        "device": Category(side="context"),
        "age": Number(side="user", column="n"),
    }
    users = users.with_columns(n=pl.Series([20.0, 30, 40, 50, 60]))
    data = Dataset.from_frames(events, users, features=features, schema=Schema(context=("device",)))
    return data, Popular(**options).fit(data, Run(seed=0)).lower()


def test_what_is_popular_depends_on_who_asks_and_when() -> None:
    data, scorer = groups(by="country,device", shrink=1.0)
    assert set(scorer.feature_names) == {"country", "device"}
    bundle = Bundle.build(data, retrieve(scorer, name="popular"))
    first = {}
    for said in ({}, {"country": "x"}, {"country": "y"}, {"device": "tv"}, {"country": "nowhere"}):
        first[str(said)] = bundle.recommend(None, 3, attributes=said)["item_id"].to_list()
    assert first["{}"] == [0, 1, 2]
    assert first["{'country': 'x'}"][0] == 0 and first["{'country': 'y'}"][0] == 1
    assert first["{'device': 'tv'}"] == [0, 2, 1]
    assert first["{'country': 'nowhere'}"] == first["{}"]
    assert bundle.recommend([1, 4], 1, exclude_seen=False)["item_id"].to_list() == [0, 1]


def test_groups_must_be_declared() -> None:
    for by in ("age", "town"):
        with pytest.raises(SerendipError, match=f"Got '{by}' instead. There are: country, device"):
            groups(by=by)
    with pytest.raises(SerendipError, match="There are: none"):
        Popular(by="country").fit(log(), Run())
