"""`verb`: what every command has in common, so that each one's file says only what is its own.

A verb with a parameter ``show`` gets ``--json``, ``--quiet`` and ``--debug``. One with a parameter ``recipe`` gets the
recipe's file, a flag for each key of its ``[data]`` table (the help is the key's own description), ``--model``,
``--seed``, ``--threads`` and ``--set``; one with a parameter ``draft`` gets the same without the file. A ``recipe``
that may be None is None where nothing to read is named.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from serendip.cli.bundles import SOURCES
from serendip.cli.errors import DEBUG
from serendip.cli.output import Output
from serendip.recipe.sections import DataSection, FitSection, Recipe, RunSection
from serendip.recipe.words import bare

RECIPE_FILE = Path("recipe.toml")
"""Read where a recipe is needed and neither a file nor data is named."""
SHORT = {"events": "-e", "items": "-i", "users": "-u", "model": "-m", "set": "-s"}
OWN = ("out",)
"""Keys of the recipe whose flag each verb declares itself, if it has one."""
READING = (
    *DataSection.__struct_fields__,
    "model",
    "set_",
    *(key for key in RunSection.__struct_fields__ if key not in OWN),
)
SHOWING = ("json", "quiet", "debug")
"""Names of the parameters that verbs share."""

Verb = Callable[..., None]


def verb(function: Verb) -> Verb:
    """A verb as Typer takes it: its own parameters and those named above."""
    own = inspect.signature(function, eval_str=True).parameters
    reads = [name for name in ("recipe", "draft") if name in own]
    shared = [*(_recipe_flags() if reads else ()), *(_show_flags() if "show" in own else ())]
    if reads == ["draft"]:
        shared = [part for part in shared if part.name != "recipe_file"]

    def run(**given: Any) -> None:
        arguments = {name: value for name, value in given.items() if name in own}
        show = Output(json=given.get("json", False), quiet=given.get("quiet", False))
        if "show" in own:
            arguments["show"] = show
        for name in reads:
            arguments[name] = recipe_of(given, show, optional=own[name].annotation == Recipe | None)
        function(**arguments)

    first = [part for part in shared if part.name == "recipe_file"]
    kept = [part for name, part in own.items() if name not in ("recipe", "draft", "show")]
    rest = [part for part in shared if part.name != "recipe_file"]
    parameters = [part.replace(kind=inspect.Parameter.KEYWORD_ONLY) for part in (*first, *kept, *rest)]
    run.__name__, run.__doc__, run.__module__ = function.__name__, function.__doc__, function.__module__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {}
    return run


def recipe_of(given: Mapping[str, Any], show: Output, *, optional: bool = False) -> Recipe | None:
    """The recipe that the flags name: a file, ``recipe.toml`` where nothing is named, or the data flags alone.

    A verb that has a ``--bundle`` falls back on the recipe by which that bundle was made; on None, if it is optional.

    Raises:
        RecipeError: nothing to read was named, or something named cannot be used.
    """
    from serendip.recipe.reading import RecipeError, read

    path: Path | None = given.get("recipe_file")
    sections: dict[str, type[msgspec.Struct]] = {"data": DataSection, "fit": FitSection, "run": RunSection}
    flags = {name: _given(section, given) for name, section in sections.items()}
    named = any(key in flags["data"] for key in SOURCES)
    if path is None and given.get("from_") is not None and given["model"] is None:
        from serendip.cli.bundles import recipe_going_on

        return recipe_going_on(given["from_"], flags, given["set_"], anew=named)
    if path is None and not named and "recipe_file" in given:
        if RECIPE_FILE.exists() and given.get("bundle") is None:
            path = RECIPE_FILE
            show.say(f"Reading {RECIPE_FILE}.", style="dim")
        elif optional:
            if any(flags.values()) or given["set_"] or given["model"]:
                raise RecipeError("a page about a bundle takes no flags for reading: name a recipe, or --events FILE.")
            return None
        elif "bundle" in given:
            from serendip.cli.bundles import recipe_within

            return recipe_within(given["bundle"], show, flags, given["set_"], given["model"])
    recipe = read(path, given["set_"], given=flags, model=given["model"])
    if all(getattr(recipe.data, key) is None for key in SOURCES):
        raise RecipeError(
            "there is nothing to read: name a recipe, or --events FILE. `serendip init --events FILE` writes a recipe."
        )
    return recipe


def _given(section: type[msgspec.Struct], given: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a section for which a flag was given, as a recipe would hold them."""
    found = {}
    for field in _fields(section):
        value = given.get(field.name)
        if field.name in OWN or value is None or value == []:
            continue
        if isinstance(value, list):
            several = isinstance(bare(field.type), msgspec.inspect.VarTupleType)
            value = (
                [name.strip() for text in value for name in text.split(",")] if several else pairs(field.name, value)
            )
        found[field.name] = value
    return found


def pairs(flag: str, texts: Sequence[str]) -> dict[str, Any]:
    """``name=value``, several separated by commas or the flag repeated, as a table; a name given again makes a list.

    Raises:
        RecipeError: something is no ``name=value``.
    """
    from serendip.recipe.reading import RecipeError, scalar

    table: dict[str, Any] = {}
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, equals, text = (piece.strip() for piece in part.partition("="))
        if not (name and equals):
            shown = "--" + flag.replace("_", "-")
            raise RecipeError(f"{shown} must be name=value, several separated by commas. Got {part!r} instead.")
        value = scalar(text) if flag == "event_weights" else text
        table[name] = value if name not in table else [*_listed(table[name]), value]
    return table


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _recipe_flags() -> list[inspect.Parameter]:
    data = [_flag(field) for field in _fields(DataSection)]
    run = [_flag(field) for field in _fields(RunSection) if field.name not in OWN]
    return [
        _parameter(
            "recipe_file",
            Annotated[
                Path | None,
                typer.Argument(
                    metavar="RECIPE",
                    help="A recipe.toml. Left out: the flags below, or recipe.toml in this directory.",
                    show_default=False,
                ),
            ],
            None,
        ),
        *data,
        _parameter(
            "model",
            Annotated[
                str | None,
                typer.Option(
                    "--model",
                    "-m",
                    metavar="NAME",
                    show_default=False,
                    help="The model, with its default options, in place of the recipe's. `serendip list` names them.",
                ),
            ],
            None,
        ),
        _parameter(
            "set_",
            Annotated[
                list[str],
                typer.Option(
                    "--set",
                    "-s",
                    metavar="KEY=VALUE",
                    show_default=False,
                    help="Change any key of the recipe, such as model.factors=128. May be repeated.",
                ),
            ],
            [],
        ),
        *run,
    ]


def _show_flags() -> list[inspect.Parameter]:
    flags = {
        "json": ("--json", "Print the result as JSON on stdout, and nothing else there.", None),
        "quiet": ("--quiet", "Print nothing but results and errors.", None),
        "debug": ("--debug", "Show the traceback of an error.", _note_debug),
    }
    return [
        _parameter(name, Annotated[bool, typer.Option(flag, help=text, callback=callback)], False)
        for name, (flag, text, callback) in flags.items()
    ]


def _note_debug(ctx: typer.Context, value: bool) -> bool:
    ctx.meta[DEBUG] = value
    return value


def described(section: type[msgspec.Struct], name: str) -> str:
    """What a struct says of one of its fields."""
    field = next(one for one in _fields(section) if one.name == name)
    assert isinstance(field.type, msgspec.inspect.Metadata)
    return str((field.type.extra_json_schema or {})["description"])


def _fields(section: type[msgspec.Struct]) -> tuple[msgspec.inspect.Field, ...]:
    info = msgspec.inspect.type_info(section)
    assert isinstance(info, msgspec.inspect.StructType)
    return info.fields


def _flag(field: msgspec.inspect.Field) -> inspect.Parameter:
    """A command line flag for a key of the recipe."""
    assert isinstance(field.type, msgspec.inspect.Metadata)
    text = str((field.type.extra_json_schema or {})["description"])
    flag = "--" + field.name.replace("_", "-")
    kind, metavar, default = _flag_type(field.name, bare(field.type))
    names = (
        (f"{flag}/--no-{field.name}",)
        if kind == bool | None
        else (flag, *([SHORT[field.name]] if field.name in SHORT else ()))
    )
    option = typer.Option(*names, metavar=metavar, help=text, show_default=False)
    return _parameter(field.name, Annotated[kind, option], default)


def _flag_type(name: str, kind: msgspec.inspect.Type) -> tuple[Any, str | None, Any]:
    match kind:
        case msgspec.inspect.DictType():
            return list[str], "NAME=FILE,…" if name == "relations" else "NAME=VALUE,…", []
        case msgspec.inspect.VarTupleType():
            return list[str], "NAME,…", []
        case msgspec.inspect.BoolType():
            return bool | None, None, None
        case msgspec.inspect.IntType():
            return int | None, "N", None
        case msgspec.inspect.FloatType():
            return float | None, "X", None
        case msgspec.inspect.LiteralType():
            return str | None, "|".join(sorted(map(str, kind.values))), None
    return str | None, "FILE" if name in ("events", "items", "users", "rejects") else "NAME", None


def _parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
