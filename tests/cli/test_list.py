from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from serendip.model import describe, find, names

MODEL = '''"""Every item scores one."""
from typing import Annotated
import msgspec, numpy as np
from serendip.model import Config, Model
from serendip.scorers import StaticScores

class Options(Config, frozen=True):
    level: Annotated[float, msgspec.Meta(gt=0, description="The score.")] = 1.0

class Flat(Model):
    Config = Options
    summary = "The same score for everything."
    source = "Nobody"
    personalised = False
    def learn(self, data, run):
        return StaticScores(np.full(data.n_items, self.config.level, np.float32))
'''


@pytest.fixture
def flat(here: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model in the working directory, which Python does not look through by itself."""
    (here / "my_flat_model.py").write_text(MODEL)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", str(here))])
    monkeypatch.delitem(sys.modules, "my_flat_model", raising=False)
    return "my_flat_model"


def test_every_model_is_listed(run: Any) -> None:
    out = run("list").stdout
    for name in names():
        assert find(name).summary in out
    rows = json.loads(run("list", "--json").stdout)
    assert [row["name"] for row in rows] == names()
    assert next(row for row in rows if row["name"] == "popular")["personalised"] is False


def test_the_options_of_one(run: Any) -> None:
    found = json.loads(run("list", "ials", "--json").stdout)
    assert [option["name"] for option in found[0]["options"]] == [option.name for option in describe(find("ials"))]
    searched = {option["name"]: option["searched"] for option in found[0]["options"]}
    assert searched["nu"] == {"low": 0, "high": 1} and searched["stddev"] is None
    out = run("list", "ials").stdout
    assert "factors" in out and "tune searches" in out and "16 … 256, log" in out
    assert find("ials").source in out


def test_a_model_of_ones_own_by_dotted_path_environment_and_recipe(
    run: Any, flat: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "level" in run("list", flat).stdout
    assert flat not in run("list").stdout
    (here / "recipe.toml").write_text(f'[model]\nname = "{flat}"\nlevel = 2\n')
    assert "The same score for everything." in run("list").stdout
    (here / "recipe.toml").unlink()
    monkeypatch.setenv("SERENDIP_MODELS", flat)
    assert "The same score for everything." in run("list").stdout


def test_a_model_of_ones_own_is_fitted(run: Any, flat: str, data_flags: list[object]) -> None:
    run("fit", *data_flags, "--model", flat, "--set", "model.level=3", "--quiet")
    rows = json.loads(run("recommend", "--user", "new", "--json").stdout)
    assert {(row["score"], row["source"]) for row in rows} == {(3.0, flat)}


def test_an_unknown_model(run: Any) -> None:
    assert "Did you mean 'ease'?" in run("list", "eas", code=4).stderr
