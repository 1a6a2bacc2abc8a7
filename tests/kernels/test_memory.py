from __future__ import annotations

from pathlib import Path

import pytest

from serendip.kernels import memory
from serendip.kernels.memory import available, require
from serendip.types import SerendipError


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    (tmp_path / "meminfo").write_text(
        "MemTotal:       1000 kB\nMemFree:  10 kB\nMemAvailable:    400 kB\nHugePages_Total: 0\n"
    )
    (tmp_path / "cgroup").write_text("1:name=other:/elsewhere\n0::/jobs/one\n")
    (tmp_path / "control" / "jobs" / "one").mkdir(parents=True)
    return tmp_path


def limit(group: Path, most: str, used: int, idle: int = 0) -> None:
    (group / "memory.max").write_text(f"{most}\n")
    (group / "memory.current").write_text(f"{used}\n")
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {idle}\n")


def room(machine: Path) -> int | None:
    return available(machine / "meminfo", machine / "cgroup", machine / "control")


def test_without_a_limit_the_machine_decides(machine: Path) -> None:
    assert room(machine) == 400 * 1024
    limit(machine / "control" / "jobs", "max", 10)
    assert room(machine) == 400 * 1024


def test_the_tightest_limit_decides(machine: Path) -> None:
    limit(machine / "control", "350000", 10)
    limit(machine / "control" / "jobs", "300000", 200_000, idle=50_000)
    limit(machine / "control" / "jobs" / "one", "320000", 1)
    assert room(machine) == 150_000
    limit(machine / "control" / "jobs", "100", 200_000)
    assert room(machine) == 0


def test_where_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    assert room(tmp_path) is None


def test_this_machine_has_some() -> None:
    found = available()
    assert found is None or found > 1 << 20


def test_what_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available", lambda: 1234)
    require("the table needs", 1234, "less")
    with pytest.raises(SerendipError, match=r"the table needs 1,235 bytes, but only 1,234 are available\. Try less\."):
        require("the table needs", 1235, "less")
    monkeypatch.setattr(memory, "available", lambda: None)
    require("the table needs", 1 << 60, "less")
