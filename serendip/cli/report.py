"""``serendip report``: one page for whoever has to judge a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serendip.cli.bundles import BundleOption, load
from serendip.cli.files import require_writable, write_text
from serendip.cli.output import Output
from serendip.cli.reading import loaded
from serendip.cli.verb import verb
from serendip.recipe.sections import Recipe

if TYPE_CHECKING:
    from serendip.bundle import Bundle
    from serendip.data.dataset import Dataset
    from serendip.report import Sample

EXAMPLES = ("serendip report recipe.toml", "serendip report --bundle out/b --out b.html")
REPORT = Path("out/report.html")
SHARES = (0.25, 0.5, 0.9)
"""Where the sample users stand among all, ordered by the length of their history."""
SHOWN = 8


@verb
def report(
    show: Output,
    recipe: Recipe | None,
    bundle: BundleOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The page to write.")] = REPORT,
) -> None:
    """Write an HTML page on data, figures and sample lists.

    With a recipe or data, the model is evaluated and fitted for the page. Where neither is named and there is no
    recipe.toml, the page is about a bundle, with the figures that `serendip fit --evaluate` kept in it.
    """
    from serendip.recipe import judge_recipe, run_recipe

    require_writable(out)
    data = None
    if recipe is None:
        made = load(bundle, show)
    else:
        data = loaded(recipe, show)
        figures = judge_recipe(recipe, data=data, watch=show.step).to_dict()
        made = run_recipe(recipe, data=data, evaluation=figures, watch=show.step)
    with show.step("Drawing"):
        write_text(out, page(made, data))
    show.result({"report": out}, lambda: show.text(f"{out}: open it in a browser."))


def page(bundle: Bundle, data: Dataset | None = None) -> str:
    """The page about a bundle; with its data, what validation found is on it, too."""
    from serendip.bundle.crossing import crosses
    from serendip.pipeline import lines
    from serendip.report import describe, recall, render

    facts = (
        recall(bundle.histories, len(bundle.item_ids), dated=bundle.manifest.data.time_kind == "unix")
        if data is None
        else describe(data)
    )
    made = bundle.manifest
    return render(
        facts=facts,
        evaluation=made.evaluation,
        samples=people(bundle),
        crosses=crosses(bundle.pipeline),
        recipe=made.recipe,
        stages=lines(bundle.pipeline),
    )


def people(bundle: Bundle) -> list[Sample]:
    """Three users, with short, middling and long histories, and a newcomer: what they had and what they are shown."""
    import numpy as np
    import polars as pl

    from serendip.report import samples

    order = np.argsort(np.diff(bundle.histories.indptr), kind="stable")
    codes = np.unique(order[[int(share * len(order)) for share in SHARES]])
    users = [*bundle.user_ids.ids.gather(codes), None]
    lists = [name for name, kind in bundle.items.schema.items() if isinstance(kind, pl.List)]
    return samples(
        bundle.recommend(users, SHOWN),
        bundle.histories,
        bundle.user_ids,
        bundle.items,
        details=lists,
        dated=bundle.manifest.data.time_kind == "unix",
        recent=SHOWN,
    )
