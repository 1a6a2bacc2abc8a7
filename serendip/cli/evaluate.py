"""``serendip evaluate``: is it better than the obvious? On events that training has not seen."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serendip.cli.bundles import BundleOption
from serendip.cli.files import require_writable, write_text
from serendip.cli.output import Output, encoded
from serendip.cli.reading import loaded
from serendip.cli.verb import verb
from serendip.recipe.sections import Recipe

if TYPE_CHECKING:
    from serendip.recipe import Evaluated

EVALUATION = Path("out/evaluation.json")
EXAMPLES = (
    "serendip evaluate recipe.toml --set evaluate.split=global_time",
    """serendip evaluate --events events.parquet --model ease --set evaluate.compare='["popular", "ials"]'""",
)


@verb
def evaluate(
    recipe: Recipe,
    show: Output,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write the figures, as JSON.")
    ] = EVALUATION,
    bundle: BundleOption = None,
) -> None:
    """Test a model on held-out events, beside others.

    The model and those it is compared with are fitted on the training part alone. Means come with 95% bootstrap
    intervals over queries; differences are paired. Where neither a recipe nor data is named and there is no
    recipe.toml, the recipe by which the bundle was made is evaluated.
    """
    from serendip.recipe import evaluate_recipe

    require_writable(out)
    data = loaded(recipe, show)
    found = evaluate_recipe(recipe, data=data, watch=show.told)
    plain = found.to_dict()
    write_text(out, encoded(plain))
    show.result(plain, lambda: tables(found, show))
    show.say(f"Written to {out}. Next: serendip fit, or serendip report for a page.")


def tables(found: Evaluated, show: Output) -> None:
    """The figures of all models, those of the recipe's model by segment, and what can be said about differences."""
    main = found.main
    show.text(f"{main.description} {main.n:,} queries; ± is half of the 95% interval.")
    show.table(["model", *main.metrics], ([name, *_figures(one, "all")] for name, one in found.evaluations.items()))
    segments = [segment for segment in main.groups if segment != "all"]
    if segments:
        figures = [metric for metric in main.metrics if metric not in main.totals]
        rows = ([segment, _count(main, segment), *_figures(main, segment, figures)] for segment in segments)
        show.table(["segment", "queries", *figures], rows, title=main.name)
    for comparison in found.comparisons:
        show.text(str(comparison))
    for note in main.notes:
        show.text(f"Note: {note}")


def _figures(found: Any, segment: str, metrics: Any = None) -> list[str | None]:
    return [_figure(found, metric, segment) for metric in metrics or found.metrics]


def _figure(found: Any, metric: str, segment: str) -> str | None:
    if (metric, segment) not in found.rows():
        return None
    interval = found.interval(metric, segment)
    if math.isnan(interval.mean):
        return None
    return f"{interval.mean:.4f}" + ("" if math.isnan(interval.low) else f" ±{(interval.high - interval.low) / 2:.4f}")


def _count(found: Any, segment: str) -> int:
    return max((int(found.interval(metric, segment).n) for metric, part in found.rows() if part == segment), default=0)
