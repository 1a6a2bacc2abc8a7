"""``serendip items``: items that come, change and go beside a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serendip.cli.bundles import BundleOption, bundle_path, load
from serendip.cli.output import Output
from serendip.cli.verb import verb

if TYPE_CHECKING:
    from serendip.catalogue import Catalogue, View

UPSERT_EXAMPLES = ("serendip items upsert new-items.csv", "serendip items upsert prices.parquet --bundle out/b")
DELETE_EXAMPLES = ("serendip items delete 17 23", "serendip items delete 'a 17' --bundle out/b")
STATUS_EXAMPLES = ("serendip items status --json",)

LiveOption = Annotated[
    Path | None,
    typer.Option(
        "--live",
        metavar="DIR",
        help="Where the changes are kept. Left out: BUNDLE.live, which recommend and serve read, too.",
        show_default=False,
    ),
]


@verb
def upsert(
    show: Output,
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Rows of new or changed items; columns that are left out stay.")
    ],
    bundle: BundleOption = None,
    live: LiveOption = None,
    encoding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of text files. Left out: UTF-8.", show_default=False)
    ] = None,
) -> None:
    """Put items in, or change them: they are recommended at once, without a fit."""
    from serendip.catalogue import rows_of

    kept = _catalogue(bundle, live, show)
    rows = rows_of(kept.bundle, file, encoding=encoding or "utf-8")
    before = len(kept.view.items)
    view = kept.upsert(rows)
    new = len(view.items) - before
    _done(show, kept.path, view, f"{len(rows):,} items put in, {new:,} of them new", {"rows": len(rows), "new": new})


@verb
def delete(
    show: Output,
    ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Which items.")],
    bundle: BundleOption = None,
    live: LiveOption = None,
) -> None:
    """Take items out: they are not shown any more, until they are put in again."""
    kept = _catalogue(bundle, live, show)
    view = kept.delete(ids)
    _done(show, kept.path, view, f"{len(ids):,} items taken out", {"rows": len(ids)})


@verb
def status(show: Output, bundle: BundleOption = None, live: LiveOption = None) -> None:
    """Say what has changed since the fit."""
    from serendip.catalogue import Catalogue, beside, kept_in

    folder = live or beside(bundle_path(bundle))
    loaded = load(bundle, show)
    if not kept_in(folder):
        show.result(
            {"live": folder, "changes": 0, "items": len(loaded.items)},
            lambda: show.text(f"{folder}: no live items. The bundle has {len(loaded.items):,} items."),
        )
        return
    view = Catalogue.open(loaded, folder).view
    _done(show, folder, view, f"{view.sequence:,} changes since the fit", {})


def _catalogue(bundle: Path | None, live: Path | None, show: Output) -> Catalogue:
    from serendip.catalogue import Catalogue, beside

    return Catalogue.open(load(bundle, show), live or beside(bundle_path(bundle)))


def _done(show: Output, folder: Path, view: View, text: str, more: dict[str, int]) -> None:
    """What was done, what there is now, and what models cannot do with it."""
    for note in view.said:
        show.say(f"Note: {note}")
    base, shown = len(view.base.items), int(view.shown.sum())
    counts = {
        "items": shown,
        "new": int(view.shown[base:].sum()),
        "changed": int((view.touched < base).sum()),
        "deleted": int((~view.shown[:base]).sum()),
    }
    show.result(
        {"live": folder, "changes": view.sequence, **counts, "lacking": view.lacking, "written": more},
        lambda: show.text(
            f"{folder}: {text}; {shown:,} items now: {counts['new']:,} came, {counts['changed']:,} changed, "
            f"{counts['deleted']:,} went."
        ),
    )
