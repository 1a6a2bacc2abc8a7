"""What retrieval would have shown, and what rankers make of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.features.declared import Category
from serendip.model import Run, find
from serendip.pipeline import chain, rank, retrieve
from serendip.recipe.nominating import cuts_of, nominated
from serendip.run import Shown
from serendip.types import ABSENT, Floats, Ids, Queries, SerendipError, Stage

EVENTS = pl.DataFrame(
    {
        "user_id": ["a", "b", "a", "b", "c", "a"],
        "item_id": ["x", "x", "y", "z", "z", "w"],
        "timestamp": [10, 11, 12, 20, 30, 31],
    }
)


class Popular:
    """Counts what it was given."""

    def __init__(self, data: Dataset) -> None:
        self.counts = np.bincount(data.events.items, minlength=data.n_items).astype(np.float32)
        self.n_items = data.n_items

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        assert items is None
        return np.tile(self.counts, (len(queries), 1))


def lists(data: Dataset) -> Stage:
    return retrieve(Popular(data), name="popular", k=2)


def told(data: Dataset, shown: Shown) -> list[tuple[str, list[str]]]:
    """Of each event its moment, and the list."""
    names = [*data.item_ids.ids.to_list(), "-"]
    rows = shown.before(np.arange(len(data.events)))
    assert data.events.time is not None
    found = [(str(moment), [names[code] for code in row]) for moment, row in zip(data.events.time, rows, strict=True)]
    return sorted(found, key=lambda pair: int(pair[0]))


def test_lists_hold_what_was_known_at_the_moment_and_nobody_is_shown_what_they_had() -> None:
    data = Dataset.from_frames(EVENTS)
    found = told(data, nominated(data, lists, (20, 30), k=2))
    assert found == [
        ("10", ["-", "-"]),
        ("11", ["-", "-"]),
        ("12", ["-", "-"]),
        ("20", ["y", "-"]),  # b had x
        ("30", ["x", "y"]),  # c is new
        ("31", ["z", "-"]),  # a had x and y; z is known since 20
    ]


def test_later_events_change_no_list() -> None:
    data = Dataset.from_frames(EVENTS)
    later = pl.DataFrame({"user_id": ["a", "n", "b"], "item_id": ["z", "w", "new"], "timestamp": [40, 40, 41]})
    longer = Dataset.from_frames(pl.concat([EVENTS, later]))
    before, after = (told(each, nominated(each, lists, (20, 30), k=2)) for each in (data, longer))
    assert after[: len(before)] == before


def test_moments_divide_the_later_part_of_the_log() -> None:
    assert cuts_of(Dataset.from_frames(EVENTS, time_kind="unix"), parts=3) == (20, 30, 31)
    with pytest.raises(SerendipError, match="must be found in a log with unix times"):
        cuts_of(Dataset.from_frames(EVENTS.drop("timestamp")))


def test_a_ranker_that_knows_the_moment_lifts_what_retrieval_cannot_tell_apart() -> None:
    """By day people take up even items and at night odd ones, all alike: only a cross of moment and item can say so."""
    rng = np.random.default_rng(0)
    user, item = np.repeat(np.arange(40), 10), np.concatenate([rng.permutation(20)[:10] for _ in range(40)])
    events = pl.DataFrame(
        {
            "user_id": user,
            "item_id": item,
            "timestamp": rng.permutation(400) + 1,
            "moment": np.where(item % 2 == 0, "day", "night"),
        }
    )
    data = Dataset.from_frames(events, time_kind="unix", features={"moment": Category(side="context")})

    def fit(part: Dataset) -> Stage:
        return retrieve(find("popular")().fit(part).lower(), name="found", k=20)

    shown = nominated(data, fit, cuts_of(data), k=10)
    model = find("fm")(epochs=15, batch_size=64, learning_rate=0.02, factors=8, length=0, hard=0.5)
    found = fit(data)
    pipeline = chain(found, rank(model.fit(data, Run(shown=shown, threads=1)).lower(), name="ranker"))
    queries = data.asked(Queries.of([[], []], k=10), pl.DataFrame({"moment": ["day", "night"]}))
    names = data.item_ids.ids.to_numpy()
    right = [float((names[pipeline(queries).items[row]] % 2 == row).mean()) for row in (0, 1)]
    assert right == [1.0, 1.0]
    assert all(0.2 < float((names[found(queries).items[row, :10]] % 2 == row).mean()) < 0.8 for row in (0, 1))


def test_hard_negatives_come_from_the_lists() -> None:
    events = pl.DataFrame({"user_id": [0, 1, 2, 3] * 2, "item_id": list(range(8))})
    data = Dataset.from_frames(events)
    lists = np.array([[7, 6, 5, ABSENT]], np.int32)
    shown = Shown(lists, np.array([0] * 7 + [ABSENT], np.int32))
    model = find("fm")(negatives=4, hard=0.5, epochs=1, batch_size=8)
    model._shown = shown  # type: ignore[attr-defined]
    for step in model.batches(data, np.random.default_rng(0)):  # type: ignore[attr-defined]
        whole = {int(row[0]): set(row[1:3].tolist()) for row in step.items}
    taken = data.matrix().toarray() > 0
    for event, (user, item) in enumerate(zip(data.events.users, data.events.items, strict=True)):
        near = {code for code in (7, 6, 5) if not taken[user, code]}
        assert (whole[int(item)] <= near) or event == 7


def test_a_ranker_reads_what_retrieval_says_of_an_item() -> None:
    """What is popular stays so: the higher an item stands in the list, the more likely it is taken up."""
    rng = np.random.default_rng(0)
    chance = 1 / np.arange(1, 31)
    taken = [rng.choice(30, 8, replace=False, p=chance / chance.sum()) for _ in range(60)]
    order = rng.permutation(480) + 1
    events = pl.DataFrame(
        {"user_id": np.repeat(np.arange(60), 8), "item_id": np.concatenate(taken), "timestamp": order}
    )
    data = Dataset.from_frames(events, time_kind="unix")
    shown = nominated(
        data, lambda part: retrieve(find("popular")().fit(part).lower(), name="found"), cuts_of(data), k=15
    )
    assert shown.names == ("found",) and shown.scores is not None
    there = shown.lists != ABSENT
    np.testing.assert_allclose(np.nanmean(shown.scores, axis=1), 0, atol=1e-6)
    assert np.isfinite(shown.scores[there]).all() and (np.diff(shown.scores, axis=1)[there[:, 1:]] <= 0).all()
    options: dict[str, Any] = {"epochs": 15, "batch_size": 32, "learning_rate": 0.02, "items_by": "ids", "hard": 1.0}
    scorer: Any = find("lr")(**options).fit(data, Run(shown=shown, threads=1)).lower()
    assert scorer.pair_names == ("source.found",)
    said = np.array([[[1, z] for z in (-1.5, 0, 1.5)]], np.float32)
    asked = replace(data.queries(np.array([0], np.int32)), pairs={"source.found": said})
    low, middle, high = scorer.score(asked, np.array([[7, 7, 7]], np.int32))[0]
    assert low < middle - 0.1 < high - 0.2
    unread: Any = find("lr")(retrieved=False, epochs=1).fit(data, Run(shown=shown, threads=1)).lower()
    assert unread.pair_names == ()


def test_lists_of_other_data_are_refused() -> None:
    data = Dataset.from_frames(EVENTS)
    shown = Shown(np.empty((0, 2), np.int32), np.full(3, ABSENT, np.int32))
    with pytest.raises(SerendipError, match=r"fm: shown must have one entry for each of the 6 events .* Got 3\."):
        find("fm")().fit(data, Run(shown=shown))
