from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from serendip.scorers import (
    KINDS,
    DenseItemToItem,
    Factors,
    ItemToItem,
    Profiles,
    StaticScores,
    dump,
    history_matrix,
    restore,
)
from serendip.types import ABSENT, Embedder, Queries, Scorer, SerendipError, Similar

INF = -np.inf


def floats(values: Any) -> Any:
    return np.array(values, np.float32)


def weights() -> csr_array:
    """Item 0 speaks for 1 and 2, 1 for 0, 2 for nobody, 3 for 1; nobody speaks for 3."""
    return csr_array(floats([[0, 2, 1, 0], [4, 0, 0, 0], [0, 0, 0, 0], [0, 8, 0, 0]]))


def factors(**changes: Any) -> Factors:
    vectors = np.random.default_rng(0).normal(0, 1, (7, 3)).astype(np.float32)
    vectors[5] = np.nan
    return Factors(**({"items": vectors, "alpha0": 0.3, "reg": 0.2, "nu": 1.0} | changes))


def unit_rows(values: Any) -> csr_array:
    dense = np.array(values, np.float64)
    length = np.sqrt((dense**2).sum(axis=1, keepdims=True))
    return csr_array((dense / np.where(length > 0, length, 1)).astype(np.float32))


def profiles(**changes: Any) -> Profiles:
    features = unit_rows([[1, 0, 0], [3, 4, 0], [0, 0, 0], [0, 0, 2], [0, 1, 0]])
    return Profiles(**({"features": features} | changes))


def samples() -> dict[str, Scorer]:
    dense = np.random.default_rng(1).normal(0, 1, (5, 5)).astype(np.float32)
    np.fill_diagonal(dense, 0)
    return {
        "static_scores": StaticScores(floats([3, 0, INF, 1])),
        "item_to_item": ItemToItem(weights(), "weight", 2),
        "dense_item_to_item": DenseItemToItem(dense, np.array([True, True, False, True, True])),
        "factors": factors(),
        "profiles": profiles(),
    }


KIND_NAMES = sorted(samples())


def some_queries(n: int) -> Queries:
    """Histories with repeats, blanks within, and codes that do not exist; weights and one empty history besides."""
    rng = np.random.default_rng(2)
    history = rng.integers(-2, n + 2, (9, 6)).astype(np.int32)
    history[3] = ABSENT
    return Queries(np.arange(9, dtype=np.int32), history, {"weight": rng.integers(0, 3, (9, 6)).astype(np.float32)})


def test_every_sample_is_of_the_kind_it_is_listed_under() -> None:
    assert {name: KINDS[name] for name in KIND_NAMES} == {name: type(scorer) for name, scorer in samples().items()}


# --- what scores mean


def test_static_scores_are_everybodys() -> None:
    scorer = samples()["static_scores"]
    np.testing.assert_array_equal(scorer.score(Queries.of([[], [1]])), floats([[3, 0, INF, 1]] * 2))
    assert not isinstance(scorer, Similar)


def test_neighbours_vote() -> None:
    scorer = ItemToItem(weights())
    scores = scorer.score(Queries.of([[0, 3], [1, 1], [2], [], [3, 0]]))
    expected = [[INF, 10, 1, INF], [4, INF, INF, INF], [INF] * 4, [INF] * 4, [INF, 10, 1, INF]]
    np.testing.assert_array_equal(scores, floats(expected))


def test_neighbours_vote_as_often_or_as_strongly_as_they_occur() -> None:
    queries = Queries(np.zeros(1, np.int32), np.array([[0, 3, 0]], np.int32), {"weight": floats([[0.5, 0, 2]])})
    for counts, expected in {"binary": 2 + 8, "count": 2 * 2 + 8, "weight": 2.5 * 2}.items():
        assert ItemToItem(weights(), counts).score(queries)[0, 1] == expected
    plain = Queries.of([[0, 3, 0]])
    assert ItemToItem(weights(), "weight").score(plain)[0, 1] == 2 * 2 + 8


def test_only_the_latest_events_vote() -> None:
    scores = ItemToItem(weights(), length=1).score(Queries.of([[0, 1], [1, 0], [0]]))
    np.testing.assert_array_equal(scores, floats([[4, INF, INF, INF], [INF, 2, 1, INF], [INF, 2, 1, INF]]))


def test_dense_weights_score_every_known_item() -> None:
    matrix = floats([[0, 2, -1], [4, 0, 0], [1, 1, 0]])
    scorer = DenseItemToItem(matrix, np.array([True, True, False]))
    scores = scorer.score(Queries.of([[0], [0, 1, 2], [2], []]))
    np.testing.assert_array_equal(scores, floats([[0, 2, INF], [4, 2, INF], [INF] * 3, [INF] * 3]))
    recs = scorer.similar_items(np.array([0, 1], np.int32), 2)
    np.testing.assert_array_equal(recs.items, [[1, ABSENT], [0, ABSENT]])


def solved(scorer: Factors, items: list[int], counts: list[float]) -> Any:
    """The equation of `Factors`, written out."""
    known = scorer.items[~np.isnan(scorer.items).any(axis=1)].astype(np.float64)
    rows = scorer.items[items].astype(np.float64)
    matrix = scorer.alpha0 * known.T @ known
    for row, count in zip(rows, counts, strict=True):
        matrix = matrix + count * np.outer(row, row)
    matrix = matrix + scorer.reg * (sum(counts) + scorer.alpha0 * len(known)) ** scorer.nu * np.eye(known.shape[1])
    return np.linalg.solve(matrix, rows.T @ np.array(counts))


@pytest.mark.parametrize(("nu", "alpha0"), [(0.0, 0.3), (0.5, 0.0), (1.0, 2.0)])
def test_factors_are_solved_from_the_history(nu: float, alpha0: float) -> None:
    scorer = factors(nu=nu, alpha0=alpha0)
    vectors = scorer.query_vectors(Queries.of([[0, 4, 4], [5, 2], [5], []]))
    np.testing.assert_allclose(vectors[0], solved(scorer, [0, 4], [1, 1]), rtol=1e-5)
    np.testing.assert_allclose(vectors[1], solved(scorer, [2], [1]), rtol=1e-5)
    assert np.isnan(vectors[2:]).all()
    scores = scorer.score(Queries.of([[0, 4, 4]]))[0]
    known = np.array([0, 1, 2, 3, 4, 6])
    np.testing.assert_allclose(scores[known], scorer.items[known] @ vectors[0], rtol=1e-5)
    assert scores[5] == INF


def test_factors_heed_weights() -> None:
    queries = Queries(np.zeros(1, np.int32), np.array([[0, 4, 0]], np.int32), {"weight": floats([[1, 0.5, 2]])})
    vector = factors(counts="weight").query_vectors(queries)[0]
    np.testing.assert_allclose(vector, solved(factors(), [0, 4], [3, 0.5]), rtol=1e-5)


def test_a_long_history_is_solved_in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = Queries.of([[0, 1, 2, 3, 4, 6], [2], [3, 6, 1]])
    whole = factors().query_vectors(queries)
    monkeypatch.setattr("serendip.scorers.factors.STRETCH", 2)
    monkeypatch.setattr("serendip.scorers.factors.BLOCK", 1)
    np.testing.assert_allclose(factors().query_vectors(queries), whole, rtol=1e-5)


@pytest.mark.parametrize("reg", [0.2, 1e-42])
def test_large_batches_are_solved_the_same(reg: float, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = some_queries(7)
    scorer = factors(counts="weight", reg=reg)
    few = scorer.query_vectors(queries)
    monkeypatch.setattr("serendip.scorers.factors.BATCH", 1)
    many = scorer.query_vectors(queries)
    assert np.isnan(many[3]).all()
    assert np.isfinite(many[0]).all()
    np.testing.assert_allclose(many, few, rtol=1e-4, atol=1e-5)


def test_similar_factors_have_the_highest_cosine() -> None:
    vectors = floats([[1, 0], [10, 1], [0, 1], [-1, 0], [np.nan, np.nan], [0, 0]])
    scorer = Factors(vectors, 0.1, 0.1, 1.0)
    recs = scorer.similar_items(np.array([0, 4, 5, ABSENT, 6], np.int32), 3)
    np.testing.assert_array_equal(recs.items[0], [1, ABSENT, ABSENT])
    np.testing.assert_allclose(recs.scores[0, 0], 10 / np.sqrt(101), rtol=1e-6)
    assert (recs.items[1:] == ABSENT).all()


def test_profiles_are_cosines_with_the_mean() -> None:
    scores = profiles().score(Queries.of([[0], [0, 4], [2], [3], []]))
    half = np.sqrt(0.5)
    np.testing.assert_allclose(scores[0], [1, 0.6, INF, INF, INF], rtol=1e-6)
    np.testing.assert_allclose(scores[1], [half, 1.4 * half, INF, INF, half], rtol=1e-6)
    np.testing.assert_allclose(scores[3], [INF, INF, INF, 1, INF], rtol=1e-6)
    assert (scores[[2, 4]] == INF).all()
    recs = profiles().similar_items(np.array([1, 2], np.int32), 2)
    np.testing.assert_array_equal(recs.items, [[4, 0], [ABSENT, ABSENT]])


def test_history_matrix_adds_up() -> None:
    history = np.array([[ABSENT, 2, 0, 2], [9, ABSENT, 1, 3]], np.int32)
    queries = Queries(np.zeros(2, np.int32), history, {"weight": floats([[9, 0.5, 1, 2], [1, 1, np.nan, np.inf]])})
    np.testing.assert_array_equal(history_matrix(queries, 4, "binary").toarray(), [[1, 0, 1, 0], [0, 1, 0, 1]])
    np.testing.assert_array_equal(history_matrix(queries, 4, "count").toarray(), [[1, 0, 2, 0], [0, 1, 0, 1]])
    np.testing.assert_array_equal(history_matrix(queries, 4, "weight").toarray(), [[1, 0, 2.5, 0], [0, 0, 0, 0]])
    known = np.array([True, True, False, True])
    np.testing.assert_array_equal(history_matrix(queries, 4, "count", known).toarray(), [[1, 0, 0, 0], [0, 1, 0, 1]])
    np.testing.assert_array_equal(history_matrix(queries, 4, "count", length=2).toarray(), [[1, 0, 1, 0], [0, 1, 0, 1]])


# --- what all kinds share


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_chosen_items_score_as_among_all(kind: str) -> None:
    scorer = samples()[kind]
    n = scorer.n_items
    queries = some_queries(n)
    full = scorer.score(queries)
    assert full.shape == (9, n)
    assert full.dtype == np.float32
    assert not np.isnan(full).any()
    padded = np.concatenate([full, np.full((9, 1), INF, np.float32)], axis=1)
    for items in (np.array([n, 0, ABSENT, 2, 2]), np.random.default_rng(3).integers(-1, n + 1, (9, 4))):
        place = np.broadcast_to(np.where((items >= 0) & (items < n), items, n), (9, items.shape[-1]))
        expected = np.take_along_axis(padded, place, axis=1)
        np.testing.assert_allclose(scorer.score(queries, items.astype(np.int32)), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_small_blocks_change_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = samples()[kind]
    queries, items = some_queries(scorer.n_items), np.random.default_rng(3).integers(-1, 5, (9, 4)).astype(np.int32)
    whole, chosen = scorer.score(queries), scorer.score(queries, items)
    similar = scorer.similar_items(np.arange(3), 2).items if isinstance(scorer, Similar) else None
    monkeypatch.setattr("serendip.scorers.common.BLOCK", 1)
    np.testing.assert_allclose(scorer.score(queries), whole, rtol=1e-5)
    np.testing.assert_allclose(scorer.score(queries, items), chosen, rtol=1e-5)
    if isinstance(scorer, Similar):
        np.testing.assert_array_equal(scorer.similar_items(np.arange(3), 2).items, similar)


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_a_vocabulary_may_be_empty(kind: str) -> None:
    nothing = csr_array((0, 0), dtype=np.float32)
    empty: dict[str, Scorer] = {
        "static_scores": StaticScores(floats([])),
        "item_to_item": ItemToItem(nothing),
        "dense_item_to_item": DenseItemToItem(np.empty((0, 0), np.float32), np.empty(0, bool)),
        "factors": Factors(np.empty((0, 3), np.float32), 0.1, 0.1, 1.0),
        "profiles": Profiles(nothing),
    }
    queries = Queries.of([[0, 1], []])
    assert empty[kind].score(queries).shape == (2, 0)
    assert (empty[kind].score(queries, np.array([0, ABSENT])) == INF).all()


def test_what_can_be_indexed_and_what_has_neighbours() -> None:
    assert {kind for kind, scorer in samples().items() if isinstance(scorer, Embedder)} == {"factors"}
    assert {kind for kind, scorer in samples().items() if isinstance(scorer, Similar)} == set(KIND_NAMES) - {
        "static_scores"
    }


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 8), max_size=5), min_size=1, max_size=6))
def test_each_query_is_answered_on_its_own(histories: list[list[int]]) -> None:
    for scorer in samples().values():
        together = scorer.score(Queries.of(histories))
        alone = np.concatenate([scorer.score(Queries.of([history])) for history in histories])
        np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-6)


# --- dump and restore


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_restore_is_the_inverse_of_dump(kind: str) -> None:
    scorer = samples()[kind]
    tensors, header = dump(scorer)
    assert header["kind"] == kind
    assert all(tensor.flags.c_contiguous for tensor in tensors.values())
    frozen = {
        name: np.frombuffer(tensor.tobytes(), tensor.dtype).reshape(tensor.shape) for name, tensor in tensors.items()
    }
    again = restore(frozen, json.loads(json.dumps(header)))
    assert type(again) is type(scorer)
    queries = some_queries(scorer.n_items)
    np.testing.assert_array_equal(again.score(queries), scorer.score(queries))
    once_more, same_header = dump(again)
    assert same_header == header
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(once_more[name], tensor)


def test_columns_of_a_sparse_tensor_are_neither_copied_nor_made_wider() -> None:
    tensors, header = dump(ItemToItem(weights()))
    assert (tensors["weights.indices"].dtype, tensors["weights.indptr"].dtype) == (np.int32, np.int64)
    restored = restore(tensors, header)
    assert isinstance(restored, ItemToItem)
    assert np.shares_memory(restored.weights.indices, tensors["weights.indices"])


def test_dense_tensors_are_not_copied() -> None:
    scorer = factors()
    tensors, header = dump(scorer)
    assert tensors["items"] is scorer.items
    assert restore(tensors, header).item_vectors() is scorer.items


def test_only_known_kinds_are_dumped() -> None:
    class Other(StaticScores):
        pass

    for stranger in (Other(floats([1])), object()):
        with pytest.raises(SerendipError, match=r"a bundle holds scorers of the kinds static_scores, .*Got a "):
            dump(stranger)


def broken(sample: str, tensor: str = "", value: Any = None, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    tensors, header = dump(samples()[sample])
    if tensor:
        tensors = {**tensors, tensor: value}
    if value is None:
        tensors.pop(tensor, None)
    header = {name: content for name, content in {**header, **fields}.items() if content is not ...}
    return tensors, header


def changed(kind: str, tensor: str, place: Any, value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    tensors, header = dump(samples()[kind])
    array = tensors[tensor].copy()
    array[place] = value
    return {**tensors, tensor: array}, header


BROKEN: dict[str, tuple[tuple[dict[str, Any], dict[str, Any]], str]] = {
    "kind of the future": (
        broken("factors", kind="oracle"),
        "must be one of static_scores.*Got 'oracle'.*newer version",
    ),
    "no kind": (broken("factors", kind=...), "Got None instead"),
    "kind of another type": (broken("factors", kind=["factors"]), r"Got \['factors'\] instead"),
    "missing tensor": (broken("factors", "items"), "tensors items: it lacks items"),
    "extra tensor": (broken("factors", "more", floats([1])), "it has more besides"),
    "missing field": (broken("factors", reg=...), "header fields .*: it lacks reg"),
    "extra field": (broken("factors", size=3), "it has size besides"),
    "wrong dtype": (broken("factors", "items", np.zeros((3, 2))), "items must be float32. Got float64"),
    "integers for floats": (broken("static_scores", "scores", np.zeros(3, np.int64)), "must be float32. Got int64"),
    "wrong dimensions": (broken("factors", "items", floats([1, 2])), r"items must be \[n, d\]"),
    "infinite factor": (changed("factors", "items", (0, 0), np.inf), "finite, or all NaN"),
    "half a NaN row": (changed("factors", "items", (0, 1), np.nan), "finite, or all NaN"),
    "text for a number": (broken("factors", reg="0.1"), "reg of the header is wrong.*Got '0.1'"),
    "no regularisation": (broken("factors", reg=0.0), "reg must be above 0"),
    "NaN regularisation": (broken("factors", reg=float("nan")), "reg must be above 0"),
    "negative alpha": (broken("factors", alpha0=-1.0), "alpha0 must be 0 or more"),
    "nu out of range": (broken("factors", nu=9.0), "nu must be in 0 … 1"),
    "unknown counting": (broken("factors", counts="twice"), "counts of the header is wrong"),
    "NaN score": (changed("static_scores", "scores", 0, np.nan), "below infinity"),
    "infinite score": (changed("static_scores", "scores", 0, np.inf), "below infinity"),
    "matrix of scores": (broken("static_scores", "scores", np.zeros((2, 2), np.float32)), r"scores must be \[n\]"),
    "index too large": (changed("item_to_item", "weights.indices", 0, 4), r"column indices in 0 … 3"),
    "negative index": (changed("item_to_item", "weights.indices", 0, -1), r"column indices in 0 … 3"),
    "offsets past the end": (changed("item_to_item", "weights.indptr", -1, 99), "row offsets that rise from 0 to 4"),
    "offsets from elsewhere": (changed("item_to_item", "weights.indptr", 0, 1), "row offsets"),
    "offsets that fall": (changed("item_to_item", "weights.indptr", 1, 4), "row offsets"),
    "no offsets": (broken("item_to_item", "weights.indptr", np.zeros(0, np.int64)), "row offsets"),
    "NaN weight": (changed("item_to_item", "weights.data", 0, np.nan), "finite values"),
    "fewer values than indices": (broken("item_to_item", "weights.data", floats([1])), "one column index per value"),
    "values in a matrix": (broken("item_to_item", "weights.data", floats([[1]])), "three vectors"),
    "short offsets": (broken("item_to_item", "weights.indptr", np.zeros(5, np.int32)), "must be int64. Got int32"),
    "not square": (broken("item_to_item", weights={"columns": 9}), "weights must be square"),
    "no number of columns": (broken("item_to_item", weights=4), "must be .*columns"),
    "true columns": (broken("item_to_item", weights={"columns": True}), "must be .*columns"),
    "columns beyond all bounds": (broken("profiles", features={"columns": 1 << 40}), "must be .*columns"),
    "more columns than values": (broken("profiles", features={"columns": 1 << 30}), "no more columns than values"),
    "rows of any length": (changed("profiles", "features.data", 0, 3.0), "of length 1, or empty"),
    "length of nothing": (broken("item_to_item", length=0), "length must be above 0"),
    "weights of another size": (broken("dense_item_to_item", "known", np.ones(4, bool)), r"\[n, n\] with n = 4"),
    "infinite dense weight": (changed("dense_item_to_item", "weights", (1, 2), np.inf), "weights must be finite"),
    "numbers for a mask": (broken("dense_item_to_item", "known", np.ones(5, np.uint8)), "must be bool. Got uint8"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_not_sound_is_refused(what: str) -> None:
    (tensors, header), message = BROKEN[what]
    with pytest.raises(SerendipError, match=f"(?s){message}"):
        restore(tensors, header)
