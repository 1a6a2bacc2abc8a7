"""How rows that are read piece by piece are held out, judged and fitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.bundle import Bundle
from serendip.data.streamed import Streamed
from serendip.recipe import EvaluatedRows, RecipeError, judge_recipe, load_data, read, run_recipe
from serendip.recipe.splitting import splits_of
from serendip.types import SerendipError


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bought where colour and size are odd or even together."""
    rng = np.random.default_rng(0)
    colour, size = rng.integers(0, 4, 3000), rng.integers(0, 4, 3000)
    table = pl.DataFrame({"colour": colour, "size": size, "bought": (colour + size) % 2})
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    table.with_columns(pl.col("colour", "size").cast(pl.String)).write_parquet(path, row_group_size=200)
    return path


def recipe(file: Path, *overrides: str) -> Any:
    model = {"name": "fm", "label": "bought", "factors": 8, "batch_size": 64, "epochs": 8, "learning_rate": 0.03}
    data = {"examples": str(file), "streamed": True, "labels": {"bought": "binary"}}
    return read({"data": data, "model": model, "fit": {"calibration": "platt"}}, ("run.threads=1", *overrides))


def test_a_file_is_streamed_judged_and_fitted(file: Path, tmp_path: Path) -> None:
    said = recipe(file)
    assert isinstance(load_data(said), Streamed)
    found = judge_recipe(said)
    assert isinstance(found, EvaluatedRows) and found.main.n == 600 and found.main.figure("auc") > 0.99
    assert found.main.description == (
        "Hold out 600 of 3,000 rows, in pieces of 150 from all over the file (seed 0); learn from the rest."
    )
    run_recipe(recipe(file, "model.epochs=1")).save(tmp_path / "b")
    made = Bundle.load(tmp_path / "b")
    assert [*made.summary()["sources"]] == ["fm"] and made.manifest.recipe["data"]["streamed"] is True


def test_what_cannot_be_streamed_is_refused(file: Path) -> None:
    with pytest.raises(RecipeError, match=r"data\.streamed must come with data\.examples"):
        load_data(read({"data": {"source": "demo", "streamed": True}}))
    with pytest.raises(SerendipError, match=r"evaluate\.split must be at_random, or left out, .* Got 'global_time'"):
        splits_of(recipe(file, "evaluate.split=global_time").evaluate, load_data(recipe(file)), 0)
    with pytest.raises(SerendipError, match=r"the model must learn its labels.* item_knn learns none"):
        run_recipe(read({"data": recipe(file).plain()["data"], "model": {"name": "item_knn"}}))
    (file.parent / "rows.csv").write_text("a,bought\n1,0\n")
    with pytest.raises(SerendipError, match="must be a Parquet file"):
        load_data(recipe(file.parent / "rows.csv"))
