"""A small shop as files, a bundle fitted to it, and a way to run the command line in an empty directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import serendip
from serendip.cli import app
from serendip.data.synthetic import World, catalogue

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def world() -> World:
    return catalogue(seed=2, users=150, items=80)


@pytest.fixture(scope="session")
def shop(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    world.events.write_parquet(folder / "events.parquet")
    world.items.write_parquet(folder / "items.parquet")
    world.users.write_parquet(folder / "users.parquet")
    return folder


@pytest.fixture(scope="session")
def bundle(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = serendip.fit(str(shop / "events.parquet"), items=str(shop / "items.parquet"), model="ease")
    return made.save(tmp_path_factory.mktemp("made") / "bundle")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no say of the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("SERENDIP_BUNDLE", "SERENDIP_MODELS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def run(here: Path) -> Run:
    """Run a command; whatever happens, no traceback is shown."""

    def invoke(*arguments: object, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert "Traceback" not in result.stdout + result.stderr
        assert result.exit_code == code, result.stdout + result.stderr
        return result

    return invoke


@pytest.fixture
def data_flags(shop: Path) -> list[object]:
    return ["--events", shop / "events.parquet", "--items", shop / "items.parquet"]
