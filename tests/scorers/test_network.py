from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from serendip.scorers.network import Network
from serendip.scorers.onnxfile import Port
from serendip.types import SerendipError
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
