from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle
from serendip.checks.cases import FEATURES_ONLY, NOTHING, odd_log
from serendip.data.dataset import Dataset
from serendip.data.features.declared import Category
from serendip.data.schema import Schema
from serendip.evaluate import evaluate, per_user
from serendip.model import Run, find
from serendip.models.hybrid_mf import HybridMF
from serendip.pipeline import first_of, retrieve
from serendip.types import ABSENT, Queries, SerendipError

KINDS = 4
OF_A_KIND = 12
COLD = 3  # of each kind, the last ones
SHELF = Schema(categories=("genres",))


def shop(**tables: Any) -> Dataset:
    """Users who took up three quarters of the warm items of one kind and nothing else, twelve of each kind; codes equal
    ids. Item ``n`` is of kind ``n % KINDS``, which is all that is said of it; user ``u`` prefers kind ``u % KINDS``."""
    n = KINDS * OF_A_KIND
    user, item = np.nonzero(np.arange(KINDS * 12)[:, None] % KINDS == np.arange(n) % KINDS)
    kept = (item < n - KINDS * COLD) & ((item // KINDS + user // KINDS) % 4 > 0)
    shelf = pl.DataFrame({"item_id": np.arange(n), "genres": [f"kind {number % KINDS}" for number in range(n)]})
    return Dataset.from_frames(
        pl.DataFrame({"user_id": user[kept], "item_id": item[kept]}), tables.pop("users", None), shelf,
        schema=SHELF, **tables,
    )  # fmt: skip


def best(scores: Any, count: int) -> set[int]:
    return set(np.argsort(-scores)[:count].tolist())


def kind(number: int) -> set[int]:
    return set(range(number, KINDS * OF_A_KIND, KINDS))


@pytest.mark.parametrize("loss", ["warp", "bpr", "logistic"])
@pytest.mark.parametrize("identity", [True, False])
def test_cold_items_are_ranked_by_what_they_are(loss: str, identity: bool) -> None:
    data = shop()
    fitted = HybridMF(loss=loss, item_identity=identity, factors=8, dropout=0.5).fit(data)
    cold = np.arange(KINDS * (OF_A_KIND - COLD), KINDS * OF_A_KIND, dtype=np.int32)
    scores = fitted.score(data.queries(), cold)
    for user, row in enumerate(scores):
        assert {int(cold[place]) for place in best(row, COLD)} <= kind(user % KINDS)


def test_a_new_user_is_answered_by_the_history_and_the_answer_follows_it() -> None:
    fitted = HybridMF(factors=8).fit(shop())
    scores = fitted.score(Queries.of([[1], [2], [1, 2, 6, 10, 14]]))
    assert best(scores[0], 5) <= kind(1)
    assert best(scores[1], 5) <= kind(2)
    assert best(scores[2], 5) <= kind(2)


def test_a_user_without_history_is_answered_by_attributes() -> None:
    users = pl.DataFrame(
        {"user_id": range(60), "likes": [f"k{number % KINDS}" if number < 56 else None for number in range(60)]}
    )
    data = shop(users=users)
    fitted = HybridMF(factors=8, dropout=0.5).fit(data)
    scores = fitted.score(data.queries(np.arange(48, 60, dtype=np.int32)))
    for row in range(8):
        assert best(scores[row], 5) <= kind(row % KINDS)
    assert np.isneginf(scores[8:]).all()
    without = HybridMF(factors=8, user_columns="none").fit(data)
    assert np.isneginf(without.score(data.queries(np.array([48], np.int32)))).all()


def friends() -> pl.DataFrame:
    """Each user of `shop` has three of the same kind, and so have four more who took up nothing; user 52 has none."""
    pairs = [(user, (user + KINDS * step) % 48) for user in range(48) for step in (1, 2, 3)]
    pairs += [(48 + number, number + KINDS * step) for number in range(KINDS) for step in (1, 2, 3)]
    return pl.DataFrame(pairs, schema=["user_id", "friend_id"], orient="row")


@pytest.mark.parametrize("identity", [True, False])
def test_a_user_without_history_is_answered_by_those_whom_a_relation_names(identity: bool) -> None:
    data = shop(users=pl.DataFrame({"user_id": range(53)}), relations={"friends": friends()})
    fitted = HybridMF(factors=8, user_identity=identity).fit(data)
    scores = fitted.score(data.queries(np.arange(48, 53, dtype=np.int32)))
    for number in range(KINDS):
        assert best(scores[number], 5) <= kind(number)
    assert np.isneginf(scores[4]).all()
    for options in ({"relation_names": "none"}, {"relation_weight": 0.0}):
        without = HybridMF(factors=8, user_columns="none", **options).fit(data)
        assert np.isneginf(without.score(data.queries(np.array([48], np.int32)))).all()


def test_relations_help_where_tastes_are_shared_and_histories_short() -> None:
    # Circles of 10 users with 12 items of their own, of which each user took up 3: little else tells where they belong.
    rng = np.random.default_rng(0)
    circles, members, own = 12, 10, 12
    user = np.repeat(np.arange(circles * members), 3)
    chosen = np.concatenate([rng.choice(own, 3, replace=False) for _ in range(circles * members)])
    log = pl.DataFrame({"user_id": user, "item_id": user // members * own + chosen})
    links = [
        (u, v) for u in range(circles * members) for v in range(circles * members) if u // members == v // members != u
    ]
    links = [(u, v) for u, v in links if u != v]
    data = Dataset.from_frames(
        log, relations={"trust": pl.DataFrame(links, schema=["user_id", "other_id"], orient="row")}
    )
    split = per_user(data, 0.3, seed=0)
    found = {
        named: np.mean(
            [
                evaluate(
                    HybridMF(factors=16, relation_names=named).fit(split.train, Run(seed=seed)), split, ("recall@10",)
                ).mean("recall@10")
                for seed in range(2)
            ]
        )
        for named in ("auto", "none")
    }
    assert found["auto"] > found["none"] + 0.1


def test_an_item_of_which_nothing_is_known_has_no_score() -> None:
    data = odd_log()
    for identity in (True, False):
        scores = HybridMF(factors=4, epochs=2, item_identity=identity).fit(data).score(Queries.of([[0, 2, 4]]))[0]
        assert np.isfinite(scores[FEATURES_ONLY])
        assert scores[NOTHING] == -np.inf


def test_a_feature_that_only_items_without_events_have_says_nothing() -> None:
    events = pl.DataFrame({"user_id": [0, 0, 1, 1], "item_id": [0, 1, 0, 1]})
    shelf = pl.DataFrame({"item_id": range(4), "genres": ["a", "a", "b", "b"]})
    data = Dataset.from_frames(events, None, shelf, schema=SHELF)
    scores = HybridMF(factors=4, epochs=1).fit(data).score(Queries.of([[0]]))[0]
    np.testing.assert_array_equal(np.isneginf(scores), [False, False, True, True])


def test_a_user_who_is_a_feature_is_answered_without_a_history() -> None:
    data = shop()
    fitted = HybridMF(factors=8, user_identity=True).fit(data)
    scores = fitted.score(Queries.of([[], [], []], users=[1, 2, ABSENT]))
    assert np.isfinite(scores[:2]).all()
    assert (scores[0] != scores[1]).all()
    assert np.isneginf(scores[2]).all()


def test_it_can_be_stored_and_recommends_cold_items_then(tmp_path: Path) -> None:
    data = shop()
    fitted = HybridMF(factors=8, dropout=0.5).fit(data)
    popular = find("popular")().fit(data)
    pipeline = first_of(retrieve(fitted.lower(), name="hybrid_mf"), retrieve(popular.lower(), name="popular"))
    built = Bundle.build(data, pipeline)
    again = Bundle.load(built.save(tmp_path / "b"))
    again.check()
    cold = list(range(KINDS * (OF_A_KIND - COLD), KINDS * OF_A_KIND))
    found = again.recommend(3, k=COLD, allow=cold)
    assert set(found["item_id"]) == kind(3) & set(cold)
    assert set(found["source"]) == {"hybrid_mf"}
    assert found.equals(built.recommend(3, k=COLD, allow=cold))
    assert set(again.recommend(None, k=2, history=[2], allow=cold)["item_id"]) <= kind(2)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"item_identity": False}, r"hybrid_mf must have features of items where item_identity is false\. Got none\."),
        (
            {"relation_names": "trust"},
            r"relation_names must name relations between users\. Got 'trust' instead\. There are: none\.",
        ),
        ({"user_columns": "age"}, r"user_columns must name columns of the table\. Got 'age' instead\. It has: none\."),
        ({"learning_rate": 1e38}, r"learning_rate must be small enough .* Got 1e\+38 instead\. Try 0\.05\."),
    ],
)
def test_what_cannot_be_learned_is_said(options: dict[str, Any], what: str) -> None:
    data = Dataset.from_frames(pl.DataFrame({"user_id": [0, 0, 1, 1, 2], "item_id": [0, 1, 0, 2, 3]}))
    with pytest.raises(SerendipError, match=what):
        HybridMF(**options).fit(data)


def test_without_identities_an_item_that_nothing_is_said_of_counts_for_nothing() -> None:
    data = shop()
    nameless = data.items.with_columns(genres=pl.when(pl.col("item_id") != 1).then("genres"))
    fitted = HybridMF(factors=8, item_identity=False).fit(replace(data, items=nameless))
    scores = fitted.score(Queries.of([[1, 2, 6], [2, 6], [1]]))
    np.testing.assert_array_equal(scores[0], scores[1])
    assert np.flatnonzero(np.isneginf(scores[0])).tolist() == [1]
    assert np.isneginf(scores[2]).all()


def test_a_user_nobody_has_heard_of_is_answered_by_what_they_say() -> None:
    """Users of group x like items 0 … 9, those of y 10 … 19: a new one has no history and no row, but says which."""
    rng = np.random.default_rng(0)
    rows = [(user, 10 * (user % 2) + item) for user in range(40) for item in rng.choice(10, 6, replace=False)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
    users = pl.DataFrame({"user_id": range(40), "group": ["x", "y"] * 20})
    data = Dataset.from_frames(events, users, features={"group": Category(side="user")}, schema=Schema())
    fitted = HybridMF(factors=8, epochs=10).fit(data, Run(seed=0)).lower()
    bundle = Bundle.build(data, retrieve(fitted, name="hybrid_mf"))
    x, y = (bundle.recommend(None, 5, attributes={"group": one})["item_id"] for one in ("x", "y"))
    assert (x < 10).all() and (y >= 10).all()
    assert len(bundle.recommend(None, 5, attributes={"group": "never seen"})) == 0
    both = bundle.recommend(None, 20, attributes={"group": "x"}, history=[10, 11, 12, 13])
    alone = bundle.recommend(None, 20, attributes={"group": "x"}, exclude=[10, 11, 12, 13])
    assert both.filter(pl.col("item_id") > 13)["score"].mean() > alone.filter(pl.col("item_id") > 13)["score"].mean()
    later = bundle.update(
        pl.DataFrame({"user_id": [99], "item_id": [0]}), users=pl.DataFrame({"user_id": [99], "group": ["y"]})
    )
    assert (later.recommend(99, 5, history=[])["item_id"] >= 10).all()
