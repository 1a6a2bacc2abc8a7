"""New events, items and users taken into a bundle: what it knew joined to them, and its scorers brought up to date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.bundle.content import Content, renamed_titles, titled
from serendip.bundle.manifest import Manifest
from serendip.data.change import Change, names_of, read_part
from serendip.data.dataset import Dataset, Events
from serendip.data.findings import DataError, SchemaError
from serendip.data.schema import Schema
from serendip.data.vocab import Vocab
from serendip.index import build
from serendip.pipeline import from_dict, retrievers, scoring, to_dict, with_indices
from serendip.scorers.calibrated import Calibrated, ranked_by
from serendip.scorers.grown import grown
from serendip.types import ABSENT, Embedder, Scorer, SerendipError, Stage, Updatable

if TYPE_CHECKING:
    from serendip.data.features import Feature
    from serendip.model import Model, Run


@dataclass(frozen=True, eq=False)
class Updated:
    """What a bundle holds after an update.

    Attributes:
        change: the data before and after.
        pipeline: the stages with their scorers brought up to date.
        schema: what the columns of the new tables mean, by their own names.
        notes: what was left out, and which scorers keep what they knew.
    """

    change: Change
    pipeline: Stage
    schema: Schema
    notes: tuple[str, ...]


def update(
    made: Manifest, content: Content, events: Any, users: Any, items: Any, run: Run | None, **how: Any
) -> Updated:
    """See `Bundle.update`; ``how`` as of `serendip.data.dataset.Dataset.from_frames`."""
    from serendip.model import Run

    try:
        schema, change = _joined(made, content, events, users, items, how)
    except SchemaError:
        raise
    except SerendipError as error:
        raise DataError(str(error)) from error
    parts = [part.name for part in scoring(content.pipeline)]
    models = {} if made.schema is None else _models(made.recipe, parts)
    scorers: dict[str, Scorer] = {}
    report = change.after.report
    notes = [f"set aside, not taken in: {finding.where}" for finding in report.of("error")]
    notes += [f"{finding.where}: {finding.what}" for finding in report.of("repair")]
    notes += change.notes
    for part in scoring(content.pipeline):
        if part.name in scorers:
            continue
        renewed = _renewed(part.scorer, models.get(part.name), change, run or Run())
        if renewed is None:
            notes.append(f"{part.name} cannot take in new events: what is new stays unknown to it")
            renewed = grown(part.scorer, change.after.n_users, change.after.n_items)
        scorers[part.name] = renewed
    pipeline = _indexed(from_dict(to_dict(content.pipeline), scorers), made, run or Run())
    return Updated(change, pipeline, schema, tuple(notes))


def _indexed(pipeline: Stage, made: Manifest, run: Run) -> Stage:
    """The pipeline with indices over its new vectors, where it had some."""
    found = {}
    for part in retrievers(pipeline):
        scorer = ranked_by(part.scorer)
        if part.name in made.index and isinstance(scorer, Embedder):
            vectors = np.asarray(scorer.item_vectors(), np.float32)
            found[part.name] = build(vectors, made.index[part.name].asked, threads=run.threads, seed=run.seed)
    return with_indices(pipeline, found)


def _joined(
    made: Manifest, content: Content, events: Any, users: Any, items: Any, how: Mapping[str, Any]
) -> tuple[Schema, Change]:
    """What the columns of the new tables mean, and the tables joined to what is known."""
    schema = _schema(made, events, users, items)
    fresh = read_part(schema, events, users, items, **how)
    table = titled(fresh)
    fresh = replace(fresh, schema=_renamed(fresh.schema, table), items=table)
    return schema, Change.join(_known(content, schema), fresh, names_of(events, users, items))


def continued(content: Content, data: Dataset) -> Dataset:
    """The log of these data after the one that a bundle knows, in vocabularies in which new ids come last.

    Events that both have count once, as the data have them: same user, item, kind and time, or the first three where
    there are no times. Features stay as they were fitted for the bundle, where it has any; ages count from the last
    event.
    """
    table = titled(data)
    fresh = replace(data, schema=_renamed(data.schema, table), items=table, features=None)
    known = _known(content, data.schema)
    known, fresh = _of_one_context(replace(known, events=known.events.where(~_given_again(known, fresh))), fresh)
    after = Change.join(known, fresh).after
    codes = {
        "users": after.user_ids.encode(data.user_ids.ids),
        "items": after.item_ids.encode(data.item_ids.ids),
    }
    sides = {name: codes[data.schema.relations.get(name, "users")] for name in data.relations}
    moved = {
        name: table.with_columns(pl.Series(end, sides[name][table[end].to_numpy()]) for end in ("left", "right"))
        for name, table in data.relations.items()
    }
    after = replace(after, relations=moved)
    if known.features is not None:
        last = None if after.schema.time_kind != "unix" or after.events.time is None else after.events.time
        return after if last is None else replace(after, features=known.features.until(int(last.max(initial=0))))
    if data.features is None:
        return after
    declared = data.features.renamed("item", renamed_titles(data)).declared
    return after.with_features(cast("dict[str, Feature]", declared))


def _of_one_context(known: Dataset, fresh: Dataset) -> tuple[Dataset, Dataset]:
    """Both with the context of the fresh events, which is missing in the known ones."""
    m, came = len(known.events), {}
    missing: dict[str, NDArray[Any]] = {}
    for name, column in fresh.events.context.items():
        came[name] = column if column.dtype.kind in "fM" else column.astype(object)
        nothing = {"f": np.nan, "M": np.datetime64("NaT")}.get(column.dtype.kind)
        missing[name] = np.full(m, nothing, came[name].dtype)
    return (
        replace(known, events=replace(known.events, context=missing)),
        replace(fresh, events=replace(fresh.events, context=came)),
    )


def _given_again(known: Dataset, fresh: Dataset) -> NDArray[np.bool_]:
    """``[m]`` which known events the new log has, too."""
    users = known.user_ids.encode(fresh.user_ids.ids)[fresh.events.users]
    items = known.item_ids.encode(fresh.item_ids.ids)[fresh.events.items]
    there = pl.DataFrame({"user": known.events.users, "item": known.events.items})
    came = pl.DataFrame({"user": users, "item": items})
    if known.events.time is not None and fresh.events.time is not None:
        there = there.with_columns(time=pl.Series(known.events.time))
        came = came.with_columns(time=pl.Series(fresh.events.time))
    if known.events.kind is not None and fresh.events.kind is not None:
        names = {name: code for code, name in enumerate((*known.schema.event_types, *fresh.schema.event_types))}
        codes = np.array([*(names[name] for name in fresh.schema.event_types), ABSENT], np.int16)
        mine = np.array([*(names[name] for name in known.schema.event_types), ABSENT], np.int16)
        there = there.with_columns(kind=pl.Series(mine[known.events.kind]))
        came = came.with_columns(kind=pl.Series(codes[fresh.events.kind]))
    again = came.unique().with_columns(again=True)
    found = there.join(again, on=there.columns, how="left", maintain_order="left")["again"]
    return found.fill_null(False).to_numpy()


def _schema(made: Manifest, events: Any, users: Any, items: Any) -> Schema:
    """The schema of the fit; of a bundle that does not say, what the new tables suggest."""
    if made.schema is not None:
        return made.schema
    frames = Dataset.from_frames(events, users, items, part=True)
    return msgspec.structs.replace(frames.schema, relations={}, event_types=())


def _renamed(schema: Schema, items: pl.DataFrame) -> Schema:
    """The schema of the items as a bundle keeps them, the title under its own name."""
    return msgspec.structs.replace(schema, title="title" if "title" in items.columns else None)


def _known(content: Content, schema: Schema) -> Dataset:
    """What a bundle keeps of its data, as a data set: without labels, and of users what features read.

    Kinds of events are coded as the bundle has them.
    """
    histories, items = content.histories, content.items
    users = np.repeat(np.arange(len(histories), dtype=np.int32), np.diff(histories.indptr))
    weight = np.ones(len(users), np.float32) if histories.weight is None else histories.weight
    known = content.attributes
    people = pl.DataFrame({"user_id": content.user_ids.ids}) if known is None else known.users
    if histories.kinds is not None:
        schema = msgspec.structs.replace(schema, event_types=histories.kinds.names)
    return Dataset(
        _renamed(schema, items),
        Events(users, histories.items, weight, histories.time, histories.kind, {}, {}, histories.indptr),
        content.user_ids,
        Vocab(items["item_id"]),
        people,
        items,
        _listed(people),
        _listed(items),
        features=None if known is None else known.features,
    )


def _listed(table: pl.DataFrame) -> NDArray[np.bool_]:
    """``[n]`` of whom or what something is known besides the id."""
    listed = np.zeros(len(table), bool)
    for column in table.get_columns()[1:]:
        listed |= column.is_not_null().to_numpy()
    return listed


def _models(recipe: Mapping[str, Any], parts: list[str]) -> dict[str, Model]:
    """The models that made the scorers, by the names of their stages, as far as the recipe names known ones.

    Only models that are installed or declared are meant: a bundle is read, and names nothing to be run.
    """
    from serendip.model import find, names

    first, pipeline = recipe.get("model"), recipe.get("pipeline") or {}
    if not isinstance(first, dict) or first.get("name") not in names():
        return {}
    # Without a list of fallbacks they are chosen by the data, with their default options.
    fallback, ranker = pipeline.get("fallback"), pipeline.get("rank")
    others = [{"name": name} for name in parts[1:]] if fallback is None else fallback
    sources = [one["model"] for one in pipeline.get("sources", ())]
    out: dict[str, Model] = {}
    for choice in (first, *others, *sources, *([] if ranker is None else [ranker])):
        options = {key: value for key, value in choice.items() if key != "name"}
        if choice["name"] in names():
            out[choice["name"].replace(":", ".")] = find(choice["name"])(**options)
    return out


def _renewed(scorer: Scorer, model: Model | None, change: Change, run: Run) -> Scorer | None:
    """The scorer after the change; None if neither its model nor it itself knows a way. A calibration stays."""
    if isinstance(scorer, Calibrated):
        part = _renewed(scorer.part, model, change, run)
        return None if part is None else replace(scorer, part=part)
    if model is not None:
        return model.renew(scorer, change, run)
    return scorer.update(change, threads=run.threads) if isinstance(scorer, Updatable) else None
