"""A frozen dataclass of arrays and plain values ↔ named tensors and a JSON-able header. What is read is not trusted.

The annotations of the class say what is expected: an ``NDArray[dtype]`` field is one tensor, a ``csr_array`` field
three (``name.data``, ``name.indices``, ``name.indptr``) and its number of columns, anything else a value of the header.
What the shapes and values have to do with each other is the class's own ``__post_init__`` to check.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_args, get_type_hints

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from serendip.types import SerendipError

Tensors = dict[str, NDArray[Any]]
Header = dict[str, Any]

_PARTS: dict[str, np.dtype[Any]] = {
    "data": np.dtype(np.float32),
    "indices": np.dtype(np.int32),
    "indptr": np.dtype(np.int64),
}


def pack(value: Any) -> tuple[Tensors, Header]:
    """The fields of a dataclass as contiguous tensors and a header."""
    tensors: Tensors = {}
    header: Header = {}
    kind: type[Any] = type(value)
    for name, hint in _fields(kind).items():
        content = getattr(value, name)
        if hint is csr_array:
            header[name] = {"columns": int(content.shape[1])}
            for part, dtype in _PARTS.items():
                tensors[f"{name}.{part}"] = np.ascontiguousarray(getattr(content, part), dtype)
        elif _dtype(hint) is not None:
            tensors[name] = np.ascontiguousarray(content)
        else:
            header[name] = msgspec.to_builtins(content)
    return tensors, header


def unpack(what: str, kind: type[Any], tensors: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> Any:
    """The dataclass ``kind`` from what `pack` gave; arrays are not copied.

    Args:
        what: how errors name it.
        kind: the dataclass.
        tensors: exactly the tensors of the class.
        header: exactly the other fields of the class.

    Raises:
        SerendipError: something is missing or superfluous, of the wrong type, or outside its bounds.
    """
    hints = _fields(kind)
    _same_names(what, "tensors", _expected_tensors(hints), set(tensors))
    _same_names(what, "header fields", {name for name, hint in hints.items() if _dtype(hint) is None}, set(header))
    content: dict[str, Any] = {}
    for name, hint in hints.items():
        dtype = _dtype(hint)
        if hint is csr_array:
            parts = {part: _typed(what, f"{name}.{part}", tensors, expected) for part, expected in _PARTS.items()}
            content[name] = sparse(f"{what}: {name}", **parts, columns=_columns(what, name, header[name]))
        elif dtype is not None:
            content[name] = _typed(what, name, tensors, dtype)
        else:
            content[name] = _plain(what, name, hint, header[name])
    return kind(**content)


def sparse(what: str, data: NDArray[Any], indices: NDArray[Any], indptr: NDArray[Any], columns: int) -> csr_array:
    """A CSR matrix whose parts are consistent and whose values are finite; nothing is copied where SciPy allows it.

    Raises:
        SerendipError: naming the part that is not as it must be.
    """
    if not (data.ndim == indices.ndim == indptr.ndim == 1):
        raise SerendipError(
            f"{what} must be three vectors. Got {data.ndim}, {indices.ndim} and {indptr.ndim} dimensions."
        )
    if len(data) != len(indices):
        raise SerendipError(f"{what} must have one column index per value. Got {len(indices)} for {len(data)} instead.")
    if len(indptr) == 0 or indptr[0] != 0 or indptr[-1] != len(data) or bool((np.diff(indptr) < 0).any()):
        raise SerendipError(f"{what} must have row offsets that rise from 0 to {len(data)}. They do not.")
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= columns):
        raise SerendipError(f"{what} must have column indices in 0 … {columns - 1}. Got others.")
    if not bool(np.isfinite(data).all()):
        raise SerendipError(f"{what} must hold finite values. Got NaN or infinity.")
    if len(data) <= np.iinfo(np.int32).max:
        indptr = indptr.astype(np.int32)  # otherwise SciPy makes the column indices as wide
    return csr_array((data, indices, indptr), shape=(len(indptr) - 1, columns))


def _fields(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _dtype(hint: Any) -> np.dtype[Any] | None:
    """The dtype of an ``NDArray[…]`` annotation; None for anything else."""
    if getattr(hint, "__origin__", None) is not np.ndarray:
        return None
    dtype: np.dtype[Any] = np.dtype(get_args(get_args(hint)[1])[0])
    return dtype


def _expected_tensors(hints: Mapping[str, Any]) -> set[str]:
    dense = {name for name, hint in hints.items() if _dtype(hint) is not None}
    return dense | {f"{name}.{part}" for name, hint in hints.items() if hint is csr_array for part in _PARTS}


def _same_names(what: str, which: str, expected: set[str], got: set[str]) -> None:
    if expected != got:
        lacks, extra = ", ".join(sorted(expected - got)), ", ".join(sorted(got - expected))
        parts = [text for text in (lacks and f"it lacks {lacks}", extra and f"it has {extra} besides") if text]
        listed = ", ".join(sorted(expected)) or "none"
        raise SerendipError(f"{what} must have the {which} {listed}: {'; '.join(parts)}.")


def _typed(what: str, name: str, tensors: Mapping[str, NDArray[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    tensor = tensors[name]
    if tensor.dtype != dtype:
        raise SerendipError(f"{what}: the tensor {name} must be {dtype}. Got {tensor.dtype} instead.")
    return tensor


def _columns(what: str, name: str, value: Any) -> int:
    columns = value.get("columns") if isinstance(value, dict) and len(value) == 1 else None
    if type(columns) is not int or not 0 <= columns <= np.iinfo(np.int32).max:
        raise SerendipError(
            f'{what}: {name} must be {{"columns": a whole number}} in the header. Got {value!r} instead.'
        )
    return columns


def _plain(what: str, name: str, hint: Any, value: Any) -> Any:
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        raise SerendipError(f"{what}: the field {name} of the header is wrong. {error}. Got {value!r}.") from error
