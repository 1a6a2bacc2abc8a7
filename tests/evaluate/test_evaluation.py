from __future__ import annotations

import json
import math

import numpy as np
import pytest

from serendip.evaluate import Evaluation, compare, evaluate, given
from serendip.evaluate.evaluation import Bucket
from serendip.types import SerendipError
from tests.evaluate.logs import Fixed, log


def test_the_table_has_a_row_per_figure(found: tuple[Evaluation, Evaluation]) -> None:
    table = found[0].table()
    assert table.columns == ["metric", "segment", "mean", "low", "high", "n"]
    segments = table["segment"].unique(maintain_order=True).to_list()
    assert segments == ["all", "light_users", "medium_users", "heavy_users"]
    assert table.filter(table["metric"] == "gini@5").to_dicts() == [
        {"metric": "gini@5", "segment": "all", "mean": found[0].totals["gini@5"], "low": None, "high": None, "n": 80}
    ]
    whole = table.filter((table["metric"] == "ndcg@5") & (table["segment"] == "all")).to_dicts()[0]
    assert whole["low"] < whole["mean"] < whole["high"]
    assert whole["mean"] == pytest.approx(np.nanmean(found[0].values["ndcg@5"]))
    counted = table.filter((table["metric"] == "ndcg@5") & (table["segment"] != "all"))
    assert counted["n"].sum() == 80
    assert (counted["mean"] * counted["n"]).sum() / 80 == pytest.approx(whole["mean"])


def test_a_stored_evaluation_says_the_same(found: tuple[Evaluation, Evaluation]) -> None:
    stored = json.loads(json.dumps(found[0].to_dict(), allow_nan=False))
    again = Evaluation.from_dict(stored)
    assert again.table().equals(found[0].table())
    assert str(again) == str(found[0])
    assert again.to_dict() == found[0].to_dict()
    assert again.buckets == found[0].buckets
    assert again.mean("recall@5", "light_users") == pytest.approx(found[0].mean("recall@5", "light_users"))
    assert again.mean("gini@5") == found[0].mean("gini@5")
    with pytest.raises(SerendipError, match=r"stored without them\. Try evaluating again, or storing with to_dict"):
        again.of("recall@5")
    with pytest.raises(SerendipError, match="stored without them"):
        compare(again, found[1], "recall@5")


def test_per_query_values_can_be_stored_too(found: tuple[Evaluation, Evaluation]) -> None:
    again = Evaluation.from_dict(json.loads(json.dumps(found[0].to_dict(values=True), allow_nan=False)))
    np.testing.assert_equal(again.values["recall@5"], found[0].values["recall@5"])
    np.testing.assert_equal(again.segments["heavy_users"], found[0].segments["heavy_users"])
    assert compare(again, found[1], "ndcg@5") == compare(found[0], found[1], "ndcg@5")


def test_parts_survive_storing() -> None:
    train = log([(1, 10, 1, 1.0), (1, 11, 2, 1.0), (2, 10, 1, 1.0), (2, 12, 2, 1.0)], items=[13])
    split = given(train, log([(1, 12, 3, 1.0), (2, 13, 4, 1.0), (2, 11, 4, 1.0)]))
    first = evaluate(Fixed([3, 2, 1, 0]), split, ("recall@1",))
    for values in (False, True):
        again = Evaluation.from_dict(json.loads(json.dumps(first.to_dict(values=values), allow_nan=False)))
        assert again.table().equals(first.table())
        assert math.isnan(again.interval("recall@1", "cold_items").low)
    np.testing.assert_equal(again.parts["cold_items"]["recall@1"], [np.nan, 1])


def test_what_cannot_be_read(found: tuple[Evaluation, Evaluation]) -> None:
    stored = found[0].to_dict(values=True)
    with pytest.raises(SerendipError, match=r"must be of format 1\. Got 2"):
        Evaluation.from_dict({**stored, "format": 2})
    with pytest.raises(SerendipError, match=r"as to_dict gives it\. Expected `int`, got `str` - at `\$.n`"):
        Evaluation.from_dict({**stored, "n": "many"})
    with pytest.raises(SerendipError, match=r"one value per query \(80\)\. Got 1"):
        Evaluation.from_dict({**stored, "values": {"recall@5": [0.5]}})
    with pytest.raises(SerendipError, match=r"queries from 0 to 79\. Got 3 … 80"):
        Evaluation.from_dict({**stored, "segments": {"light_users": [3, 80]}})


def test_what_there_is_no_figure_for(found: tuple[Evaluation, Evaluation]) -> None:
    with pytest.raises(SerendipError, match=r"segment must be one of all, .* Got 'nobody'"):
        found[0].mean("auc", "nobody")
    with pytest.raises(SerendipError, match="gini@5 has no figure for the segment 'light_users'"):
        found[0].interval("gini@5", "light_users")


def test_text(found: tuple[Evaluation, Evaluation]) -> None:
    lines = str(found[0]).splitlines()
    assert lines[0].startswith("knows on last_out: 80 queries, ")
    assert lines[1].startswith("  ndcg@5    0.")
    assert lines[1].endswith("]")
    assert lines[3].strip() == f"gini@5    {found[0].totals['gini@5']:.4f}"


def test_a_bucket_without_truth_has_no_recall() -> None:
    assert math.isnan(Bucket("tail", 3, 0, 0, 2).recall)
    assert Bucket("tail", 3, 4, 1, 2).recall == 0.25
