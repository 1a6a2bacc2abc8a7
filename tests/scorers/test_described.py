"""New and changed items by what is said of them, each kind of scorer as its model would have made them."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.model import Run, find
from serendip.scorers import Blend, Factors, GroupedScores, Profiles, StaticScores, Summed, TowerScorer, dump, restore
from serendip.scorers.described import Said, parts_of, renamed, told
from serendip.types import Queries
from tests.scorers import networks
from tests.scorers.test_towers import by_vectors

N = 40


def data_of(**changes: Any) -> Dataset:
    """Users 0 … 19 like items of genre a, the others those of b; nobody has had the last four of each."""
    rng = np.random.default_rng(0)
    rows = [(user, 2 * item + user // 20) for user in range(40) for item in rng.choice(16, 8, replace=False)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
    items = pl.DataFrame({"item_id": range(N), "genre": ["a", "b"] * (N // 2), "name": ["red hat", "blue shoe"] * 20})
    items = items.with_columns(**changes)
    return Dataset.from_frames(events, None, items, schema=Schema(categories=("genre",), title="name"))


def said(data: Dataset, codes: list[int], now: pl.DataFrame) -> Said:
    before = data.items[[min(code, N - 1) for code in codes]]
    return Said(np.array(codes, np.int32), now, before)


def rows(*genres: str | None) -> pl.DataFrame:
    return pl.DataFrame({"item_id": range(len(genres)), "genre": genres, "name": [None] * len(genres)})


@pytest.mark.parametrize("options", [{}, {"item_identity": False}, {"normalize": "l1"}, {"normalize": "none"}])
def test_what_a_model_learned_of_a_cold_item_is_what_is_said_of_it(options: dict[str, Any]) -> None:
    """Items that nobody has had get the vectors that the fit gave them, from their rows alone."""
    data = data_of()
    known = find("hybrid_mf")(factors=4, epochs=2, **options).fit(data, Run(seed=0)).lower()
    assert isinstance(known, Summed)
    found = parts_of(known, said(data, [N, N + 1], data.items[[36, 37]]))
    assert found is not None
    np.testing.assert_allclose(found["items"], known.items[[36, 37]], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["history"], known.history[[36, 37]], rtol=1e-4, atol=1e-6)


def test_a_new_item_is_ranked_by_what_it_is_and_a_changed_one_by_what_it_is_now() -> None:
    data = data_of()
    known = restore(*dump(find("hybrid_mf")(factors=8, epochs=10).fit(data, Run(seed=0)).lower()))
    first, second = Queries.of([[0, 2, 4]]), Queries.of([[1, 3, 5]])
    wide = told(known, said(data, [N, N + 1, N + 2, 6], rows("a", "b", "never seen", "b")))
    assert wide is not None and wide.n_items == N + 3 and known.n_items == N
    for query, sign in ((first, 1), (second, -1)):
        scores = wide.score(query)[0]
        assert sign * (scores[N] - scores[N + 1]) > 0
        assert scores[N + 2] == -np.inf
    assert wide.score(first)[0, 6] < known.score(first)[0, 6]
    np.testing.assert_array_equal(wide.score(first)[0, 7:N], known.score(first)[0, 7:])
    again = told(wide, Said(np.array([6], np.int32), rows("a"), rows("b")))
    assert again is not None
    had = data.items[[6]].select("genre", "name")
    both = told(wide, Said(np.array([6], np.int32), had, rows("b")))
    assert both is not None
    np.testing.assert_allclose(both.score(first)[0, 6], known.score(first)[0, 6], rtol=1e-4)


def test_content_reads_the_attributes_of_new_items() -> None:
    data = data_of()
    known = find("content")(min_items=1).fit(data, Run()).lower()
    assert isinstance(known, Profiles)
    wide = told(known, said(data, [N, N + 1, 0], rows("b", None, "b")))
    assert wide is not None
    scores = wide.score(Queries.of([[1, 3]]))[0]
    assert scores[N] > 0 and scores[N + 1] == -np.inf and scores[0] > 0
    assert known.score(Queries.of([[1, 3]]))[0, 0] == -np.inf
    assert dump(wide)[1]["kind"] == "profiles"


def test_columns_may_be_called_otherwise() -> None:
    data = data_of(genre=pl.lit(None, pl.String))
    known = find("content")(min_items=1, max_share=1.0).fit(data, Run()).lower()
    table = pl.DataFrame({"item_id": [0], "title": ["Red hat"]})
    at = Said(np.array([N], np.int32), table, table)
    scored = [
        made.score(Queries.of([[0]]))[0, N]
        for one in (known, renamed(known, {"name": "title"}))
        if (made := told(one, at))
    ]
    assert scored[0] == -np.inf and scored[1] > 0.9


def test_what_is_popular_has_new_items_last() -> None:
    data = data_of()
    popular = StaticScores(np.arange(1, N + 1, dtype=np.float32))
    wide = told(popular, said(data, [N, 3], rows("a", "a")))
    assert isinstance(wide, StaticScores)
    assert wide.scores.tolist() == [*range(1, N + 1), 1]


def test_who_knows_ids_alone_says_so_and_one_part_of_a_blend_suffices() -> None:
    data = data_of()
    ids = Factors(np.ones((N, 2), np.float32), alpha0=0.1, reg=0.1, nu=1.0)
    about = said(data, [N], rows("a"))
    assert told(ids, about) is None and parts_of(ids, about) is None
    blend = told(Blend((ids, StaticScores(np.ones(N, np.float32))), (1.0, 1.0)), about)
    assert isinstance(blend, Blend) and blend.n_items == N + 1
    assert told(Blend((ids,), (1.0,)), about) is None


def test_groups_grow_too() -> None:
    from scipy.sparse import csr_array

    from serendip.scorers.feeds import Feed

    counts = csr_array(np.array([[3, 0], [0, 1]], np.float32))
    grouped = GroupedScores(np.array([3, 1], np.float32), counts, (Feed("g", "feature", 0, 2),), 1.0)
    wide = told(grouped, Said(np.array([2], np.int32), rows("a"), rows("a")))
    assert isinstance(wide, GroupedScores) and wide.scores.tolist() == [3, 1, 1]
    assert wide.counts.shape == (2, 3)


class Read:
    """Features as the tables have them."""

    def items(self, frame: pl.DataFrame) -> dict[str, Any]:
        return {"genre": frame["genre"].to_numpy(), "price": frame["price"].cast(pl.Float32).to_numpy()}


def test_networks_give_new_items_vectors_and_exchange_what_is_said_of_known_ones() -> None:
    """The network says (1, 1), (2, 3) for genres 0 and 1, and the price as the bias."""
    known = by_vectors()
    now = pl.DataFrame({"genre": [1, 1, 0], "price": [0.5, 2.0, 1.0]})
    before = pl.DataFrame({"genre": [0, 0, 0], "price": [0.5, 0.0, 0.0]})
    wide = told(known, Said(np.array([3, 0, 1], np.int32), now, before, Read()))
    assert isinstance(wide, TowerScorer) and wide.n_items == 4
    np.testing.assert_allclose(wide.items[3], [2, 3, 0.5])
    np.testing.assert_allclose(wide.items[0], known.items[0] + [1, 2, 2])
    np.testing.assert_allclose(wide.items[1], [1, 1, 1])
    np.testing.assert_allclose(wide.told[[3, 0]], [[4, 6], known.told[0] + [2, 4]])
    assert told(known, Said(np.array([3], np.int32), now[:1], now[:1])) is None


def test_vectors_of_length_one_stay_so() -> None:
    """An item between two directions moves when one is exchanged for a third, and keeps its length."""
    network = networks.by_genre([[0, 0], [1, 0], [0, 1]], told=True)
    length = np.float32(0.5**0.5)
    scorer = by_vectors(
        items=np.array([[length, length, 0], [1, 0, 0]], np.float32), told=np.zeros((2, 2), np.float32), item=network
    )
    tables = [pl.DataFrame({"genre": [genre], "price": [0.0]}) for genre in (1, 0)]
    found = parts_of(scorer, Said(np.array([0], np.int32), *tables, Read()))
    assert found is not None
    expected = np.array([length - 1, length + 1])
    np.testing.assert_allclose(found["items"][0, :2], expected / np.linalg.norm(expected), rtol=1e-5)
