"""Models of sequences: what a step learns from, and that order, features and new items count in what answers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.features import Feature
from serendip.data.features.declared import Category
from serendip.data.synthetic import markov
from serendip.model import Run, find
from serendip.models._sequence import SequenceConfig, Timeline, alike, cut, draw, windows
from serendip.models.sasrec import SASRec
from serendip.types import ABSENT, Queries, SerendipError

ONE = Run(threads=1)
CHAINS = markov(users=150, items=12, length=15, branches=1, wander=0.0)
SMALL = {"factors": 16, "length": 10, "learning_rate": 0.02, "batch_size": 32, "dropout": 0.0}


@pytest.fixture(scope="module")
def log() -> Dataset:
    """Two users of known histories, one of a single event and one of none with interest."""
    rows = [(1, item, at, 1.0) for at, item in enumerate("abcdefg")] + [(2, "c", 0, 1.0), (2, "a", 1, 1.0)]
    rows += [(3, "b", 0, 1.0), (4, "a", 0, 0.0)]
    names = ["user_id", "item_id", "timestamp", "weight"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    return Dataset.from_frames(frame, time_kind="rank")


def test_windows_hold_each_step_from_an_event_to_the_next_once(log: Dataset) -> None:
    codes = {name: int(code) for name, code in zip("abcdefg", log.item_ids.encode(list("abcdefg")), strict=True)}
    expected = sorted([*pairwise(codes[name] for name in "abcdefg"), (codes["c"], codes["a"])])
    for seed in range(20):
        found = []
        line = Timeline.of(log)
        for places in windows(line, 3, 2, np.random.default_rng(seed)):
            part = line.at(places)
            assert part.shape[1] <= 4
            rows = [[int(code) for code in row if code != ABSENT] for row in part]
            assert all(list(row[: len(kept)]) == kept for row, kept in zip(part, rows, strict=True))
            found += [step for row in rows for step in pairwise(row)]
        assert sorted(found) == expected


def test_runs_are_cut_into_windows_without_gaps() -> None:
    sizes = np.array([0, 1, 5, 10, 11, 25, 30])
    begins = np.cumsum(sizes + 1) - (sizes + 1)
    whole = np.concatenate([np.arange(first, first + size) for first, size in zip(begins, sizes, strict=True)])
    for seed in range(50):
        first, size = cut(begins, sizes, 10, np.random.default_rng(seed))
        parts = [np.arange(start, start + count) for start, count in zip(first, size, strict=True)]
        assert size.min() >= 1 and size.max() <= 10
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), whole)


def test_batches_hold_every_row_once_and_like_sizes() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 200, 1000)
    batches = list(alike(sizes, 50, rng))
    np.testing.assert_array_equal(np.sort(np.concatenate(batches)), np.arange(1000))
    assert np.mean([np.ptp(sizes[rows]) for rows in batches]) < 30


def test_batches_hold_as_many_events_each_so_that_none_counts_for_more() -> None:
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 200, 5000)
    events = np.array([sizes[rows].sum() for rows in alike(sizes, 32, rng)])
    assert abs(len(events) - 5000 / 32) < 2
    assert np.abs(events - 32 * sizes.mean()).max() < 200


def test_a_long_history_is_as_often_read_to_its_end_as_it_will_be() -> None:
    sizes = np.array([1000])
    lasts = [int(cut(np.zeros(1, np.int64), sizes, 100, np.random.default_rng(seed))[1][0]) for seed in range(200)]
    assert 70 < sum(last == 100 for last in lasts) < 130


def test_how_probable_a_candidate_is_follows_from_both_ways_of_drawing_it() -> None:
    config = SequenceConfig(loss="sampled_softmax", negatives=5)
    items, log_q = draw(np.array([[3, 3, ABSENT]]), np.arange(10), config, np.random.default_rng(0))
    assert items[np.searchsorted(items, 3)] == 3
    expected = np.where(items == 3, 1 - np.exp(-2.5), 1 - np.exp(-0.5))  # 2 of the batch and 5 of 10 drawn; 5 of 10
    np.testing.assert_allclose(np.exp(log_q), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sasrec", {"heads": 2}),
        ("sasrec", {"tied": False, "gated": True, "activation": "swiglu"}),
        ("sasrec", {"loss": "sampled_softmax", "negatives": 6}),
        ("sasrec", {"loss": "gbce", "negatives": 6, "epochs": 60}),
        ("sasrec", {"augment": "crop"}),
        ("bert4rec", {"epochs": 40, "tied": False, "gaps": 0.5}),
        ("gru", {}),
        ("lstm", {}),
        ("bow", {"window": 1, "tied": False}),
        ("cnn", {"kernel": 1, "hidden": 32, "length": 1}),
    ],
)
def test_what_always_comes_next_is_ranked_first(name: str, options: dict[str, Any]) -> None:
    model = find(name)(**{**SMALL, "epochs": 25, **options}).fit(CHAINS.data, ONE)
    told, follows = CHAINS.data.item_ids.encode(np.arange(12)), CHAINS.transitions.argmax(axis=1)
    walk = [np.arange(12)]
    while len(walk) < 4:
        walk.append(follows[walk[-1]])
    scores = model.score(Queries.of(told[np.stack(walk[:3], axis=1)].tolist()))
    assert (scores.argmax(axis=1) == told[walk[3]]).mean() > 0.8


@pytest.mark.parametrize("augment", ["mask", "reorder"])
def test_changed_histories_keep_their_events_and_never_become_too_short(augment: Any, log: Dataset) -> None:
    model = SASRec(augment=augment, augment_share=0.5, length=6)
    for seed in range(10):
        for step in model.batches(log, np.random.default_rng(seed)):
            assert ((step.items >= 0) == (step.targets >= 0)).all()
            assert (step.targets >= 0).any(axis=1).all()


def busy(weights: bool = False) -> Dataset:
    """Five users of 1, 2, 4, 30 and 60 events, all items different; with weights an event of item i weighs i + 1."""
    sizes = (1, 2, 4, 30, 60)
    rows = [(user, at) for user, size in enumerate(sizes) for at in range(size)]
    columns = {
        "user_id": [user for user, _ in rows],
        "item_id": range(len(rows)),
        "timestamp": [at for _, at in rows],
        "weight": np.arange(len(rows)) + 1.0 if weights else np.ones(len(rows)),
    }
    return Dataset.from_frames(pl.DataFrame(columns), time_kind="rank", columns=None if weights else {"weight": None})


@pytest.mark.parametrize("loss", ["softmax", "gbce"])
def test_no_user_teaches_more_than_allowed_and_all_that_is_allowed(loss: Any) -> None:
    log = busy()
    owner = log.events.users[np.argsort(log.events.items)]
    model, seen = SASRec(per_user=5, length=7, loss=loss, negatives=4), []
    for seed in range(3):
        steps = list(model.batches(log, np.random.default_rng(seed)))
        found = np.concatenate([step.targets[step.targets >= 0] for step in steps])
        assert np.bincount(owner[found], minlength=5).tolist() == [0, 1, 3, 5, 5]
        assert len(np.unique(found)) == len(found)
        for step in steps:
            assert (step.targets >= 0).any(axis=1).all(), "nothing is read that teaches nothing"
            next_item = (step.targets >= 0) & (step.items + 1 != step.targets)
            assert not next_item.any(), "what is read is still the event before"
        seen.append(sorted(found.tolist()))
    assert seen[0] != seen[1] != seen[2], "drawn anew"


def test_gaps_are_filled_for_no_more_of_a_user_than_allowed() -> None:
    log = busy()
    owner = log.events.users[np.argsort(log.events.items)]
    model = find("bert4rec")(per_user=5, length=7, gaps=0.9)
    for seed in range(3):
        steps = list(model.batches(log, np.random.default_rng(seed)))  # type: ignore[attr-defined]
        counts = np.bincount(owner[np.concatenate([step.targets[step.targets >= 0] for step in steps])], minlength=5)
        assert (counts <= 5).all() and counts[3:].min() >= 3


def test_targets_count_by_the_weights_of_their_events() -> None:
    log = busy(weights=True)
    of_item = np.zeros(log.n_items)
    of_item[log.events.items] = log.events.weight / log.events.weight.mean()
    for step in SASRec(length=7, weight="weight").batches(log, np.random.default_rng(0)):
        wanted = step.targets >= 0
        assert step.weights is not None
        np.testing.assert_allclose(step.weights[wanted], of_item[step.targets[wanted]], rtol=1e-6)
    assert next(iter(SASRec().batches(log, np.random.default_rng(0)))).weights is None, "no kinds have weights"
    assert next(iter(SASRec(weight="weight").batches(busy(), np.random.default_rng(0)))).weights is None


def genres() -> Dataset:
    """Items of two kinds; every user keeps to one of them. The last item of each kind has no event."""
    rng = np.random.default_rng(0)
    rows = [
        (user, int(item), at) for user in range(60) for at, item in enumerate(2 * rng.permutation(9)[:6] + user % 2)
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": range(20), "genre": ["even", "odd"] * 10})
    declared: dict[str, Feature] = {"genre": Category(side="item")}
    return Dataset.from_frames(events, items=items, time_kind="rank", features=declared)


@pytest.mark.parametrize("tied", [True, False])
def test_items_without_events_are_ranked_by_their_features(tied: bool) -> None:
    data = genres()
    options = {**SMALL, "epochs": 15, "items_by": "both", "id_dropout": 0.5, "tied": tied}
    model = SASRec(**options).fit(data, ONE)
    even, odd = (int(code) for code in data.item_ids.encode([18, 19]))
    history = [[int(code) for code in data.item_ids.encode([first, first + 2])] for first in (0, 1)]
    scores = model.score(Queries.of(history))
    assert scores[0, even] > scores[0, odd] and scores[1, odd] > scores[1, even]


def test_new_items_are_ranked_the_moment_their_features_arrive() -> None:
    data = genres()
    model = SASRec(**SMALL, epochs=15, items_by="both", id_dropout=0.5).fit(data, ONE)
    new = pl.DataFrame({"item_id": [100, 101], "genre": ["even", "odd"]})
    change = Change.read(data, pl.DataFrame({"user_id": [0], "item_id": [2], "timestamp": [50]}), items=new)
    after = model.update(change)
    even, odd = (int(code) for code in change.after.item_ids.encode([100, 101]))
    scores = after.score(Queries.of([[int(code) for code in data.item_ids.encode([0, 2])]]))
    assert after.n_items == data.n_items + 2
    assert scores[0, even] > scores[0, odd]


def test_ids_alone_cannot_rank_what_nobody_took_up() -> None:
    data = genres()
    scores = SASRec(**SMALL, epochs=1).fit(data, ONE).score(Queries.of([[0]]))
    unmet = data.item_ids.encode([18, 19])
    assert (scores[0, unmet] == -np.inf).all()
    assert np.isfinite(np.delete(scores[0], unmet)).all()


def test_features_that_are_not_there_are_asked_for() -> None:
    plain = replace(CHAINS.data, features=None)
    with pytest.raises(SerendipError, match=r"needs features of items\. The data have none"):
        SASRec(items_by="both", epochs=1).fit(plain, ONE)


def test_heads_that_cannot_share_the_factors_are_refused() -> None:
    with pytest.raises(
        SerendipError, match=r"factors must be a multiple of heads\. Got 10 and 4 instead\. Try factors=8"
    ):
        SASRec(factors=10, heads=4, epochs=1).fit(CHAINS.data, ONE)
