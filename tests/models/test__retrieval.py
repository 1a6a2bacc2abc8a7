"""What models of retrieval share: bags of other kinds, the cap, weights, and what answers without PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import serendip
from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.evaluate import evaluate, last_out
from serendip.model import Run, find
from serendip.models._retrieval import Candidates
from serendip.scorers import TowerScorer
from serendip.types import ABSENT, Queries

ONE = Run(threads=1)
DAY = 86_400
T = 1_700_000_000
SHELVES, SIZE = 6, 5
SMALL = {"factors": 16, "hidden": 32, "batch_size": 64, "learning_rate": 0.02, "epochs": 12, "negatives": 10}
MODELS = ("two_tower", "youtube_retrieval")


def shop(users: int = 100) -> pl.DataFrame:
    """Who looks at something of a shelf buys something of that shelf next, and then goes to any other shelf: what was
    bought before says nothing. What is looked at is never bought."""
    rng = np.random.default_rng(0)
    rows: list[tuple[int, str, int, str]] = []
    for user in range(users):
        for at, shelf in enumerate(rng.permutation(SHELVES).tolist()):
            moment = T + at * DAY
            rows.append((user, f"s{shelf}", moment, "view"))
            rows.append((user, f"b{shelf}{int(rng.integers(SIZE))}", moment + 60, "buy"))
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "event_type"], orient="row")


SHOP = shop()
DATA = Dataset.from_frames(SHOP, target=["buy"])


def asks_for(model: Any, data: Dataset, shelf: int) -> set[str]:
    """The best items for somebody who has only looked at that shelf."""
    viewed = data.item_ids.encode([f"s{shelf}"])[:, None]
    queries = Queries(np.array([ABSENT], np.int32), np.empty((1, 0), np.int32), bags={"events.view": viewed})
    return {str(data.item_ids.ids[int(code)]) for code in np.argsort(-model.score(queries)[0])[:SIZE]}


@pytest.mark.parametrize("name", MODELS)
def test_what_was_looked_at_last_says_what_is_bought(name: str) -> None:
    split = last_out(DATA)
    options = {**SMALL, "length": 1, "tied": False}
    figures = [
        evaluate(find(name)(**options, bags=bags).fit(split.train, ONE), split, ("hit_rate@5",)).mean("hit_rate@5")
        for bags in (True, False)
    ]
    assert figures[0] > 0.8 and figures[1] < 0.45


@pytest.mark.parametrize("tied", [True, False])
def test_somebody_who_has_only_looked_is_answered(tied: bool, tmp_path: Path) -> None:
    options = {**SMALL, "length": 1, "tied": tied}
    model = find("youtube_retrieval")(**options).fit(DATA, ONE)
    for shelf in range(SHELVES):
        assert asks_for(model, DATA, shelf) == {f"b{shelf}{item}" for item in range(SIZE)}
    never = DATA.item_ids.encode([f"s{shelf}" for shelf in range(SHELVES)])
    assert np.isneginf(model.score(DATA.queries())[:, never]).all(), "nobody buys what is only looked at"


def test_a_bundle_reads_what_it_keeps_what_it_is_given_and_what_comes_later(tmp_path: Path) -> None:
    options = {**SMALL, "length": 1}
    made = serendip.fit(SHOP, target=["buy"], model="youtube_retrieval", fallback=[], run=ONE, **options)
    kept = serendip.Bundle.load(made.save(tmp_path / "bundle"))

    def shelves(frame: pl.DataFrame) -> set[str]:
        return {str(item)[:2] for item in frame["item_id"]}

    last = SHOP.filter((pl.col("user_id") == 7) & (pl.col("event_type") == "view"))["item_id"].to_list()[-1]
    assert shelves(kept.recommend(7, k=3)) == {f"b{last[1]}"}
    for one in (made, kept):
        assert shelves(one.recommend(7, k=3, events={"view": ["s2"]})) == {"b2"}
        assert shelves(one.recommend(None, k=3, events={"view": ["s4", "s3"]})) == {"b3"}
    new = pl.DataFrame(
        {"user_id": [7, 500], "item_id": ["s1", "s5"], "timestamp": [T + 40 * DAY] * 2, "event_type": ["view"] * 2}
    )
    later = kept.update(new)
    assert shelves(later.recommend(7, k=3)) == {"b1"}
    assert shelves(later.recommend(500, k=3)) == {"b5"}
    assert shelves(kept.recommend(7, k=3)) == {f"b{last[1]}"}

    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import serendip\n"
        f"kept = serendip.load({str(tmp_path / 'bundle')!r})\n"
        "found = kept.recommend([7, None], k=5, events=[None, {'view': ['s2']}])\n"
        "print(found.drop('user_id').write_json())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    alone, here = json.loads(done.stdout), made.recommend([7, None], k=5, events=[None, {"view": ["s2"]}])
    assert [row["item_id"] for row in alone] == here["item_id"].to_list()
    np.testing.assert_allclose([row["score"] for row in alone], here["score"], rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_no_user_teaches_more_events_than_allowed(name: str) -> None:
    busy = pl.DataFrame(
        {
            "user_id": np.repeat([1, 2, 3], [2, 9, 40]),
            "item_id": np.arange(51),
            "timestamp": T + np.arange(51) * DAY,
            "weight": np.where(np.arange(51) % 10 == 4, 0.0, 1.0),
        }
    )
    data = Dataset.from_frames(busy)
    owner = np.repeat([0, 1, 2], [2, 9, 40])[data.item_ids.ids.to_numpy()]
    model: Any = find(name)(per_user=5, batch_size=4, negatives=3)
    seen = []
    for seed in range(3):
        steps = list(model.batches(data, np.random.default_rng(seed)))
        found = np.concatenate([step.candidates[step.positives] for step in steps])
        assert np.bincount(owner[found]).tolist() == [2, 5, 5]
        assert not set(found) & set(data.item_ids.encode(np.arange(4, 51, 10)).tolist()), "of no interest"
        seen.append(sorted(found.tolist()))
    assert seen[0] != seen[1] != seen[2]


def test_how_probable_a_candidate_is_follows_from_the_cap() -> None:
    rows = [(1, 0)] * 1 + [(2, item) for item in (0, 1, 2, 3)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
    data = Dataset.from_frames(frame)
    model: Any = find("two_tower")(per_user=2, batch_size=3, negatives=0)
    (step,) = model.batches(data, np.random.default_rng(0))
    chance = {0: 1 + 0.5, 1: 0.5, 2: 0.5, 3: 0.5}  # of 3 events in the mean
    expected = [1 - np.exp(-3 * chance[data.item_ids.ids[int(code)]] / 3) for code in step.candidates]
    np.testing.assert_allclose(np.exp(step.log_q), expected, rtol=1e-5)


@pytest.mark.parametrize("n", [40, 1_000_000])
def test_each_candidate_is_there_once_and_events_find_their_own(n: int) -> None:
    drawn = np.random.default_rng(0).integers(0, n, 300)
    drawn[-1] = n - 1
    found, place, _ = Candidates(np.full(n, 1 / n), np.arange(n), 0).among(drawn, np.random.default_rng(0))
    assert np.array_equal(found, sorted(set(drawn.tolist()))) and np.array_equal(found[place], drawn)
    more, place, _ = Candidates(np.full(n, 1 / n), np.array([5, 7]), 20).among(drawn, np.random.default_rng(0))
    assert np.array_equal(more, sorted({*drawn.tolist(), 5, 7})) and np.array_equal(more[place], drawn)


def test_events_count_by_their_weights() -> None:
    data = Dataset.from_frames(SHOP, target=["buy"], event_weights={"view": 0.25, "buy": 1})
    model: Any = find("two_tower")(batch_size=64)
    liked = data.events.weight
    of_item = np.zeros(data.n_items)
    of_item[data.events.items] = liked / liked.mean()
    for step in model.batches(data, np.random.default_rng(0)):
        np.testing.assert_allclose(step.weights, of_item[step.candidates[step.positives]], rtol=1e-6)
    plain: Any = find("two_tower")(weight="binary")
    assert next(iter(plain.batches(data, np.random.default_rng(0)))).weights is None
    assert next(iter(model.batches(DATA, np.random.default_rng(0)))).weights is None, "views weigh nothing"


def test_a_weak_event_pulls_less() -> None:
    """The same two items after every history, one bought and one looked at: the weights decide between them."""
    rows = [
        (user, item, T + at, kind)
        for user in range(60)
        for at, (item, kind) in enumerate([("x", "buy"), *([("y", "buy")] if user % 2 else [("z", "view")])])
    ]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "event_type"], orient="row")
    for weight, first in ((0.1, "y"), (10.0, "z")):
        data = Dataset.from_frames(frame, target=["buy"], event_weights={"view": weight})
        model = find("two_tower")(**{**SMALL, "epochs": 20}, bags=False, corrected=False).fit(data, ONE)
        x, y, z = data.item_ids.encode(["x", "y", "z"])
        scores = model.score(Queries.of([[int(x)]]))[0]
        assert (scores[y] > scores[z]) == (first == "y")


def test_bags_are_read_where_there_are_some() -> None:
    model: Any = find("two_tower")()
    assert model.kinds(DATA) == {"view": DATA.schema.event_types.index("view")}
    assert model.kinds(Dataset.from_frames(SHOP)) == {}
    assert model.kinds(replace(DATA, events=replace(DATA.events, kind=None))) == {}
    assert find("two_tower")(bags=False).kinds(DATA) == {}  # type: ignore[attr-defined]
    fitted = find("two_tower")(**{**SMALL, "epochs": 1}).fit(DATA, ONE).lower()
    assert isinstance(fitted, TowerScorer)
    assert [feed.name for feed in fitted.feeds] == ["history", "events.view"]


def test_a_new_kind_of_event_after_the_fit_is_not_read() -> None:
    model = find("two_tower")(**{**SMALL, "epochs": 1}).fit(DATA, ONE)
    new = pl.DataFrame({"user_id": [7], "item_id": ["b00"], "timestamp": [T + 40 * DAY], "event_type": ["cart"]})
    change = Change.read(DATA, new)
    row = change.after.user_ids.encode([7])
    before, after = (one.queries(row, exclude_seen=False) for one in (DATA, change.after))
    assert "events.cart" in after.bags and "events.cart" not in before.bags
    np.testing.assert_array_equal(model.score(before), model.update(change).score(after))
