"""Another formula over the tasks of a bundle: it answers by it, whoever is asked, and refuses what is none."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from serendip.bundle import Bundle
from serendip.bundle.errors import BundleError
from serendip.cli import app
from serendip.data.dataset import Dataset
from serendip.model import Run, find
from serendip.pipeline import retrieve
from serendip.types import SerendipError


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users who click on a and buy b, both of which they are shown, beside c and d, of which they do nothing."""
    done = {"a": (1, 0), "b": (0, 1), "c": (0, 0), "d": (0, 0)}
    rows = [(user, item, *done[item]) for user in range(40) for item in "abcd"]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "clicked", "bought"], orient="row")
    data = Dataset.from_frames(events, labels={"clicked": "binary", "bought": "binary"})
    model = find("shared_bottom")(factors=4, hidden=8, layers=1, epochs=10, learning_rate=0.03).fit(
        data, Run(threads=1)
    )
    path = tmp_path_factory.mktemp("tasks") / "bundle"
    recipe = {"model": {"name": "shared_bottom", "epochs": 10}}
    Bundle.build(data, retrieve(model.lower(), name="shared_bottom"), recipe=recipe, evaluation={"ndcg@10": 0.5}).save(
        path
    )
    return path


def first(bundle: Bundle) -> str:
    return str(bundle.recommend(k=1, history=["c"])["item_id"][0])


def test_the_answers_follow_the_formula(kept: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(kept)
    assert first(bundle) == "a"
    other = bundle.rescored("clicked + 100 * bought")
    assert first(other) == "b"
    assert first(bundle) == "a"
    assert other.manifest.version != bundle.manifest.version
    assert other.manifest.recipe["model"]["score"] == "clicked + 100 * bought"
    assert other.manifest.evaluation == {}
    again = Bundle.load(other.save(tmp_path / "b"))
    again.check()
    assert first(again) == "b"


def test_on_the_command_line(kept: Path, tmp_path: Path) -> None:
    out = tmp_path / "served"
    flags = ["rescore", "--bundle", str(kept), "--score", "bought - clicked", "--out", str(out)]
    result = CliRunner().invoke(app, flags)
    assert result.exit_code == 0 and "bought - clicked" in result.stdout
    assert first(Bundle.load(out)) == "b"


def test_what_is_no_formula_over_the_tasks_is_refused(kept: Path) -> None:
    bundle = Bundle.load(kept)
    for formula, said in (("clicked * hide", "hide"), ("clicked / 0", "0"), ("3", "task"), ("clicked +", "clicked")):
        with pytest.raises(SerendipError, match=said):
            bundle.rescored(formula)
    with pytest.raises(BundleError, match="those of several tasks are: shared_bottom"):
        bundle.rescored("clicked", name="popular")
