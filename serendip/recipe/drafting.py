"""A first recipe for files that nobody has described yet: every key with what it is for, what was found filled in."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from serendip.data.features.declared import KINDS, Feature, column_of
from serendip.data.features.suggesting import suggest
from serendip.data.read import read
from serendip.data.schema import Schema
from serendip.model import describe, find
from serendip.recipe.loading import DataError
from serendip.recipe.reading import RecipeError
from serendip.recipe.sections import Choice, Recipe, Section, as_written
from serendip.rerank.options import Options as RerankOptions
from serendip.types import SerendipError

WIDTH = 110
ROLES = (
    *("user", "item", "user_key", "item_key", "timestamp", "weight", "rating", "event_type"),
    *("title", "categories", "text", "context"),
)
HEADER = (
    "What to read, fit, evaluate and write. Every key is listed; those with a # in front are left out and show their "
    "default, or an example where there is none. Paths are relative to this file. Check it: serendip validate {name}"
)


@dataclass(frozen=True)
class Draft:
    """What was found in the files, and the recipe that says it.

    Attributes:
        recipe: the recipe.
        schema: what the columns were taken for.
        notes: remarks by dotted key, for the comments.
    """

    recipe: Recipe
    schema: Schema
    notes: Mapping[str, str]


def draft(recipe: Recipe) -> Draft:
    """Look at the files of a recipe and fill in what it does not say about them.

    Raises:
        DataError: a file that cannot be read.
        SchemaError: columns that are missing or could mean several things.
        RecipeError: no log is named, or a table without users and items.
    """
    section = recipe.data
    if section.examples is not None:
        raise RecipeError(
            "init looks at logs of users and items. A table without these needs a recipe of four lines: "
            f'[data] examples = "{section.examples}", labels = {{ COLUMN = "binary" }}, [model] name = "deepfm", '
            'label = "COLUMN". Every other column is a feature. Try: serendip validate recipe.toml'
        )
    if section.events is None:
        raise RecipeError("init looks at files: name the log by --events FILE.")
    paths = {role: getattr(section, role) for role in ("events", "users", "items")}
    try:
        tables = {role: read(path, role, encoding=section.encoding).frame for role, path in paths.items() if path}
        related = {name: read(path, name, encoding=section.encoding).frame for name, path in section.relations.items()}
    except SerendipError as error:
        raise DataError(str(error)) from error
    schema = Schema.infer(
        tables["events"],
        tables.get("users"),
        tables.get("items"),
        columns=section.columns,
        time_kind=section.time_kind,
        positive_from=section.positive_from,
        event_weights=section.event_weights,
        target=section.target,
        labels=section.labels,
    )
    notes = {f"data.{role}": _described(table) for role, table in tables.items()}
    if related:
        notes["data.relations"] = " ".join(f"{name}: {_described(table)}" for name, table in related.items())
    found: dict[str, Any] = {
        "columns": dict(roles(schema)),
        "time_kind": schema.time_kind,
        "labels": schema.labels,
    }
    if schema.rating is not None:
        threshold, notes["data.positive_from"] = _positive(tables["events"][schema.rating])
        found["positive_from"] = threshold if section.positive_from is None else section.positive_from
    if schema.event_type is not None:
        weights, notes["data.event_weights"] = _kinds(tables["events"][schema.event_type])
        found["event_weights"] = {**({} if section.target else weights), **section.event_weights}
    data = msgspec.structs.replace(section, **found)
    features = {**suggest(schema, tables["events"], tables.get("users"), tables.get("items")), **recipe.features}
    if without := _without_role(schema, tables, features):
        notes["data.columns"] = without
    return Draft(msgspec.structs.replace(recipe, data=data, features=features), schema, notes)


def roles(schema: Schema) -> list[tuple[str, Any]]:
    """The columns that play a role; not the id of a table that is named as in the events."""
    same = {"user_key": schema.user, "item_key": schema.item}
    pairs = [(role, getattr(schema, role)) for role in ROLES]
    return [(role, column) for role, column in pairs if column and column != same.get(role)]


def written(draft: Draft, path: Path) -> str:
    """The text of a ``recipe.toml`` to be written to ``path``, commented."""
    recipe = draft.recipe
    paths = {name: getattr(recipe.data, name) for name in ("events", "items", "users")}
    moved: dict[str, Any] = {name: None if to is None else _relative(to, path) for name, to in paths.items()}
    moved["relations"] = {name: _relative(to, path) for name, to in recipe.data.relations.items()}
    out = None if recipe.run.out is None else _relative(recipe.run.out, path)
    recipe = msgspec.structs.replace(
        recipe, data=msgspec.structs.replace(recipe.data, **moved), run=msgspec.structs.replace(recipe.run, out=out)
    )
    lines = [*_comment(HEADER.format(name=path))]
    for field in msgspec.structs.fields(Recipe):
        info = msgspec.inspect.type_info(field.type)
        assert isinstance(info, msgspec.inspect.Metadata)
        description = str((info.extra_json_schema or {})["description"])
        lines += ["", "", *_comment(description), f"[{field.name}]"]
        value = getattr(recipe, field.name)
        if isinstance(value, Choice):
            lines += _model(value)
        elif isinstance(value, Mapping):
            lines += _features(value)
        else:
            lines += _section(field.name, value, draft.notes)
    return "\n".join(lines) + "\n"


def _section(name: str, section: msgspec.Struct, notes: Mapping[str, str]) -> list[str]:
    lines = []
    default = type(section)()
    for field in msgspec.structs.fields(section):
        info = msgspec.inspect.type_info(field.type)
        assert isinstance(info, msgspec.inspect.Metadata)
        extra = info.extra_json_schema or {}
        note = notes.get(f"{name}.{field.name}")
        value = getattr(section, field.name)
        set_ = value != getattr(default, field.name)
        shown = value if set_ or value else extra.get("examples", [value])[0]
        lines += ["", *_comment(str(extra["description"])), *(_comment(note) if note else [])]
        lines.append(f"{'' if set_ else '# '}{field.name} = {toml(shown)}")
    return lines


def _features(features: Mapping[str, Feature]) -> list[str]:
    """A line for each feature, below what there is to choose from."""
    lines = [""]
    for kind, declared in KINDS.items():
        first = str(declared.__doc__).split("\n\n")[0]
        lines += _comment(f"{kind}: {' '.join(first.split())}")
    shown = {name: msgspec.to_builtins(feature) for name, feature in features.items()}
    lines += ["", *(f"{_key(name)} = {toml(value)}" for name, value in shown.items())]
    if not shown:
        lines.append(f"# genres = {toml({'kind': 'category', 'side': 'item', 'multivalent': True})}")
    return lines


def _model(choice: Choice) -> list[str]:
    """The model's name, and all of its options."""
    lines = ["", *_comment(f"{find(choice.name).summary} Others: serendip list"), f"name = {toml(choice.name)}"]
    for option in describe(find(choice.name)):
        given = option.name in choice.options
        value = choice.options.get(option.name, option.default)
        bounds = f" ({option.expected})" if option.expected else ""
        lines += ["", *_comment(f"{option.doc}{bounds}")]
        shown = f"{option.name} is left out" if value is None else f"{option.name} = {toml(value)}"
        lines.append(shown if given else f"# {shown}")
    return lines


def toml(value: Any) -> str:
    """A value as TOML writes it on one line."""
    if isinstance(value, Choice):
        return toml(value.plain() if value.options else value.name)
    if isinstance(value, Section):
        return toml(value.plain())
    if isinstance(value, RerankOptions):
        return toml(as_written(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Mapping):
        pairs = (f"{_key(str(key))} = {toml(part)}" for key, part in value.items())
        return "{ " + ", ".join(pairs) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(part) for part in value) + "]"
    return msgspec.json.encode(str(value)).decode().replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    plain = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if plain else toml(name)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _relative(path: str, recipe: Path) -> str:
    return Path(os.path.relpath(path, recipe.absolute().parent)).as_posix()


def _described(table: pl.DataFrame) -> str:
    return f"{len(table):,} rows with the columns {', '.join(table.columns)}."


def _without_role(schema: Schema, tables: Mapping[str, pl.DataFrame], features: Mapping[str, Feature]) -> str:
    """The columns that nothing reads, and what can be done about it; empty if there are none."""
    of: dict[str, set[str | None]] = {"user": set(), "item": set(), "context": set()}
    for name, one in features.items():
        of[one.side].add(column_of(name, one))
    single = (schema.user, schema.item, schema.timestamp, schema.weight, schema.rating, schema.event_type)
    read = {
        "events": {*single, *schema.labels, *schema.context, *of["context"]},
        "items": {schema.item_key or schema.item, schema.title, *schema.categories, *schema.text, *of["item"]},
        "users": {schema.user_key or schema.user, *of["user"]},
    }
    said = []
    for place, table in tables.items():
        left = [name for name in table.columns if name not in read[place]]
        if not left:
            continue
        flags = ",".join(f"context={name}" for name in left)
        hint = (
            f"What is known of the moment is context (--columns {flags}), what is to be predicted a label (--labels "
            "NAME=KIND)."
            if place == "events"
            else "Their values are missing, all alike or all different: where they say something all the same, declare "
            "a feature."
        )
        said.append(f"Without a role in {place}: {', '.join(left)}. {hint}")
    return " ".join(said)


def _positive(ratings: pl.Series) -> tuple[float | None, str]:
    """The rating from which on somebody can be said to like something: three fifths of the way up the scale."""
    values = ratings.cast(pl.Float64, strict=False).drop_nulls().drop_nans()
    levels = values.unique().sort()
    if len(levels) < 3:
        return None, ""
    low, high = float(levels[0]), float(levels[-1])
    threshold = float(levels.filter(levels >= low + 0.6 * (high - low))[0])
    share = float((values >= threshold).mean())  # type: ignore[arg-type]
    return threshold, f"Ratings run from {low:g} to {high:g}; {share:.0%} of them are {threshold:g} or more."


def _kinds(column: pl.Series) -> tuple[dict[str, float], str]:
    """Weight 1 for every kind of event, to be changed, and how often each occurs."""
    counts = column.drop_nulls().cast(pl.String).value_counts(sort=True)
    pairs = counts.rows()[:20]
    return {kind: 1.0 for kind, _ in pairs}, "Found: " + ", ".join(f"{kind} ({count:,})" for kind, count in pairs) + "."
