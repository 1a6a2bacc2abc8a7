from __future__ import annotations

import re
from typing import Any

from typer.main import get_command

from serendip.cli import app
from serendip.cli.errors import EXIT_CODES
from serendip.cli.manual import manual


def commands(group: Any, path: str = "serendip") -> dict[str, Any]:
    found = {}
    for name, command in group.commands.items():
        inner = hasattr(command, "commands")
        found |= commands(command, f"{path} {name}") if inner else {f"{path} {name}": command}
    return found


def test_every_verb_option_and_exit_code_is_on_the_page() -> None:
    page = manual()
    for path, command in commands(get_command(app)).items():
        section = page.partition(f"## {path}\n")[2].partition("\n## ")[0]
        for link in re.findall(r"\(#([\w-]+)\)", section):
            title = next(line for line in page.splitlines() if line.lower() == "## " + link.replace("-", " "))
            section += page.partition(title)[2].partition("\n## ")[0]
        assert command.help.splitlines()[0] in section
        for parameter in command.params:
            for flag in (*parameter.opts, *parameter.secondary_opts):
                assert parameter.name == "help" or not flag.startswith("-") or f"`{flag}`" in section
    for code, meaning in EXIT_CODES.items():
        assert f"| {code} | {meaning} |" in page


def test_defaults_are_shown() -> None:
    page = manual()
    assert "| `--port` `PORT` | `8000` |" in page
    assert "| `--host` `ADDRESS` | `127.0.0.1` |" in page
    assert "| `--force` | |" in page
