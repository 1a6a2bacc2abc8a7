"""`View`: a bundle and the changes of its items up to one of them, as one value that answers."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.bundle import Bundle
from serendip.bundle.shelving import shelved
from serendip.catalogue.log import CatalogueError
from serendip.data.schema import split_categories
from serendip.data.vocab import ExternalId, Vocab
from serendip.index import Options, VectorIndex, build
from serendip.pipeline import rerankers, retrievers, scoring, with_indices, with_scorers
from serendip.scorers.calibrated import ranked_by
from serendip.scorers.described import Said, parts_of, told
from serendip.types import ABSENT, Embedder, Ids, Scorer, Stage, pack_mask

CHUNKS = 64
"""Parts that the table of items may be in before they are put together."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one item.

    Attributes:
        item_id: its external id.
        deleted: it is gone; else it was put in, or changed.
        attributes: by column of the items, those that changed.
        vectors: by retriever, float32 little-endian, those that changed.
        space: version of the bundle whose vectors those are like.
    """

    item_id: int | str
    deleted: bool = False
    attributes: dict[str, Any] = {}
    vectors: dict[str, bytes] = {}
    space: str = ""

    def then(self, later: Entry) -> Entry:
        """Both one after the other, as one."""
        if later.deleted or self.deleted:
            return later
        same = not later.vectors or not self.vectors or later.space == self.space
        return Entry(
            item_id=later.item_id,
            attributes={**self.attributes, **later.attributes},
            vectors={**(self.vectors if same else {}), **later.vectors},
            space=later.space if later.vectors else self.space,
        )


@dataclass(frozen=True, eq=False)
class GrownVocab(Vocab):
    """A vocabulary with some more ids at its end, which need no new lookup of those before.

    Attributes:
        base: those before.
        more: code by id of those that came.
    """

    base: Vocab
    more: Mapping[ExternalId, int]

    def find(self, value: object) -> int:
        """As `Vocab.find`."""
        code = self.base.find(value)
        if code != ABSENT or isinstance(value, bool) or not isinstance(value, int | str):
            return code
        try:
            return self.more.get(key_of(self, value), ABSENT)
        except CatalogueError:
            return ABSENT

    def encode(self, values: pl.Series | NDArray[Any] | Sequence[Any]) -> Ids:
        """As `Vocab.encode`."""
        codes = self.base.encode(values).copy()
        plain = list(values)
        for row in np.flatnonzero(codes == ABSENT):
            codes[row] = self.find(plain[row])
        return codes


def key_of(vocab: Vocab, value: int | str) -> ExternalId:
    """An id in the type that the vocabulary stores.

    Raises:
        CatalogueError: a text that is no whole number where ids are such.
    """
    text = str(value).strip()
    if not vocab.is_integer:
        return text
    try:
        number = int(text)
    except ValueError:
        number = 1 << 63
    if str(number) != text or not -(1 << 63) <= number < 1 << 63:
        raise CatalogueError(f"Item ids must be whole numbers, as those of the bundle. Got {value!r} instead.")
    return number


@dataclass(frozen=True, eq=False)
class View:
    """What the catalogue is at one moment; it never changes, so a request that holds it sees one state of things.

    Attributes:
        base: the bundle.
        sequence: how many changes were made.
        item_ids: those of the bundle, and those that came.
        items: what is known of them; row i for code i.
        shown: ``[n]`` which of them are there.
        indices: by retriever that has vectors.
        touched: codes of the items that came, or that are described otherwise than in the bundle, ascending.
        notes: what a reader should know.
    """

    base: Bundle
    sequence: int
    item_ids: Vocab
    items: pl.DataFrame
    shown: NDArray[np.bool_]
    indices: Mapping[str, VectorIndex]
    touched: Ids
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, bundle: Bundle) -> View:
        """The bundle as it is."""
        found: dict[str, VectorIndex] = {}
        for part in retrievers(bundle.pipeline):
            scorer = ranked_by(part.scorer)
            if isinstance(scorer, Embedder):
                vectors = np.asarray(scorer.item_vectors(), np.float32)
                found[part.name] = part.index or build(vectors, Options(backend="exact"))
        shown = np.ones(len(bundle.items), bool)
        return cls(bundle, 0, bundle.item_ids, bundle.items, shown, found, np.empty(0, np.int32))

    @cached_property
    def bundle(self) -> Bundle:
        """The bundle with these items: ask it as any other. It is not for saving."""
        if self.sequence == 0:
            return self.base
        return replace(
            self.base,
            item_ids=self.item_ids,
            items=self.items,
            pipeline=self._pipeline(),
            shown=pack_mask(self.shown)[0],
        )

    def _pipeline(self) -> Stage:
        """That of the bundle, over these items."""
        pipeline = with_indices(with_scorers(self.base.pipeline, self._scorers), self.indices)
        if not len(self.touched) or next(rerankers(pipeline), None) is None:
            return pipeline
        vectors = {name: index.vectors() for name, index in self.indices.items()}
        return shelved(pipeline, self.items, self.base.histories, vectors)

    @cached_property
    def lacking(self) -> dict[str, int]:
        """By model, how many of the items that came it cannot name: nothing is known of them that it reads."""
        new = np.flatnonzero(self.shown[self._known :]).astype(np.int32) + self._known
        out = {}
        for part in scoring(self.base.pipeline):
            if part.name in self.indices:
                out[part.name] = int((~self.indices[part.name].holds(new)).sum())
            elif part.name not in self._scorers:
                out[part.name] = len(new)
        return {name: count for name, count in out.items() if count}

    @property
    def said(self) -> tuple[str, ...]:
        """The notes, and what models cannot do with the items that came."""
        return self.notes + tuple(
            f"{name} knows nothing of {count} of the items that came, and leaves them to others"
            for name, count in self.lacking.items()
        )

    @property
    def _known(self) -> int:
        """How many items the bundle has."""
        return len(self.base.items)

    @cached_property
    def _scorers(self) -> dict[str, Scorer]:
        """By name, scorers that are searched by no index, told of the items that came or changed."""
        if not len(self.touched):
            return {}
        said, out = self._described(self.touched, self.items), {}
        for part in scoring(self.base.pipeline):
            found = None if part.name in self.indices else told(part.scorer, said)
            if found is not None:
                out[part.name] = found
        return out

    def _described(self, codes: Ids, items: pl.DataFrame) -> Said:
        """What is said of items, now and in the bundle."""
        attributes = self.base.attributes
        before = self.base.items[np.minimum(codes, max(self._known - 1, 0)).tolist()]
        return Said(codes, items[codes.tolist()], before, None if attributes is None else attributes.features)

    def after(self, entries: Sequence[Entry], sequence: int) -> View:
        """The view after further changes, each item once. What it does not know and is deleted, it leaves out.

        Raises:
            CatalogueError: an attribute that the items do not have, or of another type; a vector of another size.
        """
        known = self.item_ids.encode([entry.item_id for entry in entries]) if entries else np.empty(0, np.int32)
        came = [entry for entry, code in zip(entries, known, strict=True) if code == ABSENT and not entry.deleted]
        ids = _extended(self.item_ids, [entry.item_id for entry in came])
        pairs = [(code, entry) for entry in entries if (code := ids.find(entry.item_id)) != ABSENT]
        put = [(code, entry) for code, entry in pairs if not entry.deleted]
        back = {code for code, _ in put if code < len(self.shown) and not self.shown[code]}
        shown = np.concatenate([self.shown, np.ones(len(came), bool)])
        shown[[code for code, entry in pairs if entry.deleted]] = False
        shown[[code for code, _ in put]] = True
        items = _table(self.items, ids, put, self.base.items, back)
        gone = np.array([code for code, entry in pairs if entry.deleted], np.int32)
        changed = np.array(sorted(code for code, entry in put if entry.attributes or code >= self._known), np.int32)
        indices = {name: self._index(name, put, gone, items, changed) for name in self.indices}
        touched = np.union1d(self.touched, changed).astype(np.int32)
        return replace(
            self, sequence=sequence, item_ids=ids, items=items, shown=shown, indices=indices, touched=touched
        )

    def _index(
        self, name: str, put: Sequence[tuple[int, Entry]], gone: Ids, items: pl.DataFrame, changed: Ids
    ) -> VectorIndex:
        """The index of a retriever after changes: with the vectors that were given, else those that the scorer makes of
        what is said of items, else those of the bundle."""
        index, space = self.indices[name], self.base.manifest.version
        found = {
            code: np.frombuffer(entry.vectors[name], "<f4").astype(np.float32)
            for code, entry in put
            if name in entry.vectors and entry.space == space
        }
        for code, vector in found.items():
            if vector.shape != (index.dimensions,):
                raise CatalogueError(
                    f"Vectors of {name!r} must have {index.dimensions} numbers. "
                    f"Got {vector.size} for {self._named(code, put)!r} instead."
                )
        rest = changed[~np.isin(changed, list(found))]
        scorer = next(part.scorer for part in retrievers(self.base.pipeline) if part.name == name)
        made = parts_of(ranked_by(scorer), self._described(rest, items)) if len(rest) else None
        if made is not None:
            found |= dict(zip(rest.tolist(), made["items"], strict=True))
        for code, _ in put:
            if code not in found and code < len(index.exact) and not index.holds(np.array([code]))[0]:
                found[code] = index.exact.vectors[code]  # an item that is back has the vector that it had in the bundle
        sound = {code: vector for code, vector in found.items() if np.isfinite(vector).all()}
        table = np.stack(list(sound.values())) if sound else np.empty((0, index.dimensions), np.float32)
        index = index.upsert(np.array(list(sound), np.int32), table.astype(np.float32), len(items))
        lost = np.array([code for code in found if code not in sound], np.int32)
        every = np.concatenate([gone, lost])
        held = every[index.holds(every)]
        return index.delete(held) if len(held) else index

    @staticmethod
    def _named(code: int, put: Sequence[tuple[int, Entry]]) -> int | str:
        return next(entry.item_id for at, entry in put if at == code)


def _extended(ids: Vocab, came: Sequence[int | str]) -> Vocab:
    if not came:
        return ids
    base, more = (ids.base, dict(ids.more)) if isinstance(ids, GrownVocab) else (ids, {})
    keys = [key_of(ids, value) for value in came]
    more |= {key: len(ids) + at for at, key in enumerate(keys)}
    fresh = pl.Series(ids.ids.name, keys, dtype=ids.ids.dtype)
    whole = pl.concat([ids.ids, fresh], rechunk=ids.ids.n_chunks() >= CHUNKS)
    return GrownVocab(whole, base, more)


def _table(
    items: pl.DataFrame, ids: Vocab, put: Sequence[tuple[int, Entry]], base: pl.DataFrame, back: set[int]
) -> pl.DataFrame:
    """The items with rows put in or changed; those that are back begin as they were in the bundle.

    Raises:
        CatalogueError: an attribute that the items do not have, or of another type.
    """
    changed = [(code, entry) for code, entry in put if entry.attributes or code >= len(items) or code in back]
    if not changed:
        return items
    known = [code for code, _ in changed if code < len(items)]
    rows = dict(zip(known, items[known].rows(), strict=True)) if known else {}
    again = [code for code in known if code in back]
    rows |= {code: base.row(code) if code < len(base) else (None,) * base.width for code in again}
    columns: list[pl.Series] = []
    for place, (name, dtype) in enumerate(items.schema.items()):
        values: list[Any] = []
        for code, entry in changed:
            if name == "item_id":
                values.append(ids.ids[code])
            elif name in entry.attributes:
                values.append(_value(entry.attributes[name], dtype))
            else:
                values.append(rows[code][place] if code in rows else None)
        columns.append(_column(name, values, dtype))
    fresh = pl.DataFrame(columns)
    joined = pl.concat([items, fresh], rechunk=items.n_chunks() >= CHUNKS)
    if not known and [code for code, _ in changed] == list(range(len(items), len(ids))):
        return joined
    order = np.arange(len(ids))
    order[[code for code, _ in changed]] = len(items) + np.arange(len(changed))
    return joined[order]


def _column(name: str, values: list[Any], dtype: pl.DataType) -> pl.Series:
    try:
        return pl.Series(name, values, dtype=dtype, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        odd = next((value for value in values if not _fits(value, dtype)), values[0])
        raise CatalogueError(f"The attribute {name!r} must be {dtype}. Got {odd!r:.80} instead.") from error


def _fits(value: Any, dtype: pl.DataType) -> bool:
    try:
        pl.Series([value], dtype=dtype, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return False
    return True


def _value(value: Any, dtype: pl.DataType) -> Any:
    """A date or a moment from its text, and several values from one whose values ``|`` or ``,`` part."""
    if isinstance(value, str) and isinstance(dtype, pl.List | pl.Array):
        return split_categories(pl.Series([value])).item().to_list()
    if not isinstance(value, str) or not dtype.is_temporal():
        return value
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError:
        return value
    if dtype == pl.Date:
        return moment.date()
    zone = getattr(dtype, "time_zone", None)
    if zone is None and moment.tzinfo is not None:
        return moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return moment.replace(tzinfo=datetime.UTC) if zone is not None and moment.tzinfo is None else moment
