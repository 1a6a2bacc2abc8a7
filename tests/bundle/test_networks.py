"""A bundle with a network in it answers without PyTorch, and is read as untrusted input like any other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from serendip.bundle import Bundle, BundleError, tensorfile
from serendip.pipeline import first_of, retrieve
from serendip.scorers import MaxSimScorer, StaticScores, TowerScorer
from serendip.scorers.feeds import Feed
from serendip.types import Scorer, SerendipError
from tests.scorers import networks

from .conftest import forge, world

WIDTH, D = 4, 3


def towers(n: int, *, heads: bool = False) -> Scorer:
    rng = np.random.default_rng(0)
    table = np.concatenate([np.zeros((1, D)), rng.normal(size=(n, D))])
    items = rng.normal(size=(n, D)).astype(np.float32)
    items[2] = np.nan
    parts: dict[str, Any] = {
        "feeds": (Feed("history", "history", WIDTH, n),),
        "items": items,
        "told": np.empty((n, 0), np.float32),
    }
    if heads:
        return MaxSimScorer(query=networks.two_heads(table, WIDTH, [[1] * D, [-1] * D]), **parts)
    return TowerScorer(query=networks.mean_of_codes(table, WIDTH), **parts)


@pytest.fixture(params=[False, True], ids=["one", "heads"])
def saved(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Bundle, Path]:
    data, _ = world()
    popular = StaticScores(np.arange(data.n_items, dtype=np.float32))
    taste = towers(data.n_items, heads=request.param)
    bundle = Bundle.build(data, first_of(retrieve(taste, name="taste", k=3), retrieve(popular, name="popular")))
    return bundle, bundle.save(tmp_path / "bundle")


def test_it_answers_as_before_it_was_saved(saved: tuple[Bundle, Path]) -> None:
    bundle, path = saved
    again = Bundle.load(path)
    again.check()
    assert again.recommend().equals(bundle.recommend())
    assert set(again.recommend(101)["source"]) == {"taste", "popular"}
    assert set(again.recommend([None])["source"]) == {"popular"}, "of whom nothing is known popular items are told"
    assert again.save(path.parent / "other")
    assert Bundle.load(path.parent / "other").manifest.version == bundle.manifest.version


def test_it_answers_where_pytorch_cannot_be_imported(saved: tuple[Bundle, Path]) -> None:
    code = (
        "import sys; sys.modules |= dict.fromkeys(['torch', 'onnx', 'onnxscript']); "
        "from serendip.bundle import Bundle; "
        "b = Bundle.load(sys.argv[1]); b.check(); print(b.recommend(101)['item_id'].to_list()); "
        "assert 'numba' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, saved[1]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(saved[0].recommend(101)["item_id"].to_list())


def test_without_the_runtime_it_says_what_to_install(
    saved: tuple[Bundle, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    bundle = Bundle.load(saved[1])
    assert bundle.recommend([None]).height == 10
    with pytest.raises(SerendipError, match=r"needs ONNX Runtime.*Try pip install 'serendip\[serve\]'"):
        bundle.recommend(101)


def elsewhere(model: onnx.ModelProto) -> None:
    tensor = next(one for one in model.graph.initializer if one.name == "table")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), "table"))
    onnx.external_data_helper.set_external_data(tensor, location="/etc/passwd")
    tensor.ClearField("raw_data")


def endless(model: onnx.ModelProto) -> None:
    model.graph.node.append(onnx.helper.make_node("Loop", ["one"], ["more"], body=model.graph))


@pytest.mark.parametrize(
    ("change", "text"), [(elsewhere, "It holds data in other files"), (endless, "It holds loops or branches")]
)
def test_a_network_that_reaches_beyond_itself_is_refused(
    saved: tuple[Bundle, Path], change: Callable[[onnx.ModelProto], None], text: str
) -> None:
    def swap(content: Path) -> None:
        path = content / "scorers" / "taste.safetensors"
        tensors = tensorfile.decode("it", path.read_bytes())
        model = onnx.ModelProto.FromString(tensors["query"].tobytes())
        change(model)
        query = np.frombuffer(model.SerializeToString(), np.uint8)
        path.write_bytes(b"".join(tensorfile.encode({**tensors, "query": query})))

    forge(saved[1], swap)
    with pytest.raises(BundleError, match=f"^scorers/taste is not what it must be: the query network .*{text}"):
        Bundle.load(saved[1])
