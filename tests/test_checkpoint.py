"""A checkpoint as a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from serendip.bundle.tensorfile import encode
from serendip.checkpoint import Checkpoint, read, write
from serendip.types import SerendipError

TENSORS = {"net.a": np.arange(6, dtype=np.float32).reshape(2, 3), "optimiser.0.step": np.array(3.0, np.float32)}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "run.checkpoint"
    for best in (None, 0.25):
        write(path, Checkpoint("abc", 4, 1.5, best, 2, TENSORS))
        found = read(path)
        assert (found.fingerprint, found.epoch, found.seconds, found.best, found.best_epoch) == ("abc", 4, 1.5, best, 2)
        assert found.tensors.keys() == TENSORS.keys()
        for name, value in TENSORS.items():
            assert found.tensors[name].shape == value.shape
            assert (found.tensors[name] == value).all()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"".join(encode(TENSORS)))
    with pytest.raises(SerendipError, match=r"must be a checkpoint\. It holds no progress of a training run"):
        read(path)
    path.write_bytes(b"nothing")
    with pytest.raises(SerendipError, match="must begin with the length"):
        read(path)
