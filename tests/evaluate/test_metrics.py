from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serendip.evaluate import metrics
from serendip.types import ABSENT, Recs, SerendipError, Truth

FACTORIES = {
    "recall": metrics.recall,
    "precision": metrics.precision,
    "hit_rate": metrics.hit_rate,
    "ndcg": metrics.ndcg,
    "mrr": metrics.mrr,
    "map": metrics.map,
}


def recs(*lists: list[int]) -> Recs:
    items = np.array(lists, np.int32).reshape(len(lists), -1)
    return Recs(items, np.where(items == ABSENT, -np.inf, 0).astype(np.float32))


def truth(*lists: list[int]) -> Truth:
    indptr = np.cumsum([0, *(len(items) for items in lists)])
    return Truth(indptr.astype(np.int64), np.array([item for items in lists for item in items], np.int32))


# One list: hits at ranks 2 and 4 of five, three held-out items of which one is unknown to training.
SHOWN, HELD = recs([7, 3, 8, 5, 9]), truth([5, 3, ABSENT])


@pytest.mark.parametrize(
    ("name", "k", "value"),
    [
        ("recall", 5, 2 / 3),
        ("recall", 3, 1 / 3),
        ("precision", 5, 2 / 5),
        ("precision", 10, 2 / 10),  # the list ends at 5
        ("hit_rate", 1, 0.0),
        ("hit_rate", 2, 1.0),
        ("ndcg", 5, (0.63092975 + 0.43067656) / (1 + 0.63092975 + 0.5)),  # 1/log2(3), 1/log2(5); ideal of three
        ("ndcg", 2, 0.63092975 / (1 + 0.63092975)),  # ideal of min(3, 2) places
        ("mrr", 5, 1 / 2),
        ("mrr", 1, 0.0),
        ("map", 5, (1 / 2 + 2 / 4) / 3),
        ("map", 2, (1 / 2) / 2),
    ],
)
def test_by_hand(name: str, k: int, value: float) -> None:
    metric = FACTORIES[name](k)
    assert metric.name == f"{name}@{k}"
    assert metric(SHOWN, HELD) == pytest.approx([value], abs=1e-8)


def test_a_list_in_the_best_order_scores_one() -> None:
    for name in ("recall", "hit_rate", "ndcg", "mrr", "map"):
        assert FACTORIES[name](3)(recs([4, 1, 2]), truth([1, 2, 4])) == pytest.approx([1.0])
    assert metrics.ndcg(2)(recs([4, 1]), truth([1, 2, 4])) == pytest.approx([1.0])


def test_a_query_without_truth_has_no_figure_and_an_empty_list_finds_nothing() -> None:
    for factory in FACTORIES.values():
        values = factory(2)(recs([1, 2], [ABSENT, ABSENT]), truth([], [ABSENT, 3]))
        assert math.isnan(values[0])
        assert values[1] == 0
        assert factory(2)(recs([], []), truth([1], [2])).tolist() == [0, 0]


def test_an_item_shown_twice_counts_once_at_its_first_place() -> None:
    shown = recs([3, 3, 4, 3], [4, 4, 4, 4])
    assert metrics.hits(shown, truth([3, 5], [3])).tolist() == [[True, False, False, False], [False] * 4]
    assert metrics.recall(4)(shown, truth([3], [4])).tolist() == [1, 1]


def test_lists_and_truth_must_match() -> None:
    with pytest.raises(ValueError, match=r"one list per query of the truth \(2\)\. Got 1"):
        metrics.hits(recs([1]), truth([1], [2]))


def slow(name: str, k: int, shown: list[int], held: list[int]) -> float:
    """The definitions once more, in plain Python."""
    first = [item for place, item in enumerate(shown) if item not in shown[:place]]
    ranks = [shown.index(item) + 1 for item in first if item in held and item != ABSENT and shown.index(item) < k]
    if not held:
        return math.nan
    best = min(len(held), k)
    return {
        "recall": len(ranks) / len(held),
        "precision": len(ranks) / k,
        "hit_rate": float(bool(ranks)),
        "ndcg": sum(1 / math.log2(r + 1) for r in ranks) / sum(1 / math.log2(r + 1) for r in range(1, best + 1)),
        "mrr": 1 / min(ranks) if ranks else 0.0,
        "map": sum(sum(other <= r for other in ranks) / r for r in ranks) / best,
    }[name]


@given(st.data(), st.sampled_from(sorted(FACTORIES)), st.integers(1, 8))
def test_against_the_definitions(data: st.DataObject, name: str, k: int) -> None:
    width = data.draw(st.integers(0, 7))
    shown = data.draw(st.lists(st.lists(st.integers(-1, 9), min_size=width, max_size=width), min_size=1, max_size=5))
    held = [
        data.draw(st.lists(st.integers(0, 9), unique=True, max_size=6)) + [ABSENT] * data.draw(st.integers(0, 2))
        for _ in shown
    ]
    values = FACTORIES[name](k)(recs(*shown), truth(*held))
    expected = [slow(name, k, items, wanted) for items, wanted in zip(shown, held, strict=True)]
    np.testing.assert_allclose(values, expected, atol=1e-12)


def test_many_queries_at_once_agree_with_one_at_a_time() -> None:
    rng = np.random.default_rng(0)
    shown = np.array([rng.permutation(500)[:20] for _ in range(400)], np.int32)
    held = [rng.permutation(500)[: rng.integers(1, 60)].tolist() for _ in range(400)]
    whole = metrics.ndcg(20)(Recs(shown, shown.astype(np.float32)), truth(*held))
    single = [metrics.ndcg(20)(recs(row.tolist()), truth(items))[0] for row, items in zip(shown, held, strict=True)]
    np.testing.assert_allclose(whole, single)


def test_auc_by_hand() -> None:
    scores = np.array([[3, 1, 2, 2, 5, -np.inf]], np.float32)
    # Truth 0 and 2; item 4 excluded; the others are 1, 3 and 5. Item 0 wins 3 of 3, item 2 wins 2 and ties with one.
    exclude = np.array([[4, ABSENT]], np.int32)
    assert metrics.auc(scores, truth([0, 2]), exclude) == pytest.approx([(3 + 2.5) / 6])
    assert metrics.auc(scores, truth([0, 2, ABSENT]), exclude) == pytest.approx([(3 + 2.5) / 9])
    assert metrics.auc(scores, truth([5])) == pytest.approx([0.0])
    assert metrics.auc(np.full((1, 4), np.nan, np.float32), truth([2])) == pytest.approx([0.5])
    assert np.isnan(metrics.auc(scores, truth([]))).all()
    assert np.isnan(metrics.auc(scores[:, :1], truth([0]))).all()
    assert scores.tolist() == [[3, 1, 2, 2, 5, -np.inf]]


@given(st.data())
def test_auc_against_all_pairs(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    value = st.sampled_from([-np.inf, np.nan, 0.0, 1.0, 1.5, 2.0])
    scores = data.draw(st.lists(st.lists(value, min_size=n, max_size=n), min_size=1, max_size=4))
    held = [data.draw(st.lists(st.integers(-1, n - 1), unique=True, max_size=n)) for _ in scores]
    exclude = [data.draw(st.lists(st.integers(-1, n - 1), min_size=3, max_size=3)) for _ in scores]
    expected = []
    for line, positives, gone in zip(scores, held, exclude, strict=True):
        s = [-np.inf if np.isnan(x) else x for x in line]
        others = [i for i in range(n) if i not in positives and i not in gone]
        wins = [
            0.0 if p == ABSENT or p in gone else (s[p] > s[o]) + (s[p] == s[o]) / 2 for p in positives for o in others
        ]
        expected.append(np.mean(wins) if wins else np.nan)
    found = metrics.auc(np.array(scores, np.float32), truth(*held), np.array(exclude, np.int32))
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_rmse_and_mae_by_hand() -> None:
    predicted, actual = np.array([3.0, 4.0, np.nan, 1.0]), np.array([4.0, 2.0, 5.0, 1.0])
    assert metrics.rmse(predicted, actual) == pytest.approx(math.sqrt((1 + 4 + 0) / 3))
    assert metrics.mae(predicted, actual) == pytest.approx(1.0)
    assert math.isnan(metrics.rmse(np.array([np.nan]), np.array([1.0])))
    assert math.isnan(metrics.mae(np.array([]), np.array([])))
    with pytest.raises(ValueError, match=r"shape of the actual values \(2,\)\. Got \(3,\)"):
        metrics.mae(np.zeros(3), np.zeros(2))


def test_parse_and_describe() -> None:
    assert metrics.parse(" NDCG@5 ")(SHOWN, HELD) == pytest.approx(metrics.ndcg(5)(SHOWN, HELD))
    assert "min(number of held-out items, 20)" in metrics.describe("ndcg@20")
    for name, found in metrics.DEFINITIONS.items():
        sentence = metrics.describe(name if found.kind == "scores" else f"{name}@7")
        assert sentence.endswith(".")
        assert "{" not in sentence


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recal@20", r"A metric must be one of recall, .* Got 'recal@20' instead\. Did you mean 'recall'\?"),
        ("recall", r"recall must say how many places count .* Got 'recall' instead\. Try 'recall@10'"),
        ("recall@0", r"Got 'recall@0' instead"),
        ("recall@ten", r"Got 'recall@ten' instead"),
        ("auc@10", r"auc has no number of places\. Got 'auc@10' instead\. Try 'auc'"),
        ("coverage@10", r"coverage@10 needs more than lists and truth\. Try evaluate"),
    ],
)
def test_what_cannot_be_parsed(text: str, message: str) -> None:
    with pytest.raises(SerendipError, match=message):
        metrics.parse(text)


def test_k_must_be_positive() -> None:
    for factory in FACTORIES.values():
        with pytest.raises(SerendipError, match=r"k must be at least 1\. Got 0"):
            factory(0)
