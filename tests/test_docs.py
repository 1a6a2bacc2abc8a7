"""The docs are true: code runs, generated pages are current, every verb and option is described, links lead on."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from docs.generate import pages

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\(([^)#\s]+)(#[^)]*)?\)")


@dataclass
class Block:
    language: str
    attributes: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*match) for match in FENCE.findall(page.read_text())]


def runnable(page: Path) -> bool:
    return any(block.language in ("python", "console") and "norun" not in block.attributes for block in blocks(page))


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}
    env["PYTHONPATH"] = str(folder)
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_code_blocks_run_in_order(page: Path, tmp_path: Path) -> None:
    """Files are written, `$ serendip …` lines run, Python blocks of a page share one namespace."""
    program = ""
    for block in blocks(page):
        if "norun" in block.attributes:
            continue
        if named := re.search(r"file=(\S+)", block.attributes):
            (tmp_path / named[1]).write_text(block.text)
        elif block.language == "python":
            program += block.text + "\n"
            (tmp_path / "page.py").write_text(program)
            done = run([sys.executable, "-W", "error", "page.py"], tmp_path)
            assert done.returncode == 0, f"{page.name}:\n{block.text}\n{done.stderr}"
        elif block.language == "console":
            for line in block.text.splitlines():
                if line.startswith("$ serendip ") and not line.startswith("$ serendip serve"):
                    done = run(shlex.split(line.removeprefix("$ ")), tmp_path)
                    assert done.returncode == 0, f"{page.name}: {line}\n{done.stdout}\n{done.stderr}"


def test_generated_pages_are_up_to_date() -> None:
    stale = [path.name for path, text in pages().items() if not path.exists() or path.read_text() != text]
    assert not stale, f"run make docs: {stale}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        target
        for target, _ in LINK.findall(page.read_text())
        if not target.startswith(("http:", "https:", "mailto:")) and not (page.parent / target).exists()
    ]
    assert not broken


def test_every_verb_and_option_is_described() -> None:
    from typer.main import get_command

    from serendip.cli import app

    manual = (ROOT / "docs" / "cli.md").read_text()
    group = get_command(app)
    for verb, command in group.commands.items():  # type: ignore[attr-defined]
        assert command.help, f"serendip {verb} has no help"
        assert f"serendip {verb}" in manual
        for parameter in command.params:
            if parameter.name == "help":
                continue
            assert getattr(parameter, "help", None), f"serendip {verb}: {parameter.name} is not described"
            for option in getattr(parameter, "opts", []):
                assert not option.startswith("-") or option in manual, f"serendip {verb} {option} is not in docs/cli.md"


def test_every_recipe_key_is_described() -> None:
    from serendip.recipe import json_schema

    def bare(node: object, path: str) -> list[str]:
        found = []
        if isinstance(node, dict):
            for name, child in node.get("properties", {}).items():
                if "description" not in child:
                    found.append(f"{path}.{name}")
                found += bare(child, f"{path}.{name}")
            for name, child in node.get("$defs", {}).items():
                found += bare(child, name)
        return found

    assert not bare(json_schema(), "recipe")
