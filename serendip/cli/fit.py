"""``serendip fit``: from a log to a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from serendip.cli.bundles import BUNDLE
from serendip.cli.files import require_writable
from serendip.cli.output import Output
from serendip.cli.reading import loaded
from serendip.cli.verb import verb
from serendip.recipe.sections import Recipe

EXAMPLES = (
    "serendip fit recipe.toml --set model.factors=128",
    "serendip fit --events events.parquet --items items.parquet --model ease --out out/b",
)


@verb
def fit(
    recipe: Recipe,
    show: Output,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help=f"Where to write the bundle, in place of one that is there. Left out: run.out, else {BUNDLE}.",
            show_default=False,
        ),
    ] = None,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Evaluate first, and keep the figures in the bundle.")
    ] = False,
) -> None:
    """Fit a model to a log and write the bundle that answers."""
    from serendip.bundle.store import require_room
    from serendip.recipe import evaluate_recipe, run_recipe

    path = out or (BUNDLE if recipe.run.out is None else Path(recipe.run.out))
    require_writable(path, directory=True)
    require_room(path)
    data = loaded(recipe, show)
    figures = evaluate_recipe(recipe, data=data, watch=show.step).to_dict() if evaluate else None
    bundle = run_recipe(recipe, data=data, evaluation=figures, watch=show.step)
    with show.step(f"Writing {path}"):
        bundle.save(path)
    made = bundle.summary()
    show.result(
        {"bundle": path, **made},
        lambda: show.text(
            f"{path}: {recipe.model.name} from {made['events']:,} events of {made['users']:,} users on "
            f"{made['items']:,} items, version {made['version']}, {made['bytes'] / 1e6:.1f} MB."
        ),
    )
    show.say(f"Next: serendip recommend --bundle {path} --user ID, or serendip serve --bundle {path}")
