"""How much memory this process may still take, so that a fit that cannot succeed says so before it starts."""

from __future__ import annotations

from pathlib import Path

from serendip.types import SerendipError

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/proc/self/cgroup")
_CONTROL = Path("/sys/fs/cgroup")


def available(meminfo: Path = _MEMINFO, cgroup: Path = _CGROUP, control: Path = _CONTROL) -> int | None:
    """Bytes that can be allocated without swapping or meeting the limit of a container; None where it cannot be told.

    Args:
        meminfo, cgroup, control: where Linux says so.
    """
    rooms = [room for room in (_free(meminfo), _within_limits(cgroup, control)) if room is not None]
    return min(rooms, default=None)


def require(what: str, needed: int, instead: str) -> None:
    """Refuse what does not fit, before it is begun.

    Args:
        what: what needs the memory, such as ``"ease: the inverse needs"``.
        needed: bytes.
        instead: what can be done about it, such as ``"solver='sparse'"``.

    Raises:
        SerendipError: fewer bytes are `available`.
    """
    room = available()
    if room is not None and needed > room:
        raise SerendipError(f"{what} {needed:,} bytes, but only {room:,} are available. Try {instead}.")


def _free(meminfo: Path) -> int | None:
    fields = _table(meminfo)
    return fields["MemAvailable"] * 1024 if "MemAvailable" in fields else None


def _within_limits(cgroup: Path, control: Path) -> int | None:
    """The least room under the limits of this process's control group (version 2) and those above it."""
    try:
        path = next(line for line in cgroup.read_text().splitlines() if line.startswith("0::"))[3:]
    except (OSError, StopIteration):
        return None
    own = control / path.strip("/")
    groups = [group for group in (own, *own.parents) if group.is_relative_to(control)]
    return min((room for room in map(_room, groups) if room is not None), default=None)


def _room(group: Path) -> int | None:
    try:
        limit = (group / "memory.max").read_text().strip()
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    if not limit.isdigit():
        return None
    # Pages of files that were not touched lately are given back under pressure.
    return max(int(limit) - used + _table(group / "memory.stat").get("inactive_file", 0), 0)


def _table(path: Path) -> dict[str, int]:
    try:
        lines = [line.replace(":", " ").split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdigit()}
