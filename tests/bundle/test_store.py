"""Writing changes a directory all at once, whatever happens; reading refuses what is not as it was written."""

from __future__ import annotations

import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from serendip.bundle import store
from serendip.bundle.errors import BundleError
from serendip.bundle.store import FileEntry

Files = dict[str, list[bytes | memoryview]]

OLD: Files = {"a.bin": [b"old ", b"content"], "deep/b.bin": [b"x" * 1000]}
NEW: Files = {"a.bin": [b"new"], "deep/b.bin": [b"y" * 2000], "deep/c.bin": [b""]}


def version(files: Files) -> str:
    return hashlib.sha256(b"".join(part for file in files.values() for part in file)).hexdigest()[:12]


def write(root: Path, files: Files) -> None:
    manifest = {"kind": "serendip-bundle", "version": version(files)}
    store.write(root, version(files), files, msgspec.json.encode(manifest))


def read(root: Path) -> dict[str, bytes]:
    """What the manifest names, against what each of the two contents must be."""
    named = msgspec.json.decode(store.read_manifest(root))["version"]
    files = {version(files): files for files in (OLD, NEW)}[named]
    views = store.read(root, named, {name: store.entry(file) for name, file in files.items()}, verify=True)
    return {name: bytes(view) for name, view in views.items()}


def plain(files: Files) -> dict[str, bytes]:
    return {name: b"".join(parts) for name, parts in files.items()}


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    root = tmp_path / "deep" / "bundle"
    write(root, NEW)
    assert read(root) == plain(NEW)
    assert names(root) == [f"content-{version(NEW)}", "manifest.json"]


def test_writing_replaces_and_leaves_nothing_behind(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    write(tmp_path, NEW)
    assert read(tmp_path) == plain(NEW)
    assert names(tmp_path) == [f"content-{version(NEW)}", "manifest.json"]


def test_other_files_beside_a_bundle_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    (tmp_path / "report.html").write_text("mine")
    write(tmp_path, NEW)
    assert read(tmp_path) == plain(NEW)
    assert (tmp_path / "report.html").read_text() == "mine"


def test_views_survive_the_removal_of_the_files(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    entries = {name: store.entry(file) for name, file in OLD.items()}
    views = store.read(tmp_path, version(OLD), entries, verify=True)
    write(tmp_path, NEW)
    assert {name: bytes(view) for name, view in views.items()} == plain(OLD)


class Killed(BaseException):
    """Stands for the end of the process."""


WRITE = store._write_file
STEPS = ("open", "mkdir", "rename", "replace", "fsync", "unlink", "rmdir")


class Faults:
    """Counts the calls that change a directory, and fails at the one it is told to.

    With ``error`` that one call fails; without it the process is dead from then on: every later call fails too.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int | None = None, error: OSError | None = None) -> None:
        self.calls = 0
        self._at, self._error = at, error
        for step in STEPS:
            monkeypatch.setattr(os, step, self._wrapped(getattr(os, step)))
        monkeypatch.setattr(store, "_write_file", self._wrapped(WRITE))

    def _wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **options: Any) -> Any:
            if call.__name__ == "open" and not args[1] & os.O_CREAT:
                return call(*args, **options)
            self.calls += 1
            if self.calls == self._at or (self.calls > (self._at or self.calls) and self._error is None):
                if call is WRITE:
                    args[0].write_bytes(b"half")
                raise self._error or Killed
            return call(*args, **options)

        return step


def steps_of_a_write(root: Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        faults = Faults(patch)
        write(root, NEW)
    return faults.calls


def test_a_process_that_dies_at_any_step_leaves_the_old_content_or_the_new(tmp_path: Path) -> None:
    write(tmp_path / "count", OLD)
    steps = steps_of_a_write(tmp_path / "count")
    assert steps > 15
    seen = []
    for at in range(1, steps + 1):
        root = tmp_path / str(at)
        write(root, OLD)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            Faults(patch, at)
            write(root, NEW)
        found = read(root)
        assert found in (plain(OLD), plain(NEW))
        seen.append(found == plain(NEW))
        write(root, NEW)
        assert read(root) == plain(NEW)
        assert names(root) == [f"content-{version(NEW)}", "manifest.json"]
    assert seen == sorted(seen)
    assert not seen[0]
    assert seen[-1]


def test_a_first_write_that_dies_leaves_no_bundle_or_the_whole(tmp_path: Path) -> None:
    for at in range(1, steps_of_a_write(tmp_path / "count") + 1):
        root = tmp_path / str(at)
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
            Faults(patch, at)
            write(root, NEW)
        if (root / "manifest.json").exists():
            assert read(root) == plain(NEW)
        else:
            with pytest.raises(BundleError, match="is no bundle"):
                store.read_manifest(root)
        write(root, NEW)
        assert names(root) == [f"content-{version(NEW)}", "manifest.json"]


def test_a_full_disk_at_any_step_leaves_the_bundle_whole_and_says_so(tmp_path: Path) -> None:
    write(tmp_path / "count", OLD)
    steps = steps_of_a_write(tmp_path / "count")
    full = (
        "ROOT cannot be written: the disk is full, and the bundle needs 2,003 bytes. "
        "What was there before is unchanged. Try: free some space."
    )
    unsure = (
        "ROOT holds the new bundle, but the system could not make sure that it is on the disk: No space left on device."
    )
    outcomes = []
    for at in range(1, steps + 1):
        root = tmp_path / str(at)
        write(root, OLD)
        with pytest.MonkeyPatch.context() as patch:
            Faults(patch, at, OSError(errno.ENOSPC, "No space left on device"))
            try:
                write(root, NEW)
                outcomes.append("written")
            except BundleError as error:
                outcomes.append(str(error).replace(str(root), "ROOT"))
        if outcomes[-1] == full:
            assert read(root) == plain(OLD)
            assert names(root) == [f"content-{version(OLD)}", "manifest.json"]
        else:
            assert outcomes[-1] in (unsure, "written")
            assert read(root) == plain(NEW)
    assert outcomes.count(full) > 8
    assert outcomes.count(unsure) == 1


def test_a_first_write_that_fails_leaves_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "bundle"
    Faults(monkeypatch, 8, OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(BundleError, match="the disk is full"):
        write(root, NEW)
    assert not root.exists()


def test_a_directory_that_may_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, OLD)
    Faults(monkeypatch, 2, PermissionError(errno.EACCES, "Permission denied", str(tmp_path / ".new")))
    with pytest.raises(
        BundleError, match=r"cannot be written: Permission denied \(.*\.new\).*directory that you may write"
    ):
        write(tmp_path, NEW)
    assert read(tmp_path) == plain(OLD)


def test_another_error_is_told_as_the_system_tells_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Faults(monkeypatch, 3, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(
        BundleError, match=r"cannot be written: Input/output error\. What was there before is unchanged"
    ):
        write(tmp_path, NEW)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_directory_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(BundleError, match="cannot be written: Permission denied"):
            write(tmp_path / "bundle", NEW)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    "content",
    [
        {"notes.txt": "mine"},
        {"manifest.json": '{"name": "a web app"}'},
        {"manifest.json": "{}", "content-0123456789ab/x": "", "more.txt": "mine"},
        {"contents/x": "mine"},
    ],
)
def test_a_directory_that_is_no_bundle_is_left_as_it_is(tmp_path: Path, content: dict[str, str]) -> None:
    for name, text in content.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(
        BundleError, match=r"must be saved to an empty directory or over a bundle\. .* is left as it is"
    ):
        write(tmp_path, NEW)
    with pytest.raises(BundleError, match="must be saved to an empty directory"):
        store.require_room(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_room_is_asked_for_without_making_it(tmp_path: Path) -> None:
    store.require_room(tmp_path / "new" / "bundle")
    store.require_room(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BundleError, match=r"must be saved to a directory\. Got the file"):
        write(tmp_path / "file", NEW)
    with pytest.raises(BundleError, match="cannot be written: Not a directory"):
        write(tmp_path / "file" / "bundle", NEW)
    assert (tmp_path / "file").read_text() == "mine"


def test_an_empty_directory_and_what_a_dead_process_left_are_written_over(tmp_path: Path) -> None:
    for name in (".lock", ".new-0123456789abcdef", ".old-0123456789abcdef/x", "content-0123456789ab/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    write(tmp_path, NEW)
    assert names(tmp_path) == [f"content-{version(NEW)}", "manifest.json"]


def test_writing_again_mends_what_is_damaged(tmp_path: Path) -> None:
    write(tmp_path, NEW)
    damaged = tmp_path / f"content-{version(NEW)}" / "a.bin"
    for damage in (
        lambda: damaged.write_bytes(b"nex"),
        damaged.unlink,
        lambda: (tmp_path / "manifest.json").write_text("{"),
    ):
        damage()
        write(tmp_path, NEW)
        assert read(tmp_path) == plain(NEW)
        assert names(tmp_path) == [f"content-{version(NEW)}", "manifest.json"]


def test_writing_the_same_content_again_keeps_its_files(tmp_path: Path) -> None:
    write(tmp_path, NEW)
    kept = (tmp_path / f"content-{version(NEW)}" / "a.bin").stat().st_ino
    write(tmp_path, NEW)
    assert (tmp_path / f"content-{version(NEW)}" / "a.bin").stat().st_ino == kept


def test_writers_take_turns_and_readers_see_one_or_the_other(tmp_path: Path) -> None:
    write(tmp_path, OLD)
    failures: list[Exception] = []
    until = time.monotonic() + 1.5

    def writer(files: Files) -> None:
        while time.monotonic() < until:
            try:
                write(tmp_path, files)
            except Exception as error:
                failures.append(error)

    def reader() -> None:
        while time.monotonic() < until:
            before = store.read_manifest(tmp_path)
            try:
                assert read(tmp_path) in (plain(OLD), plain(NEW))
            except BundleError as error:
                if store.read_manifest(tmp_path) == before:
                    failures.append(error)

    threads = [
        threading.Thread(target=work, args=args)
        for work, args in ((writer, (OLD,)), (writer, (NEW,)), (writer, (NEW,)), (reader, ()), (reader, ()))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert read(tmp_path) in (plain(OLD), plain(NEW))
    assert len(names(tmp_path)) == 2


def entries(files: Files) -> dict[str, FileEntry]:
    return {name: store.entry(file) for name, file in files.items()}


def link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def link_directory(path: Path, target: Path) -> None:
    path.rename(target)
    path.symlink_to(target, target_is_directory=True)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: (c / "a.bin").write_bytes(b"nex"), r"a\.bin does not have the checksum that the manifest gives it"),
        (lambda c: (c / "a.bin").write_bytes(b"ne"), r"a\.bin must be 3 bytes\. Got 2"),
        (lambda c: (c / "a.bin").write_bytes(b""), r"a\.bin must be 3 bytes\. Got 0"),
        (lambda c: (c / "deep/b.bin").unlink(), r"b\.bin is missing"),
        (lambda c: (c / "more.bin").write_bytes(b""), r"more\.bin does not belong to the bundle"),
        (lambda c: (c / "deep/more").mkdir(), r"more does not belong to the bundle"),
        (lambda c: link(c / "a.bin", c / "deep/b.bin"), r"a\.bin is a link"),
        (lambda c: link_directory(c / "deep", c.parent / "elsewhere"), r"deep is a link"),
        (lambda c: link_directory(c, c.parent / "elsewhere"), r"must be a directory\. It is missing or something else"),
        (lambda c: [(c / "a.bin").unlink(), os.mkfifo(c / "a.bin")], r"a\.bin must be a plain file"),
        (lambda c: [(c / "a.bin").unlink(), (c / "a.bin").mkdir()], r"a\.bin does not belong to the bundle"),
        (lambda c: [path.unlink() for path in (c / "deep").iterdir()] and (c / "deep").rmdir(), r"deep cannot be read"),
    ],
)
def test_a_damaged_content_is_refused(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    write(tmp_path, NEW)
    damage(tmp_path / f"content-{version(NEW)}")
    with pytest.raises(BundleError, match=message) as caught:
        store.read(tmp_path, version(NEW), entries(NEW), verify=True)
    assert "Try: restore the bundle from a copy, or fit again." in str(caught.value)


def test_checksums_may_be_left_out_but_not_sizes(tmp_path: Path) -> None:
    write(tmp_path, NEW)
    path = tmp_path / f"content-{version(NEW)}" / "a.bin"
    path.write_bytes(b"nex")
    assert bytes(store.read(tmp_path, version(NEW), entries(NEW), verify=False)["a.bin"]) == b"nex"
    path.write_bytes(b"nexx")
    with pytest.raises(BundleError, match="must be 3 bytes"):
        store.read(tmp_path, version(NEW), entries(NEW), verify=False)


def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is no bundle: there is no such directory\. Try: serendip fit … --out"):
        store.read_manifest(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"is no bundle: it has no manifest\.json"):
        store.read_manifest(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(BundleError, match=r"A bundle must be a directory\. Got the file"):
        store.read_manifest(tmp_path / "file")
    with pytest.raises(BundleError, match="cannot be read: Not a directory"):
        store.read_manifest(tmp_path / "file" / "x")


def test_a_manifest_is_a_plain_file_of_some_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, NEW)
    monkeypatch.setattr(store, "MOST_MANIFEST_BYTES", 10)
    with pytest.raises(BundleError, match="must be at most 10 bytes"):
        store.read_manifest(tmp_path)
    link(tmp_path / "manifest.json", tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"manifest\.json must be a plain file"):
        store.read_manifest(tmp_path)


def test_a_link_to_a_bundle_is_followed(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "current").symlink_to(tmp_path / "v1", target_is_directory=True)
    write(tmp_path / "current", OLD)
    assert read(tmp_path / "v1") == plain(OLD)
    with suppress(OSError):
        (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    with pytest.raises(BundleError, match="must be saved to a directory"):
        write(tmp_path / "gone", OLD)
