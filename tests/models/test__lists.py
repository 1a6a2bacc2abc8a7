"""Lists whose order is learned: how they are put together, and that they learn what single ratings hide."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from serendip.data.dataset import Dataset
from serendip.data.features.declared import Category
from serendip.model import Run, find
from serendip.models._lists import Lists, in_lists
from serendip.types import Queries, SerendipError

ITEMS = 6
LOSSES = ("hinge", "logistic", "softmax", "list_mle", "lambda_rank")
QUICK: dict[str, Any] = {"epochs": 50, "batch_size": 16, "learning_rate": 0.05, "length": 0, "list_size": 3}


def strict_and_generous(least: float = 0.0) -> Dataset:
    """Item 5 is the best and item 0 the worst for everybody; but strict users rate the better half, and generous ones,
    who give 10 more, the worse half: by their mean ratings items 0 to 2 are above items 3 to 5. One of three users
    rates across."""
    rows = []
    for user in range(60):
        generous = user % 2
        items = (1, 2, 3) if user % 3 == 0 else (0, 1, 2) if generous else (3, 4, 5)
        rows += [(user, item, least + item + 10.0 * generous) for item in items]
    return Dataset.from_frames(
        pl.DataFrame(rows, schema=["user_id", "item_id", "rating"], orient="row"),
        pl.DataFrame({"user_id": range(60), "everybody": ["one"] * 60}),
        columns={"rating": "rating"},
        features={"everybody": Category(side="user")},
    )


def order(data: Dataset, **options: Any) -> list[int]:
    """The items as they are ranked for the first user, best first."""
    scorer = find("lr")(**{**QUICK, "label": "rating", **options}).fit(data, Run(threads=1)).lower()
    assert data.features is not None
    who = Queries(np.zeros(1, np.int32), np.empty((1, 0), np.int32), features=data.features.users(data.users[:1]))
    found: list[int] = data.item_ids.decode(np.argsort(-scorer.score(who)[0]).astype(np.int32)).to_list()
    return found


@pytest.mark.parametrize("loss", LOSSES)
def test_the_order_within_users_is_learned_where_their_levels_hide_it(loss: str) -> None:
    assert order(strict_and_generous(), loss=loss) == [5, 4, 3, 2, 1, 0]


def test_ratings_one_by_one_show_the_levels_of_users() -> None:
    assert order(strict_and_generous(), loss="pointwise")[0] < 3


def test_what_is_drawn_against_an_event_is_its_list() -> None:
    model: Any = find("fm")(loss="softmax", negatives=2, batch_size=4, length=0)
    step = next(model.batches(strict_and_generous(), np.random.default_rng(0)))
    assert (
        step.lists.of.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
        and step.labels[:, :, 0].tolist() == [[1, 0, 0]] * 4
    )
    data = Dataset.from_frames(
        pl.DataFrame(
            [(u, i) for u in range(20) for i in range(8) if (u + i) % 2], schema=["user_id", "item_id"], orient="row"
        ),
        pl.DataFrame({"user_id": range(20), "side": [str(user % 2) for user in range(20)]}),
        features={"side": Category(side="user")},
    )
    options: dict[str, Any] = {**QUICK, "loss": "softmax", "factors": 4}
    scorer = find("fm")(**options).fit(data, Run(threads=1)).lower()
    assert data.features is not None
    who = Queries(
        np.arange(2, dtype=np.int32), np.empty((2, 0), np.int32), features=data.features.users(data.users[:2])
    )
    found, taken = scorer.score(who), data.matrix()[:2].toarray() > 0
    assert min(found[0][taken[0]]) > max(found[0][~taken[0]]) and min(found[1][taken[1]]) > max(found[1][~taken[1]])


def test_lists_hold_all_rows_once_and_each_those_of_one_user() -> None:
    rng = np.random.default_rng(0)
    users, rows = rng.integers(0, 9, 200), np.flatnonzero(rng.random(200) < 0.8)
    steps = list(in_lists(rows, users, 4, 20, rng))
    assert sorted(np.concatenate([some for some, _ in steps])) == rows.tolist()
    for some, of in steps:
        assert (np.diff(of) >= 0).all() and set(of) == set(range(of[-1] + 1)) and len(some) < 24
        assert all(len(set(users[some[of == one]])) == 1 for one in set(of)) and np.bincount(of).max() <= 4
    short = sum((np.bincount(of) < 4).sum() for _, of in steps)
    assert short <= 9, "of each user one list at most is not full"
    again = list(in_lists(rows, users, 4, 20, np.random.default_rng(1)))
    assert not np.array_equal(again[0][0], steps[0][0])


def test_an_error_is_that_of_each_list_by_itself() -> None:
    scores, labels = torch.tensor([2.0, 1.5, 0.0, 0.25, 7.0]), torch.tensor([1.0, 3.0, 2.0, 1.0, 4.0])
    lists = Lists("hinge", np.array([0, 0, 1, 1, 2]))
    # 1 − (1.5 − 2) = 1.5 and 1 − (0 − 0.25) = 1.25; the last list has no pair
    assert lists.error(scores, labels, None).item() == pytest.approx((1.5 + 1.25) / 3)
    weighted = lists.error(scores, labels, torch.tensor([1.0, 2.0, 1.0, 1.0, 1.0])).item()
    assert weighted == pytest.approx((3.0 + 1.25) / 3)


def test_what_learned_an_order_foretells_no_label() -> None:
    assert find("fm")(label="rating").labels == ("rating",)
    assert find("fm")(label="rating", loss="hinge").labels == ()


def test_labels_below_0_have_no_gain() -> None:
    with pytest.raises(SerendipError, match=r"'rating' must be 0 or more for loss = hinge\. Got -2\."):
        find("lr")(**QUICK, label="rating", loss="hinge").fit(strict_and_generous(-3.0), Run(threads=1))
