"""The wheel holds what it needs: templates, page, types marker; and outside the checkout, without PyTorch, the demo
runs from it, and what was learned with PyTorch is served by it."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import urllib.error
import urllib.request
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serendip import load
from serendip.data.dataset import Dataset
from serendip.data.synthetic import catalogue
from serendip.model import Run
from serendip.recipe import read, run_recipe
from tests.wheel import ROOT, build

MOMENT = 1_735_689_600
FILES = {"events": "ratings", "items": "movies", "users": "users"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def test_everything_needed_is_packaged(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {"serendip/py.typed", "serendip/report/template.html", "serendip/serve/page/index.html"} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "docs/"))]


@dataclass(frozen=True)
class Outside:
    """An environment with the wheel, and of this one (no network) whatever else is installed but PyTorch."""

    library: Path
    python: Path

    def command(self, *arguments: object) -> list[str]:
        return [str(part) for part in (self.python, "-W", "error", "-m", "serendip", *arguments)]

    @property
    def variables(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def outside(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Outside:
    home = tmp_path_factory.mktemp("outside") / "env"
    venv.create(home, with_pip=False)
    python = home / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    where = [python, "-c", "import site; print(site.getsitepackages()[0])"]
    library = Path(subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip())
    zipfile.ZipFile(wheel).extractall(library)
    (library / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    (library / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    return Outside(library, python)


def test_demo_runs_from_the_wheel_outside_the_checkout(outside: Outside, tmp_path: Path) -> None:
    where = [outside.python, "-c", "import serendip; print(serendip.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=outside.variables, capture_output=True, text=True, check=True)
    assert str(outside.library) in found.stdout
    command = outside.command("demo", "--out", "demo", "--users", 400, "--items", 200)
    done = subprocess.run(command, cwd=tmp_path, env=outside.variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "demo" / "bundle" / "manifest.json").exists()
    assert "<html" in (tmp_path / "demo" / "report.html").read_text()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the recipe with features makes of a small shop."""
    recipe = read(ROOT / "examples" / "features.toml", ["model.epochs=1", "model.batch_size=256"])
    world = catalogue(seed=2, users=150, items=80)
    data = Dataset.from_frames(world.events, world.users, world.items, schema=world.schema, features=recipe.features)
    return run_recipe(recipe, data=data, run=Run(threads=1)).save(tmp_path_factory.mktemp("trained") / "bundle")


def test_what_learned_with_pytorch_is_served_without_it(outside: Outside, trained: Path, tmp_path: Path) -> None:
    """People who are known, new by attributes or by a history, and ids and values that nobody has heard of."""
    young, old = {"age_band": "18-24", "device": "phone"}, {"age_band": "65+", "device": "never seen"}
    served(
        outside,
        trained,
        tmp_path,
        [
            {"user_id": "u0001"},
            {"user_id": "u0001", "attributes": old},
            {"user_id": "nobody", "attributes": young},
            {"attributes": old},
            {"history": ["i0001", "i0002", "unheard of"], "attributes": young},
            {},
        ],
    )


@pytest.mark.soak
def test_so_it_is_of_public_data_and_features_that_init_suggests(
    outside: Outside, data_dir: Path, tmp_path: Path
) -> None:
    files = [f"--{role}={data_dir}/ml_100k/{name}.parquet" for role, name in FILES.items()]
    drawn = ["--set=model.epochs=1", "--set=model.items_by=both", "--positive-from=4"]
    for command in (
        ["init", *files, "--model=two_tower", *drawn, "--out=recipe.toml"],
        ["fit", "recipe.toml", "--threads=1", "--out=bundle"],
    ):
        subprocess.run([sys.executable, "-m", "serendip", *command], cwd=tmp_path, check=True, capture_output=True)
    young, old = {"age": 20, "gender": "M", "occupation": "student"}, {"age": 70, "occupation": "never heard of"}
    served(
        outside,
        tmp_path / "bundle",
        tmp_path,
        [{"user_id": 1}, {"user_id": 1, "attributes": old}, {"attributes": young}, {"history": [50, 181, 0]}, {}],
    )


def served(outside: Outside, bundle: Path, folder: Path, asked: list[dict[str, Any]]) -> None:
    """That the server outside answers as the bundle does here, and each query differently."""
    here, replies = load(bundle), []
    command = outside.command("serve", "--bundle", bundle, "--port", 0)
    with subprocess.Popen(command, cwd=folder, env=outside.variables, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            line = server.stderr.readline()
            address = line.partition(" at ")[2].split("/  ")[0]
            assert address, line + server.stderr.read()
            for query in asked:
                replies.append(posted(address, {**query, "k": 5, "time": MOMENT}))
            refused = posted(address, {"attributes": {"any": {"of": "another shape"}}})
        finally:
            server.terminate()
    assert refused["error"]["code"] == "invalid_value"
    for query, reply in zip(asked, replies, strict=True):
        user, history, said = (query.get(name) for name in ("user_id", "history", "attributes"))
        known = here.recommend(
            [user], 5, history=None if history is None else [history], attributes=[said], time=MOMENT
        )
        assert [item["item_id"] for item in reply["items"]] == known["item_id"].to_list()
        assert {item["source"] for item in reply["items"]} == {"two_tower"}
        np.testing.assert_allclose([item["score"] for item in reply["items"]], known["score"], atol=1e-4)
    answers = [tuple(item["score"] for item in reply["items"]) for reply in replies]
    assert len(set(answers)) == len(answers)  # whatever is said counts


def posted(address: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(f"{address}/v1/recommend", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request) as reply:
            return dict(json.load(reply))
    except urllib.error.HTTPError as error:
        with error:
            return dict(json.load(error))
