"""The house rules that can be read off the source: who imports whom, what is never imported, what is never used."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "serendip"
SOURCES = sorted(PACKAGE.rglob("*.py"))
ENTRY = {"__init__", "__main__"}


def rules() -> dict[str, set[str] | None]:
    """The table of docs/principles.md: room → rooms it may import (None: any)."""
    text = (ROOT / "docs" / "principles.md").read_text()
    table = text.split("<!-- imports -->")[1].split("<!-- /imports -->")[0]
    out: dict[str, set[str] | None] = {}
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 2 and cells[0].startswith("`"):
            out[cells[0].strip("`")] = (
                None if cells[1].startswith("anything") else set(re.findall(r"`(\w+)`", cells[1]))
            )
    return out


RULES = rules()


def room_of(module: str) -> str:
    """``serendip.data.vocab`` → ``data``; ``serendip`` itself → ``__init__``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, module: str) -> set[str]:
    """Every module named by an import statement or by ``import_module("literal")``, functions included."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            base = node.module or ""
            found |= {base} | ({f"{base}.{alias.name}" for alias in node.names} if base == "serendip" else set())
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "import_module":
            found |= {str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)}
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: module_of(path))
def test_rooms_import_only_what_they_may(path: Path) -> None:
    module = module_of(path)
    room = room_of(module)
    if room in ENTRY:
        return
    allowed = RULES[room]
    used = {room_of(name) for name in imports(ast.parse(path.read_text()), module) if name.startswith("serendip.")}
    used -= {room, *ENTRY}
    assert "cli" not in used, f"{module} imports cli: nobody may"
    if allowed is not None:
        assert used <= allowed, f"{module} may import {sorted(allowed)}. It also imports {sorted(used - allowed)}."


def test_every_room_has_a_row_in_the_table() -> None:
    rooms = {room_of(module_of(path)) for path in SOURCES} - ENTRY
    assert rooms <= set(RULES)


def test_the_rule_would_notice() -> None:
    tree = ast.parse(
        "def f():\n    from serendip.cli.fit import fit\n    import serendip.data.vocab\nfrom serendip import evaluate"
    )
    assert imports(tree, "serendip.types") >= {"serendip.cli.fit", "serendip.data.vocab", "serendip.evaluate"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: module_of(path))
def test_no_pickle_and_numba_only_in_kernels(path: Path) -> None:
    tree = ast.parse(path.read_text())
    top = {name.split(".")[0] for name in imports(tree, module_of(path))}
    assert not top & {"pickle", "cPickle", "dill", "joblib", "cloudpickle", "shelve", "marshal"}
    if room_of(module_of(path)) != "kernels":
        assert "numba" not in top
    assert "allow_pickle=True" not in path.read_text()


SERVING = """
serendip serendip.types serendip.data.dataset serendip.evaluate serendip.index.exact serendip.scorers serendip.pipeline
serendip.bundle serendip.serve.app serendip.cli serendip.model serendip.recipe serendip.report
"""


@pytest.mark.parametrize("module", SERVING.split())
def test_importing_it_brings_neither_torch_nor_numba(module: str) -> None:
    code = f"import sys, {module}; bad = {{'torch', 'numba'}} & set(sys.modules); assert not bad, bad"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_importing_the_package_brings_nothing_heavy() -> None:
    heavy = "{'numpy', 'scipy', 'polars', 'pyarrow', 'numba', 'rich', 'typer', 'litestar', 'jinja2'}"
    code = f"import sys, serendip; bad = {heavy} & set(sys.modules); assert not bad, bad"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda path: path.name)
def test_tests_mirror_the_package(path: Path) -> None:
    inside = path.relative_to(ROOT / "tests")
    name = inside.stem.removeprefix("test_")
    across = {"architecture", "docs", "contract", "wheel", "end_to_end", "benchmarks", "examples"}
    if len(inside.parts) == 1 and name in across:
        return
    home = PACKAGE.joinpath(*inside.parts[:-1])
    assert (home / f"{name}.py").exists() or (home / name).is_dir() or (home / f"{name}_.py").exists(), (
        f"no serendip file for {inside}"
    )


def test_no_unfinished_business() -> None:
    marks = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    files = [*SOURCES, *(ROOT / "benchmarks").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    found = [f"{path.relative_to(ROOT)}: {mark}" for path in files for mark in marks.findall(path.read_text())]
    assert not found


@pytest.mark.parametrize("path", sorted((PACKAGE / "kernels").glob("*.py")), ids=lambda path: path.stem)
def test_every_kernel_states_its_bound(path: Path) -> None:
    if path.stem in {"__init__", "jit", "memory", "pool"}:  # what kernels stand on
        return
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert re.search(r"\bBound\b.*?:", text), f"{path.name} must say in its docstring what bounds it: Bound: …"
