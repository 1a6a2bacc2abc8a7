"""From requests to replies over one bundle; knows nothing of HTTP."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import polars as pl
from msgspec import UNSET, UnsetType

from serendip.bundle import Bundle
from serendip.bundle.ask import NO_CHANCE, UNREAD
from serendip.bundle.attributes import MOMENT
from serendip.bundle.details import Details
from serendip.bundle.filters import said_of
from serendip.filter import FilterError
from serendip.pipeline import Skipped, watched
from serendip.serve import wire
from serendip.serve.search import Search
from serendip.serve.wire import ApiError, ExternalId, FoundItem, Item
from serendip.types import ABSENT, PROPENSITY, Recs, SerendipError, unpack_mask

NAMED = 5
"""How many unknown ids a note names."""
NOT_READ = "are read by no model of the bundle"
OF_NO_KIND = "is of no kind that the bundle keeps beside the history"
MAX_SEARCH = 200
NEWCOMER = "For a newcomer give a history, attributes or events; an empty history will do."


class _Person(NamedTuple):
    """Who asks: the user's code, ids that the bundle knows, and notes on those that it does not."""

    code: int
    history: list[ExternalId] | None
    events: dict[str, list[ExternalId]]
    exclude: list[ExternalId]
    notes: list[str]


class Answers:
    """What one bundle answers. Immutable, so any number of threads may ask at once.

    Attributes:
        version: of the bundle.
        someone: the id of a user who has a history, for examples; None where there is none.
        described: the bundle in a reply.
    """

    def __init__(
        self,
        bundle: Bundle,
        live: int | None = None,
        skipped: Callable[[Skipped], None] = lambda note: None,
        took: Callable[[str, float], None] = lambda stage, seconds: None,
    ) -> None:
        """What a bundle answers.

        Args:
            bundle: that answers.
            live: with how many changes of its items, if live ones are kept.
            skipped: told of every stage that is skipped.
            took: told how many seconds a stage took, of those that may be skipped.
        """
        manifest = bundle.manifest
        self.version = manifest.version
        self._bundle, self._skipped, self._took = bundle, skipped, took
        self._users: list[ExternalId] = bundle.user_ids.ids.to_list()
        self._ids: list[ExternalId] = bundle.item_ids.ids.to_list()
        titles = bundle.items["title"].cast(pl.String) if "title" in bundle.items.columns else None
        self._titles: list[str | None] = [None] * len(self._ids) if titles is None else titles.to_list()
        uses = np.bincount(bundle.histories.items, minlength=len(self._ids))
        allowed = bundle.fitting(None)
        self._shown = None if allowed is None else unpack_mask(allowed.bits, len(self._ids))[0]
        self._search = Search(bundle.item_ids, titles, uses, self._shown)
        busy = np.flatnonzero(np.diff(bundle.histories.indptr))
        self.someone = self._users[busy[0]] if len(busy) else None
        self.described = wire.BundleReply(
            manifest.version,
            manifest.created,
            manifest.serendip,
            msgspec.to_builtins(manifest.data),
            self.someone,
            live,
        )

    def warm(self) -> None:
        """Make now what the first request would have to wait for."""
        for vocab in (self._bundle.user_ids, self._bundle.item_ids):
            vocab.find(0)
        self.recommend([wire.RecommendRequest(user_id=self.someone)])

    def recommend(self, asked: Sequence[wire.RecommendRequest]) -> list[wire.RecommendReply]:
        """One reply per request, in their order; those that differ only in the user are answered at once."""
        replies: list[wire.RecommendReply | None] = [None] * len(asked)
        groups: dict[tuple[int, bool, int | None, str | None, bool, bool], list[int]] = {}
        for place, one in enumerate(asked):
            key = (
                one.k,
                one.exclude_seen,
                None if one.allow is None else id(one.allow),
                one.filter,
                one.reasons,
                one.explore,
            )
            groups.setdefault(key, []).append(place)
        for places in groups.values():
            for place, reply in zip(places, self._together([asked[place] for place in places]), strict=True):
                replies[place] = reply
        return [reply for reply in replies if reply is not None]

    def batch(self, asked: wire.BatchRequest) -> wire.BatchReply:
        """Items for many users.

        Raises:
            ApiError: 422 for more places than `wire.MAX_PLACES`.
        """
        places = len(asked.queries) * asked.k
        if places > wire.MAX_PLACES:
            raise ApiError(
                422,
                "too_many",
                f"The queries times `k` must not exceed {wire.MAX_PLACES}. "
                f"Got {len(asked.queries)} × {asked.k} = {places} instead.",
                "Ask in several batches.",
            )
        requests = [
            wire.RecommendRequest(
                user_id=query.user_id,
                k=asked.k,
                history=query.history,
                exclude=query.exclude,
                allow=asked.allow,
                filter=asked.filter,
                exclude_seen=asked.exclude_seen,
                reasons=asked.reasons,
                explore=asked.explore,
                attributes=query.attributes,
                events=query.events,
                time=query.time,
            )
            for query in asked.queries
        ]
        return wire.BatchReply(self.version, self._together(requests))

    def similar(self, asked: wire.SimilarRequest) -> wire.SimilarReply:
        """Items like a given one.

        Raises:
            ApiError: 404 for an item that is not in the bundle, 501 if no model of the bundle compares items.
        """
        code = self._item(asked.item_id)
        try:
            found = self._bundle.similar_items(self._ids[code], asked.k)
        except SerendipError as error:
            raise ApiError(501, "not_supported", "This bundle has no model that compares items.") from error
        items = [
            Item(row["similar_item_id"], _short(row["score"]), row["rank"], row["source"], _title(row.get("title")))
            for row in found.iter_rows(named=True)
        ]
        notes = [] if items else ["Nothing is known that this item could be compared by."]
        return wire.SimilarReply(_new_id(), self.version, items, notes)

    def explain(self, asked: wire.ExplainRequest) -> wire.ExplainReply:
        """Why an item is in a list, or is not.

        Raises:
            ApiError: 404 for an item that is not in the bundle and never was, or a user who is not and of whom nothing
                is said; 422 for nobody at all, or what `recommend` refuses.
        """
        code, person = self._item(asked.item_id, gone=True), self._person(asked)
        allow, strange = self._known("allow", asked.allow)
        kept = self._bundle.attributes
        said = {name: value for name, value in asked.attributes.items() if kept is not None and name in kept.columns}
        if person.code == ABSENT and person.history is None and not asked.attributes and not asked.events:
            if asked.user_id is not None:
                raise ApiError(404, "unknown_user", f"No user has the id {_shown(asked.user_id)}.", NEWCOMER)
            raise ApiError(422, "missing_field", "One of the fields `user_id` and `history` is required.", NEWCOMER)
        try:
            why = self._bundle.why(
                None if person.code == ABSENT else self._users[person.code],
                self._ids[code],
                asked.k,
                reasons=asked.reasons,
                exclude_seen=asked.exclude_seen,
                history=[] if person.history is None and person.code == ABSENT else person.history,
                exclude=person.exclude or None,
                allow=allow,
                filter=asked.filter,
                attributes=said or None,
                events=person.events or None,
                time=asked.time,
            )
        except FilterError as error:
            raise ApiError(422, "invalid_filter", str(error)) from error
        except SerendipError as error:
            if not said:
                raise
            raise ApiError(422, "invalid_attributes", str(error)) from error
        fields = {name: getattr(why, name) for name in why.__struct_fields__}
        notes = list(dict.fromkeys((*person.notes, *strange, *why.notes)))
        return wire.ExplainReply(**{**fields, "notes": notes}, bundle=self.version)

    def onboard(self, asked: wire.OnboardRequest) -> wire.OnboardReply:
        """What to ask somebody new.

        Raises:
            ApiError: 404 for an item that is not in the bundle and never was, 422 for one answered twice or a filter
                that cannot be read or does not fit the items.
        """
        answers = {name: getattr(asked, name) for name in ("liked", "not_liked", "not_known")}
        for given in answers.values():
            for one in given:
                self._item(one, gone=True)
        try:
            found = self._bundle.onboarding(asked.k, **answers, filter=asked.filter)
        except FilterError as error:
            raise ApiError(422, "invalid_filter", str(error)) from error
        except SerendipError as error:
            raise ApiError(422, "invalid_value", str(error)) from error
        questions = [
            wire.Question(
                row["item_id"], _short(row["known"]), _short(row["gain"]), row["rank"], row["source"],
                _title(row.get("title")),
            )
            for row in found.iter_rows(named=True)
        ]  # fmt: skip
        lack = f"{len(questions)} of {asked.k} questions: there is no other item that may be asked about"
        return wire.OnboardReply(self.version, questions, [] if len(questions) == asked.k else [lack])

    def search(self, text: str, limit: int) -> wire.ItemsReply:
        """Items whose title or id matches, the most used first.

        Raises:
            ApiError: 422 for a text of more than `MAX_SEARCH` characters.
        """
        if len(text) > MAX_SEARCH:
            raise ApiError(
                422, "invalid_value", f"`search` must be at most {MAX_SEARCH} characters. Got {len(text)} instead."
            )
        return wire.ItemsReply([self._found(code) for code in self._search.find(text, limit)])

    def history(self, user_id: str, limit: int) -> wire.HistoryReply:
        """What a user liked, each item once, newest first.

        Raises:
            ApiError: 404 for a user who is not in the bundle.
        """
        code = self._bundle.user_ids.find(user_id)
        if code == ABSENT:
            raise ApiError(404, "unknown_user", f"No user has the id {_shown(user_id)}.")
        histories = self._bundle.histories
        span = slice(histories.indptr[code], histories.indptr[code + 1])
        items = histories.items[span]
        liked = items if histories.weight is None else items[histories.weight[span] > 0]
        newest = list(dict.fromkeys(liked[::-1].tolist()))
        return wire.HistoryReply(self._users[code], len(newest), [self._found(item) for item in newest[:limit]])

    def _together(self, asked: Sequence[wire.RecommendRequest]) -> list[wire.RecommendReply]:
        """Replies to requests that agree in all but the user and what is said of the user.

        Raises:
            ApiError: 422 for attributes of another type than the features were learned from, or a filter that cannot be
                read or does not fit the items.
        """
        k, filtered = asked[0].k, asked[0].filter
        allow, strange = self._known("allow", asked[0].allow)
        try:
            strange += said_of(self._bundle.fitting(filtered), filtered, k)
        except FilterError as error:
            raise ApiError(422, "invalid_filter", str(error)) from error
        people = [self._person(one) for one in asked]
        now = int(time.time())
        said = [dict(one.attributes) for one in asked] if any(one.attributes for one in asked) else None
        try:
            queries = self._bundle.queries(
                [None if one.code == ABSENT else self._users[one.code] for one in people],
                k=k,
                exclude_seen=asked[0].exclude_seen,
                history=[one.history for one in people] if any(one.history is not None for one in people) else None,
                exclude=[one.exclude for one in people] if any(one.exclude for one in people) else None,
                allow=allow,
                filter=filtered,
                attributes=said,
                events=[one.events or None for one in people] if any(one.events for one in people) else None,
                time=[now if one.time is None else one.time for one in asked],
                explore=asked[0].explore,
            )
        except SerendipError as error:
            if said is None:
                raise
            raise ApiError(422, "invalid_attributes", str(error)) from error
        with watched(self._took):
            recs = self._bundle.answering(queries).top(k)
        skipped = [note for note in recs.notes if isinstance(note, Skipped)]
        for note in skipped:
            self._skipped(note)
        if asked[0].explore and not self._bundle.explores:
            strange.append(NO_CHANCE)
        lists = self._lists(recs)
        if asked[0].reasons:
            lists = _detailed(lists, self._bundle.detailed(queries, recs))
        return [
            wire.RecommendReply(
                _new_id(),
                self.version,
                one.code != ABSENT,
                items,
                [*one.notes, *strange, *map(str, skipped), *_shortage(items, k)],
            )
            for one, items in zip(people, lists, strict=True)
        ]

    def _person(self, asked: wire.ListRequest) -> _Person:
        code = self._bundle.user_ids.find(asked.user_id)
        stranger = [asked.user_id] if code == ABSENT and asked.user_id is not None else []
        history, lost = self._known("history", asked.history)
        exclude, missed = self._known("exclude", asked.exclude)
        events, unread = self._bags(asked)
        odd = self._unread(asked.attributes)
        return _Person(
            code, history, events, exclude or [], [*_unknown("user_id", stranger), *lost, *missed, *unread, *odd]
        )

    def _bags(self, asked: wire.ListRequest) -> tuple[dict[str, list[ExternalId]], list[str]]:
        """The items that the bundle knows, by kind of event that it keeps; and notes on other kinds, on those that no
        model reads, and on items that are not known."""
        kinds = self._bundle.histories.kinds
        kept = {} if kinds is None else kinds.others
        strange = [name for name in asked.events if name not in kept]
        notes = [f"events: {_some(strange)} {OF_NO_KIND}"] if strange else []
        found: dict[str, list[ExternalId]] = {}
        for name in asked.events:
            if name in kept:
                known, lost = self._known(f"events of {name}", asked.events[name])
                found[name] = known or []
                notes += lost
        unread = [name for name in found if name not in self._bundle.kinds_read]
        return found, [*notes, *([f"events of {_some(unread)}: {UNREAD[asked.exclude_seen]}"] if unread else [])]

    def _unread(self, said: Mapping[str, object]) -> list[str]:
        """A note on attributes that no feature of the bundle reads."""
        kept = self._bundle.attributes
        moments = [name for name in said if kept is not None and kept.is_moment(name)]
        strange = [name for name in said if name not in moments and (kept is None or name not in kept.columns)]
        notes = [f"attributes: {_shown(name)} {MOMENT}" for name in moments]
        return [*notes, *([f"attributes: {_some(strange)} {NOT_READ}"] if strange else [])]

    def _known(self, field: str, ids: list[ExternalId] | None) -> tuple[list[ExternalId] | None, list[str]]:
        """The ids that the bundle knows, in the type it stores, and a note on the others."""
        if ids is None:
            return None, []
        codes = [self._bundle.item_ids.find(given) for given in ids]
        known = [self._ids[code] for code in codes if code != ABSENT]
        return known, _unknown(field, [given for given, code in zip(ids, codes, strict=True) if code == ABSENT])

    def _lists(self, recs: Recs) -> list[list[Item]]:
        """The lists with external ids and titles."""
        parts = (recs.counts, recs.items, recs.scores, recs.columns["source"])
        lists = [
            [
                Item(self._ids[code], _short(score), rank, source, _title(self._titles[code]))
                for rank, code, score, source in zip(range(1, count + 1), codes, scores, sources, strict=False)
            ]
            for count, codes, scores, sources in zip(*(part.tolist() for part in parts), strict=True)
        ]
        return lists if PROPENSITY not in recs.columns else _likely(lists, recs.columns[PROPENSITY].tolist())

    def _item(self, item_id: ExternalId, *, gone: bool = False) -> int:
        """The code of an item; ``gone``: of one that was deleted, too.

        Raises:
            ApiError: 404 for one that is not in the bundle.
        """
        code = self._bundle.item_ids.find(item_id)
        if code == ABSENT or (not gone and self._shown is not None and not self._shown[code]):
            raise ApiError(
                404,
                "unknown_item",
                f"No item has the id {_shown(item_id)}.",
                "Items are found by title at /v1/items?search=…",
            )
        return code

    def _found(self, code: int) -> FoundItem:
        return FoundItem(self._ids[code], _title(self._titles[code]))


def _detailed(lists: Sequence[Sequence[Item]], details: Details) -> list[list[Item]]:
    """The lists with all that named each item, what each stage gave it, and why it is there."""
    scores = {name: value.tolist() for name, value in details.scores.items()}
    at = iter(range(len(details.reasons)))
    return [
        [
            msgspec.structs.replace(
                item,
                sources=list(details.sources[place]),
                scores={name: _short(value[place]) for name, value in scores.items() if not math.isnan(value[place])},
                reason=details.reasons[place],
            )
            for item, place in zip(items, at, strict=False)
        ]
        for items in lists
    ]


def _likely(lists: Sequence[Sequence[Item]], chances: Sequence[Sequence[float]]) -> list[list[Item]]:
    """The lists with how likely each item was at its place, where chance had a part in it."""
    return [
        [
            item if math.isnan(chance) else msgspec.structs.replace(item, propensity=_short(chance))
            for item, chance in zip(items, told, strict=False)
        ]
        for items, told in zip(lists, chances, strict=True)
    ]


def _title(title: str | None) -> str | UnsetType:
    return UNSET if title is None else title


def _new_id() -> str:
    return str(uuid.uuid4())


def _short(score: float) -> float:
    """A float32 with the digits it has: 0.3, not 0.30000001192092896."""
    return float(f"{score:.7g}")


def _shortage(items: Sequence[Item], k: int) -> list[str]:
    """A note on a list that is shorter than asked for."""
    if len(items) == k:
        return []
    return [f"{len(items)} of {k} items: there is no other that may be shown and can be scored"]


def _unknown(field: str, ids: Sequence[ExternalId]) -> list[str]:
    """A note on ids that the bundle does not know, if there are any."""
    if not ids:
        return []
    return [f"{field}: {len(ids)} not known: {_some(ids)}"]


def _some(ids: Sequence[ExternalId]) -> str:
    """The first few."""
    return ", ".join(_shown(given) for given in ids[:NAMED]) + (" …" if len(ids) > NAMED else "")


def _shown(given: ExternalId) -> str:
    text = repr(given)
    return text if len(text) <= wire.SHOWN else f"{text[: wire.SHOWN]}…"
