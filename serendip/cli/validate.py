"""``serendip validate``: everything that is wrong, repaired or odd in the input, in one list."""

from __future__ import annotations

from serendip.cli.output import Output
from serendip.cli.reading import loaded
from serendip.cli.verb import verb
from serendip.recipe.sections import Recipe

EXAMPLES = (
    "serendip validate recipe.toml",
    "serendip validate --events events.csv --columns user=visitor,item=sku --strict",
)


@verb
def validate(recipe: Recipe, show: Output) -> None:
    """List all that is wrong, repaired or odd in the data, and how the recipe will answer.

    Errors end with exit code 3. Repairs and warnings are counted; --strict makes errors of the repairs."""
    from serendip.data.findings import SchemaError
    from serendip.pipeline import lines
    from serendip.recipe.funnel import check_funnel, outline
    from serendip.recipe.reranking import check_rerankers

    check_funnel(recipe)
    try:
        data = loaded(recipe, show)
    except SchemaError as error:
        show.result({"notes": error.report.notes, "findings": error.report.findings})
        raise
    check_rerankers(recipe, data)
    report, stages = data.report, lines(outline(recipe, data))
    counts = {"events": len(data.events), "users": data.n_users, "items": data.n_items}
    found = {"schema": data.schema, "rows": report.rows, "notes": report.notes, "findings": report.findings}
    show.result({**counts, **found, "stages": stages})
    show.text(", ".join(f"{count:,} {name}" for name, count in counts.items()) + ".")
    show.text(str(report))
    show.text("")
    show.text("\n".join(stages))
