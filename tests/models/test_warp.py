from __future__ import annotations

import numpy as np
import polars as pl

from serendip.data.dataset import Dataset
from serendip.model import Run
from serendip.models.warp import WARP, rank_weights
from serendip.scorers import Summed
from serendip.types import Queries


def test_rank_weights_by_hand() -> None:
    # 101 items: ranks ⌊100 / N⌋ = 100, 50, 33, 25; ln 100 = 4.605 … ; ⌊100 / 40⌋ = 2 and ln 2 < 1.
    weights = rank_weights(101, 40)
    np.testing.assert_allclose(weights[:4], np.log([100, 50, 33, 25]), rtol=1e-6)
    assert weights[39] == 1
    assert weights.dtype == np.float32
    np.testing.assert_array_equal(rank_weights(1, 3), [1, 1, 1])
    np.testing.assert_array_equal(rank_weights(0, 2), [1, 1])


def test_what_is_in_order_with_room_to_spare_is_left_alone() -> None:
    # Two groups that share nothing: once all pairs are a margin of 1 apart nothing more is learned.
    users = np.repeat(np.arange(40), 4)
    items = np.concatenate([np.arange(4) + 4 * (user % 2) for user in range(40)])
    data = Dataset.from_frames(pl.DataFrame({"user_id": users, "item_id": items}))
    short, long = (
        WARP(factors=2, epochs=epochs, schedule="constant", reg=0.0).fit(data, Run(threads=1)).lower()
        for epochs in (100, 200)
    )
    assert isinstance(short, Summed)
    assert isinstance(long, Summed)
    np.testing.assert_array_equal(short.items[:, :2], long.items[:, :2])
    scores = long.score(Queries.of([[0, 1, 2, 3]]))[0]
    assert scores[:4].min() > scores[4:].max() + 0.8
