"""Users like a given one: by the scorer's own measure, or by the angle between vectors."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle, crowd
from serendip.model import find
from serendip.pipeline import retrieve
from serendip.scorers import StaticScores
from serendip.types import SerendipError

from .conftest import USERS, world


def test_embedders_compare_by_angle(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against an oracle: all vectors at once, cosines written out, the user excluded."""
    data, stage = world()
    del stage
    taste = bundle.pipeline.stages[0].scorer  # type: ignore[attr-defined]
    vectors = taste.query_vectors(data.queries())
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -1)
    monkeypatch.setattr(crowd, "BLOCK", 2)
    fresh = Bundle.build(data, bundle.pipeline)
    frame = fresh.similar_users([103, "101"], k=2)
    assert frame.columns == ["user_id", "similar_user_id", "score", "rank", "source"]
    assert frame["user_id"].to_list() == [103, 103, 101, 101]
    for row, code in enumerate((2, 0)):
        best = np.argsort(-cosine[code])[:2]
        assert frame["similar_user_id"].to_list()[2 * row : 2 * row + 2] == [USERS[other] for other in best]
        np.testing.assert_allclose(frame["score"].to_numpy()[2 * row : 2 * row + 2], cosine[code][best], rtol=1e-5)
    assert set(frame["source"]) == {"taste"}
    assert fresh.similar_users(103, k=99).height == int((cosine[2] > 0).sum())


def test_neighbours_compare_by_their_own_measure() -> None:
    """101 likes 10, 11, 12; 102 shares 12, and 103 shares 10 and 11 of its four."""
    data, _ = world()
    scorer = find("user_knn")(idf_power=0.0).fit(data).lower()
    made = Bundle.build(data, retrieve(scorer, name="user_knn"))
    frame = made.similar_users(101)
    assert frame.rows() == [
        (101, 103, pytest.approx(2 / np.sqrt(12)), 1, "user_knn"),
        (101, 102, pytest.approx(1 / np.sqrt(6)), 2, "user_knn"),
    ]
    assert made.similar_users([]).schema == pl.Schema(frame.schema)


def test_similar_users_need_a_known_user_and_a_model_that_compares() -> None:
    data, stage = world()
    with pytest.raises(SerendipError, match=r"users must be among the 5 users of the bundle\. Got 'x', 9\."):
        Bundle.build(data, stage).similar_users([101, "x", 9])
    plain = Bundle.build(data, retrieve(StaticScores(np.zeros(12, np.float32)), name="popular"))
    with pytest.raises(SerendipError, match=r"must have a model that compares users\. Got popular\. Try: fit user_knn"):
        plain.similar_users(101)
