"""A sentence encoder in a bundle: new items are placed by what their texts say, without the folder it came from."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import serendip
from serendip.bundle import Bundle
from serendip.data.features import encoder
from serendip.data.features.declared import Sentence
from serendip.data.features.folder import PLACES
from serendip.model import Run
from serendip.types import SerendipError
from tests.data.features import encoders

TWO_TOWER: dict[str, Any] = {"items_by": "features", "factors": 8, "hidden": 16, "learning_rate": 0.02, "epochs": 40}


def made(folder: Path, **options: Any) -> Bundle:
    """Users who take things that are red, and such who take blue ones."""
    rng = np.random.default_rng(3)
    titles = [f"{colour} {thing}" for colour in ("red", "blue") for thing in ("shoes", "hat", "the hat", "shoes hat")]
    items = pl.DataFrame({"item_id": range(8), "title": titles})
    rows = [(user, 4 * (user % 2) + int(item)) for user in range(40) for item in rng.permutation(4)[:3]]
    events = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
    says = Sentence(side="item", column="title", encoder=str(folder), **options)
    return serendip.fit(
        events, items=items, features={"says": says}, model="two_tower", run=Run(threads=1), **TWO_TOWER
    )


def taken_in(bundle: Bundle) -> Bundle:
    new = pl.DataFrame({"item_id": [100, 101], "title": ["the red shoes", "the blue shoes"]})
    event = pl.DataFrame({"user_id": [999], "item_id": [0]})
    return bundle.update(event, items=new, run=Run(threads=1))


def ranks(bundle: Bundle, user: int) -> dict[int, int]:
    found = bundle.recommend(user, k=10, exclude_seen=False)["item_id"].to_list()
    return {item: place for place, item in enumerate(found)}


def test_new_items_are_placed_by_their_texts(tmp_path: Path) -> None:
    folder = encoders.folder(tmp_path / "lm", encoders.of_tokens())
    made(folder).save(tmp_path / "b")
    shutil.rmtree(folder)
    encoder._OPEN.clear()
    bundle = Bundle.load(tmp_path / "b")
    bundle.check()
    after = taken_in(bundle)
    reds, blues = ranks(after, 0), ranks(after, 1)
    assert reds[100] < reds[101]
    assert blues[101] < blues[100]
    Bundle.load(after.save(tmp_path / "c")).check()


def test_without_the_encoder_known_items_answer_and_new_texts_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = encoders.folder(tmp_path / "here" / "lm", encoders.of_tokens())
    whole = made(folder, keep=False)
    whole.save(tmp_path / "b")
    assert not any(b"input_ids" in path.read_bytes() for path in (tmp_path / "b").rglob("features.*"))
    encoder._OPEN.clear()
    bundle = Bundle.load(tmp_path / "b")
    bundle.check()
    assert bundle.recommend(0).equals(whole.recommend(0))
    with pytest.raises(SerendipError, match=r"The sentence encoder 'lm' is not in the bundle \(keep = false\)"):
        taken_in(bundle)
    monkeypatch.setenv(PLACES, str(tmp_path / "here"))
    after = ranks(taken_in(bundle), 0)
    assert after[100] < after[101]
