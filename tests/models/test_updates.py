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
from serendip.model import Run, find
from serendip.models import _rank
from serendip.models._folding import linked, with_rows
from serendip.scorers import DenseItemToItem, Factors, ItemToItem
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


@pytest.mark.parametrize("options", [{}, {"similarity": "dice", "neighbours": 2, "user_power": 0.0, "shrink": 1.0}])
def test_neighbours_far_from_what_is_new_are_left_alone(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, change, _ = few()
    model = find("item_knn")(**options)
    fitted, expected = model.fit(data, ONE).lower(), find("item_knn")(**options).fit(change.after, ONE).lower()
    monkeypatch.setattr(type(model), "learn", lambda *_: pytest.fail("a fit"))
    asked: list[int] = []
    original = type(model)._nearest  # type: ignore[attr-defined]

    def watched(self: Any, matrix: Any, only: Any, run: Run) -> Any:
        asked.append(len(only))
        return original(self, matrix, only, run)

    monkeypatch.setattr(type(model), "_nearest", watched)
    updated = model.renew(fitted, change, ONE)
    assert isinstance(updated, ItemToItem)
    same(updated, expected)
    assert 0 < asked[0] < 12 < change.after.n_items


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


def test_sparse_weights_are_solved_for_again_where_something_changed() -> None:
    data, change, touched = few()
    options: dict[str, Any] = {"solver": "sparse", "neighbours": 4, "reg": 3.0}
    fitted = find("ease")(**options).fit(data, ONE).lower()
    updated = find("ease")(**options).renew(fitted, change, ONE)
    expected = find("ease")(**options).fit(change.after, ONE).lower()
    assert isinstance(updated, ItemToItem) and isinstance(expected, ItemToItem) and isinstance(fitted, ItemToItem)
    np.testing.assert_array_equal(updated.weights.toarray()[:, touched], expected.weights.toarray()[:, touched])
    rest = np.setdiff1d(np.arange(data.n_items), touched)
    np.testing.assert_array_equal(updated.weights.toarray()[:-1][:, rest], fitted.weights.toarray()[:, rest])


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
    parts: tuple[Dataset, Change, Any], caplog: pytest.LogCaptureFixture
) -> None:
    data, change, _ = parts
    fitted = find("slim")().fit(data, ONE)
    with caplog.at_level(logging.WARNING, "serendip.model"):
        updated = fitted.update(change, ONE)
    assert "slim cannot take in new events" in caplog.text
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


def test_linked_columns_and_rows_put_in_place() -> None:
    """Column 2 changed; rows with it hold 0 and 2. Column 1 is linked to neither."""
    before = csr_array(np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]], np.float32))
    after = csr_array(np.array([[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 1, 0]], np.float32))
    assert linked(before, after).tolist() == [0, 2]
    known = csr_array(np.array([[0, 1], [2, 0]], np.float32))
    rows = csr_array(np.array([[0, 5, 6]], np.float32))
    expected = [[0, 5, 6], [2, 0, 0], [0, 0, 0]]
    assert with_rows(known, np.array([0]), rows).toarray().tolist() == expected
