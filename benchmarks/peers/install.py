"""Make one virtual environment per peer library in `.peers/`: theirs never meets ours."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent.parent / ".peers"


def main() -> int:
    """Install every ``NAME.txt`` of this folder that is not installed yet, or has changed since."""
    failed = []
    for wanted in sorted(HERE.glob("*.txt")):
        home = TARGET / wanted.stem
        stamp = home / "installed.txt"
        if stamp.exists() and stamp.read_text() == wanted.read_text():
            print(f"{wanted.stem}: there")
            continue
        print(f"{wanted.stem}: installing …", flush=True)
        venv.create(home, with_pip=True, clear=True)
        python = home / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        done = subprocess.run([python, "-m", "pip", "install", "--quiet", "--requirement", wanted], check=False)
        if done.returncode:
            failed.append(wanted.stem)
        else:
            stamp.write_text(wanted.read_text())
    if failed:
        print(f"could not be installed: {', '.join(failed)}; rows that need them will say so")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
