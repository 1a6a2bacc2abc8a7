"""A bundle of a hundred items, of which the vectors of two tell everything."""

import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.model import Run, find
from serendip.pipeline import first_of, retrieve
from serendip.scorers import Factors, StaticScores

N = 100


def made(vectors=None):
    """Users 0 … 19 liked items 100 … 199 in turn; item 100 + i points into the direction of its angle."""
    rng = np.random.default_rng(0)
    events = pl.DataFrame({"user_id": np.arange(200) % 20, "item_id": 100 + rng.permutation(200) % N})
    items = pl.DataFrame(
        {
            "item_id": 100 + np.arange(N),
            "title": [f"Item {i}" for i in range(N)],
            "price": np.arange(N, dtype=float),
            "genres": [["a", "b"][: i % 3] for i in range(N)],
            "out": pl.Series([f"2026-01-{1 + i % 28:02}" for i in range(N)]).str.to_date(),
        }
    )
    data = Dataset.from_frames(events, items=items)
    angle = np.arange(N) / 20
    table = np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32) if vectors is None else vectors
    taste = Factors(table, alpha0=0.01, reg=0.1, nu=1.0)
    popular = StaticScores(np.arange(N, dtype=np.float32))
    return Bundle.build(data, first_of(retrieve(taste, name="taste"), retrieve(popular, name="popular")))


@pytest.fixture(scope="package")
def bundle():
    return made()


@pytest.fixture(scope="package")
def described():
    """Items of genre a or b, known by what they are: 100 and on to the models, of which one counts ids alone."""
    rng = np.random.default_rng(0)
    rows = [(user, 100 + 2 * item + user % 2) for user in range(40) for item in rng.choice(20, 8, replace=False)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row")
    items = pl.DataFrame({"item_id": np.arange(N) + 100, "genre": ["a", "b"] * (N // 2), "name": ["x"] * N})
    data = Dataset.from_frames(events, items=items, schema=Schema(categories=("genre",), title="name"))
    names = {"hybrid_mf": {"factors": 8, "epochs": 8}, "content": {}, "item_knn": {}, "popular": {}}
    fitted = {name: find(name)(**options).fit(data, Run(seed=0)).lower() for name, options in names.items()}
    return Bundle.build(data, first_of(*(retrieve(one, name=name) for name, one in fitted.items())))
