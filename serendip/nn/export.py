"""Modules as ONNX models, so that what was trained answers without PyTorch. Needs ``onnx``, ``onnxscript`` and ONNX
Runtime beside PyTorch.

A module that is exported takes one mapping, from names to tensors whose first axis is the batch, and returns a tensor
or a mapping of tensors. The batch may be of any size afterwards; all other sizes stay as they were.

Tracing a module takes seconds, so the graph is kept, without its weights, for the next module of the same make: a model
that is asked after each epoch, or fitted again, is traced once. What the module holds and its answer does not depend on
may differ: a network that is told vectors of items has one graph, however many items there are. Every model that is
made is compared with its module on examples; where a kept graph does not answer as the module does, the module is
traced anew.
"""

from __future__ import annotations

import copy
import logging
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from serendip.network.network import Network
from serendip.nn.reached import reached
from serendip.nn.recurrent_nodes import with_nodes
from serendip.types import SerendipError

OPSET = 18
TOLERANCE = 1e-4
"""Of what the exported model answers, relative to the largest number of all examples where that is above 1: so much is
lost to rounding where large numbers nearly cancel."""
KEPT = 1e-5
"""Of what a model of a kept graph answers, relative to the largest number."""
MOST_GRAPHS = 32
BATCH, FEW = "batch", "few"
"""What the first axis of inputs and outputs is called."""

_graphs: OrderedDict[Any, Any] = OrderedDict()
_registries: dict[int, Any] = {}
_tracing = threading.Lock()


def to_onnx(
    module: nn.Module, examples: Mapping[str, Tensor], outputs: Sequence[str], *, fewer: Sequence[str] = ()
) -> bytes:
    """The module, as it answers in evaluation, as an ONNX model that stands on its own.

    The module is not changed, wherever it lies; the model is made and tried on the CPU.

    Args:
        module: from a mapping of tensors to a tensor, or to a mapping with the names of ``outputs``.
        examples: its inputs by name, ``[b, …]`` with b of 2 or more. All that the module can meet should occur: the
            model is compared with the module on them.
        outputs: names of what it gives.
        fewer: inputs whose first axis is not the batch: it may have any size of its own. The first example must read
            the first row of each.

    Raises:
        SerendipError: what exports is not installed, the module cannot be exported, or the model does not answer as the
            module does, within `TOLERANCE`.
    """
    onnx = _exporter()
    inputs = {name: value.detach().cpu() for name, value in examples.items()}
    with _tracing, torch.no_grad():
        listed = _Listed(_on_cpu(module), outputs).eval()
        with reached(listed) as parts:
            expected = [value.numpy() for value in listed(inputs)]
        weights = _weights(listed)
        key = _make_of(listed, parts, inputs, outputs), tuple(fewer)
        kept = _graphs.get(key)
        if kept is not None:
            _graphs.move_to_end(key)
            content = _filled(kept, weights)
            if _difference(content, inputs, outputs, expected, kept=True) is None:
                return content
        graph = _emptied(onnx, _traced(onnx, listed, inputs, outputs, fewer), weights, fewer)
        content = _filled(graph, weights)
        difference = _difference(content, inputs, outputs, expected)
        if difference is not None:
            raise SerendipError(
                f"{type(module).__qualname__} exported to ONNX must answer as in PyTorch, within {TOLERANCE:g}. "
                f"{difference} Try: operations that do not depend on values, as in serendip.nn."
            )
        _graphs[key] = graph
        while len(_graphs) > MOST_GRAPHS:
            _graphs.popitem(last=False)
        return content


class _Listed(nn.Module):
    """The outputs of a module in order."""

    def __init__(self, net: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.net = net
        self.names = tuple(names)

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """By name; a module that returns one tensor has one name."""
        found = self.net(inputs)
        return (found,) if isinstance(found, Tensor) else tuple(found[name] for name in self.names)


def _exporter() -> Any:
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise SerendipError(
            f"A model is made to answer without PyTorch by {error.name}, which is not installed. "
            "Try pip install 'serendip[train]'."
        ) from error
    return onnx


def _on_cpu(module: nn.Module) -> nn.Module:
    """A copy for the CPU that shares what lies there already."""
    tensors = [*module.parameters(), *module.buffers()]
    shared = {id(value): value for value in tensors if value.device.type == "cpu"}
    return copy.deepcopy(module, shared).cpu()


def _weights(module: nn.Module) -> dict[str, Tensor]:
    named = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    return {name: value.detach() for name, value in named}


def _make_of(module: nn.Module, reached: Set[int], inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> Any:
    """What modules that have the same graph have in common: classes, plain settings, and shapes, of parts by id."""
    named = [(name, part) for name, part in module.named_modules(remove_duplicate=False) if id(part) in reached]
    parts = [(name, type(part), _settings(part, reached)) for name, part in named]
    shapes = [(name, tuple(value.shape[1:]), value.dtype) for name, value in inputs.items()]
    return tuple(parts), tuple((name, *_shapes(part)) for name, part in named), tuple(shapes), tuple(outputs)


def _shapes(part: nn.Module) -> Iterator[tuple[str, tuple[int, ...], torch.dtype]]:
    """Of the module's own weights."""
    for name, value in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
        yield name, tuple(value.shape), value.dtype


def _settings(part: nn.Module, reached: Set[int]) -> str:
    """The plain settings of a module, but for what only training asks for; a part that is not reached is as none."""
    if type(part).__name__.endswith("Dropout"):
        return ""
    plain = (bool, int, float, str, tuple, type(None))
    named = [(name, value) for name, value in vars(part).items() if isinstance(value, plain)]
    named += [(name, None) for name, inner in part._modules.items() if id(inner) not in reached]
    return repr(sorted((name, value) for name, value in named if "dropout" not in name and name != "sparse"))


def _traced(
    onnx: Any, module: nn.Module, inputs: dict[str, Tensor], outputs: Sequence[str], fewer: Sequence[str]
) -> Any:
    """The graph as the exporter gives it: nothing folded, so that every weight stays what it is and under its name."""
    batch, few = (torch.export.Dim(name, min=1) for name in (BATCH, FEW))
    dynamic = ({name: {0: few if name in fewer else batch} for name in inputs},)
    try:
        with _quiet(), _one_registry():
            program = torch.export.export(with_nodes(module), (inputs,), dynamic_shapes=dynamic, strict=False)
            made = torch.onnx.export(
                program,
                (),
                dynamo=True,
                input_names=list(inputs),
                output_names=list(outputs),
                opset_version=OPSET,
                optimize=False,
                verbose=False,
            )
            assert made is not None
            return onnx.ModelProto.FromString(made.model_proto.SerializeToString())
    except Exception as error:
        text = str(error).strip().splitlines() or [type(error).__name__]
        raise SerendipError(f"{type(module.net).__qualname__} cannot be exported to ONNX: {text[0]}") from error


def _emptied(onnx: Any, model: Any, weights: Mapping[str, Tensor], fewer: Sequence[str]) -> Any:
    """The graph made smaller, without the values of weights, and without what says where and how it was made."""
    from onnxscript.optimizer import fold_constants, remove_unused_nodes

    held = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in weights}
    rest = [tensor for tensor in model.graph.initializer if tensor.name not in weights]
    _replace(model.graph.initializer, rest)
    # As inputs weights are not folded into others.
    shapes = [onnx.helper.make_tensor_value_info(name, one.data_type, one.dims) for name, one in held.items()]
    model.graph.input.extend(shapes)
    fold_constants(model, onnx_shape_inference=False)
    remove_unused_nodes(model)
    graph = model.graph
    _replace(graph.input, [port for port in graph.input if port.name not in held])
    read = {name for node in graph.node for name in node.input}
    for name, tensor in held.items():
        tensor.ClearField("raw_data")
        if name in read:
            graph.initializer.append(tensor)
    model.producer_name = model.producer_version = ""
    graph.name = "network"
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.doc_string = ""
        del part.metadata_props[:]
    for port in (*graph.input, *graph.output):
        port.type.tensor_type.shape.dim[0].dim_param = FEW if port.name in fewer else BATCH
    return model


def _replace(field: Any, values: Sequence[Any]) -> None:
    kept = [copy.deepcopy(value) for value in values]
    del field[:]
    field.extend(kept)


def _filled(graph: Any, weights: Mapping[str, Tensor]) -> bytes:
    """The bytes of the model with these weights."""
    model = type(graph)()
    model.CopyFrom(graph)
    for tensor in model.graph.initializer:
        if tensor.name in weights:
            tensor.raw_data = weights[tensor.name].contiguous().numpy().tobytes()
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _difference(
    content: bytes,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    expected: Sequence[NDArray[Any]],
    *,
    kept: bool = False,
) -> str | None:
    """How the model answers otherwise than the module, for all examples at once and for the first alone; or None.

    One of a ``kept`` graph must do better, however small the numbers are: it may be that of another module.
    """
    network = Network("the exported network", np.frombuffer(content, np.uint8))
    arrays = {name: value.numpy() for name, value in inputs.items()}
    rows = len(expected[0])
    for count in (rows, 1):
        got = network.run(arrays, count, chunk=count)
        for name, whole in zip(outputs, expected, strict=True):
            wanted = whole[:count]
            if got[name].shape != wanted.shape:
                return f"Its {name} has the shape {got[name].shape} instead of {wanted.shape}."
            largest = np.nanmax(np.abs(whole), initial=0)
            scale = KEPT * largest if kept else TOLERANCE * max(1, largest)
            close = np.abs(got[name] - wanted) <= scale
            if not bool((close | (np.isnan(got[name]) & np.isnan(wanted))).all()):
                return f"Its {name} differs by {float(np.nanmax(np.abs(got[name] - wanted))):.3g}."
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's words about its own inside, which nobody who exports can do anything about."""
    log = logging.getLogger("torch.onnx._internal.exporter._registration")

    def wanted(record: logging.LogRecord) -> bool:
        return "torchvision is not installed" not in record.getMessage()

    log.addFilter(wanted)
    try:
        with warnings.catch_warnings():
            # PyTorch copies programs through a class that it has deprecated itself.
            warnings.filterwarnings("ignore", r".*isinstance\(treespec, LeafSpec\)", FutureWarning)
            yield
    finally:
        log.removeFilter(wanted)


@contextmanager
def _one_registry() -> Iterator[None]:
    """The exporter makes its table of operators anew for every export, which takes most of the time: once will do."""
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry
    except ImportError:  # inside PyTorch, hence not for ever; then it takes its time
        yield
        return
    made = ONNXRegistry.__dict__["from_torchlib"]

    def kept(opset_version: int = OPSET) -> Any:
        if opset_version not in _registries:
            _registries[opset_version] = made.__func__(ONNXRegistry, opset_version)
        return _registries[opset_version]

    ONNXRegistry.from_torchlib = staticmethod(kept)  # type: ignore[method-assign]
    try:
        yield
    finally:
        ONNXRegistry.from_torchlib = made  # type: ignore[method-assign]


__all__ = ["OPSET", "TOLERANCE", "to_onnx"]
