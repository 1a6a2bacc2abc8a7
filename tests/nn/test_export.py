from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from serendip.network.network import Network
from serendip.nn import export
from serendip.nn.export import to_onnx
from serendip.types import SerendipError

N, D, T = 30, 8, 6


class Start(nn.Module):
    """Vectors of codes, row 0 the zero vector of nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(N + 1, D))
        with torch.no_grad():
            self.table[0] = 0

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        codes = inputs["history"]
        return self.read(self.table[codes + 1], codes >= 0)

    def read(self, x: Tensor, present: Tensor) -> Tensor:
        raise NotImplementedError


class Mean(Start):
    def read(self, x: Tensor, present: Tensor) -> Tensor:
        return x.sum(1) / present.sum(1, keepdim=True).clamp(min=1)


class Attention(Start):
    """One causal block over positions counted from the end."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.randn(T, D))
        self.qkv, self.out, self.norm = nn.Linear(D, 3 * D), nn.Linear(D, D), nn.LayerNorm(D)
        self.dropout = nn.Dropout(0.5)

    def read(self, x: Tensor, present: Tensor) -> Tensor:
        b, t, d = x.shape
        x = (x + self.place) * present.unsqueeze(-1)
        q, k, v = self.qkv(self.norm(x)).view(b, t, 3, 2, d // 2).permute(2, 0, 3, 1, 4).unbind(0)
        causal = torch.ones(t, t, dtype=torch.bool, device=x.device).tril()
        mask = (causal & present[:, None, None, :]) | torch.eye(t, dtype=torch.bool, device=x.device)
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).reshape(b, t, d)
        return (x + self.dropout(self.out(y)))[:, -1]


class Recurrent(Start):
    def __init__(self, kind: type[nn.GRU] | type[nn.LSTM], layers: int = 2) -> None:
        super().__init__()
        self.layer = kind(D, 5, num_layers=layers, batch_first=True)
        self.out = nn.Linear(5, D)

    def read(self, x: Tensor, present: Tensor) -> Tensor:
        return self.out(self.layer(x)[0][:, -1])


MADE: dict[str, Callable[[], nn.Module]] = {
    "mean": Mean,
    "attention": Attention,
    "gru": lambda: Recurrent(nn.GRU),
    "lstm": lambda: Recurrent(nn.LSTM),
}


def histories(rows: int, seed: int = 0) -> Tensor:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, N, (rows, T))
    codes[np.arange(T) < T - rng.integers(1, T + 1, rows)[:, None]] = -1
    return torch.from_numpy(codes)


def network(content: bytes) -> Network:
    return Network("it", np.frombuffer(content, np.uint8))


@pytest.fixture(scope="module", autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize("name", MADE)
def test_it_answers_as_the_module_for_batches_of_any_size(name: str) -> None:
    module = MADE[name]().train()
    made = network(to_onnx(module, {"history": histories(3)}, ["vector"]))
    assert module.training, "the module itself must stay as it was"
    asked = histories(40, seed=1)
    with torch.no_grad():
        expected = module.eval()({"history": asked}).numpy()
    got = made.run({"history": asked.numpy()}, 40, chunk=40)["vector"]
    np.testing.assert_allclose(got, expected, atol=1e-5)
    for row in range(5):
        alone = made.run({"history": asked[row : row + 1].numpy()}, 1, chunk=1)["vector"]
        np.testing.assert_allclose(alone[0], got[row], atol=1e-5)


def test_new_weights_of_the_same_make_are_not_traced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    to_onnx(Attention(), {"history": histories(3)}, ["vector"])
    monkeypatch.setattr(export, "_traced", lambda *_: pytest.fail("traced again"))
    module = Attention().eval()
    made = network(to_onnx(module, {"history": histories(4)}, ["vector"]))
    asked = histories(6, seed=2)
    expected = module({"history": asked}).detach().numpy()
    np.testing.assert_allclose(made.run({"history": asked.numpy()}, 6, chunk=6)["vector"], expected, atol=1e-5)


class Holder(nn.Module):
    """Holds parts that its answer does not depend on, one that it does, and several in a list."""

    def __init__(self, unread: nn.Module | None, scale: float = 2.0) -> None:
        super().__init__()
        self.unread = unread
        self.layers = nn.ModuleList([nn.Linear(D, D), Scale(scale)])

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        x = inputs["x"]
        for layer in self.layers:
            x = layer(x)
        return x


class Scale(nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def test_parts_that_an_answer_does_not_depend_on_may_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    examples, traced = {"x": torch.randn(3, D)}, []
    trace = export._traced
    monkeypatch.setattr(export, "_traced", lambda *given: traced.append(given[1]) or trace(*given))
    export._graphs.clear()
    for number, unread in enumerate((None, nn.Embedding(5, D), nn.Embedding(9, D), nn.Linear(D, 1))):
        torch.manual_seed(number)
        module = Holder(unread)
        got = network(to_onnx(module, examples, ["vector"])).run({"x": examples["x"].numpy()}, 3, chunk=3)
        np.testing.assert_allclose(got["vector"], module(examples).detach().numpy(), atol=1e-6)
    assert len(traced) == 1
    to_onnx(Holder(None, scale=2.000001), examples, ["vector"])
    assert len(traced) == 2, "what a part in a list is set to must count, however little it changes"


class Hidden(Mean):
    """What it does depends on something that its make does not show."""

    def __init__(self, scale: list[float]) -> None:
        super().__init__()
        self.scale = scale

    def read(self, x: Tensor, present: Tensor) -> Tensor:
        return super().read(x, present) * self.scale[0]


def test_a_kept_graph_that_answers_otherwise_is_traced_anew() -> None:
    asked = histories(5)
    for scale in (1.0, 3.0, 1e-6, 2e-6):
        module = Hidden([scale])
        got = network(to_onnx(module, {"history": asked}, ["vector"])).run({"history": asked.numpy()}, 5, chunk=5)
        np.testing.assert_allclose(got["vector"], module({"history": asked}).detach().numpy(), rtol=1e-4)


def test_it_holds_nothing_but_the_network() -> None:
    """Neither paths of source files nor data elsewhere, and the same weights give the same bytes."""
    torch.manual_seed(5)
    module = Mean()
    first = to_onnx(module, {"history": histories(3)}, ["vector"])
    export._graphs.clear()
    assert to_onnx(module, {"history": histories(3)}, ["vector"]) == first
    assert b".py" not in first
    model = onnx.ModelProto.FromString(first)
    onnx.checker.check_model(model, full_check=True)
    assert [opset.domain for opset in model.opset_import] == [""]
    assert model.opset_import[0].version >= 17
    assert [size.dim_value for size in model.graph.input[0].type.tensor_type.shape.dim] == [0, T]


class Spare(Mean):
    """With weights that its answer does not need."""

    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Parameter(torch.randn(1000))


def test_weights_that_nothing_reads_are_left_out() -> None:
    examples = {"history": histories(3)}
    assert len(to_onnx(Spare(), examples, ["vector"])) == len(to_onnx(Mean(), examples, ["vector"]))


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0, 3.0]))

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        x = torch.nan_to_num(inputs["a feature/0"])
        return {"bias": x.sum(1), "vector": x * self.weight}


def test_outputs_and_inputs_have_the_names_given() -> None:
    x = torch.tensor([[1.0, 2.0], [float("nan"), 1.0]])
    got = network(to_onnx(Several(), {"a feature/0": x}, ["vector", "bias"])).run(
        {"a feature/0": x.numpy()}, 2, chunk=2
    )
    np.testing.assert_allclose(got["vector"], [[2, 6], [0, 3]])
    np.testing.assert_allclose(got["bias"], [3, 1])


class Fickle(Mean):
    """Answers otherwise each time."""

    calls = 0

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        self.calls += 1
        return super().forward(inputs) * self.calls


def test_a_module_that_answers_otherwise_than_its_model_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"Fickle exported to ONNX must answer as in PyTorch, within 0\.0001"):
        to_onnx(Fickle(), {"history": histories(3)}, ["vector"])


class ByValue(Mean):
    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        if inputs["history"][0, 0] > 3:
            return super().forward(inputs)
        return super().forward(inputs) * 2


def test_a_module_that_cannot_be_exported_is_named() -> None:
    with pytest.raises(SerendipError, match="ByValue cannot be exported to ONNX: "):
        to_onnx(ByValue(), {"history": histories(3)}, ["vector"])


def test_without_the_exporter_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(
        SerendipError, match=r"onnxscript, which is not installed\. Try pip install 'serendip\[train\]'"
    ):
        to_onnx(Mean(), {"history": histories(3)}, ["vector"])


def test_only_what_is_known_not_to_matter_is_left_unsaid(caplog: pytest.LogCaptureFixture) -> None:
    """Warnings fail these tests, so that none is left; of the exporter's log one kind of line is dropped."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")
    log.addHandler(caplog.handler)
    try:
        with export._quiet():
            log.warning("torchvision is not installed. Skipping %s", "torchvision::nms")
            log.warning("something else")
        log.warning("torchvision is not installed. Skipping %s", "torchvision::nms")
    finally:
        log.removeHandler(caplog.handler)
    said = [record.getMessage() for record in caplog.records]
    assert list(dict.fromkeys(said)) == [
        "something else",
        "torchvision is not installed. Skipping torchvision::nms",
    ]
