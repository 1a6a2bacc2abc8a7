"""Two small bundles whose right answers are known, and a client for each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from litestar.testing import TestClient
from scipy.sparse import csr_array

from serendip.bundle import Bundle
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.pipeline import first_of, retrieve
from serendip.scorers import ItemToItem, StaticScores
from serendip.serve.app import create_app

SCRIPT = "<script>document.title = 'broken'</script>"
LATEST = "Café Müller"


def events() -> pl.DataFrame:
    """User u of 1 … 10 liked items 101 … 110, and u of 11 … 20 items 111 … 120, each but item 100 + u, in rising order.
    Users 21 … 25 liked 115 only, which makes it the most popular. Item 121 was never used."""
    rows = [
        (user, item)
        for user in range(1, 21)
        for item in (range(101, 111) if user <= 10 else range(111, 121))
        if item != 100 + user
    ]
    rows += [(user, 115) for user in range(21, 26)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
    return frame.with_columns(timestamp=1_600_000_000 + pl.col("item_id") * 60 + pl.col("user_id"))


def titles() -> pl.DataFrame:
    special = {101: SCRIPT, 115: LATEST, 121: None}
    named = [special.get(item, f"Item number {item}") for item in range(101, 122)]
    return pl.DataFrame({"item_id": list(range(101, 122)), "title": named})


def data_of(log: pl.DataFrame, items: pl.DataFrame) -> Dataset:
    return Dataset.from_frames(log, items=items, schema=Schema(timestamp="timestamp", time_kind="unix", title="title"))


def bundle_of(data: Dataset) -> Bundle:
    """Co-occurrence first, then how often each item was used."""
    pairs = data.matrix()
    together = csr_array((pairs.T @ pairs).astype(np.float32))
    together.setdiag(0)
    together.eliminate_zeros()
    uses = np.asarray(pairs.sum(axis=0), np.float32)
    return Bundle.build(
        data, first_of(retrieve(ItemToItem(together), name="together"), retrieve(StaticScores(uses), name="popular"))
    )


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """Ids are integers."""
    return bundle_of(data_of(events(), titles()))


@pytest.fixture(scope="session")
def named_bundle() -> Bundle:
    """The same with ids that are text: user 7 is "007", item 107 is "a/107 é"."""
    user = pl.col("user_id").cast(pl.String).str.zfill(3).alias("user_id")
    item = pl.format("a/{} é", pl.col("item_id")).alias("item_id")
    return bundle_of(data_of(events().with_columns(user, item), titles().with_columns(item)))


@pytest.fixture(scope="session")
def bundle_path(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle.save(tmp_path_factory.mktemp("serve") / "bundle")


def ready_client(bundle: Bundle, live: Path | None = None) -> Iterator[TestClient]:
    with TestClient(create_app(bundle, live=live), base_url="http://127.0.0.1") as client:
        for _ in range(200):
            if client.get("/health/ready").status_code == 200:
                break
            time.sleep(0.01)
        yield client


@pytest.fixture(scope="session")
def client(bundle: Bundle) -> Iterator[TestClient]:
    yield from ready_client(bundle)


@pytest.fixture(scope="session")
def named_client(named_bundle: Bundle) -> Iterator[TestClient]:
    yield from ready_client(named_bundle)
