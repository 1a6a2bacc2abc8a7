"""A small shop as files, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from serendip.data.synthetic import World, catalogue


@pytest.fixture(scope="session")
def world() -> World:
    return catalogue(seed=1, users=150, items=80)


@pytest.fixture(scope="session")
def shop(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    world.events.write_parquet(folder / "events.parquet")
    world.items.write_parquet(folder / "items.parquet")
    world.users.write_parquet(folder / "users.parquet")
    return folder
