"""A small bundle whose right answers are known, and one that is forged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle, manifest, store
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.model import Run, find
from serendip.pipeline import first_of, retrieve
from serendip.scorers import Factors, StaticScores
from serendip.types import Stage

USERS = [101, 102, 103, 104, 105]
ITEMS = list(range(10, 22))
SEEN = {101: [10, 11, 12], 102: [12, 13], 103: [20, 10, 11, 13], 104: [15], 105: [16, 17]}
DAY = 86_400


def log(text: bool = False) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Events and items; ids as numbers or as text."""
    rows = [(user, item, 1_000_000_000 + DAY * at) for user, seen in SEEN.items() for at, item in enumerate(seen)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame(
        {
            "item_id": ITEMS,
            "name": [None if item == 14 else f"Title {item}" for item in ITEMS],
            "year": [2000 + item for item in ITEMS],
            "genres": [["a", "b"][: item % 3] for item in ITEMS],
        }
    )
    if text:
        events = events.with_columns(
            pl.format("u{}", "user_id").alias("user_id"), pl.format("i{}", "item_id").alias("item_id")
        )
        items = items.with_columns(pl.format("i{}", "item_id").alias("item_id"))
    return events, items


def world(text: bool = False) -> tuple[Dataset, Stage]:
    """Two tastes (even and odd items), and a fallback that prefers high codes."""
    events, items = log(text)
    data = Dataset.from_frames(
        events, items=items, schema=Schema(timestamp="timestamp", time_kind="unix", title="name")
    )
    n = data.n_items
    vectors = np.stack([np.arange(n) % 2 == 0, np.arange(n) % 2 == 1, np.arange(n) / 100], axis=1).astype(np.float32)
    taste = Factors(vectors, alpha0=0.1, reg=0.1, nu=1.0)
    popular = StaticScores(np.arange(n, dtype=np.float32))
    return data, first_of(retrieve(taste, name="taste", k=3), retrieve(popular, name="popular"))


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """Ids are numbers."""
    return Bundle.build(*world(), recipe={"model": {"name": "taste"}}, evaluation={"ndcg@10": 0.5})


@pytest.fixture(scope="session")
def text_bundle() -> Bundle:
    """Ids are text."""
    return Bundle.build(*world(text=True))


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users who click on a and buy b, both of which they are shown, beside c and d, of which they do nothing."""
    done = {"a": (1, 0), "b": (0, 1), "c": (0, 0), "d": (0, 0)}
    rows = [(user, item, *done[item]) for user in range(40) for item in "abcd"]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "clicked", "bought"], orient="row")
    data = Dataset.from_frames(events, labels={"clicked": "binary", "bought": "binary"})
    model = find("shared_bottom")(factors=4, hidden=8, layers=1, epochs=40, learning_rate=0.03).fit(
        data, Run(threads=1)
    )
    path = tmp_path_factory.mktemp("tasks") / "bundle"
    recipe = {"model": {"name": "shared_bottom", "epochs": 40}}
    Bundle.build(data, retrieve(model.lower(), name="shared_bottom"), recipe=recipe, evaluation={"ndcg@10": 0.5}).save(
        path
    )
    return path


@pytest.fixture
def saved(bundle: Bundle, tmp_path: Path) -> Path:
    """Where the bundle is saved."""
    return bundle.save(tmp_path / "bundle")


def content_of(root: Path) -> Path:
    (content,) = root.glob("content-*")
    return content


def forge(root: Path, change: Callable[[Path], object]) -> None:
    """Change the content, and make the manifest's checksums fit it: what an attacker would do."""
    content = content_of(root)
    change(content)
    made = manifest.read(store.read_manifest(root))
    files = {
        str(path.relative_to(content)): store.entry([path.read_bytes()])
        for path in content.rglob("*")
        if path.is_file()
    }
    version = manifest.version_of(files)
    content.rename(root / f"content-{version}")
    (root / "manifest.json").write_bytes(manifest.write(msgspec.structs.replace(made, version=version, files=files)))


def edit_json(name: str, change: Callable[[Any], object]) -> Callable[[Path], object]:
    """For `forge`: change a JSON file."""

    def edit(folder: Path) -> None:
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))

    return edit
