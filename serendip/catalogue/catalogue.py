"""`Catalogue`: changes of items, kept in a folder beside a bundle, and the views that they lead to."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from serendip.bundle import Bundle
from serendip.bundle.turn import turn
from serendip.catalogue.log import CatalogueError, Log, Place
from serendip.catalogue.view import Entry, View, key_of
from serendip.data.vocab import ExternalId
from serendip.index import VectorIndex, build
from serendip.types import Floats, Ids

FILE = "changes.log"
LARGE = 1 << 20
"""Bytes from which a log is put together, once it is `TIMES` as long as it must be."""
TIMES = 4


class Change(msgspec.Struct, frozen=True):
    """A record of the log: the number of the change, and the items that it is about, each once."""

    sequence: int
    entries: list[Entry]


_ENCODE = msgspec.msgpack.Encoder()
_DECODE = msgspec.msgpack.Decoder(Change)


class Catalogue:
    """Live items over a bundle: put in, changed and deleted at once, while others search.

    A change is first written to the folder, with a checksum, and is on the disk before it is seen; then the view is
    replaced by another. Whoever holds the old one goes on with it. A process that is killed leaves all changes before
    the one it was at, and perhaps that one; never half of it. Several processes may write in turn: each sees what the
    others did when it writes, or by `refresh`.

    Items are known by their external ids, so that changes outlive the bundle: `rebase` applies them to another one, and
    what was deleted stays so. A vector belongs to the bundle it was made for, and is left behind.

    Attributes:
        path: of the folder.
    """

    def __init__(self, bundle: Bundle, path: Path) -> None:
        self.path = path
        self._log = Log(path / FILE)
        self._lock = threading.RLock()
        self._base = View.of(bundle)
        self._view = self._base
        self._overlay: dict[ExternalId, Entry] = {}
        self._place: Place | None = None
        self._short = 0
        self._building: threading.Thread | None = None
        self._touched: set[int] | None = None

    @classmethod
    def open(cls, bundle: Bundle, path: str | Path) -> Catalogue:
        """The changes in a folder over a bundle; the folder is made where there is none.

        Raises:
            CatalogueError: the folder cannot be written, was damaged, or its items do not fit those of the bundle.
        """
        made = cls(bundle, Path(path))
        made._log.create()
        made.refresh()
        return made

    @property
    def view(self) -> View:
        """What the catalogue is now."""
        return self._view

    @property
    def bundle(self) -> Bundle:
        """The bundle with the items there are now; see `View.bundle`."""
        return self._view.bundle

    def upsert(
        self, items: pl.DataFrame | Sequence[Mapping[str, Any]], vectors: Mapping[str, Floats] | Floats | None = None
    ) -> View:
        """Put items in, or change those that are there, all or none.

        Args:
            items: rows with ``item_id`` and any of the columns of the bundle's items; what is left out stays as it is,
                or is missing in a new item.
            vectors: ``[rows, d]`` by name of the retriever, or an array where there is one only. An item without one
                gets the vector that its attributes give it, where the retriever reads such; else it is left to others,
                and `View.lacking` counts it.

        Raises:
            CatalogueError: an id twice, attributes that there are not or of another type, vectors of another size or
                with NaN; nothing is changed then.
        """
        rows = items.to_dicts() if isinstance(items, pl.DataFrame) else [dict(row) for row in items]
        tables = self._tables(vectors, len(rows))
        space = self._view.base.manifest.version if tables else ""
        entries = []
        for at, row in enumerate(rows):
            given = {name: table[at].astype("<f4").tobytes() for name, table in tables.items()}
            attributes = {name: _plain(value) for name, value in row.items() if name != "item_id"}
            entries.append(Entry(_id_of(row), attributes=attributes, vectors=given, space=space))
        return self._apply(entries)

    def delete(self, items: int | str | Iterable[int | str]) -> View:
        """Take items out, all or none; they do not come back but by `upsert`.

        Args:
            items: one id, or several.

        Raises:
            CatalogueError: an id twice, or an item that is not there; nothing is changed then.
        """
        ids = [items] if isinstance(items, int | str | np.integer) else items
        return self._apply([Entry(_id_of({"item_id": one}), deleted=True) for one in ids])

    def refresh(self) -> View:
        """See what other processes changed.

        Raises:
            CatalogueError: the folder was damaged.
        """
        with self._lock:
            payloads, place, afresh = self._log.read(self._place)
            if afresh:
                self._overlay, self._view, self._short = {}, self._base, place.end
            merged: dict[ExternalId, Entry] = {}
            sequence = self._view.sequence
            for payload in payloads:
                change = self._decoded(payload)
                sequence = change.sequence
                for entry in change.entries:
                    self._merge(merged, entry)
            if payloads:
                self._publish(merged, self._view.after(self._entries(self._sums(merged)), sequence))
            self._place = place
            return self._view

    def rebase(self, bundle: Bundle) -> View:
        """Apply all changes to another bundle, as after a new fit. Requests go on with the old one until it is done.

        Raises:
            CatalogueError: the items of the bundle have other attributes than were changed.
        """
        with self._lock:
            self.refresh()
            base = View.of(bundle)
            entries, notes = list(self._overlay.values()), list[str]()
            known = set(base.items.columns)
            strange = sorted({name for one in entries for name in one.attributes} - known)
            if strange:
                entries = [only(one, known) for one in entries]
                notes.append(f"attributes that the bundle does not have were left out: {', '.join(strange)}")
            lost = sum(bool(one.vectors) and one.space != bundle.manifest.version for one in entries)
            if lost:
                notes.append(f"{lost} items have a vector of another bundle: they have that of this one, or none")
            view = base.after(entries, self._view.sequence)
            self._base, self._view, self._touched = base, replace(view, notes=tuple(notes)), None
            return self._view

    def settle(self) -> View:
        """Wait until indices that are being built anew are there."""
        building = self._building
        if building is not None:
            building.join()
        return self._view

    def _apply(self, entries: list[Entry]) -> View:
        """Check, write, show: in this order."""
        if not entries:
            return self._view
        self.path.mkdir(parents=True, exist_ok=True)
        with self._lock, turn(self.path):
            view = self.refresh()
            self._check(view, entries)
            merged = {key_of(view.item_ids, entry.item_id): entry for entry in entries}
            after = view.after(self._sums(merged), view.sequence + 1)
            assert self._place is not None
            self._place = self._log.append(_ENCODE.encode(Change(after.sequence, entries)), self._place)
            self._publish(merged, after)
            if self._place.end > max(LARGE, TIMES * self._short):
                self._place = self._log.rewrite([_ENCODE.encode(Change(after.sequence, list(self._overlay.values())))])
                self._short = self._place.end
        self._renew_if_stale()
        return after

    def _check(self, view: View, entries: Sequence[Entry]) -> None:
        keys = [key_of(view.item_ids, entry.item_id) for entry in entries]
        twice = sorted({key for key in keys if keys.count(key) > 1}, key=str) if len(set(keys)) < len(keys) else []
        if twice:
            raise CatalogueError(f"Every item must be given once. Got {twice[0]!r} twice or more.")
        columns = view.items.columns
        for entry in entries:
            strange = [name for name in entry.attributes if name not in columns]
            if strange:
                there = ", ".join(columns)
                raise CatalogueError(f"Items must have attributes that there are: {there}. Got {strange[0]!r} instead.")
            if entry.deleted:
                code = view.item_ids.find(entry.item_id)
                if code < 0 or not view.shown[code]:
                    raise CatalogueError(f"Items must be there to be deleted. Got {entry.item_id!r}, which is not.")

    def _publish(self, merged: Mapping[ExternalId, Entry], after: View) -> None:
        for key, entry in merged.items():
            before = self._overlay.get(key)
            self._overlay[key] = entry if before is None else before.then(entry)
        if self._touched is not None:
            self._touched |= {after.item_ids.find(key) for key in merged} - {-1}
        self._view = after

    def _merge(self, merged: dict[ExternalId, Entry], entry: Entry) -> None:
        key = key_of(self._base.item_ids, entry.item_id)
        merged[key] = merged[key].then(entry) if key in merged else entry

    def _sums(self, merged: Mapping[ExternalId, Entry]) -> list[Entry]:
        """All that became of each item so far, these changes last."""
        before = self._overlay
        return [before[key].then(entry) if key in before else entry for key, entry in merged.items()]

    def _entries(self, entries: list[Entry]) -> list[Entry]:
        known = set(self._base.items.columns)
        return [only(one, known) for one in entries]

    def _decoded(self, payload: bytes) -> Change:
        try:
            return _DECODE.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise CatalogueError(f"{self._log.path} holds what is no change: {error}.") from error

    def _tables(self, vectors: Mapping[str, Floats] | Floats | None, rows: int) -> dict[str, Floats]:
        if vectors is None:
            return {}
        there = self._view.indices
        if not isinstance(vectors, Mapping):
            if len(there) != 1:
                raise CatalogueError(f"vectors must be by retriever, of: {', '.join(there) or 'none'}. Got an array.")
            vectors = {next(iter(there)): vectors}
        out = {}
        for name, given in vectors.items():
            if name not in there:
                raise CatalogueError(f"vectors must be of retrievers with vectors: {', '.join(there)}. Got {name!r}.")
            wide = there[name].dimensions
            try:
                table = np.asarray(given, np.float32)
            except (TypeError, ValueError) as error:
                came = type(given).__name__
                raise CatalogueError(f"vectors of {name!r} must be numbers, [{rows}, {wide}]. Got {came}.") from error
            if table.shape != (rows, wide):
                raise CatalogueError(f"vectors of {name!r} must be [{rows}, {wide}]. Got {list(table.shape)} instead.")
            if not np.isfinite(table).all():
                raise CatalogueError(f"vectors of {name!r} must be finite. Got NaN or infinity.")
            out[name] = table
        return out

    def _renew_if_stale(self) -> None:
        """Build an index anew, behind, where much has changed since it was built."""
        with self._lock:
            stale = {name: index for name, index in self._view.indices.items() if index.stale}
            if not stale or (self._building is not None and self._building.is_alive()):
                return
            self._touched = set()
            base = self._base
            self._building = threading.Thread(
                target=self._renew, args=(stale, base), name="serendip-index", daemon=True
            )
            self._building.start()

    def _renew(self, stale: Mapping[str, VectorIndex], base: View) -> None:
        fresh = {name: build(index.vectors(), index.stats.asked) for name, index in stale.items()}
        with self._lock:
            if self._base is not base or self._touched is None:
                return
            codes = np.array(sorted(self._touched), np.int32)
            view = self._view
            done = {name: _caught_up(index, view.indices[name], codes) for name, index in fresh.items()}
            self._view = replace(view, indices={**view.indices, **done})
            self._touched = None


def only(entry: Entry, known: set[str]) -> Entry:
    """The entry with those attributes alone that there are."""
    if entry.attributes.keys() <= known:
        return entry
    kept = {name: value for name, value in entry.attributes.items() if name in known}
    return msgspec.structs.replace(entry, attributes=kept)


def _caught_up(fresh: VectorIndex, now: VectorIndex, codes: Ids) -> VectorIndex:
    """A new index with what changed while it was built."""
    there = codes[now.holds(codes)]
    fresh = fresh.upsert(there, now.of(there), len(now))
    gone = codes[fresh.holds(codes) & ~now.holds(codes)]
    return fresh.delete(gone) if len(gone) else fresh


def _id_of(row: Mapping[str, Any]) -> int | str:
    value = row.get("item_id")
    if isinstance(value, np.integer):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
        raise CatalogueError(f"Every item must have an item_id: a whole number or a text. Got {value!r} instead.")
    return value


def _plain(value: Any) -> Any:
    """A value as MessagePack can say it."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, list | tuple | np.ndarray | pl.Series):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise CatalogueError(
        f"Attributes must be texts, numbers, true or false, dates, or lists. Got {value!r:.80} instead."
    )
