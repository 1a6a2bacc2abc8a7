"""``serendip update``: take new events into a bundle without a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serendip.cli.bundles import BundleOption, bundle_path, load
from serendip.cli.files import require_writable
from serendip.cli.output import Output
from serendip.cli.verb import verb

EXAMPLES = (
    "serendip update --events today.parquet",
    "serendip update --bundle out/b --events today.csv --items new-items.csv --out out/b2",
)


@verb
def update(
    show: Output,
    events: Annotated[str, typer.Option("--events", "-e", metavar="FILE", help="The new events, as those of the fit.")],
    bundle: BundleOption = None,
    items: Annotated[
        str | None,
        typer.Option("--items", metavar="FILE", help="Rows of new or changed items.", show_default=False),
    ] = None,
    users: Annotated[
        str | None,
        typer.Option("--users", metavar="FILE", help="Rows of new or changed users.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Where to write. Left out: in place of the bundle.", show_default=False
        ),
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of text files. Left out: UTF-8.", show_default=False)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse what would be repaired.")] = False,
    rejects: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="A .parquet or .csv file for refused rows.", show_default=False),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="How many. Left out: every core.", show_default=False)
    ] = None,
) -> None:
    """Take new events, users and items into a bundle without fitting again."""
    from serendip.bundle.store import require_room
    from serendip.model import Run

    path = out or bundle_path(bundle)
    require_writable(path, directory=True)
    require_room(path)
    known = load(bundle, show)
    with show.step("Updating"):
        made = known.update(
            events, items, users, run=Run(threads=threads), encoding=encoding, strict=strict, rejects=rejects
        )
    entry = made.manifest.updates[-1]
    for note in entry.notes:
        show.say(f"Note: {note}")
    with show.step(f"Writing {path}"):
        made.save(path)
    show.result(
        {"bundle": path, "new": {"events": entry.events, "users": entry.users, "items": entry.items}, **made.summary()},
        lambda: show.text(
            f"{path}: {entry.events:,} new events, {entry.users:,} new users, {entry.items:,} new items, "
            f"version {made.manifest.version}."
        ),
    )
