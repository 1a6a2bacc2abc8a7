"""Regenerate whatever the docs take from the code and from the measurements: `make docs`; `--check` only compares."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
MARK = re.compile(r"(<!-- results:(\w+) -->\n).*?(<!-- /results -->)", re.DOTALL)


def catalogue() -> str:
    """The page of all models and their options."""
    from serendip.model import describe, find, names

    lines = [
        "# Models",
        "",
        "Made from the code by `make docs`. `serendip list` shows the same; `serendip list NAME` one model's options.",
        "",
        "| model | what it does | personal | source |",
        "|---|---|---|---|",
    ]
    models = {name: find(name) for name in names()}
    for name, model in models.items():
        lines.append(
            f"| [`{name}`](#{name}) | {model.summary} | {'yes' if model.personalised else 'no'} | {model.source} |"
        )
    for name, model in models.items():
        page = (importlib.import_module(model.__module__).__doc__ or "").strip()
        lines += ["", f"## {name}", "", "```text", page, "```", ""]
        options = describe(model)
        if options:
            lines += ["| option | type | default | bounds | meaning |", "|---|---|---|---|---|"]
            for option in options:
                cells = (f"`{option.name}`", option.type, f"`{option.default}`", option.bounds or "", option.doc)
                lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
        else:
            lines.append("No options.")
    return "\n".join(lines) + "\n"


def figure(row: dict[str, object]) -> str:
    """A row's value with its spread and unit."""
    spread = f" ± {row['sd']:.2g}" if isinstance(row["sd"], float) else ""
    return f"{row['value']:.4g}{spread} {row['unit']}".strip()


def results(topic: str) -> str:
    """The table of one result file."""
    content = json.loads((ROOT / "benchmarks" / "results" / f"{topic}.json").read_text())
    machine = content["machine"]
    processors = sorted({row.get("on") or machine["processor"] for row in content["rows"]})
    lines = [
        "| what | metric | value | n | against | ratio | asked | reached |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in content["rows"]:
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        reached = {True: "yes", False: "**no**", None: ""}[row["holds"]]
        lines.append(
            f"| `{row['name']}` | {row['metric']} | {figure(row)} | {row['n']} | {row['peer'] or ''} | {ratio} "
            f"| {row['target'] or ''} | {reached} |"
        )
    lines += [
        "",
        f"`{content['command']}` on {' and '.join(processors)}, {content['threads']} threads, "
        f"Python {machine['python']}. "
        "A ratio above 1 means better than what it is measured against.",
    ]
    return "\n".join(lines) + "\n"


def pages() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    from serendip.cli.manual import manual
    from serendip.recipe import json_schema

    out = {
        DOCS / "catalogue.md": catalogue(),
        DOCS / "cli.md": manual(),
        DOCS / "recipe.schema.json": json.dumps(json_schema(), indent=2) + "\n",
    }
    for page in (ROOT / "README.md", DOCS / "measurements.md"):
        if page.exists():
            out[page] = MARK.sub(lambda match: match[1] + results(match[2]) + match[3], page.read_text())
    return out


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a page is out of date")
    check = parser.parse_args().check
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{path.relative_to(ROOT)}: {'out of date; run make docs' if check else 'written'}")
    if not check:
        for path, text in pages().items():
            path.write_text(text)
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
