"""YouTube's candidate generation: a narrowing tower, and the age of examples, which nobody asks with."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.features.declared import Age
from serendip.model import Run
from serendip.models.youtube_retrieval import AGE, YoutubeRetrieval
from serendip.types import SerendipError

ONE = Run(threads=1)
T, DAY = 1_700_000_000, 86_400
SMALL = {"factors": 8, "hidden": 32, "batch_size": 64, "learning_rate": 0.02, "epochs": 12, "negatives": 10}


def vogue(**said: Any) -> Dataset:
    """Ten items, each taken up in its tenth of the time alone, whoever it is; the last one is the newest."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(150):
        for part in np.sort(rng.choice(10, 3, replace=False)).tolist():
            rows.append((user, part, T + int((part + rng.random()) * 10 * DAY)))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return Dataset.from_frames(frame, **said)


def newest_first(model: YoutubeRetrieval, data: Dataset) -> float:
    """How often the newest item is the best for somebody with one old event."""
    history = data.item_ids.encode([0])[:, None].astype(np.int32)
    asked = data.queries(np.array([0], np.int32), length=0)
    scores = model.score(type(asked)(asked.users, history))[0]
    return float(scores.argmax() == data.item_ids.find(9))


def test_what_is_in_vogue_now_comes_first_where_training_knows_ages() -> None:
    data = vogue()
    assert newest_first(YoutubeRetrieval(**SMALL, length=1).fit(data, ONE), data) == 1
    assert newest_first(YoutubeRetrieval(**SMALL, length=1, example_age=False).fit(data, ONE), data) == 0


def test_age_is_told_in_training_alone_and_is_none_when_asked() -> None:
    data = vogue()
    model = YoutubeRetrieval(**SMALL)
    told = model.only_learned(data)[AGE]
    assert data.events.time is not None
    order = np.argsort(data.events.time)
    assert (np.diff(told.values[order, 0]) <= 0).all(), "the older, the higher"
    np.testing.assert_array_equal(told.asked, told.values[order[-1]])
    step = next(iter(model.batches(data, np.random.default_rng(0))))
    assert step.inputs[AGE].shape == (64, 3)
    net = model.build(data).eval()
    from torch import from_numpy, no_grad

    given = {name: from_numpy(value) for name, value in step.inputs.items()}
    asked = {name: value for name, value in given.items() if name != AGE}
    given[AGE] = from_numpy(np.tile(told.asked, (64, 1)))
    with no_grad():
        np.testing.assert_allclose(net(asked), net(given), atol=1e-6)
    scorer: Any = model.fit(data, ONE).lower()
    assert [feed.name for feed in scorer.feeds] == ["history"]


def test_ages_are_not_told_twice_nor_without_moments() -> None:
    assert YoutubeRetrieval().only_learned(vogue(features={"age": Age()})) == {}
    assert YoutubeRetrieval().only_learned(vogue(time_kind="rank")) == {}
    assert YoutubeRetrieval().only_learned(vogue(columns={"timestamp": None})) == {}


@pytest.mark.parametrize(
    ("hidden", "layers", "widths"), [(256, 2, (256, 128)), (3, 4, (3, 1, 1, 1)), (None, 2, ()), (64, 1, (64,))]
)
def test_layers_halve(hidden: int | None, layers: int, widths: tuple[int, ...]) -> None:
    assert YoutubeRetrieval(hidden=hidden, layers=layers).widths() == widths


def test_nothing_to_read_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"youtube_retrieval: length = 0 leaves the features of users and moments"):
        YoutubeRetrieval(length=0).fit(vogue(), ONE)
