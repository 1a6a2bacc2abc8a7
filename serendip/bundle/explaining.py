"""The way of one item through a pipeline, told for one query: `serendip.bundle.Bundle.why`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np

from serendip.bundle import foretelling
from serendip.bundle.ask import Desk, Request
from serendip.bundle.carried import Carried, carried
from serendip.bundle.gates import gates_of, let_through
from serendip.bundle.ids import known_codes
from serendip.bundle.why import Gate, How, Reason, Score, Source, Step, Verdict, Why, sentence
from serendip.pipeline import Rank, Retrieve, permitted, retrievers
from serendip.pipeline.composite import Composite
from serendip.pipeline.guard import Guard
from serendip.pipeline.merge import Merge
from serendip.pipeline.ranking import NEAR
from serendip.pipeline.tracing import Call, Place, held, lost, skipped, standing_of, traced
from serendip.scorers.calibrated import Calibrated
from serendip.scorers.labelled import LabelScorer
from serendip.scorers.left_out import Share
from serendip.types import ABSENT, Queries, Recs, SerendipError, Stage


def why(desk: Desk, pipeline: Stage, user: Any, item: Any, k: int, reasons: int, **given: Any) -> Why:
    """See `serendip.bundle.Bundle.why`; ``given`` as of `Desk.request`."""
    if isinstance(reasons, bool) or not isinstance(reasons, int | np.integer) or reasons < 0:
        raise SerendipError(f"reasons must be a whole number, 0 or more. Got {reasons!r} instead.")
    (code,) = known_codes(desk.item_ids, "items", [item]).tolist()
    request = desk.request(user, k, **given)
    _require_known(desk, request, user, given)
    gates = gates_of(request, code, desk.filters.items, given.get("filtered"), desk.filters.shown)
    queries = request.queries()
    gone = any(gate.reason == "deleted" for gate in gates)
    asked = let_through(queries, code) if gates and not gone else queries
    recs, calls = traced(pipeline, asked)
    shown = pipeline(queries) if gates and not gone else recs
    place = Place.of_item(recs.top(request.k), code)
    without = skipped(recs, calls)
    parts = [] if gone else retrievers(pipeline)
    sources = _once([_source(part, calls, asked, code, without) for part in parts])
    verdict, at = _verdict(gates, place, calls, sources, code)
    steps = _steps(calls, recs, code, request.k)
    found = [] if gone else list(_carried(desk, pipeline, calls, sources, asked, code))
    told = None if gone else next(foretelling.foretold_of(pipeline, asked, np.array([code], np.int32), without), None)
    made = Why(
        user_id=request.users[0],
        item_id=desk.item_ids.ids[code],
        title=_title(desk, code),
        k=request.k,
        listed=int(shown.top(request.k).counts[0]),
        place=None if gates else place.place,
        score=None if gates else short(place.score),
        score_is=_meaning(pipeline, calls, recs, code),
        verdict=verdict,
        lost_at=at,
        said="",
        otherwise=place.place if gates else None,
        gates=gates,
        sources=sources,
        steps=steps,
        scores=[Score(name, _number(one.score)) for name, one in found],
        reasons=[reason for name, one in found for reason in _reasons(desk, name, one, reasons)],
        foretold={} if told is None else {name: short(value[0, 0]) for name, value in told.tasks.items()},
        foretold_by=None if told is None or not told.tasks else told.part.name,
        notes=list(dict.fromkeys(map(str, (*request.notes, *shown.notes)))),  # plain texts, not `Skipped`
    )
    return msgspec.structs.replace(made, said=sentence(made))


def _require_known(desk: Desk, request: Request, user: Any, given: Mapping[str, Any]) -> None:
    said = request.history is not None or given.get("events") or given.get("attributes")
    if request.codes[0] == ABSENT and not said:
        raise SerendipError(
            f"users must be among the {len(desk.user_ids)} users of the bundle, or have a history, attributes or "
            f"events given; an empty history stands for a newcomer. Got {user!r}."
        )


def _source(part: Retrieve, calls: Sequence[Call], queries: Queries, item: int, without: Collection[str]) -> Source:
    """What a retriever said of the item, whether it was asked or not."""
    if part.name in without:
        return Source(part.name, None, None, None, None, None, 0, True)
    own = [call for call in calls if call.stage is part]
    whole = standing_of(part, queries, item)
    named = None
    for call in own:
        before = () if call.given is None else permitted(call.given, call.queries).items[0]
        added = call.found.keep(~np.isin(call.found.items, before) & (call.found.items != ABSENT))
        named = Place.of_item(added, item)
    return Source(
        source=part.name,
        place=None if named is None else named.place,
        named=None if named is None else named.of,
        score=short(whole.score),
        last=None if named is None else short(named.last),
        standing=whole.place,
        among=whole.of,
    )


def _once(sources: Sequence[Source]) -> list[Source]:
    """Without those that were not asked, and that others of their name speak for: what names items and fills lists."""
    told = {(one.source, one.standing) for one in sources if one.named is not None}
    return [one for one in sources if one.named is not None or one.skipped or (one.source, one.standing) not in told]


def _steps(calls: Sequence[Call], recs: Recs, item: int, k: int) -> list[Step]:
    """What became of the item in the stages behind those that name items, as far as they saw it."""
    gone, out = lost(calls, item), list[Step]()
    for call in calls:
        turns = call.reranks or isinstance(call.stage, Rank | Merge)
        before, after = Place.of_item(call.given, item), Place.of_item(call.found, item)
        if not (turns or call is gone) or (call is not gone and before.place is None and after.place is None):
            continue
        if isinstance(call.stage, Composite) and not isinstance(call.stage, Merge):
            before = Place.of_item([one for one in held(calls, item) if call.around(one)][-1].found, item)
        low, score, last = None, after.score, after.last
        if isinstance(call.stage, Rank) and after.place is None:
            whole = standing_of(call.stage, call.queries, item, call.given)
            low, score = whole.place, whole.score
        elif call.reranks or (isinstance(call.stage, Composite) and not isinstance(call.stage, Merge)):
            score, last = None, None
        out.append(
            Step(
                call.name or _kind(call), _kind(call), before.place, before.of, after.place, after.of, short(score),
                short(last), low,
            )
        )  # fmt: skip
    whole, kept = Place.of_item(recs, item), Place.of_item(recs.top(k), item)
    if whole.place is not None and kept.place is None:
        out.append(Step("list", "list", whole.place, whole.of, None, kept.of, short(whole.score), short(kept.last)))
    return out


def _verdict(
    gates: Sequence[Gate], place: Place, calls: Sequence[Call], sources: Sequence[Source], item: int
) -> tuple[Verdict, str | None]:
    """What became of the item, and the stage in which it was lost."""
    if gates:
        return gates[0].reason, None
    if place.place is not None:
        return "listed", None
    gone = lost(calls, item)
    if gone is None:
        if held(calls, item):
            return "cut", "list"
        if any(one.standing is not None and not one.skipped for one in sources):
            return "not_named", None
        return ("skipped" if any(one.skipped for one in sources) else "not_scored"), None
    if isinstance(gone.stage, Rank):
        return "ranked_low", gone.name
    if isinstance(gone.stage, Guard):
        return "skipped", gone.name
    if gone.reranks:
        return "moved", gone.name
    for call in reversed([one for one in calls if one.reranks and gone.around(one)]):
        before, after = Place.of_item(call.given, item).place, Place.of_item(call.found, item).place
        if before is not None and after is not None and before <= gone.queries.k < after:
            return "moved", call.name
    return "cut", gone.name or _kind(gone)


def _carried(
    desk: Desk, pipeline: Stage, calls: Sequence[Call], sources: Sequence[Source], queries: Queries, item: int
) -> Iterator[tuple[str, Carried]]:
    """What carried the scores of those that named the item, or else of the first that has one; and of rankers."""
    named = {one.source for one in sources if one.place is not None}
    if not named:
        named = {one.source for one in [one for one in sources if one.score is not None][:1]}
    for name, part in {part.name: part for part in retrievers(pipeline)}.items():  # what also fills lists once
        if name in named and (found := carried(part, queries, item, desk)) is not None:
            yield name, found
    for call in calls:
        if not isinstance(call.stage, Rank) or call.given is None:
            continue
        lists = permitted(call.given, call.queries)
        at = np.flatnonzero(lists.items[0] == item)
        if len(at) == 0:
            continue
        told = call.stage.told(call.queries, lists)
        own = replace(told, pairs={name: value[:, at] for name, value in told.pairs.items()})
        if (found := carried(call.stage, own, item, desk)) is not None:
            yield call.stage.name, found


def _reasons(desk: Desk, source: str, found: Carried, most: int) -> Iterator[Reason]:
    hows: tuple[tuple[How, Sequence[Share]], ...] = (("sum", found.sums), ("left out", found.shares))
    for how, shares in hows:
        for rank, share in enumerate(shares[:most], 1):
            part, value = share.part, None if np.isinf(share.value) else short(share.value)
            item = None if part.item == ABSENT else desk.item_ids.ids[part.item]
            title = None if part.item == ABSENT else _title(desk, part.item)
            yield Reason(source, part.side, part.name, value, rank, how, item, title)


def _meaning(pipeline: Stage, calls: Sequence[Call], recs: Recs, item: int) -> str | None:
    """What the score in the list means: by the last ranker that had the item, else by what named it."""
    ranks = [call.stage for call in calls if isinstance(call.stage, Rank) and _holds(call.found, item)]
    if ranks:
        part: Retrieve | Rank | None = ranks[-1]
        named = ranks[-1].named
    else:
        at = np.flatnonzero(recs.items[0] == item)
        source = str(recs.columns["source"][0, at[0]]) if len(at) and "source" in recs.columns else ""
        part, named = next((one for one in retrievers(pipeline) if one.name == source), None), 0.0
    if part is not None and named:
        return f"{1 - named:g} / ({NEAR} + place by {part.name}) + {named:g} / ({NEAR} + place as it was named)"
    if part is None or not isinstance(part.scorer, Calibrated | LabelScorer):
        return None
    return part.scorer.meaning()


def _holds(recs: Recs, item: int) -> bool:
    return Place.of_item(recs, item).place is not None


def _kind(call: Call) -> str:
    """What kind of stage it is, as a recipe would have it."""
    name = type(call.stage).__name__
    return "rerank" if call.reranks else {"FirstOf": "first_of"}.get(name, name.lower())


def _title(desk: Desk, item: int) -> str | None:
    items = desk.filters.items
    return items["title"][item] if "title" in items.columns else None


def short(value: Any) -> float | None:
    """A float32 with the digits that it has; None for what is no finite number."""
    return None if value is None or not np.isfinite(value) else _number(value)


def _number(value: Any) -> float:
    return float(f"{value:.7g}")


__all__ = ["why"]
