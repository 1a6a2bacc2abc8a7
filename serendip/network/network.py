"""A network kept as the bytes of an ONNX model. ONNX Runtime is imported when it is first run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.kernels import pool
from serendip.network.onnxfile import Port, Shape, Signature, signature
from serendip.types import SerendipError

Arrays = Mapping[str, NDArray[Any]]


class Network:
    """A function of named arrays whose first axis is the batch.

    It may be run from many threads at once. Each run keeps to one thread; a large batch is dealt out to several.
    """

    def __init__(self, what: str, content: NDArray[np.uint8], *, extra: str = "serve") -> None:
        """The network of these bytes, which need not be trusted.

        Args:
            what: how errors name it.
            content: a model in ONNX's format.
            extra: of Serendip's extras, the one that brings what runs it here.

        Raises:
            SerendipError: no ONNX model that stands on its own.
        """
        self.what = what
        self._content = content
        self._extra = extra
        self._lock = threading.Lock()
        self._session: Any = None
        if content.ndim != 1:
            raise SerendipError(f"{what} must be a vector of bytes. Got {content.ndim} dimensions.")
        try:
            self.signature: Signature = signature(content.data)
        except SerendipError as error:
            raise SerendipError(f"{what} {error}.") from error

    def require(self, inputs: Mapping[str, Port], outputs: Mapping[str, Port]) -> None:
        """That the network has these inputs and outputs.

        A size that is None on either side may be any.

        Raises:
            SerendipError: naming the one that differs.
        """
        for side, wanted, got in (
            ("inputs", inputs, self.signature.inputs),
            ("outputs", outputs, self.signature.outputs),
        ):
            if set(wanted) != set(got):
                raise SerendipError(
                    f"{self.what} must have the {side} {', '.join(sorted(wanted)) or 'none'}. "
                    f"Got {', '.join(sorted(got)) or 'none'} instead."
                )
            for name, port in wanted.items():
                if got[name].dtype != port.dtype or not _fits(got[name].shape, port.shape):
                    raise SerendipError(
                        f"{self.what}: {name} must be {port.dtype} of the shape {_text(port.shape)}. "
                        f"Got {got[name].dtype} of the shape {_text(got[name].shape)} instead."
                    )

    def run(
        self, inputs: Arrays | Callable[[int, int], Arrays], rows: int, *, chunk: int, threads: int | None = None
    ) -> dict[str, NDArray[Any]]:
        """The outputs for a batch.

        Args:
            inputs: by name, ``[rows, …]``; or what gives those of the rows from one to before another.
            rows: how many, 1 or more.
            chunk: how many are worked on at a time by each thread, so that memory stays bounded.
            threads: how many; None: as `serendip.kernels.pool.count`.

        Raises:
            SerendipError: ONNX Runtime is not installed, or cannot run the network.
        """
        session = self._ready()
        names = list(self.signature.outputs)
        starts = range(0, rows, chunk)
        found: list[list[NDArray[Any]]] = [[] for _ in starts]

        def some(start: int, stop: int) -> None:
            if callable(inputs):
                part = inputs(start, stop)
            else:
                part = {key: value[start:stop] for key, value in inputs.items()}
            found[start // chunk] = self._once(session, names, part)

        if len(starts) == 1:
            some(0, rows)
        else:
            pool.rows(some, rows, chunk=chunk, threads=threads)
        if len(found) == 1:
            return dict(zip(names, found[0], strict=True))
        return {name: np.concatenate([part[at] for part in found]) for at, name in enumerate(names)}

    def _once(self, session: Any, names: list[str], inputs: Arrays) -> list[NDArray[Any]]:
        try:
            outputs: list[NDArray[Any]] = session.run(names, dict(inputs))
        except Exception as error:
            raise self._failed(error) from error
        return outputs

    def _ready(self) -> Any:
        if self._session is None:
            with self._lock:
                if self._session is None:
                    self._session = self._opened()
        return self._session

    def _opened(self) -> Any:
        try:
            import onnxruntime
        except ImportError as error:
            raise SerendipError(
                f"{self.what} needs ONNX Runtime, which cannot be imported ({error}). "
                f"Try pip install 'serendip[{self._extra}]'."
            ) from error
        options = onnxruntime.SessionOptions()
        # Threads are ours: one a run, as many runs at once as there are callers or chunks.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.load_model_format", "ONNX")  # what was examined, never its own format
        try:
            return onnxruntime.InferenceSession(self._content.tobytes(), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> SerendipError:
        text = str(error).strip().splitlines()
        return SerendipError(f"{self.what} cannot be run: {text[0] if text else type(error).__name__}")


def _fits(got: Shape, wanted: Shape) -> bool:
    if len(got) != len(wanted):
        return False
    return all(None in (a, b) or a == b for a, b in zip(got, wanted, strict=True))


def _text(shape: Shape) -> str:
    return f"[{', '.join('any' if size is None else str(size) for size in shape)}]"


__all__ = ["Arrays", "Network"]
