"""Writers take turns."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from serendip.bundle import turn
from serendip.bundle.errors import BundleError


def test_one_at_a_time(tmp_path: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        for _ in range(5):
            with turn.turn(tmp_path):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.001)
                inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 30
    assert set(most) == {1}
    assert list(tmp_path.iterdir()) == []


def test_a_writer_waits_only_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "PATIENCE", 0.1)
    message = r"is being written by another process\. Try again when it has finished"
    with turn.turn(tmp_path), pytest.raises(BundleError, match=message), turn.turn(tmp_path):
        pass


def test_a_lock_file_without_a_holder_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("")
    with turn.turn(tmp_path):
        assert (tmp_path / ".lock").exists()
    assert not (tmp_path / ".lock").exists()
