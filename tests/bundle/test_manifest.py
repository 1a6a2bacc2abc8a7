"""The manifest: sealed, versioned, and read with care."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest

from serendip.bundle import manifest
from serendip.bundle.errors import BundleError
from serendip.bundle.manifest import FORMAT, Manifest, Summary
from serendip.bundle.store import FileEntry
from serendip.types import SerendipError

FILES = {"a.json": FileEntry("1" * 64, 3), "scorers/b.json": FileEntry("2" * 64, 5)}


def example(**changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "version": manifest.version_of(FILES),
        "created": "2024-01-02T03:04:05Z",
        "serendip": "1.2.3",
        "data": Summary(events=3, users=2, items=1, time_kind="none"),
        "recipe": {"model": {"name": "als"}},
        "evaluation": {"ndcg@10": 0.25},
        "files": FILES,
    }
    return Manifest(**(fields | changes))


def sealed(fields: dict[str, Any]) -> bytes:
    """A manifest with a right checksum, whatever it says."""
    text = json.dumps({"kind": "serendip-bundle", "format": FORMAT, "sha256": "0" * 64} | fields, indent=2).encode()
    return text.replace(b"0" * 64, hashlib.sha256(text).hexdigest().encode(), 1)


def fields() -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(example()).items() if name not in ("sha256",)}


def test_what_is_written_is_read() -> None:
    text = manifest.write(example())
    again = manifest.read(text)
    assert msgspec.structs.replace(again, sha256="0" * 64) == example()
    assert manifest.write(again) == text


def test_the_checksum_is_of_the_text_with_zeros_in_its_place() -> None:
    text = manifest.write(example()).decode()
    stated = json.loads(text)["sha256"]
    assert hashlib.sha256(text.replace(stated, "0" * 64).encode()).hexdigest() == stated


def test_the_version_depends_on_names_and_checksums_only() -> None:
    by_hand = hashlib.sha256(f"{'1' * 64}  a.json\n{'2' * 64}  scorers/b.json\n".encode()).hexdigest()[:12]
    assert manifest.version_of(FILES) == by_hand
    assert manifest.version_of(dict(reversed(FILES.items()))) == by_hand
    assert manifest.version_of(FILES | {"a.json": FileEntry("3" * 64, 3)}) != by_hand
    assert manifest.version_of({"b.json": FILES["a.json"], "scorers/b.json": FILES["scorers/b.json"]}) != by_hand


def test_any_changed_byte_is_noticed() -> None:
    text = manifest.write(example())
    for place in range(len(text)):
        changed = bytearray(text)
        changed[place] ^= 1 << (place % 8)
        with pytest.raises(BundleError):
            manifest.read(bytes(changed))
        with pytest.raises(BundleError):
            manifest.read(text[:place])
    with pytest.raises(BundleError, match="does not have the checksum that it states: it was damaged or changed"):
        manifest.read(text + b"\n")


def test_a_newer_format_is_told_from_damage() -> None:
    with pytest.raises(
        BundleError,
        match=r"reads bundles up to format 2\. Got format 3 in manifest\.json\. "
        r"Try: upgrade Serendip \(pip install --upgrade serendip\)",
    ):
        manifest.read(b'{"kind": "serendip-bundle", "format": 3, "shape": "quite another"}')


def test_an_older_format_is_told_from_damage() -> None:
    with pytest.raises(
        BundleError,
        match=r"from format 2 on\. Got format 1 in manifest\.json, which Serendip 0\.0\.9 wrote\. Try: fit",
    ):
        manifest.read(b'{"kind": "serendip-bundle", "format": 1, "serendip": "0.0.9", "shape": "quite another"}')


@pytest.mark.parametrize("number", [0, -1])
def test_a_format_that_never_was_is_refused(number: int) -> None:
    with pytest.raises(BundleError, match=f"must state a format from 1 to 2. Got {number} instead"):
        manifest.read(sealed(fields() | {"format": number}))


def test_a_field_that_is_not_known_is_passed_over() -> None:
    assert manifest.read(sealed(fields() | {"later": 1})).version == example().version


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "web-app"}, r"must say that it is of the kind 'serendip-bundle'\. Got 'web-app'"),
        ({"format": "one"}, "is not what a manifest must be: Expected `int`, got `str`"),
        ({"version": "0123456789ab"}, "states the version 0123456789ab; its files make it"),
        ({"version": "../../etc"}, "is not what a manifest must be: Expected `str` matching"),
        ({"version": "0123456789ab\n"}, "is not what a manifest must be: Expected `str` matching"),
        ({"files": []}, "is not what a manifest must be: Expected `object`"),
        ({"files": {"a": {"sha256": "1" * 64}}}, "missing required field `bytes`"),
        ({"files": {"a": {"sha256": "1" * 64, "bytes": -1}}}, "Expected `int` >= 0"),
        ({"files": {"a": {"sha256": "xyz", "bytes": 1}}}, "Expected `str` matching"),
        ({"data": None}, "Expected `object`, got `null`"),
    ],
)
def test_what_is_no_manifest_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        manifest.read(sealed(fields() | changes))


@pytest.mark.parametrize(
    "path",
    [
        "../a",
        "/etc/passwd",
        "a/../b",
        "C:x",
        "C:\\x",
        "a\\b",
        "a//b",
        "a/b/c",
        ".",
        "..",
        ".a",
        "",
        "a/",
        "a\0",
        "a\n",
        "ä",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    files = {path: FileEntry("1" * 64, 1)}
    with pytest.raises(BundleError, match=r"manifest\.json must name files within the bundle only") as error:
        manifest.read(sealed(fields() | {"files": msgspec.to_builtins(files), "version": manifest.version_of(files)}))
    assert f"Got {path!r} instead" in str(error.value)


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(BundleError, match=r"manifest\.json is not what a manifest must be|manifest\.json must say"):
        manifest.read(text)


def test_plain_values_come_back_as_json_says_them() -> None:
    assert manifest.plain("recipe", {"a": (1, 2), "b": float("nan"), "c": {"d": None}}) == {
        "a": [1, 2],
        "b": None,
        "c": {"d": None},
    }
    assert manifest.plain("recipe", None) == {}


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"recipe must be a dict of JSON values\. .*object"):
        manifest.plain("recipe", {"a": object()})
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(SerendipError, match="evaluation must be a dict of JSON values"):
        manifest.plain("evaluation", endless)
