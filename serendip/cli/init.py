"""``serendip init``: look at files and write a first recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from serendip.cli.files import require_writable, write_text
from serendip.cli.output import Output
from serendip.cli.verb import RECIPE_FILE, verb
from serendip.recipe.sections import Recipe

EXAMPLES = (
    "serendip init --events events.parquet --items items.parquet",
    "serendip init --events log.csv --columns user=visitor,item=sku --out shop.toml",
)


@verb
def init(
    draft: Recipe,
    show: Output,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The recipe to write.")] = RECIPE_FILE,
    force: Annotated[bool, typer.Option("--force", help="Write over a recipe that is there.")] = False,
) -> None:
    """Look at files and write a commented recipe for them.

    It says what each column was taken for, and which features it suggests. Change what is wrong in the recipe, or name
    a column by --columns."""
    from serendip.recipe import RecipeError
    from serendip.recipe import draft as look
    from serendip.recipe.drafting import roles, written

    if out.exists() and not force:
        raise RecipeError(f"{out} is there already. Try --force to write over it, or --out FILE for another one.")
    require_writable(out)
    with show.step("Looking at the files"):
        found = look(draft)
    write_text(out, written(found, out))
    schema = found.schema
    features = found.recipe.features
    show.result({"recipe": out, "schema": schema, "features": features, "notes": found.notes})
    labels = ((f"label ({kind})", name) for name, kind in schema.labels.items())
    show.table(["role", "column"], [*roles(schema), *labels])
    if features:
        kinds = ((name, one.side, msgspec.to_builtins(one)["kind"]) for name, one in features.items())
        show.table(["feature", "of", "kind"], [*kinds])
    for key, note in found.notes.items():
        show.text(f"{key}: {note}")
    show.text(f"Wrote {out}.")
    show.say(f"Next: serendip validate {out}")
