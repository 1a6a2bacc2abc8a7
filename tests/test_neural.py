"""Models that the loop trains: found without PyTorch, and clear about needing it."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Blocker())
from serendip.checks.cases import odd_log
from serendip.model import describe, find, names
from serendip.types import SerendipError

assert {"lightgcn", "ngcf"} <= set(names())
for name in ("lightgcn", "ngcf"):
    model = find(name)
    assert describe(model)
    try:
        model().fit(odd_log())
    except SerendipError as error:
        print(error)
"""


def test_without_pytorch_models_are_found_and_fitting_says_what_is_missing() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{name} learns with PyTorch, which is not installed. Try pip install 'serendip[train]'."
        for name in ("lightgcn", "ngcf")
    ]


@pytest.mark.parametrize("name", ["lightgcn", "ngcf"])
def test_finding_a_model_does_not_import_pytorch(name: str) -> None:
    code = f"import sys; from serendip.model import find; find({name!r})(); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
