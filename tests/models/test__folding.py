"""New events taken in: exactly as a fit where that can be, and at least 98% as good elsewhere."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.synthetic import catalogue
from serendip.evaluate import evaluate, given
from serendip.model import Run, find, names
from serendip.models import _rank, _spectrum
from serendip.models._folding import with_rows
from serendip.scorers import Biases, DenseItemToItem, Factors, dump, restore
from serendip.scorers.grown import grown

ONE = Run(threads=1)


@pytest.fixture(scope="module")
def parts() -> tuple[Dataset, Change, Any]:
    """Events in order of time: 80% known, 10% new with new users and items among them, 10% to be foretold."""
    world = catalogue(seed=5, users=500, items=150)
    late_users, late_items = (world.events[name].unique().sort().sample(8, seed=1) for name in ("user_id", "item_id"))
    events = world.events.sort("timestamp")
    first, rest = events[: len(events) * 4 // 5], events[len(events) * 4 // 5 :]
    late = pl.col("user_id").is_in(late_users.to_list()) | pl.col("item_id").is_in(late_items.to_list())
    known, held_back = first.filter(~late), first.filter(late)
    new = pl.concat([held_back, rest[: len(rest) // 2]])
    test = rest[len(rest) // 2 :].join(pl.concat([known, new]), on=["user_id", "item_id"], how="anti")
    data = Dataset.from_frames(known, items=world.items.filter(~pl.col("item_id").is_in(late_items.to_list())))
    change = Change.read(data, new, items=world.items)
    assert change.after.n_users > data.n_users and change.after.n_items > data.n_items
    return data, change, given(change.after, test)


def few(seed: int = 0) -> tuple[Dataset, Change, list[int]]:
    """A log in islands of 5 users and 6 items each, a handful of events in the first of them, with new ids, and the
    items of those."""
    rng = np.random.default_rng(seed)
    pairs = {
        (island * 5 + int(rng.integers(5)), island * 6 + int(rng.integers(6)))
        for island in range(40)
        for _ in range(18)
    }
    user, item = next((u, i) for u in range(5) for i in range(1, 6) if (u, i) not in pairs)
    frame = pl.DataFrame(sorted(pairs), schema=["user_id", "item_id"], orient="row")
    data = Dataset.from_frames(frame)
    new = pl.DataFrame([(999, 0), (999, 998), (0, 998), (user, item)], frame.schema, orient="row")
    change = Change.read(data, new)
    return data, change, np.sort(change.after.item_ids.encode([0, item, 998])).tolist()


def same(one: Any, other: Any, tolerance: float = 0.0) -> None:
    left, right = one.weights, other.weights
    if isinstance(left, csr_array):
        left, right = left.toarray(), right.toarray()
    np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("popular", {}),
        ("item_knn", {}),
        ("item_knn", {"similarity": "jaccard", "user_power": 0.0, "neighbours": 3}),
        ("item_knn", {"weighting": "bm25"}),
        ("user_knn", {}),
        ("rp3beta", {}),
        ("content", {}),
        ("ease", {}),
    ],
)
def test_an_update_equals_a_fit(name: str, options: dict[str, Any], parts: tuple[Dataset, Change, Any]) -> None:
    data, change, _ = parts
    before = find(name)(**options).fit(data, ONE)
    queries = change.after.queries(np.arange(40, dtype=np.int32))
    kept = before.score(data.queries(np.arange(40, dtype=np.int32))).copy()
    updated = before.update(change, ONE)
    expected = find(name)(**options).fit(change.after, ONE)
    np.testing.assert_allclose(updated.score(queries), expected.score(queries), rtol=1e-5, atol=1e-6)
    assert updated is not before and updated.config == before.config
    np.testing.assert_array_equal(before.score(data.queries(np.arange(40, dtype=np.int32))), kept)


@pytest.mark.parametrize("options", [{"reg": 3.0}, {"reg": 3.0, "popularity_power": 0.5}])
def test_dense_weights_follow_the_rows_that_changed(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    data, change, _ = few()
    model = find("ease")(**options)
    fitted, expected = model.fit(data, ONE).lower(), find("ease")(**options).fit(change.after, ONE).lower()
    before = fitted.weights.copy()  # type: ignore[attr-defined]
    monkeypatch.setattr(type(model), "learn", lambda *_: pytest.fail("a fit"))
    updated = model.renew(fitted, change, ONE)
    assert isinstance(updated, DenseItemToItem) and isinstance(expected, DenseItemToItem)
    same(updated, expected, 2e-5)
    np.testing.assert_array_equal(updated.known, expected.known)
    np.testing.assert_array_equal(fitted.weights, before)  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", [{"user_power": 0.5}, {"reg_power": 1.0}])
def test_dense_weights_are_inverted_again_where_everything_changes(options: dict[str, Any]) -> None:
    data, change, _ = few()
    updated = find("ease")(**options).fit(data, ONE).update(change, ONE).lower()
    same(updated, find("ease")(**options).fit(change.after, ONE).lower())


def test_factors_that_nothing_touched_stay() -> None:
    data, change, touched = few()
    model = find("ials")(factors=4, iterations=4).fit(data, ONE)
    known = model.lower()
    updated = model.update(change, ONE).lower()
    assert isinstance(known, Factors) and isinstance(updated, Factors)
    moved = (updated.items[: data.n_items] != known.items).any(axis=1)
    assert np.flatnonzero(moved).tolist() == touched[:2]
    assert np.isfinite(updated.items).all()


def test_nothing_new_changes_nothing() -> None:
    data, _, _ = few()
    same_again = Change.join(data, data.where(np.zeros(len(data.events), bool)))
    model = find("ials")(factors=4, iterations=2).fit(data, ONE)
    np.testing.assert_array_equal(model.update(same_again, ONE).lower().items, model.lower().items)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "options"),
    [("ials", {"factors": 16}), ("ease", {}), ("ease", {"solver": "sparse", "neighbours": 30}), ("item_knn", {})],
)
def test_an_update_ranks_at_least_98_percent_as_well_as_a_fit(
    name: str, options: dict[str, Any], parts: tuple[Dataset, Change, Any]
) -> None:
    data, change, split = parts
    fitted = find(name)(**options).fit(data, ONE)
    scores = {
        "refit": find(name)(**options).fit(change.after, ONE),
        "updated": fitted.update(change, ONE),
        "stale": grown(fitted.lower(), change.after.n_users, change.after.n_items),
    }
    found = {key: evaluate(scorer, split, ("ndcg@10",)).mean("ndcg@10") for key, scorer in scores.items()}
    assert found["updated"] >= 0.98 * found["refit"] > 0
    assert found["updated"] > found["stale"]


def test_a_model_that_knows_no_way_keeps_what_it_knew_and_says_so(
    parts: tuple[Dataset, Change, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    data, change, _ = parts
    fitted = find("slim")(l1=5.0, iterations=3).fit(data, ONE)
    monkeypatch.setattr(type(fitted), "renew", lambda *_: None)
    with caplog.at_level(logging.WARNING, "serendip.model"):
        updated = fitted.update(change, ONE)
    assert "slim cannot take in new events: what is new stays unknown to it until it is fitted" in caplog.text
    queries = data.queries(np.arange(9, dtype=np.int32))
    np.testing.assert_array_equal(updated.score(queries)[:, : data.n_items], fitted.score(queries))
    assert (updated.score(queries)[:, data.n_items :] == -np.inf).all()


def test_the_inverse_is_read_off_the_weights_and_changed_by_rows() -> None:
    """Against NumPy's own inverse, before and after two rows changed and one came."""
    rng = np.random.default_rng(0)
    old = (rng.random((30, 12)) < 0.3).astype(np.float32)
    new = old.copy()
    new[[3, 7]] = (rng.random((2, 12)) < 0.5).astype(np.float32)
    reg = np.linspace(1, 3, 12)
    inverse = np.linalg.inv(old.T.astype(np.float64) @ old + np.diag(reg))
    weights = -inverse / np.diagonal(inverse)
    np.fill_diagonal(weights, 0)
    found = _rank.inverse_of(weights.astype(np.float32), csr_array(old), reg)
    assert found is not None
    np.testing.assert_allclose(found, inverse, rtol=1e-3, atol=1e-6)
    assert _rank.change_rows(found, csr_array(old[[3, 7]]), csr_array(new[[3, 7]]))
    expected = np.linalg.inv(new.T.astype(np.float64) @ new + np.diag(reg))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_weights_that_are_none_have_no_inverse() -> None:
    matrix = csr_array(np.eye(3, dtype=np.float32))
    assert _rank.inverse_of(np.full((3, 3), 50, np.float32), matrix, np.ones(3)) is None


def test_rows_are_put_in_place() -> None:
    """Row 0 is replaced, row 1 stays, and row 2 is new."""
    known = csr_array(np.array([[0, 1], [2, 0]], np.float32))
    rows = csr_array(np.array([[0, 5, 6]], np.float32))
    expected = [[0, 5, 6], [2, 0, 0], [0, 0, 0]]
    assert with_rows(known, np.array([0]), rows).toarray().tolist() == expected


@pytest.mark.parametrize("name", ["slim", "ease"])
def test_what_is_said_of_other_items_stays(name: str) -> None:
    data, change, touched = few()
    options: dict[str, Any] = {"solver": "sparse", "neighbours": 4} if name == "ease" else {"l1": 0.1}
    fitted = find(name)(**options).fit(data, ONE).lower()
    updated = find(name)(**options).renew(fitted, change, ONE)
    expected = find(name)(**options).fit(change.after, ONE).lower()
    ours, theirs, old = (one.weights.toarray() for one in (updated, expected, fitted))  # type: ignore[union-attr]
    np.testing.assert_array_equal(ours[:, touched], theirs[:, touched])
    rest = np.setdiff1d(np.arange(data.n_items), touched)
    np.testing.assert_array_equal(ours[: data.n_items][:, rest], old[:, rest])


@pytest.mark.parametrize("name", ["spectral", "gf_cf"])
def test_filters_begin_with_the_vectors_that_were_known(
    name: str, monkeypatch: pytest.MonkeyPatch, parts: tuple[Dataset, Change, Any]
) -> None:
    monkeypatch.setattr(_spectrum, "SMALL", 0)
    data, change, split = parts
    fitted = find(name)(factors=16).fit(data, ONE)
    updated, expected = fitted.update(change, ONE), find(name)(factors=16).fit(change.after, ONE)
    found = [evaluate(one, split, ("ndcg@10",)).mean("ndcg@10") for one in (updated, expected)]
    assert found[0] >= 0.98 * found[1]
    queries = change.after.queries(np.arange(50, dtype=np.int32))
    ours, theirs = updated.score(queries), expected.score(queries)
    np.testing.assert_array_equal(np.isfinite(ours), np.isfinite(theirs))
    finite = np.isfinite(ours)
    assert np.corrcoef(ours[finite], theirs[finite])[0, 1] > 0.98


def test_an_ensemble_updates_its_parts(parts: tuple[Dataset, Change, Any]) -> None:
    data, change, _ = parts
    options: dict[str, Any] = {"models": ["item_knn", "popular"]}
    updated = find("ensemble")(**options).fit(data, ONE).update(change, ONE)
    expected = find("ensemble")(**options).fit(change.after, ONE)
    queries = change.after.queries(np.arange(20, dtype=np.int32))
    np.testing.assert_allclose(updated.score(queries), expected.score(queries), rtol=1e-4, atol=1e-4)


def test_new_users_and_items_get_their_mean_deviation() -> None:
    """μ = 3. The new item 9 is rated 5 by a (b_a) and by the new z; then z by its mean over both of its items."""
    first = pl.DataFrame({"user_id": ["a", "a", "b", "b"], "item_id": [1, 2, 1, 2], "rating": [4.0, 2.0, 3.0, 3.0]})
    new = pl.DataFrame({"user_id": ["a", "z", "z"], "item_id": [9, 9, 1], "rating": [5.0, 5.0, 1.0]})
    data = Dataset.from_frames(first)
    model = find("baseline")().fit(data, ONE)
    change = Change.read(data, new)
    before, after = (one.lower() for one in (model, model.update(change, ONE)))
    assert isinstance(before, Biases) and isinstance(after, Biases)
    np.testing.assert_array_equal(after.user_bias[:2], before.user_bias)
    np.testing.assert_array_equal(after.item_bias[:2], before.item_bias)
    mean, own, one = before.mean, before.user_bias[0], before.item_bias[0]
    # Ratings are held within the range that was seen: 2 to 4.
    item = ((4 - mean - own) + (4 - mean)) / (2 + 10)
    user = ((4 - mean - item) + (2 - mean - one)) / (2 + 15)
    assert after.item_bias[2] == pytest.approx(item, abs=1e-6)
    assert after.user_bias[2] == pytest.approx(user, abs=1e-6)


QUICK: dict[str, dict[str, Any]] = {
    "ensemble": {"models": ["ease", "popular"]},
    "bayesian_fm": {"factors": 2},
    "content": {"min_items": 1},
}
SLOW = ("iterations", "epochs", "samples")
"""Options that count rounds, whatever a model calls them."""


@pytest.mark.parametrize("name", [name for name in names() if "." not in name])
def test_every_model_lives_on(name: str) -> None:
    """With new users and items: scores for all, never NaN, the fitted model as it was, and one that can be saved."""
    model = find(name)
    known = set(model.Config.__struct_fields__)
    options = {**{key: 3 for key in SLOW if key in known}, **QUICK.get(name, {})}
    world = catalogue(seed=1, users=40, items=25)
    events = world.events.sort("timestamp")
    late = pl.col("user_id").is_in(events["user_id"].head(1).to_list()) | pl.col("item_id").is_in(
        events["item_id"].head(1).to_list()
    )
    data = Dataset.from_frames(events.filter(~late), items=world.items, users=world.users)
    change = Change.read(data, events.filter(late), items=world.items, users=world.users)
    fitted = model(**options).fit(data, ONE)
    queries = data.queries()
    before = fitted.score(queries).copy()
    updated = fitted.update(change, ONE)
    scores = updated.score(change.after.queries())
    assert scores.shape == (change.after.n_users, change.after.n_items)
    assert not np.isnan(scores).any() and (scores < np.inf).all()
    np.testing.assert_array_equal(fitted.score(queries), before)
    again = restore(*dump(updated.lower()))
    np.testing.assert_array_equal(again.score(change.after.queries()), scores)
