"""Another formula over the tasks of a bundle: it answers by it, whoever is asked, and refuses what is none."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from serendip.bundle import Bundle
from serendip.bundle.errors import BundleError
from serendip.cli import app
from serendip.types import SerendipError


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
