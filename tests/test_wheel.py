"""The wheel holds what it needs: templates, page, types marker; and the demo runs from it, outside the checkout."""

from __future__ import annotations

import os
import site
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.wheel import build


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def test_everything_needed_is_packaged(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"serendip/py.typed", "serendip/report/template.html", "serendip/serve/page/index.html"} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/"))]


def test_demo_runs_from_the_wheel_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Dependencies come from this environment (no network); Serendip itself from the wheel alone."""
    home = tmp_path / "env"
    venv.create(home, with_pip=False)
    inside = home / ("Scripts" if sys.platform == "win32" else "bin")
    library = Path(
        subprocess.run(
            [inside / "python", "-c", "import site; print(site.getsitepackages()[0])"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    )
    zipfile.ZipFile(wheel).extractall(library)
    (library / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    where = [inside / "python", "-c", "import serendip; print(serendip.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout
    assert str(library) in found
    command = [
        inside / "python",
        "-W",
        "error",
        "-m",
        "serendip",
        "demo",
        "--out",
        "demo",
        "--users",
        "400",
        "--items",
        "200",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "demo" / "bundle" / "manifest.json").exists()
    assert "<html" in (tmp_path / "demo" / "report.html").read_text()
