from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serendip.data.dataset import Dataset
from serendip.evaluate.run import evaluate
from serendip.evaluate.split import given, last_out, per_user
from serendip.types import ABSENT, Floats, Ids, Queries, Recs, SerendipError, Truth
from tests.evaluate.logs import Fixed, Known, log


def world(users: int = 60, items: int = 40, seed: int = 0) -> Dataset:
    rng = np.random.default_rng(seed)
    taken = [rng.permutation(items)[: rng.integers(3, 20)] for _ in range(users)]
    return log([(user, int(item), t, 1.0) for user, chosen in enumerate(taken) for t, item in enumerate(chosen)])


class Vectors:
    """An embedder that also scores, so that both ways can be compared."""

    def __init__(self, data: Dataset, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.n_items = data.n_items
        self.users = rng.standard_normal((data.n_users + 1, 4)).astype(np.float32)
        self.items = rng.standard_normal((data.n_items, 4)).astype(np.float32)

    def item_vectors(self) -> Floats:
        return self.items

    def query_vectors(self, queries: Queries) -> Floats:
        return self.users[queries.users]


class Scoring(Vectors):
    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        assert items is None
        return self.users[queries.users] @ self.items.T


class OnlyScores:
    def __init__(self, inner: Scoring) -> None:
        self.n_items, self.score = inner.n_items, inner.score


class Fitted:
    name = "their_model"

    def __init__(self, scorer: object) -> None:
        self.scorer = scorer

    def lower(self) -> object:
        return self.scorer


def test_lists_by_hand() -> None:
    # Training: 1 has a, b; 2 has a, c. Test: 1 takes c, 2 takes b and an item nobody had.
    train = log([(1, 10, 1, 1.0), (1, 11, 2, 1.0), (2, 10, 1, 1.0), (2, 12, 2, 1.0)], items=[13])
    split = given(train, log([(1, 12, 3, 1.0), (2, 11, 3, 1.0), (2, 13, 4, 1.0)]))
    found = evaluate(Fixed([0, 3, 2, 1]), split, ("recall@1", "recall@2", "ndcg@2", "coverage@1", "popularity@2"))
    # User 1 sees d, c; user 2 sees d, b.
    assert found.values["recall@1"].tolist() == [0, 0.5]
    assert found.values["recall@2"].tolist() == [1, 1]
    np.testing.assert_allclose(found.values["ndcg@2"], [1 / np.log2(3) / 1, 1])
    assert found.totals == {"coverage@1": 1 / 4}
    assert found.values["popularity@2"].tolist() == [0.5, 0.5]
    assert found.metrics == ("recall@1", "recall@2", "ndcg@2", "coverage@1", "popularity@2")
    assert (found.name, found.split, found.n, found.k) == ("Fixed", "given", 2, 2)
    assert found.seconds > 0
    assert found.notes == ()


def test_figures_of_warm_and_cold_items_are_apart() -> None:
    train = log([(1, 10, 1, 1.0), (1, 11, 2, 1.0), (2, 10, 1, 1.0), (2, 12, 2, 1.0)], items=[13])
    split = given(train, log([(1, 12, 3, 1.0), (2, 11, 3, 1.0), (2, 13, 4, 1.0), (2, 99, 4, 1.0)]))
    found = evaluate(Fixed([3, 2, 1, 0]), split, ("recall@1", "mrr@2", "novelty@1"))
    np.testing.assert_equal(found.parts["cold_items"]["recall@1"], [np.nan, 1 / 2])  # 13 found, 99 cannot be
    np.testing.assert_equal(found.parts["warm_items"]["recall@1"], [0, 0])
    np.testing.assert_equal(found.parts["warm_items"]["mrr@2"], [1 / 2, 1 / 2])
    assert found.mean("recall@1", "cold_items") == 0.5
    assert found.interval("recall@1", "cold_items").n == 1
    assert ("novelty@1", "cold_items") not in found.rows()
    assert ("novelty@1", "any_cold_item") in found.rows()
    assert found.of("mrr@2", "any_cold_item").tolist() == [1.0]
    assert {bucket.name: (bucket.items, bucket.truth, bucket.found, bucket.shown) for bucket in found.buckets} == {
        "head": (1, 0, 0, 0),
        "middle": (1, 1, 1, 1),
        "lower": (1, 1, 1, 1),
        "new": (1, 1, 1, 2),
        "unknown": (0, 1, 0, 0),
    }


def test_knowing_the_answers_scores_one_everywhere() -> None:
    split = per_user(world(), 0.3)
    scores = np.zeros((split.train.n_users, split.train.n_items))
    owner = np.repeat(split.known, split.truth.counts)
    known = split.truth.items != ABSENT
    scores[owner[known], split.truth.items[known]] = 1
    found = evaluate(Known(scores), split, ("recall@20", "ndcg@20", "hit_rate@1", "mrr@5", "map@20", "auc"))
    assert known.all()
    for metric in found.metrics:
        assert found.mean(metric) == pytest.approx(1.0), metric
    assert sum(bucket.found for bucket in found.buckets) == len(split.truth.items)
    assert all(bucket.recall == 1 for bucket in found.buckets if bucket.truth)


@pytest.mark.parametrize("block", [1, 7, None])
def test_blocks_and_ways_of_asking_agree(block: int | None) -> None:
    split = last_out(world())
    both = Scoring(split.train)
    whole = evaluate(both, split, ("ndcg@5", "recall@5", "gini@5", "diversity@3"))
    ways = {
        "embedder": Vectors(split.train),
        "scorer": OnlyScores(both),
        "model": Fitted(OnlyScores(both)),
        "stage": lambda queries, recs=None: by_hand(both, queries),
    }
    for name, way in ways.items():
        found = evaluate(way, split, whole.metrics, block=block, threads=2)
        for metric in whole.values:
            np.testing.assert_allclose(found.values[metric], whole.values[metric], err_msg=f"{name} {metric}")
        assert found.totals == whole.totals
        assert found.buckets == whole.buckets
        assert found.questions == whole.questions
    assert evaluate(ways["model"], split).name == "their_model"
    assert evaluate(ways["model"], split, name="mine").name == "mine"


def by_hand(scorer: Scoring, queries: Queries) -> Recs:
    scores = scorer.score(queries).astype(np.float64)
    assert queries.exclude is not None
    for row, seen in enumerate(queries.exclude):
        scores[row, seen[seen != ABSENT]] = -np.inf
    order = np.argsort(-scores, axis=1, kind="stable")[:, : queries.k].astype(np.int32)
    best = np.take_along_axis(scores, order, axis=1).astype(np.float32)
    return Recs(np.where(best > -np.inf, order, ABSENT).astype(np.int32), best)


def test_memory_stays_bounded_by_asking_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    split = last_out(world())
    monkeypatch.setattr("serendip.evaluate.source.SCORES", 5 * split.train.n_items)
    monkeypatch.setattr("serendip.evaluate.run._HISTORY", 30)
    widths: list[tuple[int, int]] = []
    scorer = Known(np.random.default_rng(0).random((split.train.n_users, split.train.n_items)))

    def watched(queries: Queries, recs: Recs | None = None) -> Recs:
        widths.append(queries.history.shape)
        return Recs.empty(len(queries))

    done: list[tuple[int, int]] = []
    evaluate(scorer, split, threads=1, progress=lambda at, total: done.append((at, total)))
    evaluate(watched, split)
    assert max(scorer.asked) <= 5
    assert sum(scorer.asked) == len(split)
    assert all(rows == 1 or rows * width <= 30 for rows, width in widths)
    assert sum(rows for rows, _ in widths) == len(split)
    assert done[-1] == (60, 60)
    assert sorted(done) == done


def test_auc_is_taken_over_items_not_in_training() -> None:
    train = log([(1, 10, 1, 1.0), (1, 11, 2, 1.0), (2, 12, 1, 1.0), (2, 13, 2, 1.0)])
    split = given(train, log([(1, 12, 3, 1.0), (2, 10, 3, 1.0)]))
    scores = np.array([[9, 8, 1, 2], [1, 1, 5, 5]])
    assert evaluate(Known(scores), split, ["auc"]).values["auc"].tolist() == [0, 0.5]
    assert evaluate(Known(scores), split, ["auc"], exclude_seen=False).values["auc"].tolist() == [0, 1 / 6]
    with pytest.raises(SerendipError, match=r"Got the stage Fixed instead, as a recipe makes\. Try its scorer, or"):
        evaluate(Fixed([0]), split, ["auc"])
    with pytest.raises(SerendipError, match=r"Got Vectors without score\(\) instead"):
        evaluate(Vectors(train), split, ["auc"])


def test_repeats_are_asked_for_where_they_count() -> None:
    data = log([(1, 10, 1, 1.0), (1, 11, 2, 1.0), (1, 10, 3, 1.0), (2, 11, 1, 1.0), (2, 10, 2, 1.0)])
    split = last_out(data, repeats=True)
    assert evaluate(Fixed([0]), split, ["recall@1"]).values["recall@1"].tolist() == [1, 1]
    assert evaluate(Fixed([0]), split, ["recall@1"], exclude_seen=True).values["recall@1"].tolist() == [0, 1]


def test_short_lists_are_counted() -> None:
    split = last_out(log([(1, 10, 1, 1.0), (1, 11, 2, 1.0), (2, 11, 1, 1.0), (2, 10, 2, 1.0)]))
    found = evaluate(Fixed([0]), split, ["recall@1", "diversity@2"], k=3)
    assert found.k == 3
    assert found.notes == ("Lists shorter than 3: 2, of which empty: 1.", "Diversity compares items by their users.")


def test_what_is_refused() -> None:
    split = last_out(world())
    with pytest.raises(SerendipError, match=r"must be given a stage, .* Got int instead"):
        evaluate(3, split)
    with pytest.raises(SerendipError, match=r"Got the class Fixed instead\. Try Fixed\(…\)"):
        evaluate(Fixed, split)
    with pytest.raises(SerendipError, match=r"must know the 40 items .* Got 3 instead\. Try fitting it on split.train"):
        evaluate(Known(np.zeros((60, 3))), split)
    with pytest.raises(SerendipError, match=r"codes 0 to 39\. Got 40 instead"):
        evaluate(Fixed([2, 40]), split)
    with pytest.raises(SerendipError, match=r"one list per query \(60\)\. Got 1 instead"):
        evaluate(lambda queries, recs=None: Recs.empty(1), split)
    with pytest.raises(SerendipError, match=r"k must be at least 20, because recall@20 is asked for\. Got 10"):
        evaluate(Fixed([1]), split, k=10)
    with pytest.raises(SerendipError, match=r"metrics must be a list of names such as \['ndcg@10'\]\. Got 'ndcg@10'"):
        evaluate(Fixed([1]), split, "ndcg@10")
    with pytest.raises(SerendipError, match=r"metrics must be a list of names .* Got \(\) instead"):
        evaluate(Fixed([1]), split, ())
    with pytest.raises(SerendipError, match=r"block must be at least 1\. Got 0"):
        evaluate(Fixed([1]), split, block=0)


def test_popularity_on_a_published_split_scores_as_published(data_dir: Path) -> None:
    """Most-popular on LightGCN's Gowalla split: recall@20 0.0416 and NDCG@20 0.0317 in the literature."""
    folder = data_dir / "gowalla_lightgcn"
    split = given(Dataset.from_frames(folder / "train.parquet"), Dataset.from_frames(folder / "test.parquet"))
    counts = np.bincount(split.train.events.items, minlength=split.train.n_items).astype(np.float32)

    class Popular:
        n_items = len(counts)

        def score(self, queries: Queries, items: Ids | None = None) -> Floats:
            return np.repeat(counts[None], len(queries), axis=0)

    found = evaluate(Popular(), split, ("recall@20", "ndcg@20"), threads=2)
    assert found.mean("recall@20") == pytest.approx(0.0416, abs=5e-5)
    assert found.mean("ndcg@20") == pytest.approx(0.0317, abs=5e-5)


def test_truth_of_another_order_changes_nothing() -> None:
    truth = Truth(np.array([0, 3], np.int64), np.array([5, ABSENT, 2], np.int32))
    turned = Truth(np.array([0, 3], np.int64), np.array([2, 5, ABSENT], np.int32))
    from serendip.evaluate.metrics import ndcg

    recs = Recs(np.array([[2, 1, 5]], np.int32), np.zeros((1, 3), np.float32))
    assert ndcg(3)(recs, truth) == ndcg(3)(recs, turned)
