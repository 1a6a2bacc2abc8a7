"""Build the wheel and try it outside the checkout on every Python found: `make wheel`. Installs from an index."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MINORS = (11, 12, 13, 14)
BARE = """
import importlib.util
import serendip.model, serendip.serve.app
assert not any(map(importlib.util.find_spec, ("torch", "optuna"))), "only [serve] should be installed"
assert all(serendip.model.find(name).summary for name in serendip.model.names())
"""
"""Serving, and describing every model, without what only fits and searches need."""


def interpreters() -> dict[str, Path]:
    """Version → interpreter: this one, those on the path and those that pyenv keeps."""
    found: dict[str, Path] = {}
    homes = sorted((Path.home() / ".pyenv" / "versions").glob("3.*/bin/python"))
    named = [shutil.which(f"python3.{minor}") for minor in MINORS]
    for candidate in [Path(sys.executable), *homes, *(Path(path) for path in named if path)]:
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        done = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
        version = done.stdout.strip()
        if done.returncode == 0 and tuple(int(part) for part in version.split(".")) >= (3, 11):
            found.setdefault(version, candidate)
    return found


def build(folder: Path) -> Path:
    """The wheel, built without the network."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(folder.glob("serendip-*.whl"))


def main() -> int:
    """Install and run the demo on each interpreter, and ask there what was trained here."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel, trained = build(folder), folder / "trained"
        recipe = [ROOT / "examples" / "features.toml", "--set", "model.epochs=1"]
        subprocess.run([sys.executable, "-m", "serendip", "fit", *recipe, "--out", trained], cwd=folder, check=True)
        for version, python in interpreters().items():
            home = folder / f"env-{version}"
            subprocess.run([python, "-m", "venv", home], check=True)
            inside = home / ("Scripts" if sys.platform == "win32" else "bin")
            install = [
                inside / "python",
                "-m",
                "pip",
                "install",
                "--quiet",
                "-c",
                ROOT / "constraints.txt",
                f"{wheel}[serve]",
            ]
            subprocess.run(install, check=True)
            subprocess.run([inside / "serendip", "demo", "--out", folder / f"demo-{version}"], cwd=folder, check=True)
            subprocess.run([inside / "python", "-c", BARE], cwd=folder, check=True)
            asked = ["recommend", "--bundle", trained, "--attribute", "device=phone"]
            subprocess.run([inside / "serendip", *asked], cwd=folder, check=True)
            print(f"Python {version}: the wheel works")
    return 0


if __name__ == "__main__":
    sys.exit(main())

__all__ = ["build"]
