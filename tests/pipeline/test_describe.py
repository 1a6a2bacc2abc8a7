"""A stage as plain values, and made again of values that need not be trusted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from serendip.pipeline import chain, first_of, from_dict, retrieve, to_dict
from serendip.scorers import StaticScores
from serendip.types import Queries, Recs, SerendipError

A = StaticScores(np.array([1, 2], np.float32))


def test_a_stage_is_described_by_plain_values_and_made_again() -> None:
    b = StaticScores(np.array([2, 1], np.float32))
    stage = first_of(chain(retrieve(A, name="a", k=1)), retrieve(b, name="b"))
    header = to_dict(stage)
    assert header == {
        "stage": "first_of",
        "stages": [
            {"stage": "chain", "stages": [{"stage": "retrieve", "scorer": "a", "name": "a", "k": 1}]},
            {"stage": "retrieve", "scorer": "b", "name": "b", "k": None},
        ],
    }
    again = from_dict(json.loads(json.dumps(header)), {"a": A, "b": b})
    assert to_dict(again) == header
    assert again(Queries.of([[]], k=2)).items.tolist() == stage(Queries.of([[]], k=2)).items.tolist() == [[1, 0]]


def nested(depth: int) -> dict[str, Any]:
    header: dict[str, Any] = {"stage": "retrieve", "scorer": "a", "name": "a"}
    for _ in range(depth - 1):
        header = {"stage": "chain", "stages": [header]}
    return header


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ([], "not valid: Expected `object`, got `array`"),
        ({"stage": "pickle"}, "not valid: Invalid value 'pickle'"),
        ({"stage": "chain", "stages": []}, "at least one stage"),
        ({"stage": "retrieve", "scorer": "a"}, "not valid: Object missing required field `name`"),
        ({"stage": "retrieve", "scorer": "z", "name": "z"}, r"names the scorer 'z', which is not there\. Got a"),
        ({"stage": "retrieve", "scorer": "a", "name": "a", "k": -1}, "at least 1"),
        ({"stage": "retrieve", "scorer": "a", "name": "../../etc"}, "1 to 64 letters"),
        ({"stage": "retrieve", "scorer": "a", "name": "a", "run": "rm"}, "not valid: Object contains unknown field"),
        (nested(17), "nested at most 16 deep"),
        (nested(100_000), "not valid"),
    ],
)
def test_a_description_that_is_none_is_refused(header: Any, message: str) -> None:
    with pytest.raises(SerendipError, match=message):
        from_dict(header, {"a": A})


def test_stages_may_be_nested_as_deep_as_is_said() -> None:
    assert to_dict(from_dict(nested(16), {"a": A}))["stage"] == "chain"


def elsewhere(queries: Queries, recs: Recs | None = None) -> Recs:
    return Recs.empty(len(queries))


def test_a_stage_of_another_kind_cannot_be_stored() -> None:
    with pytest.raises(
        SerendipError, match=r"Only stages made by the functions of serendip.pipeline can be stored\. Got function"
    ):
        to_dict(first_of(elsewhere))
