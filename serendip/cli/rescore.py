"""``serendip rescore``: another formula over the tasks of a bundle, without a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serendip.cli.bundles import BundleOption, bundle_path, load
from serendip.cli.files import require_writable
from serendip.cli.output import Output
from serendip.cli.verb import verb

EXAMPLES = (
    'serendip rescore --score "click * watch^0.5 - 3 * hide"',
    'serendip rescore --bundle out/b --score "bought * 30 + clicked" --out out/b2',
)


@verb
def rescore(
    show: Output,
    score: Annotated[
        str, typer.Option("--score", "-s", metavar="FORMULA", help="What is served, over what the tasks foretell.")
    ],
    bundle: BundleOption = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Of the scorer. Left out: the only one of several tasks.", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Where to write. Left out: in place of the bundle.", show_default=False
        ),
    ] = None,
) -> None:
    """Serve another score over the tasks of a bundle without fitting again."""
    path = out or bundle_path(bundle)
    require_writable(path, directory=True)
    made = load(bundle, show).rescored(score, name)
    with show.step(f"Writing {path}"):
        made.save(path)
    show.result(
        {"bundle": path, "score": score, **made.summary()},
        lambda: show.text(f"{path}: the score is {score}, version {made.manifest.version}."),
    )
