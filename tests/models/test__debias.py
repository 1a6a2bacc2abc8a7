"""What makes up for the bias of a log: rare events count for those like them, far places for those who never looked."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.features.declared import Category
from serendip.model import Run, find
from serendip.types import SerendipError
from tests.models.fields import of_events

KINDS: dict[str, Any] = {"clicked": "binary", "place": "count", "chance": "rating"}
HOW: dict[str, Any] = {"label": "clicked", "length": 0, "epochs": 150, "batch_size": 600, "learning_rate": 0.1}


def seen(*shown: tuple[str, int, float, int, int]) -> Dataset:
    """Items with their place and chance of being logged, how often they were shown and how often clicked."""
    rows = [
        {"user_id": at % 7, "item_id": item, "clicked": int(at < clicks), "place": place, "chance": chance, "page": "1"}
        for item, place, chance, times, clicks in shown
        for at in range(times)
    ]
    return Dataset.from_frames(pl.DataFrame(rows), labels=KINDS, features={"page": Category(side="context")})


def foretold(data: Dataset, **options: Any) -> dict[str, float]:
    """How probable a click is, of each item."""
    fitted = find("lr")(**{**HOW, **options}).fit(data, Run(threads=1))
    found = fitted.lower().score(of_events(data).take(slice(0, 1)))[0]
    return dict(zip(data.item_ids.decode(np.arange(data.n_items)), 1 / (1 + np.exp(-found)), strict=True))


def test_what_is_clicked_at_a_place_that_few_look_at_counts_for_those_who_did_not_look() -> None:
    """a is clicked by a tenth at place 5, b by three tenths at the first: 150 to 270 against 90 to 210."""
    data = seen(("a", 5, 1.0, 300, 30), ("b", 1, 1.0, 300, 90))
    assert foretold(data) == pytest.approx({"a": 0.1, "b": 0.3}, abs=0.02)
    assert foretold(data, position="place") == pytest.approx({"a": 150 / 420, "b": 90 / 300}, abs=0.02)
    assert foretold(data, position="place", position_power=0) == pytest.approx({"a": 0.1, "b": 0.3}, abs=0.02)
    assert foretold(data, position="place", most_weight=2) == pytest.approx({"a": 60 / 330, "b": 0.3}, abs=0.02)


def test_what_is_seldom_logged_counts_for_all_like_it() -> None:
    """Of a, clicks are logged with a chance of .1 and the rest with .8: 20/.1 = 200 against 80/.8 = 100."""
    data = seen(("a", 1, 0.1, 20, 20), ("a", 1, 0.8, 80, 0), ("b", 1, 1.0, 100, 50))
    assert foretold(data)["a"] == pytest.approx(0.2, abs=0.02)
    assert foretold(data, propensity="chance") == pytest.approx({"a": 2 / 3, "b": 0.5}, abs=0.02)


def test_labels_that_tell_of_bias_are_no_tasks() -> None:
    data = seen(("a", 2, 0.5, 20, 10), ("b", 1, 1.0, 20, 10))
    several = find("shared_bottom")(propensity="chance", position="place", epochs=1).fit(data, Run(threads=1))
    assert several.lower().tasks == ("clicked",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"position": "plaec"}, r"lr: position must be one of the labels .*clicked, place, chance.* Got 'plaec'"),
        ({"position": "place"}, r"lr: position: positions must be 1 or more\. Got 0"),
        ({"propensity": "chance"}, r"lr: propensity: propensities must be from 0 to 1\. Got 2"),
    ],
)
def test_what_is_no_place_or_propensity_is_refused(options: dict[str, Any], said: str) -> None:
    data = seen(("a", 0, 2.0, 20, 10), ("b", 1, 1.0, 20, 10))
    with pytest.raises(SerendipError, match=said):
        find("lr")(**{**HOW, "epochs": 1, **options}).fit(data, Run(threads=1))
