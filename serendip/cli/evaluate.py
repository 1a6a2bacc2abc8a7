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
    from serendip.recipe import Evaluated, EvaluatedRows

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
    intervals over queries; differences are paired. A model that learns labels is judged by them, event by event
    (auc, logloss, rmse …), where it stands alone and evaluate.metrics does not ask for lists. Where neither a recipe
    nor data is named and there is no recipe.toml, the recipe by which the bundle was made is evaluated.
    """
    from serendip.recipe import judge_recipe

    require_writable(out)
    data = loaded(recipe, show)
    found = judge_recipe(recipe, data=data, watch=show.told)
    plain = found.to_dict()
    write_text(out, encoded(plain))
    show.result(plain, lambda: tables(found, show))
    show.say(f"Written to {out}. Next: serendip fit, or serendip report for a page.")


def tables(found: Evaluated | EvaluatedRows, show: Output) -> None:
    """The figures of all models, those of the recipe's model by segment or label, and what can be said about
    differences."""
    from serendip.recipe import EvaluatedRows

    if isinstance(found, EvaluatedRows):
        _by_label(found, show)
        return
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


def _by_label(found: EvaluatedRows, show: Output) -> None:
    show.text(f"{found.main.description} ± is half of the 95% interval, by resampling of users.")
    for label, models in found.evaluations.items():
        first = next(iter(models.values()))
        metrics = list(dict.fromkeys(metric for one in models.values() for metric in one.metrics))
        rows = ([name, *(_of_rows(one, metric) for metric in metrics)] for name, one in models.items())
        title = f"{label}: {first.n:,} rows of {first.users:,} users, {first.mean:.4g} in the mean"
        show.table(["model", *metrics], rows, title=title)
        for comparison in found.comparisons[label]:
            show.text(str(comparison))
    for note in found.notes:
        show.text(f"Note: {note}")


def _of_rows(found: Any, metric: str) -> str | None:
    if metric not in found.metrics:
        return None
    one = found.interval(metric)
    if math.isnan(one.value):
        return None
    return f"{one.value:.4f}" + ("" if math.isnan(one.low) else f" ±{(one.high - one.low) / 2:.4f}")


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
