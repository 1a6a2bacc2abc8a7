"""Which bundle is meant where none is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serendip.bundle import BundleError
from serendip.cli.bundles import bundle_path


def bundle_at(path: str) -> Path:
    folder = Path(path)
    folder.mkdir(parents=True)
    (folder / "manifest.json").touch()
    return folder


def test_the_named_one_wins(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle_at("out/bundle")
    monkeypatch.setenv("SERENDIP_BUNDLE", "elsewhere")
    assert bundle_path(Path("this")) == Path("this")
    assert bundle_path(None) == Path("elsewhere")
    monkeypatch.delenv("SERENDIP_BUNDLE")
    assert bundle_path(None) == Path("out/bundle")


@pytest.mark.parametrize("path", ["out/b", "out/demo/bundle"])
def test_the_only_one_under_out_is_meant(here: Path, path: str) -> None:
    bundle_at(path)
    assert bundle_path(None) == Path(path)


def test_the_default_place_wins_over_others(here: Path) -> None:
    bundle_at("out/a")
    bundle_at("out/bundle")
    assert bundle_path(None) == Path("out/bundle")


def test_several_are_named(here: Path) -> None:
    bundle_at("out/a")
    bundle_at("out/b")
    with pytest.raises(BundleError, match=r"There are 2 bundles under out: out/a, out/b\. Try: --bundle out/a"):
        bundle_path(None)


def test_none_at_all(run: Any) -> None:
    assert (
        "There is no bundle in out/bundle. Try: serendip fit writes one"
        in run("recommend", "--all", "--out", "a.csv", code=5).stderr
    )


def test_a_damaged_bundle_is_refused(run: Any, here: Path) -> None:
    bundle_at("out/b")
    assert "Error: " in run("recommend", "--user", "1", code=5).stderr
