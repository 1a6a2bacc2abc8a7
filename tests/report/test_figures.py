from __future__ import annotations

import copy
from typing import Any

import pytest

from serendip.report.figures import Compared, Difference, Figures, plain, who
from serendip.types import SerendipError
from tests.report.conftest import Judged


def test_tables_hold_the_means_and_bounds_that_were_stored(judged: Judged) -> None:
    figures = Figures.read(judged.figures)
    stored = {
        (name, row["metric"], row["segment"]): row
        for name, model in judged.figures["models"].items()
        for row in model["table"]
    }
    rows = figures.table(["ndcg@10", "coverage@10"])
    assert [name for name, _ in rows] == ["oracle", "popular"]
    for name, (ndcg, coverage) in rows:
        row = stored[name, "ndcg@10", "all"]
        assert ndcg.mean == f"{row['mean']:.4f}"
        assert ndcg.bounds == f"{row['low']:.4f} – {row['high']:.4f}"
        assert coverage.mean == f"{stored[name, 'coverage@10', 'all']['mean']:.4f}"
        assert coverage.bounds == ""


def test_the_best_is_marked_only_where_higher_is_better_and_not_all_are_alike(judged: Judged) -> None:
    figures = Figures.read(judged.figures)
    (_, oracle), (_, popular) = figures.table(["ndcg@10", "novelty@10"])
    assert [cell.best for cell in oracle] == [True, False]
    assert [cell.best for cell in popular] == [False, False]
    same = dict(
        judged.figures, models={"a": judged.figures["models"]["oracle"], "b": judged.figures["models"]["oracle"]}
    )
    assert not any(cell.best for _, cells in Figures.read(same).table(["ndcg@10"]) for cell in cells)


def test_metrics_are_sorted_by_what_they_say(judged: Judged) -> None:
    figures = Figures.read(judged.figures)
    assert figures.decides == "ndcg@10"
    assert figures.ranked == ["ndcg@10", "recall@10"]
    assert figures.beyond == ["coverage@10", "gini@10", "novelty@10"]
    assert [name for name, _ in figures.definitions()] == [
        "ndcg@10",
        "recall@10",
        "coverage@10",
        "gini@10",
        "novelty@10",
    ]


def test_buckets_give_shares_found_and_shares_of_places(judged: Judged) -> None:
    figures = Figures.read(judged.figures)
    for name, model in judged.figures["models"].items():
        places = sum(bucket["shown"] for bucket in model["buckets"])
        for bucket in model["buckets"]:
            if bucket["truth"]:
                assert figures.found(name, bucket["name"]) == pytest.approx(bucket["found"] / bucket["truth"])
            assert figures.shown(name, bucket["name"]) == pytest.approx(bucket["shown"] / places)
    assert figures.found("oracle", "nowhere") is None
    assert figures.shown("oracle", "nowhere") is None


def test_segments_have_a_size_and_a_description(judged: Judged) -> None:
    figures = Figures.read(judged.figures)
    assert "all" not in figures.segments
    assert figures.size("light_users") + figures.size("medium_users") + figures.size("heavy_users") == figures.main.n
    assert all(who(segment) for segment in figures.segments)
    assert plain("cold_items") == "Cold items"


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("better", "a is better than b"),
        ("worse", "a is worse than b"),
        ("no difference shown", "no difference shown between a and b"),
    ],
)
def test_a_comparison_is_said_plainly(verdict: str, words: str) -> None:
    found = Compared("ndcg@10", "a", "b", 0.15, 0.2, Difference(-0.05, -0.06, -0.04, 0.001, 100, verdict))
    assert found.words == words
    assert found.share == "−25%"
    assert Compared("ndcg@10", "a", "b", 0.1, 0.0, found.paired).share == ""


def broken(figures: Any) -> list[tuple[Any, str]]:
    models = dict(figures["models"])
    strange = copy.deepcopy(models["oracle"])
    strange["format"] = 99
    return [
        ({}, "missing required field `models`"),
        ({"models": {}}, "at least one model"),
        ({"models": {"a": {"name": 1}}}, "as to_dict gives it"),
        ({"models": {"a": strange}}, "format 1. Got 99"),
        (
            {"models": models, "comparisons": [{"metric": "ndcg@10"}]},
            "A report needs figures as serendip evaluate writes",
        ),
    ]


@pytest.mark.parametrize("case", range(5))
def test_other_things_than_figures_are_refused(judged: Judged, case: int) -> None:
    stored, text = broken(judged.figures)[case]
    with pytest.raises(SerendipError, match=text):
        Figures.read(stored)
