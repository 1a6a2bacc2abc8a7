"""A sentence encoder, run with ONNX Runtime; nothing is ever fetched.

ONNX Runtime and the library ``tokenizers`` (extra ``text``) are imported when the first text is read. Texts of the same
number of tokens go together, so that nothing is padded and a vector does not depend on its neighbours.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from serendip.data.features.folder import TOKENIZER, Files
from serendip.network.network import Network
from serendip.types import Floats, SerendipError

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
MADE = "sentence_embedding"
"""The output that is taken where there is one of this name; else the first."""
USUAL_LENGTH = 512
TOKENS = 2048
"""So many tokens are read at once by a thread."""
AT_ONCE = 16
"""So many times `TOKENS` are asked for together."""
MOST_KNOWN_BYTES = 1 << 28
"""Vectors of texts that an encoder remembers."""
MOST_OPEN = 4
"""Encoders that stay open."""


class Encoder:
    """A function from texts to vectors, which remembers those it has made. It may be asked from many threads."""

    def __init__(self, name: str, files: Files, max_length: int | None, pooling: str) -> None:
        """The encoder of these files, which need not be trusted.

        Raises:
            SerendipError: no ONNX model that stands on its own, or one that reads or gives something else.
        """
        self.files = files
        self._what = f"The sentence encoder {name!r}"
        self._network = Network(self._what, files.model, extra="text")
        self._output, self._pooled = self._checked()
        self._pooling, self._max_length = pooling, max_length
        self._lock = threading.Lock()
        self._tokenizer: Any = None
        self._known: OrderedDict[str, Floats] = OrderedDict()

    @property
    def size(self) -> int | None:
        """How many numbers a vector has, where the model says so."""
        return self._network.signature.outputs[self._output].shape[-1]

    def width(self) -> int:
        """How many numbers a vector has; the model is run where it does not say."""
        return self.size or self._vectors([[0]]).shape[1]

    def encode(self, texts: Sequence[str]) -> Floats:
        """``[texts, width]`` the vector of each; NaN where there is no token to read, or no finite answer.

        Raises:
            SerendipError: a library is missing, or the files do not go together.
        """
        with self._lock:
            found = {text: row for text in texts if (row := self._known.get(text)) is not None}
        new = [text for text in dict.fromkeys(texts) if text not in found]
        if new:
            found |= zip(new, self._encoded(new), strict=True)
            self._remember({text: found[text] for text in new})
        return np.stack([found[text] for text in texts]) if found else np.empty((0, self.width()), np.float32)

    def _remember(self, rows: Mapping[str, Floats]) -> None:
        """Keep the vectors, the oldest ones dropped where there are too many."""
        with self._lock:
            self._known |= rows
            size = next(iter(rows.values())).nbytes
            while len(self._known) * size > MOST_KNOWN_BYTES:
                self._known.popitem(last=False)

    def _encoded(self, texts: Sequence[str]) -> Floats:
        tokens = self._tokens(texts)
        groups: dict[int, list[int]] = defaultdict(list)
        for place, ids in enumerate(tokens):
            groups[len(ids)].append(place)
        out = np.full((len(texts), self.width()), np.nan, np.float32)
        for length, places in sorted(groups.items()):
            if length == 0:
                continue
            step = AT_ONCE * max(1, TOKENS // length)
            for start in range(0, len(places), step):
                some = places[start : start + step]
                out[some] = self._vectors([tokens[place] for place in some])
        out[~np.isfinite(out).all(axis=1)] = np.nan
        return out

    def _vectors(self, tokens: Sequence[Sequence[int]]) -> Floats:
        """``[n, width]`` of texts of the same number of tokens."""
        ids = np.array(tokens, np.int64)  # [n, t]
        given = {INPUTS[0]: ids, INPUTS[1]: np.ones_like(ids), INPUTS[2]: np.zeros_like(ids)}
        read = {name: given[name] for name in self._network.signature.inputs}
        made = self._network.run(read, len(ids), chunk=max(1, TOKENS // ids.shape[1]))[self._output]
        if self._pooled:
            return made
        return np.asarray(made[:, 0] if self._pooling == "first" else made.mean(axis=1))

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        tokenizer = self._ready()
        try:
            return [tokenizer.encode(text).ids for text in texts]
        except Exception as error:
            raise SerendipError(f"{self._what}: {TOKENIZER} cannot read a text: {error}.") from error

    def _ready(self) -> Any:
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = self._opened()
        return self._tokenizer

    def _opened(self) -> Any:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise SerendipError(
                f"{self._what} needs the library tokenizers, which cannot be imported ({error}). "
                "Try pip install 'serendip[text]'."
            ) from error
        try:
            tokenizer: Any = Tokenizer.from_buffer(self.files.tokenizer.tobytes())
            usual = (tokenizer.truncation or {}).get("max_length", USUAL_LENGTH)
            tokenizer.enable_truncation(self._max_length or usual)
            tokenizer.no_padding()
        except Exception as error:
            raise SerendipError(f"{self._what}: {TOKENIZER} cannot be read: {error}.") from error
        return tokenizer

    def _checked(self) -> tuple[str, bool]:
        """The output that is taken, and whether it is one vector a text."""
        made, wanted = self._network.signature, ", ".join(INPUTS)
        odd = [name for name, port in made.inputs.items() if port.dtype != np.int64 or len(port.shape) != 2]
        if INPUTS[0] not in made.inputs or not set(made.inputs) <= set(INPUTS) or odd:
            raise SerendipError(
                f"{self._what} must read {wanted}, or some of them, as int64 of the shape [any, any]. "
                f"Got {', '.join(made.inputs) or 'nothing'} instead."
            )
        output = MADE if MADE in made.outputs else next(iter(made.outputs))
        port = made.outputs[output]
        if port.dtype != np.float32 or len(port.shape) not in (2, 3):
            raise SerendipError(
                f"{self._what} must give float32 of the shape [texts, size] or [texts, tokens, size]. "
                f"Got {output!r} as {port.dtype} of {len(port.shape)} dimensions instead."
            )
        return output, len(port.shape) == 2


def opened(name: str, files: Files, max_length: int | None, pooling: str) -> Encoder:
    """The encoder of these files; one that was open already, with the vectors it knows.

    Raises:
        SerendipError: as `Files.here` and `Encoder`; the text begins with the encoder.
    """
    key = (files.digest, max_length, pooling)
    with _LOCK:
        if key in _OPEN:
            _OPEN.move_to_end(key)
            return _OPEN[key]
    try:
        here = files.here(name)
    except SerendipError as error:
        raise SerendipError(f"The sentence encoder {name!r} {error}.") from error
    encoder = Encoder(name, here, max_length, pooling)
    with _LOCK:
        _OPEN[key] = encoder
        while len(_OPEN) > MOST_OPEN:
            _OPEN.popitem(last=False)
    return encoder


_OPEN: OrderedDict[tuple[str, int | None, str], Encoder] = OrderedDict()
_LOCK = threading.Lock()

__all__ = ["Encoder", "opened"]
