"""Fitted features ↔ named tensors and a JSON-able header. What is read is not trusted.

The annotations of a part's class say what is expected: an ``NDArray`` field, a `Vocabulary` and a `Distribution` are
tensors, anything else a value of the header. A vocabulary that several parts share is stored once, and so are the
files of a sentence encoder.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, get_type_hints

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.features.codes import Categories, Chunks, Hashes, Intervals, Words
from serendip.data.features.declared import Declared, Feature
from serendip.data.features.distribution import Distribution
from serendip.data.features.folder import Files
from serendip.data.features.measures import Ages, Cycles, Numbers, Recencies, Vectors
from serendip.data.features.part import Part
from serendip.data.features.sentences import Sentences
from serendip.data.features.vocabulary import Vocabulary
from serendip.types import SerendipError

Tensors = dict[str, NDArray[Any]]
Header = dict[str, Any]
_Shared = tuple[dict[str, Vocabulary], dict[str, Files]]

PARTS: dict[str, type[Any]] = {
    "category": Categories,
    "hash": Hashes,
    "unified": Chunks,
    "text": Words,
    "sentence": Sentences,
    "bucket": Intervals,
    "number": Numbers,
    "vector": Vectors,
    "cycle": Cycles,
    "recency": Recencies,
    "age": Ages,
}
"""What a feature of each kind is when it was fitted."""


FILES = ("model", "tokenizer")
"""Of an encoder."""


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    declared: Feature
    state: dict[str, Any] = {}


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    clock: str
    parts: list[_Part]


def pack(parts: tuple[Part, ...], clock: str) -> tuple[Tensors, Header]:
    """The parts, their arrays by ``<name>.<field>``, vocabularies by ``vocabulary.<table or name>``."""
    tensors: Tensors = {}
    headers = []
    for part in parts:
        state: dict[str, Any] = {}
        for field in fields(part)[2:]:  # type: ignore[arg-type]
            value = getattr(part, field.name)
            if isinstance(value, Vocabulary):
                tensors |= _packed_texts(f"vocabulary.{value.name}", value.values)
            elif isinstance(value, Distribution):
                tensors |= {f"{part.name}.bounds": value.bounds, f"{part.name}.levels": value.levels}
            elif isinstance(value, Files):
                state["digest"] = value.digest
                if value.kept:
                    tensors |= {f"encoder.{value.digest}.{one}": getattr(value, one) for one in FILES}
            elif isinstance(value, np.ndarray):
                tensors[f"{part.name}.{field.name}"] = value
            else:
                state[field.name] = value
        headers.append({"name": part.name, "declared": msgspec.to_builtins(part.declared), "state": state})
    return tensors, {"clock": clock, "parts": headers}


def unpack(tensors: Mapping[str, NDArray[Any]], header: Mapping[str, Any]) -> tuple[tuple[Part, ...], str]:
    """The inverse of `pack`.

    Raises:
        SerendipError: something is missing, superfluous, of the wrong type, or not sound.
    """
    try:
        stored = msgspec.convert(dict(header), _Header)
    except msgspec.ValidationError as error:
        raise SerendipError(f"features: the header is wrong. {error}.") from error
    names = [one.name for one in stored.parts]
    if len(set(names)) != len(names):
        raise SerendipError("features: the header must name every feature once.")
    rest = dict(tensors)
    shared: _Shared = ({}, {})
    parts = tuple(_part(one, rest, shared) for one in stored.parts)
    if rest:
        raise SerendipError(f"features: there are tensors that belong to no feature: {', '.join(sorted(rest))}.")
    return parts, stored.clock


def _part(stored: _Part, tensors: Tensors, shared: _Shared) -> Part:
    """One part; takes its tensors out of ``tensors``, or what another one took."""
    name, declared = stored.name, stored.declared
    kind = PARTS[str(declared.__struct_config__.tag)]
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    state = dict(stored.state)
    for field in fields(kind)[2:]:
        hint = hints[field.name]
        if hint is Vocabulary:
            values[field.name] = _vocabulary(name, declared, tensors, shared[0])
        elif hint is Files:
            values[field.name] = _files(name, declared, _plain(name, "digest", str, state), tensors, shared[1])
        elif hint is Distribution:
            values[field.name] = Distribution(_doubles(name, "bounds", tensors), _doubles(name, "levels", tensors))
        elif hint in (int, str):
            values[field.name] = _plain(name, field.name, hint, state)
        else:
            values[field.name] = _doubles(name, field.name, tensors)
    if state:
        raise SerendipError(f"features.{name}: the header has fields that it must not have: {', '.join(state)}.")
    part: Part = kind(name, declared, **values)
    return part


def _vocabulary(name: str, declared: Declared, tensors: Tensors, known: dict[str, Vocabulary]) -> Vocabulary:
    key = getattr(declared, "table", "") or name
    buckets = getattr(declared, "oov_buckets", 1)
    if key not in known:
        known[key] = Vocabulary(key, buckets, _texts(f"vocabulary.{key}", tensors))
    if known[key].oov_buckets != buckets:
        raise SerendipError(f"features.{name}: features of one table must agree in oov_buckets.")
    return known[key]


def _files(name: str, declared: Declared, digest: str, tensors: Tensors, known: dict[str, Files]) -> Files:
    if not getattr(declared, "keep", False):
        nothing = np.empty(0, np.uint8)
        return Files(digest, nothing, nothing)
    if digest not in known:
        model, tokenizer = (_take(f"encoder.{digest}.{one}", np.uint8, tensors) for one in FILES)
        known[digest] = Files(digest, model, tokenizer)
    return known[digest]


def _packed_texts(name: str, texts: pl.Series) -> Tensors:
    """Texts one behind another in UTF-8, and where each ends."""
    encoded = [text.encode() for text in texts.to_list()]
    ends = np.cumsum([len(part) for part in encoded], dtype=np.int64)
    return {f"{name}.ends": ends, f"{name}.bytes": np.frombuffer(b"".join(encoded), np.uint8)}


def _texts(name: str, tensors: Tensors) -> pl.Series:
    ends, data = _take(f"{name}.ends", np.int64, tensors), _take(f"{name}.bytes", np.uint8, tensors)
    starts = np.concatenate([[0], ends])
    if (np.diff(starts) < 0).any() or starts[-1] != len(data):
        raise SerendipError(f"features: {name} must have ends that rise to {len(data)}.")
    whole = data.tobytes()
    try:
        return pl.Series([whole[a:b].decode() for a, b in zip(starts[:-1], ends, strict=True)], dtype=pl.String)
    except UnicodeDecodeError as error:
        raise SerendipError(f"features: {name} must be UTF-8 text.") from error


def _doubles(name: str, field: str, tensors: Tensors) -> NDArray[np.float64]:
    return _take(f"{name}.{field}", np.float64, tensors)


def _take(name: str, dtype: Any, tensors: Tensors) -> NDArray[Any]:
    if name not in tensors:
        raise SerendipError(f"features: the tensor {name} is missing.")
    tensor = tensors.pop(name)
    if tensor.dtype != np.dtype(dtype) or tensor.ndim != 1:
        raise SerendipError(f"features: the tensor {name} must be a vector of {np.dtype(dtype)}.")
    return tensor


def _plain(name: str, field: str, hint: Any, state: dict[str, Any]) -> Any:
    if field not in state or type(state[field]) is not hint:
        raise SerendipError(f"features.{name}: the header must have {field} as {hint.__name__}.")
    return state.pop(field)
