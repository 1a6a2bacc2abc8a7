from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from serendip.bundle import Bundle, BundleError, tensorfile
from serendip.network.network import Network
from serendip.network.onnxfile import Port
from serendip.pipeline import first_of, retrieve
from serendip.scorers import MaxSimScorer, StaticScores, TowerScorer
from serendip.scorers.feeds import Feed
from serendip.types import Scorer, SerendipError
from tests.bundle.conftest import forge, world
from tests.scorers import networks
from tests.scorers.networks import made, mean_of_codes, twice

FLOAT = np.dtype(np.float32)
ASKED = {"x": np.arange(10, dtype=np.float32)[:, None]}
DOUBLE = np.arange(0, 20, 2, dtype=np.float32)[:, None]


@pytest.mark.parametrize(("chunk", "threads"), [(10, 1), (3, 1), (1, 4), (4, 2)])
def test_a_batch_is_answered_in_order_however_it_is_dealt_out(chunk: int, threads: int) -> None:
    got = Network("it", twice()).run(ASKED, 10, chunk=chunk, threads=threads)
    np.testing.assert_array_equal(got["y"], DOUBLE)


def test_many_threads_may_ask_at_once_and_share_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    whole = Network._opened

    def counting(self: Network) -> Any:
        opened.append(threading.get_ident())
        return whole(self)

    monkeypatch.setattr(Network, "_opened", counting)
    network = Network("it", twice())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda at: network.run({"x": ASKED["x"] + at}, 10, chunk=5)["y"], range(200)))
    for at, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, DOUBLE + 2 * at)
    assert len(opened) == 1


def test_a_session_takes_one_thread_of_its_own() -> None:
    """Threads come from the callers and from the pool: a server would otherwise have as many for each request."""
    session = Network("it", twice())._ready()
    options = session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


@pytest.mark.parametrize(
    ("inputs", "outputs", "text"),
    [
        (
            {"z": Port(FLOAT, (None, 1))},
            {"y": Port(FLOAT, (None, 1))},
            "it must have the inputs z. Got x instead",
        ),
        (
            {"x": Port(FLOAT, (None, 1))},
            {},
            "it must have the outputs none. Got y instead",
        ),
        (
            {"x": Port(FLOAT, (None, 2))},
            {"y": Port(FLOAT, (None, 1))},
            "it: x must be float32 of the shape [any, 2]. Got float32 of the shape [any, 1] instead",
        ),
        (
            {"x": Port(FLOAT, (None,))},
            {"y": Port(FLOAT, (None, 1))},
            "it: x must be float32 of the shape [any]. Got float32 of the shape [any, 1] instead",
        ),
        (
            {"x": Port(np.dtype(np.int64), (None, 1))},
            {"y": Port(FLOAT, (None, 1))},
            "it: x must be int64 of the shape [any, 1]. Got float32 of the shape [any, 1] instead",
        ),
    ],
)
def test_other_inputs_and_outputs_than_expected_are_named(inputs: Any, outputs: Any, text: str) -> None:
    with pytest.raises(SerendipError) as caught:
        Network("it", twice()).require(inputs, outputs)
    assert text in str(caught.value)


def test_a_size_that_is_not_fixed_fits_any() -> None:
    open_ended = made("float[batch, width] x", "float[batch, width] y", "", "y = Identity(x)")
    Network("it", open_ended).require({"x": Port(FLOAT, (None, 3))}, {"y": Port(FLOAT, (None, 3))})


def test_without_the_runtime_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network("the network", twice())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SerendipError, match=r"^the network needs ONNX Runtime.*Try pip install 'serendip\[serve\]'\.$"):
        network.run(ASKED, 10, chunk=10)


def test_bytes_that_are_no_model_are_refused_at_once() -> None:
    with pytest.raises(SerendipError, match=r"^it must be an ONNX model\. It is cut short\.$"):
        Network("it", twice()[:-1])
    with pytest.raises(SerendipError, match="it must be a vector of bytes"):
        Network("it", twice()[None])


def test_a_model_that_the_runtime_refuses_is_an_error_that_names_it() -> None:
    wrong = (
        made("float[batch, 1] x", "float[batch, 1] y", "", "y = Identity(x)")
        .tobytes()
        .replace(b"Identity", b"Identitx")
    )
    with pytest.raises(SerendipError, match="it cannot be run: "):
        Network("it", np.frombuffer(wrong, np.uint8)).run(ASKED, 10, chunk=10)


def test_an_input_that_the_model_cannot_take_is_an_error_that_names_it() -> None:
    network = Network("it", mean_of_codes(np.ones((3, 2)), 2))
    with pytest.raises(SerendipError, match="it cannot be run: "):
        network.run({"history": np.full((1, 2), 7)}, 1, chunk=1)


# --- in a bundle

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


def test_a_bundle_without_the_runtime_answers_as_far_as_it_can(
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
