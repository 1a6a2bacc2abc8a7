"""Small networks written by hand in ONNX's own notation, whose answers can be worked out on paper."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx.parser
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def made(inputs: str, outputs: str, constants: str, body: str) -> Bytes:
    """The bytes of a model."""
    text = f'<ir_version: 10, opset_import: ["" : 18]> network ({inputs}) => ({outputs}) <{constants}> {{ {body} }}'
    model = onnx.parser.parse_model(text)
    onnx.checker.check_model(model)
    return np.frombuffer(model.SerializeToString(), np.uint8)


def constant(name: str, values: Any) -> str:
    array = np.asarray(values, np.float32)
    return f"float[{', '.join(map(str, array.shape))}] {name} = {{{', '.join(map(str, array.ravel().tolist()))}}}"


COUNTED = "int64[1] along = {1}, float least = {1}"
MEAN = """
    total = ReduceSum<keepdims = 0>(x, along)
    there = Cast<to = 1>(present)
    number = ReduceSum<keepdims = 1>(there, along)
    count = Max(number, least)
    mean = Div(total, count)
"""
ROW = "row = Add(history, one) x = Gather(table, row) present = GreaterOrEqual(history, nought)"
CODES = f"{COUNTED}, int64 one = {{1}}, int64 nought = {{0}}"


def mean_of_codes(table: Any, width: int) -> Bytes:
    """The mean of rows of the table, of which the first belongs to `ABSENT`."""
    return made(
        f"int64[batch, {width}] history",
        f"float[batch, {np.shape(table)[1]}] vector",
        f"{CODES}, {constant('table', table)}",
        ROW + MEAN + "vector = Identity(mean)",
    )


def mean_of_vectors(d: int, width: int) -> Bytes:
    """The mean of the vectors that are there."""
    return made(
        f'float[batch, {width}, {d}] history, bool[batch, {width}] "history.present"',
        f"float[batch, {d}] vector",
        COUNTED,
        'x = Identity(history) present = Identity("history.present")' + MEAN + "vector = Identity(mean)",
    )


def two_heads(table: Any, width: int, signs: Any) -> Bytes:
    """The mean, once for each head, times its signs ``[2, d]``."""
    d = np.shape(table)[1]
    return made(
        f"int64[batch, {width}] history",
        f"float[batch, 2, {d}] vector",
        f"{CODES}, {constant('table', table)}, {constant('signs', signs)}",
        ROW + MEAN + "wide = Unsqueeze(mean, along) vector = Mul(wide, signs)",
    )


def mean_and_age(table: Any, width: int) -> Bytes:
    """The mean, plus the number ``age``, which counts as 0 where it is missing."""
    return made(
        f"int64[batch, {width}] history, float[batch] age",
        f"float[batch, {np.shape(table)[1]}] vector",
        f"{CODES}, {constant('table', table)}, float zero = {{0}}",
        ROW
        + MEAN
        + """
        missing = IsNaN(age) known = Where(missing, zero, age) column = Unsqueeze(known, along)
        vector = Add(mean, column)""",
    )


def by_genre(table: Any, *, told: bool = False) -> Bytes:
    """Of an item the row of its ``genre``, its ``price`` as the bias, and as what is told of it the row doubled."""
    d = np.shape(table)[1]
    outputs, body = f"float[batch, {d}] vector, float[batch] bias", ""
    if told:
        outputs, body = f"{outputs}, float[batch, {d}] told", "told = Add(vector, vector)"
    return made(
        "int64[batch] genre, float[batch] price",
        outputs,
        f"int64 one = {{1}}, {constant('table', table)}",
        "row = Add(genre, one) vector = Gather(table, row) bias = Identity(price)" + body,
    )


def twice() -> Bytes:
    """Of a number its double."""
    return made("float[batch, 1] x", "float[batch, 1] y", "", "y = Add(x, x)")


NO_MODEL: Bytes = np.frombuffer(b"no model", np.uint8)
