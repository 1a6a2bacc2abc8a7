"""The page ``docs/cli.md``, made from the commands themselves so that it cannot say anything else."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from serendip.cli.errors import EXIT_CODES
from serendip.cli.verb import READING, SHOWING

ENVIRONMENT = {
    "SERENDIP_BUNDLE": "The bundle that recommend, explain, update, serve and report use where none is named.",
    "SERENDIP_MODELS": "Dotted paths of models from elsewhere, separated by commas, which `serendip list` is to show.",
    "SERENDIP_CACHE": "Where `serendip data get` keeps public data sets, in place of the user's cache folder.",
    "NO_COLOR": "Set to anything: no colours.",
}
INTRODUCTION = """\
# The command line

Made from the commands by `make docs`. `serendip VERB --help` says the same.

    serendip init → validate → evaluate → fit → recommend → serve

Results go to stdout, everything else to stderr; `--json` makes the result one JSON value. Bars appear on a terminal
only. A file is written whole or not at all.

**What to read** is named in one of two ways: a [recipe](recipe.schema.json), or flags that do without one. Both may be
mixed: flags win over the recipe, and `--set` wins over both. Where neither a recipe nor data is named, `recipe.toml` in
the working directory is read. Paths in a recipe are relative to it, those on the command line to the working directory.

**Which bundle** is meant, where `--bundle` is left out: the one that the environment variable `SERENDIP_BUNDLE` names,
else `out/bundle`, else the only bundle under `out/`.

**Models of your own** are named by dotted path (`my.package.model`), looked for in the working directory too.
"""

SHARED = {"Options for reading": frozenset(READING), "Options for output": frozenset(SHOWING)}
"""Flags that many verbs have, described once."""


def manual() -> str:
    """The page, as Markdown."""
    from typer.main import get_command

    from serendip.cli import app

    commands = dict(_commands("serendip", get_command(app)))
    lines = [INTRODUCTION]
    for path, command in commands.items():
        lines += _described(path, command)
    for title, names in SHARED.items():
        owner = next(command for command in commands.values() if names <= {one.name for one in command.params})
        lines += [f"## {title}", "", *_table([one for one in owner.params if one.name in names])]
    lines += ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    lines += ["", "## Environment", "", "| variable | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {meaning} |" for name, meaning in ENVIRONMENT.items()]
    return "\n".join(lines) + "\n"


def _commands(path: str, group: Any) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(f"{path} {name}", command)
        else:
            yield f"{path} {name}", command


def _described(path: str, command: Any) -> list[str]:
    lines = [f"## {path}", "", inspect.cleandoc(command.help or ""), ""]
    examples = re.findall(r"\$ (.+)", command.epilog or "")
    if examples:
        lines += ["```sh", *examples, "```", ""]
    given = {one.name for one in command.params}
    shared = {title: names for title, names in SHARED.items() if names <= given}
    own = [
        one for one in command.params if one.name != "help" and not any(one.name in names for names in shared.values())
    ]
    lines += _table(own) if own else []
    links = " and ".join(f"[{title}](#{title.lower().replace(' ', '-')})" for title in shared)
    return [*lines, f"Besides: {links}.", ""] if links else lines


def _table(parameters: list[Any]) -> list[str]:
    rows = [_row(parameter) for parameter in parameters]
    return ["| option | default | meaning |", "|---|---|---|", *rows, ""]


def _row(parameter: Any) -> str:
    names = [*parameter.opts, *parameter.secondary_opts]
    flags = [name for name in names if name.startswith("-")]
    metavar = parameter.metavar or ("" if flags else parameter.name.upper())
    shown = ", ".join(f"`{flag}`" for flag in flags) if flags else ""
    shown = " ".join(part for part in (shown, f"`{_cell(metavar)}`" if metavar else "") if part)
    default = parameter.default
    given = "" if default in (None, False, [], ()) or callable(default) else f"`{default}`"
    return f"| {shown} | {given} | {_cell(parameter.help or '')} |".replace("|  |", "| |")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
