"""What an ONNX model asks for and gives, read from its bytes, which need not be trusted. Needs no library for it.

A model may hold tensors and operators of ONNX's own set, and nothing else: no data in other files, no operators from
elsewhere, no functions, loops or branches. So it can neither read files nor run on for ever.

Source: the ONNX intermediate representation (``onnx.proto``) and the encoding of Protocol Buffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from serendip.types import SerendipError

MOST_BYTES = (1 << 31) - 1
"""What Protocol Buffers can hold."""
MOST_PARTS = 1 << 20
"""The most parts (operators, attributes, names …) of a model."""

DTYPES: dict[int, np.dtype[Any]] = {1: np.dtype(np.float32), 7: np.dtype(np.int64), 9: np.dtype(np.bool_)}
"""The types of inputs and outputs, by ONNX's numbers for them."""

Shape = tuple[int | None, ...]

_VARINT, _LONG, _BYTES, _SHORT = 0, 1, 2, 5

# The fields that may occur in each kind of message, and what messages they hold ("": none).
_MODEL = {1: "", 2: "", 3: "", 4: "", 5: "", 6: "", 7: "graph", 8: "opset", 14: ""}
_GRAPH = {1: "node", 2: "", 5: "tensor", 10: "", 11: "input", 12: "output", 13: "", 16: ""}
_NODE = {1: "", 2: "", 3: "", 4: "", 5: "attribute", 6: "", 7: "domain", 9: ""}
_ATTRIBUTE = {1: "", 2: "", 3: "", 4: "", 5: "tensor", 7: "", 8: "", 9: "", 10: "tensor", 13: "", 20: ""}
_TENSOR = dict.fromkeys((1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16), "")
_FIELDS = {
    "model": _MODEL,
    "graph": _GRAPH,
    "node": _NODE,
    "attribute": _ATTRIBUTE,
    "tensor": _TENSOR,
    "opset": {1: "domain", 2: ""},
}
_OUTSIDE = {
    ("model", 25): "functions",
    ("attribute", 6): "loops or branches",
    ("attribute", 11): "loops or branches",
    ("tensor", 13): "data in other files",
    ("tensor", 14): "data in other files",
}


@dataclass(frozen=True)
class Port:
    """An input or output: its type and shape; None stands for a size that is not fixed."""

    dtype: np.dtype[Any]
    shape: Shape


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a model by name."""

    inputs: dict[str, Port]
    outputs: dict[str, Port]


def signature(content: bytes | memoryview) -> Signature:
    """What a model asks for and gives.

    Raises:
        SerendipError: not a model that stands on its own; the text begins with what it must be.
    """
    if len(content) > MOST_BYTES:
        raise SerendipError(f"must be at most {MOST_BYTES} bytes. Got {len(content)}")
    found: dict[str, dict[str, Port]] = {"input": {}, "output": {}}
    stack = [("model", memoryview(content))]
    parts = 0
    while stack:
        kind, message = stack.pop()
        known = _FIELDS[kind]
        for number, wire, value in _fields(message):
            parts += 1
            if parts > MOST_PARTS:
                raise SerendipError(f"must have at most {MOST_PARTS} parts. It has more")
            if number not in known:
                what = _OUTSIDE.get((kind, number), f"field {number} of a {kind}")
                raise SerendipError(f"must be an ONNX model that stands on its own. It holds {what}")
            child = known[number]
            if child and wire != _BYTES:
                raise SerendipError(f"must be an ONNX model. Field {number} of a {kind} is not what it must be")
            if child == "domain":
                _own(bytes(value))
            elif child in found:
                name, port = _port(value)
                found[child][name] = port
            elif child:
                stack.append((child, value))
    if not found["output"]:
        raise SerendipError("must be an ONNX model. It has no output")
    return Signature(found["input"], found["output"])


def _own(domain: bytes) -> None:
    if domain:
        raise SerendipError(f"must use ONNX's own operators only. Got some of {domain[:64].decode(errors='replace')!r}")


def _port(message: memoryview) -> tuple[str, Port]:
    """The name and the type of a ``ValueInfoProto``: field 1, and 2 → 1 → (1: type, 2: shape)."""
    name = bytes(_only(message, 1)).decode(errors="replace")
    tensor = _only(_only(message, 2), 1)
    dtype, shape = None, memoryview(b"")
    for number, wire, value in _fields(tensor):
        if number == 1 and wire == _VARINT:
            dtype = DTYPES.get(value)
        elif number == 2 and wire == _BYTES:
            shape = value
    if dtype is None:
        raise SerendipError(f"must have inputs and outputs of {', '.join(map(str, DTYPES.values()))}. {name!r} is not")
    sizes = [_size(value) for number, wire, value in _fields(shape) if (number, wire) == (1, _BYTES)]
    return name, Port(dtype, tuple(sizes))


def _size(dimension: memoryview) -> int | None:
    for number, wire, value in _fields(dimension):
        if (number, wire) == (1, _VARINT):
            return int(value)
    return None


def _only(message: memoryview, wanted: int) -> memoryview:
    found = [value for number, wire, value in _fields(message) if (number, wire) == (wanted, _BYTES)]
    if len(found) != 1:
        raise SerendipError("must be an ONNX model whose inputs and outputs are tensors with a name")
    view: memoryview = found[0]
    return view


def _fields(message: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Number, kind of encoding and value of each field: an integer, or the bytes."""
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, wire, value
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in (_LONG, _SHORT):
            size = 8 if wire == _LONG else 4
        else:
            raise SerendipError("must be an ONNX model. Its bytes are not well formed")
        if size > end - at:
            raise SerendipError("must be an ONNX model. It is cut short")
        yield number, wire, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The integer that begins there, and where it ends. It must not be longer than it need be: readers differ then."""
    value = 0
    for place in range(10):
        if at + place >= len(message):
            raise SerendipError("must be an ONNX model. It is cut short")
        byte = message[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if (byte == 0 and place) or value >= 1 << 64:
                break
            return value, at + place + 1
    raise SerendipError("must be an ONNX model. Its bytes are not well formed")


__all__ = ["Port", "Signature", "signature"]
