"""Tensor files are those of the safetensors library, read as views, and refused where they are malformed."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from serendip.bundle.tensorfile import decode, encode
from serendip.types import SerendipError

DTYPES = ["bool", "u1", "<i2", "<i4", "<i8", "<f4", "<f8"]
tensors = st.dictionaries(
    st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
    st.sampled_from(DTYPES).flatmap(
        lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    ),
    max_size=4,
)


def whole(content: dict[str, np.ndarray[Any, Any]]) -> bytes:
    return b"".join(encode(content))


@given(tensors)
def test_the_library_reads_what_is_written(content: dict[str, np.ndarray[Any, Any]]) -> None:
    read = safetensors.numpy.load(whole(content))
    assert read.keys() == content.keys()
    for name, array in content.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


@given(tensors)
def test_what_the_library_writes_is_read(content: dict[str, np.ndarray[Any, Any]]) -> None:
    read = decode("it", safetensors.numpy.save(content, metadata={"by": "another"}))
    assert read.keys() == content.keys()
    for name, array in content.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def test_the_same_tensors_give_the_same_bytes_in_any_order() -> None:
    a, b = np.arange(3, dtype=np.int32), np.ones((2, 2), np.float64)
    assert whole({"a": a, "b": b}) == whole({"b": b, "a": a})


def test_a_tensor_in_another_memory_order_is_written_in_c_order() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert whole({"a": np.asfortranarray(array), "b": array[:, ::2]}) == whole({"a": array, "b": array[:, ::2].copy()})


def test_nothing_is_copied_and_nothing_can_be_written() -> None:
    array = np.arange(5, dtype=np.float32)
    parts = encode({"x": array})
    assert np.shares_memory(np.frombuffer(parts[1], np.float32), array)
    content = b"".join(parts)
    read = decode("it", content)["x"]
    assert np.shares_memory(read, np.frombuffer(content, np.uint8))
    assert read.flags.aligned
    assert not read.flags.writeable


def test_a_type_without_a_name_is_refused() -> None:
    with pytest.raises(TypeError, match=r"must be one of BOOL, .*F64\. Got complex128 for 'x' instead"):
        encode({"x": np.zeros(1, np.complex128)})


def made(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def tensor(dtype: str = "F32", shape: Any = (1,), at: Any = (0, 4)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": at}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must begin with the length of its header"),
        (b"\0" * 7, "must begin with the length of its header"),
        (made({}, length=3), "must begin with the length of its header"),
        (made({}, length=1 << 62), "must begin with the length of its header, at most 1048576 bytes"),
        (made(b"{" + b" " * (1 << 20) + b"}"), "at most 1048576 bytes"),
        (made(b"not json"), "header that describes no tensors"),
        (made(b'{"\xff": 1}'), "header that describes no tensors"),
        (made(b"[" * 100_000), "header that describes no tensors"),
        (made([1]), "header that describes no tensors"),
        (made({"x": {"dtype": "F32"}}), "header that describes no tensors"),
        (made({"x": tensor() | {"load": "os.system"}}, b"\0" * 4), "header that describes no tensors"),
        (made({"x": tensor(shape=[-1])}, b"\0" * 4), "header that describes no tensors"),
        (made({"x": tensor(shape=[1] * 9)}, b"\0" * 4), "header that describes no tensors"),
        (made({"x": tensor(shape=[1 << 62, 1 << 62])}, b"\0" * 4), "not where they must be"),
        (made({"x": tensor(dtype="BOOL", at=[0, 1])}, b"\2"), "the tensor 'x' must hold 0 and 1 only"),
        (made({"x": tensor(dtype="O")}, b"\0" * 4), r"must be of BOOL, .* Got 'O'"),
        (made({"x": tensor()}, b"\0" * 3), "the bytes of the tensor 'x' are not where they must be"),
        (made({"x": tensor()}, b"\0" * 5), "must end with its last tensor. Got 1 bytes more"),
        (made({"x": tensor(at=[1, 5])}, b"\0" * 5), "not where they must be"),
        (made({"x": tensor(at=[4, 0])}, b"\0" * 4), "not where they must be"),
        (made({"x": tensor(), "y": tensor()}, b"\0" * 4), "not where they must be"),
        (made({"x": tensor(), "y": tensor(at=[5, 9])}, b"\0" * 9), "not where they must be"),
    ],
)
def test_a_malformed_file_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(SerendipError, match=f"^it.*{message}"):
        decode("it", content)


def test_an_unaligned_tensor_is_copied() -> None:
    values = np.array([1.5, -2.0], np.float32)
    content = made(json.dumps({"x": tensor(shape=[2], at=[0, 8])}).encode() + b" ", values.tobytes())
    for shift in range(4):
        buffer = np.frombuffer(b"\0" * shift + content, np.uint8)[shift:]
        read = decode("it", buffer.data)["x"]
        assert read.flags.aligned
        assert read.tolist() == [1.5, -2.0]


@given(st.binary(max_size=200))
def test_anything_is_read_or_refused(content: bytes) -> None:
    with suppress(SerendipError):
        decode("it", content)


@given(tensors, st.data())
def test_a_changed_file_is_read_or_refused(content: dict[str, np.ndarray[Any, Any]], data: st.DataObject) -> None:
    changed = bytearray(whole(content))
    changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    with suppress(SerendipError):
        decode("it", bytes(changed))
