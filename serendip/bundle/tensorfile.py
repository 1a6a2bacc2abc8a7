"""Named arrays ↔ one file in the safetensors format, without copying: an array that is read is a view of the file.

A file is 8 bytes with the length of the header (little-endian), the header (JSON: name → dtype, shape, place of the
bytes), and the bytes. Source: the format's description in the safetensors project. Its own library copies every array
that it reads or writes; the files are the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.types import SerendipError

Buffer = bytes | memoryview
ALIGNMENT = 8
MOST_HEADER_BYTES = 1 << 20
MOST_DIMENSIONS = 8

_DTYPES = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I16": np.dtype("<i2"),
    "I32": np.dtype("<i4"),
    "I64": np.dtype("<i8"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dtype: str
    shape: Annotated[list[_Size], msgspec.Meta(max_length=MOST_DIMENSIONS)]
    data_offsets: tuple[_Size, _Size]


def encode(tensors: Mapping[str, NDArray[Any]]) -> list[Buffer]:
    """The file's bytes, as parts to be written one after another; the arrays are not copied.

    The order is by size of the numbers (largest first), then name, so that every array is aligned and the same arrays
    always give the same bytes.

    Raises:
        TypeError: an array of a type that the format has no name for.
    """
    header: dict[str, Any] = {}
    parts: list[Buffer] = []
    at = 0
    for name in sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name)):
        array = np.asarray(tensors[name], order="C")
        dtype = array.dtype.newbyteorder("<")
        if dtype not in _NAMES:
            raise TypeError(f"A tensor must be one of {', '.join(_DTYPES)}. Got {array.dtype} for {name!r} instead.")
        flat = array.astype(dtype, copy=False).reshape(-1).view(np.uint8)
        header[name] = {"dtype": _NAMES[dtype], "shape": array.shape, "data_offsets": (at, at + flat.nbytes)}
        at += flat.nbytes
        parts.append(flat.data)
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % ALIGNMENT)
    return [len(text).to_bytes(8, "little") + text, *parts]


def decode(what: str, content: Buffer) -> dict[str, NDArray[Any]]:
    """The arrays of a file that need not be trusted: read-only views of ``content``.

    Args:
        what: how errors name the file.
        content: its bytes.

    Raises:
        SerendipError: not such a file: a header out of bounds, arrays that overlap, leave gaps or reach beyond the end.
    """
    view = memoryview(content)
    length = int.from_bytes(view[:8], "little")
    if len(view) < 8 or length > min(MOST_HEADER_BYTES, len(view) - 8):
        raise SerendipError(f"{what} must begin with the length of its header, at most {MOST_HEADER_BYTES} bytes.")
    try:
        header = msgspec.json.decode(view[8 : 8 + length], type=dict[str, Any])
        header.pop("__metadata__", None)
        entries = msgspec.convert(header, dict[str, _Entry])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SerendipError(f"{what} has a header that describes no tensors: {error}") from error
    data = view[8 + length :]
    out: dict[str, NDArray[Any]] = {}
    end = 0
    for name, entry in sorted(entries.items(), key=lambda pair: pair[1].data_offsets):
        dtype = _DTYPES.get(entry.dtype)
        if dtype is None:
            raise SerendipError(f"{what}: the tensor {name!r} must be of {', '.join(_DTYPES)}. Got {entry.dtype!r}.")
        start, stop = entry.data_offsets
        if start != end or stop - start != math.prod(entry.shape) * dtype.itemsize or stop > len(data):
            raise SerendipError(f"{what}: the bytes of the tensor {name!r} are not where they must be.")
        end = stop
        if dtype == np.bool_ and np.frombuffer(data[start:stop], np.uint8).max(initial=0) > 1:
            raise SerendipError(f"{what}: the tensor {name!r} must hold 0 and 1 only.")
        array = np.frombuffer(data[start:stop], dtype).reshape(entry.shape)
        out[name] = array if array.flags.aligned else array.copy()
    if end != len(data):
        raise SerendipError(f"{what} must end with its last tensor. Got {len(data) - end} bytes more.")
    return out
