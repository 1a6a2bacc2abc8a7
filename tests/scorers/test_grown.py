"""A grown scorer answers as before, and what is new is unknown to it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.data.synthetic import planted_factors
from serendip.model import Run, find
from serendip.scorers import KINDS, Blend, Factors, StaticScores
from serendip.scorers.grown import GROWTH, grown
from serendip.scorers.neighbours import RatingNeighbours
from serendip.types import Predictor, Queries, SerendipError

RANKING = ("popular", "item_knn", "ease", "ials", "user_knn", "spectral")
RATING = ("baseline", "biased_mf", "bayesian_fm", "rating_knn", "slope_one")
OPTIONS: dict[str, dict[str, Any]] = {
    "biased_mf": {"factors": 4, "iterations": 2},
    "bayesian_fm": {"factors": 2, "iterations": 4, "burn_in": 1},
    "ials": {"factors": 4, "iterations": 2},
}


@pytest.fixture(scope="module")
def data() -> Any:
    return planted_factors(users=30, items=20, events=8).data


def scorer_of(name: str, data: Any) -> Any:
    options = OPTIONS.get(name, {})
    known = set(find(name).Config.__struct_fields__)
    return (
        find(name)(**{key: value for key, value in options.items() if key in known}).fit(data, Run(threads=1)).lower()
    )


def arrays(scorer: Any) -> list[Any]:
    values = [getattr(scorer, field.name) for field in fields(scorer)]
    return [part.copy() for part in values if isinstance(part, np.ndarray | csr_array)]


@pytest.mark.parametrize("name", [*RANKING, *RATING])
def test_it_scores_as_before_and_new_items_not_at_all(name: str, data: Any) -> None:
    scorer = scorer_of(name, data)
    before = arrays(scorer)
    queries = data.queries(np.arange(30, dtype=np.int32))
    wide = grown(scorer, data.n_users + 3, data.n_items + 2)
    assert type(wide) is type(scorer) and wide.n_items == data.n_items + 2
    scores = wide.score(queries)
    np.testing.assert_allclose(scores[:, : data.n_items], scorer.score(queries), rtol=1e-6)
    assert (scores[:, data.n_items :] == -np.inf).all() or name == "baseline"
    newcomer = wide.score(Queries.of([[data.n_items]], users=[data.n_users + 1]))
    assert not np.isnan(newcomer).any()
    for one, other in zip(before, arrays(scorer), strict=True):
        if isinstance(one, csr_array):
            assert (one != other).nnz == 0 and one.shape == other.shape
        else:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", RATING)
def test_a_new_user_or_item_is_predicted_as_an_unknown_one(name: str, data: Any) -> None:
    scorer = scorer_of(name, data)
    wide: Any = grown(scorer, data.n_users + 3, data.n_items + 2)
    assert isinstance(wide, Predictor)
    users, items = np.array([0, data.n_users + 2, 3, -1], np.int32), np.array([1, 2, data.n_items + 1, -1], np.int32)
    unknown = scorer.predict(np.array([0, -1, 3, -1], np.int32), np.array([1, 2, -1, -1], np.int32))
    np.testing.assert_allclose(wide.predict(users, items), unknown, rtol=1e-6)


def test_every_kind_can_grow() -> None:
    assert set(KINDS.values()) == {*GROWTH, RatingNeighbours}


def test_the_parts_of_a_blend_grow() -> None:
    parts = (StaticScores(np.array([1, 2], np.float32)), Factors(np.ones((2, 1), np.float32), 0.1, 0.1, 0.0))
    wide = grown(Blend(parts, (1.0, 2.0)), 5, 4)
    assert isinstance(wide, Blend) and wide.weights == (1.0, 2.0)
    assert [part.n_items for part in wide.parts] == [4, 4]
    assert wide.score(Queries.of([[0]]))[0, 2:].tolist() == [-np.inf, -np.inf]


def test_a_scorer_from_elsewhere_says_that_it_cannot() -> None:
    class Theirs:
        n_items = 3

        def score(self, queries: Any, items: Any = None) -> Any:
            return np.zeros((len(queries), 3), np.float32)

    with pytest.raises(SerendipError, match=r"the scorer 'Theirs' cannot take in new users or items\. Try: fit again"):
        grown(Theirs(), 4, 4)
