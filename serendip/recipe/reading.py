"""From a file, flags and overrides to a checked `Recipe`."""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
from msgspec import inspect

from serendip.data.features.declared import KINDS, Declared
from serendip.model import configure, describe, find, nearest
from serendip.recipe.sections import Choice, Recipe
from serendip.recipe.words import bare, wording
from serendip.rerank.options import KINDS as RERANKERS
from serendip.rerank.options import Reranker
from serendip.space import parse
from serendip.types import SerendipError

PATHS = (
    *(("data", key) for key in ("events", "items", "users", "examples", "rejects")),
    ("run", "out"),
)
"""Keys that hold paths: in a file they are relative to it, on the command line to the working directory."""
PATH_TABLES = (("data", "relations"),)
"""Keys that hold tables of such paths."""
ROW_METRICS = ("auc", "gauc", "logloss", "ece", "mae", "rmse", "xauc", "weighted_per_user_loss")
"""Figures of events one by one; `serendip.evaluate.ROW_METRICS`."""

Key = tuple[str, ...]


class RecipeError(SerendipError):
    """A recipe, an override or an option that cannot be used as it is."""


@dataclass(frozen=True)
class Source:
    """Where values came from, so that an error can say so.

    Attributes:
        name: of the file, or empty.
        text: its contents.
        given: keys set outside the file, with how: ``--set model.factors=x``, ``--model``.
    """

    name: str
    text: str
    given: Mapping[Key, str]

    def place(self, key: Key) -> str:
        """The beginning of a message about this key: file and line, or the override; empty where neither is known."""
        line = line_of(self.text, key)
        key = tuple(part.partition("[")[0] for part in key)
        for known, how in self.given.items():
            if key[: len(known)] == known or (line is None and known[: len(key)] == key):
                return f"{how}: "
        if not self.name:
            return ""
        return f"{self.name}: " if line is None else f"{self.name}, line {line}: "


def read(
    source: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    *,
    given: Mapping[str, Mapping[str, Any]] | None = None,
    model: str | None = None,
) -> Recipe:
    """A recipe from a file, changed by what was given beside it.

    Args:
        source: the path of a ``recipe.toml``; or its values, as `Recipe.plain` gives them; None: all defaults.
        overrides: ``section.key=value`` with the value as TOML writes it; a bare word is taken as text. They win.
        given: values by section and key, such as flags of the command line.
        model: a model's name in place of the recipe's model and its options.

    Raises:
        RecipeError: the file is missing, is not TOML, or a key or value cannot be used: which, where, what was
            expected, what came, and the nearest known name.
    """
    name = text = ""
    if isinstance(source, str | Path):
        name, text = str(source), _text(Path(source))
        raw = _toml(text, name)
        _absolute(raw, Path(source).parent)
    else:
        raw = copy.deepcopy(dict(source or {}))
    origins: dict[Key, str] = {}
    for section, values in (given or {}).items():
        for key, value in values.items():
            _put(raw, (section, key), value)
            origins[section, key] = "--" + key.replace("_", "-")
    if model is not None:
        raw["model"] = {"name": model}
        origins["model",] = "--model"
    for text_override in overrides:
        dotted, value = override(text_override)
        _put(raw, dotted, value)
        origins.pop(dotted, None)
        origins = {dotted: f"--set {text_override}", **origins}
    return convert(raw, Source(name, text, origins))


def override(text: str) -> tuple[Key, Any]:
    """``a.b=value`` as a key and a value.

    Raises:
        RecipeError: there is no ``=``, or the key is not one.
    """
    key, equals, value = text.partition("=")
    try:
        keys = _only_path(tomllib.loads(f"{key} = 0")) if equals and "\n" not in key else ()
    except tomllib.TOMLDecodeError:
        keys = ()
    if not keys:
        raise RecipeError(f"--set must be section.key=value, such as model.factors=128. Got {text!r} instead.")
    return keys, scalar(value)


def scalar(text: str) -> Any:
    """A value as TOML writes it; what TOML does not know is text."""
    try:
        table = tomllib.loads(f"value = {text.strip()}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text.strip()
    return table["value"] if len(table) == 1 else text.strip()


def convert(raw: Mapping[str, Any], source: Source) -> Recipe:
    """Nested plain values as a `Recipe`.

    Raises:
        RecipeError: as `read`.
    """
    sections = _fields(Recipe)
    _known(raw, sections, (), source)
    values: dict[str, Any] = {}
    for name, table in raw.items():
        if name == "model":
            values[name] = _choice(table, ("model",), source)
            continue
        if not isinstance(table, Mapping):
            raise RecipeError(f"{source.place((name,))}{name} must be a table, [{name}]. Got {_shown(table)} instead.")
        if name == "features":
            values[name] = {feature: _feature(feature, part, source) for feature, part in table.items()}
            continue
        values[name] = _section(get_type_hints(Recipe)[name], table, (name,), source)
    return _for_examples(Recipe(**values), raw)


def _for_examples(recipe: Recipe, raw: Mapping[str, Any]) -> Recipe:
    """A recipe of examples, which have no history and nothing to compare lists of: what is not said is made to fit."""
    if recipe.data.examples is None:
        return recipe
    given, pipeline = raw.get("evaluate", {}), recipe.pipeline
    if "fallback" not in raw.get("pipeline", {}):
        pipeline = msgspec.structs.replace(pipeline, fallback=())
    compare = tuple(_without_history(one) for one in recipe.evaluate.compare) if "compare" in given else ()
    return msgspec.structs.replace(
        recipe,
        model=_without_history(recipe.model),
        pipeline=pipeline,
        evaluate=msgspec.structs.replace(recipe.evaluate, compare=compare),
    )


def _without_history(choice: Choice) -> Choice:
    known = {option.name for option in describe(find(choice.name))}
    return Choice(choice.name, {"length": 0, **choice.options}) if "length" in known else choice


def _feature(name: str, table: Any, source: Source) -> Declared:
    key, kinds = ("features", name), {kind: kind for kind in KINDS}
    given = table.get("kind") if isinstance(table, Mapping) else None
    if not isinstance(given, str) or given not in kinds:
        near = nearest(given, kinds) if isinstance(given, str) else None
        came = f"{_shown(given)} instead" if isinstance(table, Mapping) else f"{_shown(table)} instead"
        raise RecipeError(
            f"{source.place((*key, 'kind'))}features.{name} must be a table with its kind, one of {', '.join(kinds)}, "
            f'such as {{kind = "category", side = "item"}}. Got {came}.' + (f' Did you mean "{near}"?' if near else "")
        )
    kind = KINDS[given]
    lacking = [field.name for field in _fields(kind).values() if field.required and field.name not in table]
    if lacking:
        raise _refused((*key, lacking[0]), _fields(kind)[lacking[0]].type, None, source)
    rest = {option: value for option, value in table.items() if option != "kind"}
    made: Declared = _section(kind, rest, key, source)
    return made


def _section(kind: type[msgspec.Struct], table: Mapping[str, Any], above: Key, source: Source) -> Any:
    fields, hints = _fields(kind), get_type_hints(kind, include_extras=True)
    _known(table, fields, above, source)
    name = above[-1]
    values: dict[str, Any] = {}
    for key, value in table.items():
        here = (*above, key)
        if here == ("pipeline", "rerank"):
            values[key] = _rerankers(value, here, source)
            continue
        listed = bare(fields[key].type)
        if isinstance(listed, inspect.VarTupleType) and isinstance(listed.item_type, inspect.StructType):
            if not isinstance(value, list | tuple):
                raise _refused(here, fields[key].type, value, source)
            inner = listed.item_type.cls
            values[key] = tuple(
                _struct(inner, entry, (*above, f"{key}[{place}]"), source) for place, entry in enumerate(value)
            )
            continue
        if isinstance(listed, inspect.StructType):
            values[key] = _struct(listed.cls, value, here, source)
            continue
        try:
            values[key] = msgspec.convert(value, hints[key])
        except msgspec.ValidationError as error:
            raise _culprit(here, hints[key], listed, value, source) from error
        if here == ("evaluate", "metrics"):
            _check_metrics({f"metrics[{place}]": one for place, one in enumerate(values[key])}, name, source)
        if here in (("tune", "metric"), ("fit", "validate")) and values[key] is not None:
            _check_metrics({key: values[key]}, name, source)
        if here == ("tune", "space"):
            _check_space(values[key], source)
    return kind(**values)


def _struct(kind: type[msgspec.Struct], value: Any, key: Key, source: Source) -> Any:
    """A model, or a table of a recipe's; one that is about a model may be its name alone."""
    if kind is Choice:
        return _choice(value, key, source)
    fields = _fields(kind)
    if isinstance(value, str) and "model" in fields:
        value = {"model": value}
    if not isinstance(value, Mapping):
        wanted = "a model's name, or a table" if "model" in fields else "a table"
        raise RecipeError(
            f"{source.place(key)}{'.'.join(key)} must be {wanted} of {', '.join(fields)}. Got {_shown(value)} instead."
        )
    lacking = [name for name, field in fields.items() if field.required and name not in value]
    if lacking:
        raise RecipeError(f"{source.place(key)}{'.'.join(key)} must have the key {lacking[0]!r}. Got none.")
    return _section(kind, value, key, source)


def _rerankers(value: Any, key: Key, source: Source) -> tuple[Any, ...]:
    """Re-rankers, in order."""
    from serendip.rerank import checked

    dotted = ".".join(key)
    if not isinstance(value, list | tuple):
        raise RecipeError(
            f'{source.place(key)}{dotted} must be a list of tables, such as {{name = "mmr", by = "genres"}}. '
            f"Got {_shown(value)} instead."
        )
    found = tuple(_reranker(entry, (*key[:-1], f"{key[-1]}[{place}]"), source) for place, entry in enumerate(value))
    try:
        checked(found)
    except SerendipError as error:
        raise RecipeError(f"{source.place(key)}{dotted}: {error}") from error
    return found


def _reranker(value: Any, key: Key, source: Source) -> Reranker:
    """One re-ranker, by its name and its options, or by its name alone."""
    table = {"name": value} if isinstance(value, str) else value
    dotted, given = ".".join(key), table.get("name") if isinstance(table, Mapping) else None
    if not isinstance(given, str) or given not in RERANKERS:
        near = nearest(given, RERANKERS) if isinstance(given, str) else None
        came = _shown(given) if isinstance(table, Mapping) else _shown(value)
        raise RecipeError(
            f"{source.place((*key, 'name'))}{dotted} must be a table with its name, one of {', '.join(RERANKERS)}, and "
            f"its options. Got {came} instead." + (f' Did you mean "{near}"?' if near else "")
        )
    kind = RERANKERS[given]
    lacking = [field.name for field in _fields(kind).values() if field.required and field.name not in table]
    if lacking:
        raise _refused((*key, lacking[0]), _fields(kind)[lacking[0]].type, None, source)
    try:
        made: Reranker = _section(kind, {name: part for name, part in table.items() if name != "name"}, key, source)
    except ValueError as error:
        raise RecipeError(f"{source.place(key)}{dotted}: {error}.") from error
    return made


def _check_metrics(names: Mapping[str, str], section: str, source: Source) -> None:
    """That all figures, by the key that names each, can be computed: better now than after the models are fitted."""
    from serendip.evaluate.metrics import define

    for place, name in names.items():
        try:
            if name not in ROW_METRICS:
                define(name)
        except SerendipError as error:
            key = (section, place)
            others = "" if "@" in name else f" Figures of events one by one are {', '.join(ROW_METRICS)}."
            raise RecipeError(f"{source.place(key)}{'.'.join(key)}: {error}{others}") from error


def _check_space(space: Mapping[str, Any], source: Source) -> None:
    """That every part is a range or a choice; whether the model has the options is seen when it is tuned."""
    for name, part in space.items():
        try:
            parse({name: part})
        except SerendipError as error:
            raise RecipeError(f"{source.place(('tune', 'space', name))}tune.space: {error}") from error


def _culprit(key: Key, hint: Any, kind: inspect.Type, value: Any, source: Source) -> RecipeError:
    """The error for the entry of a table or list that is at fault, or for the whole value."""
    parts: Iterable[tuple[Key, Any, Any]] = ()
    if isinstance(kind, inspect.DictType) and isinstance(value, Mapping):
        parts = (((*key, str(name)), part, {name: part}) for name, part in value.items())
        inner = kind.value_type
    elif isinstance(kind, inspect.VarTupleType) and isinstance(value, list | tuple):
        parts = (((*key[:-1], f"{key[-1]}[{place}]"), part, [part]) for place, part in enumerate(value))
        inner = kind.item_type
    for dotted, part, alone in parts:
        try:
            msgspec.convert(alone, hint)
        except msgspec.ValidationError:
            return _refused(dotted, bare(inner), part, source)
    return _refused(key, kind, value, source)


def _refused(key: Key, kind: inspect.Type, value: Any, source: Source) -> RecipeError:
    choices = [str(choice) for choice in kind.values] if isinstance(kind, inspect.LiteralType) else []
    near = nearest(value, choices) if isinstance(value, str) else None
    guess = f' Did you mean "{near}"?' if near else ""
    return RecipeError(
        f"{source.place(key)}{'.'.join(key)} must be {wording(kind)}. Got {_shown(value)} instead.{guess}"
    )


def _choice(value: Any, key: Key, source: Source) -> Choice:
    dotted = ".".join(key)
    if isinstance(value, str):
        value = {"name": value}
    if key == ("model",) and isinstance(value, Mapping):
        value = {"name": Recipe().model.name, **value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise RecipeError(
            f"{source.place(key)}{dotted} must be a model's name, or a table of its name and options, such as "
            f'{{name = "ials", factors = 64}}. Got {_shown(value)} instead.'
        )
    choice = Choice(value["name"], {name: option for name, option in value.items() if name != "name"})
    try:
        configure(find(choice.name), choice.options)
    except SerendipError as error:
        place = next(
            (found for name in choice.options if (found := source.place((*key, name))) and name in str(error)), ""
        )
        raise RecipeError(f"{place or source.place((*key, 'name'))}{dotted}: {error}") from error
    return choice


def _known(table: Mapping[str, Any], fields: Mapping[str, Any], above: Key, source: Source) -> None:
    for key in table:
        if key in fields:
            continue
        dotted = ".".join((*above, key))
        near = nearest(key, fields)
        owner = f"[{'.'.join(above)}]" if above else "A recipe"
        guess = f"Did you mean {'.'.join((*above, near))!r}? " if near else ""
        raise RecipeError(
            f"{source.place((*above, key))}unknown key {dotted!r}. {guess}{owner} has: {', '.join(fields)}."
        )


def _fields(kind: type[msgspec.Struct]) -> dict[str, inspect.Field]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return {field.name: field for field in info.fields}


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 80 else text[:77] + "…"


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: there is no such recipe. `serendip init --events FILE` writes one.") from error
    except IsADirectoryError as error:
        raise RecipeError(f"{path}: a recipe must be a file. This is a directory.") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: a recipe must be UTF-8 text. Byte {error.start} is not. Is it a recipe?") from error


def _toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).partition(" (at ")
        place = re.findall(r"\d+", where)
        at = ":".join(place) if len(place) == 2 else f"{text.count(chr(10)) + 1}:end"
        log = Path(name).suffix.lower() in (".csv", ".tsv", ".dat", ".inter", ".parquet", ".jsonl", ".txt")
        hint = f" Try --events {name} to read a log without a recipe." if log else ""
        raise RecipeError(f"{name}:{at}: this is not valid TOML: {what}.{hint}") from error


def _absolute(raw: dict[str, Any], base: Path) -> None:
    tables = [(raw.get(section), key) for section, key in PATHS]
    for section, key in PATH_TABLES:
        above = raw.get(section)
        inner = above.get(key) if isinstance(above, dict) else None
        tables += [(inner, name) for name in (inner if isinstance(inner, dict) else ())]
    features = raw.get("features")
    tables += [(feature, "encoder") for feature in (features.values() if isinstance(features, dict) else ())]
    for table, key in tables:
        if isinstance(table, dict) and isinstance(table.get(key), str):
            table[key] = str(base / table[key])


def _put(raw: dict[str, Any], key: Key, value: Any) -> None:
    table = raw
    for part in key[:-1]:
        inner = table.get(part)
        if not isinstance(inner, dict):
            inner = {} if inner is None or part != "model" else {"name": inner}
            table[part] = inner
        table = inner
    table[key[-1]] = value


def _only_path(table: dict[str, Any]) -> Key:
    """The one path of a table that holds a single value."""
    key, value = next(iter(table.items()))
    return (key, *_only_path(value)) if isinstance(value, dict) else (key,)


def line_of(text: str, key: Key) -> int | None:
    """The line, from 1, on which a key of a table stands; None where it is written in another way (inline, quoted).

    Of tables in a list, ``name[0]`` is the first.
    """
    table: Key = ()
    counts: dict[Key, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*(\[\[?)\s*([\w.-]+)\s*\]", line):
            table = tuple(header[2].split("."))
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
            listed = {len(one): count for one, count in counts.items() if table[: len(one)] == one}
            table = tuple(f"{part}[{listed[at]}]" if at in listed else part for at, part in enumerate(table, 1))
            if _same(table, key):
                return number
        elif assigned := re.match(r"\s*([\w.-]+)\s*=", line):
            here = (*table, *assigned[1].split("."))
            if _same(here, key[: len(here)]):
                return number
    return None


def _same(here: Key, key: Key) -> bool:
    """Whether a key as it is written is this one; ``name`` is also the list that ``name[0]`` stands in."""
    pairs = zip(here, key, strict=False)
    return len(here) == len(key) and all(one in (other, other.partition("[")[0]) for one, other in pairs)
