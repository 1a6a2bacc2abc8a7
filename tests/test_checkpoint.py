"""A checkpoint as a file: what is written is read, and nothing else is taken for one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from serendip.bundle.tensorfile import encode
from serendip.checkpoint import Checkpoint, difference, read, write
from serendip.types import SerendipError

TENSORS = {
    "net.a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "optimiser.0.step": np.array(3.0, np.float32),
    "random.cpu": np.arange(7, dtype=np.uint8),
}
CHECKPOINT = Checkpoint(
    identity={"model": "m", "dropout": 0.5, "freeze": ["items"]},
    epoch=4,
    step=17,
    steps=900,
    examples=12345,
    seconds=1.5,
    best=None,
    best_epoch=2,
    sums={"loss": 0.1 + 0.2},
    tensors=TENSORS,
    values={"0.step": 3, "0.on": True, "0.rate": 1e-3, "0.name": "x", "0.none": None},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deeper" / "run.checkpoint"
    write(path, CHECKPOINT)
    found = read(path)
    for name in ("identity", "epoch", "step", "steps", "examples", "seconds", "best", "best_epoch", "sums", "values"):
        assert getattr(found, name) == getattr(CHECKPOINT, name)
    assert found.tensors.keys() == TENSORS.keys()
    for name, value in TENSORS.items():
        assert found.tensors[name].shape == value.shape
        assert (found.tensors[name] == value).all()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("left", [0, 5, 100, -1], ids=str)
def test_one_that_was_cut_short_is_refused(tmp_path: Path, left: int) -> None:
    path = tmp_path / "run.checkpoint"
    write(path, CHECKPOINT)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(SerendipError, match=r"run\.checkpoint must be a whole checkpoint\. It is damaged, cut short"):
        read(path)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "run.checkpoint"
    write(path, CHECKPOINT)
    content = bytearray(path.read_bytes())
    place = content.index(TENSORS["net.a"].tobytes()) + 6
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(SerendipError, match="do not have the checksum"):
        read(path)


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(b"".join(encode(TENSORS)))
    with pytest.raises(SerendipError, match=r"must be a checkpoint\. It holds no progress of a training run"):
        read(path)
    path.write_bytes(b"nothing")
    with pytest.raises(SerendipError, match="damaged, cut short or something else"):
        read(path)


def test_a_write_that_fails_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.checkpoint"
    write(path, CHECKPOINT)

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("serendip.checkpoint.os.fsync", full)
    with pytest.raises(SerendipError, match="cannot be written: No space left on device"):
        write(path, replace(CHECKPOINT, epoch=5))
    assert read(path).epoch == 4
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_places_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SerendipError, match=r"the checkpoint .*run cannot be written: .* Try another place"):
        write(tmp_path / "file" / "run", CHECKPOINT)
    with pytest.raises(SerendipError, match="cannot be read: No such file"):
        read(tmp_path / "none")


def test_a_difference_is_said_in_words() -> None:
    assert difference({"a": 1, "b": [2]}, {"a": 1, "b": [2]}) == ""
    assert difference({"a": 1, "b": 2}, {"a": 1.5, "c": None}) == (
        "a (1 there, 1.5 here), b (2 there, none here), c (none there, null here)"
    )
