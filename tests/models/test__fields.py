"""What models of fields learn from: what came before an event, and no interest where there are no users."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.examples import Examples
from serendip.model import find
from serendip.types import SerendipError


@pytest.mark.parametrize(
    ("name", "options", "before"),
    [
        ("shared_bottom", {"tasks": ("interest", "liked")}, 0),
        ("shared_bottom", {"tasks": ("liked",)}, 0),
        ("esmm", {}, 0),
        ("fm", {"label": "liked"}, 0),
        ("fm", {}, 1),
    ],
)
def test_what_came_of_one_thing_is_no_history_of_another_that_was_shown_with_it(
    name: str, options: dict[str, Any], before: int
) -> None:
    """Two things on one page, of which the first was liked; who learns interest alone knows what came before in the
    file, as the second is no example then."""
    page = {"user_id": [1, 1], "item_id": ["a", "b"], "timestamp": [5, 5], "weight": [1.0, 0.0], "liked": [1, 0]}
    rest = {"user_id": [2, 2], "item_id": ["a", "b"], "timestamp": [1, 2], "weight": [1.0, 1.0], "liked": [1, 0]}
    log = pl.concat([pl.DataFrame(page), pl.DataFrame(rest)])
    data = Dataset.from_frames(log, time_kind="unix", labels={"liked": "binary"})
    model: Any = find(name)(negatives=1, batch_size=1, **options)
    told = [
        (int(step.items[0, 0]), len(step.inputs["history"])) for step in model.batches(data, np.random.default_rng(0))
    ]
    a, b = data.item_ids.encode(["a", "b"]).tolist()
    of_b = [count for item, count in told if item == b]
    assert told.count((a, 0)) == 2
    assert sorted(of_b) == ([0, 1] if not before else [1])  # of the other user, who met them one after the other


@pytest.mark.parametrize(
    ("name", "options"), [("fm", {}), ("mmoe", {"tasks": ("interest", "rich")}), ("esmm", {}), ("watch_time", {})]
)
def test_rows_without_users_have_no_interest_to_learn(name: str, options: dict[str, Any]) -> None:
    rows = pl.DataFrame({"age": [20.0, 30.0, 40.0], "rich": [0, 1, 1]})
    data = Examples.read(rows, {"rich": "binary"}).dataset()
    with pytest.raises(SerendipError, match=rf"{name}: rows without users .* have rich\. Try model\.label"):
        find(name)(length=0, **options).fit(data)


@pytest.mark.parametrize("name", ["fm", "esmm", "watch_time", "mmoe"])
def test_an_item_that_was_taken_up_is_no_negative_even_where_no_other_is_left(name: str) -> None:
    """A user took up all three items, the last without interest, which is a click all the same."""
    log = {"user_id": [1, 1, 1], "item_id": ["a", "b", "c"], "weight": [1.0, 1.0, 0.0]}
    data = Dataset.from_frames(pl.DataFrame(log), part=True)
    model: Any = find(name)(negatives=30, batch_size=1, epochs=1)
    own = data.item_ids.encode(["a", "b", "c"] if name == "esmm" else ["a", "b"])
    for step in model.batches(data, np.random.default_rng(0)):
        assert np.array_equal(np.isnan(step.labels[0, 1:, 0]), np.isin(step.items[0, 1:], own))
    assert np.isfinite(model.fit(data).score(data.queries(exclude_seen=False))[0, own]).all()
