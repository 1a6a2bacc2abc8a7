"""``serendip serve``: a bundle behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serendip.cli.bundles import BundleOption, bundle_path
from serendip.cli.errors import SurroundingsError
from serendip.cli.output import Output
from serendip.cli.verb import verb

EXAMPLES = ("serendip serve", "serendip serve --bundle out/b --port 8080")
NEEDS = ("litestar", "prometheus_client", "uvicorn")


@verb
def serve(
    show: Output,
    bundle: BundleOption = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Address to listen on. Only this machine's own are allowed.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="Port to listen on; 0 picks a free one.")
    ] = 8000,
    live: Annotated[
        bool, typer.Option("--live", help="Let requests change the items; the changes are kept in BUNDLE.live.")
    ] = False,
    exposures: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Add every list that is answered to this file, a line of JSON each: who asked, the items, and with "
            "`explore` how likely each was.",
        ),
    ] = None,
) -> None:
    """Answer over HTTP from a bundle.

    A small page to try it and the interface's description are served, too."""
    from importlib.util import find_spec

    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        raise SurroundingsError(f'The server needs {", ".join(missing)}. Try: pip install "serendip[serve]"')
    from serendip.catalogue import beside
    from serendip.serve.app import serve as answer

    path = bundle_path(bundle)
    answer(path, host, port, beside(path) if live else None, exposures)
