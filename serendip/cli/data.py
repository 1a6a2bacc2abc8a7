"""``serendip data``: public data sets by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serendip.cli.files import require_writable, write_tables, write_text
from serendip.cli.output import Output
from serendip.cli.verb import verb

if TYPE_CHECKING:
    from serendip.data.sources import Entry, Files

LIST_EXAMPLES = ("serendip data list",)
GET_EXAMPLES = (
    "serendip data get ml-100k",
    "serendip data get ml-100k --from ~/Downloads",
    "serendip data get ml-100k --out ml-100k",
)


@verb
def list_sets(show: Output) -> None:
    """List the public data sets and their terms."""
    from serendip.data import sources

    sets = [sources.entry(name) for name in sources.names()]
    here = sources.cache_folder()
    rows = [
        {
            "name": one.name,
            "title": one.title,
            "rows": one.rows,
            "here": (here / one.name / "files").is_dir(),
            "terms": one.terms,
            "page": one.page,
        }
        for one in sets
    ]
    show.result(
        rows, lambda: show.table(["name", "what", "events", "here", "terms"], (list(row.values())[:5] for row in rows))
    )
    show.say(f"serendip data get NAME fetches one into {here}. Read its terms first.")


@verb
def get_set(
    show: Output,
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of the sets that `serendip data list` shows.")],
    source_dir: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="DIR",
            help="Take the publisher's archive, or its files, from this directory and use no network.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Write its tables there as Parquet, with a recipe for them.",
            show_default=False,
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Download from this mirror instead of the publisher.", show_default=False),
    ] = None,
) -> None:
    """Fetch a public data set, once, and check it.

    What was downloaded is kept. Its sha256 is compared with the publisher's where that is known, and otherwise trusted
    on first use and remembered.
    """
    from serendip.data import sources

    entry = sources.entry(name)
    if out is not None:
        require_writable(out, directory=True)
    show.say(f"{entry.title}. Terms: {entry.terms}")
    with show.step(f"Getting {name}") as progress:
        files = sources.get(name, source_dir=source_dir, url=url, progress=progress)
    recipe = None if out is None else _write_tables(entry, files, out)
    show.result(
        {"name": name, "folder": files.folder, "files": list(files.paths), "receipts": files.receipts, "recipe": recipe}
    )
    show.text(f"{name} is in {files.folder}.")
    for receipt in files.receipts:
        show.text(f"{receipt.file}: {receipt.bytes:,} bytes, sha256 {receipt.sha256} ({receipt.trust}).")
    if recipe is not None:
        show.text(f"Its tables, and a recipe for them, are in {out}.")
        show.say(f"Next: serendip evaluate {recipe}")
    elif files.receipts:
        show.say(f"Next: serendip evaluate --source {name}")
    else:
        show.say("Next: the same with --out DIR, which writes its tables as Parquet, with a recipe.")


def _write_tables(entry: Entry, files: Files, out: Path) -> Path:
    """The tables of a set and a recipe that reads them; returns the recipe's path."""
    from serendip.recipe import DataSection, Draft, Recipe
    from serendip.recipe.drafting import roles, written

    schema = entry.schema
    readings = {"events": entry.events, "users": entry.users, "items": entry.items}
    tables = {
        name: None if reading is None else reading.frame(files.paths)
        for name, reading in {**readings, **entry.relations}.items()
    }
    paths = write_tables(out, tables)
    data = DataSection(
        events=paths["events"],
        users=paths["users"],
        relations={name: str(paths[name]) for name in entry.relations},
        items=paths["items"],
        columns=dict(roles(schema)),
        time_kind=schema.time_kind,
        event_weights=schema.event_weights,
        labels=schema.labels,
    )
    recipe = out / "recipe.toml"
    write_text(recipe, written(Draft(Recipe(data=data), schema, {"data.source": entry.terms}), recipe))
    return recipe
