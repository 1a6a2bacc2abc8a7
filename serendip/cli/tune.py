"""``serendip tune``: better options, chosen on a part of the training data."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from serendip.cli.errors import SurroundingsError
from serendip.cli.files import require_writable, write_text
from serendip.cli.output import Output, Progress, encoded
from serendip.cli.reading import loaded
from serendip.cli.verb import verb
from serendip.recipe.sections import Recipe

if TYPE_CHECKING:
    from serendip.data.dataset import Dataset
    from serendip.tune import Trial, Tuned

FOLDER = Path("out/tune")
EXAMPLES = (
    "serendip tune recipe.toml --trials 100 --time 10m",
    "serendip tune --events events.parquet --model ease --set 'tune.space.reg={low=1, high=1e4, log=true}'",
)
SHOWN = 10
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(text: str) -> float:
    """``90``, ``90s``, ``10m``, ``1.5h`` or ``1d`` as seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if found is None or float(found[1]) <= 0:
        raise typer.BadParameter(f"must be a time such as 90s, 10m or 1.5h. Got {text!r} instead.")
    return float(found[1]) * UNITS[found[2]]


@verb
def tune(
    recipe: Recipe,
    show: Output,
    trials: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Sets of options to try. Left out: tune.trials.", show_default=False),
    ] = None,
    time: Annotated[
        float | None,
        typer.Option(
            parser=duration,
            metavar="TIME",
            help="For all trials together, such as 90s, 10m or 1.5h. Left out: tune.time.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="Where to keep the study, and to write recipe.toml, tuned.json and tuned.html.",
        ),
    ] = FOLDER,
) -> None:
    """Choose a model's options on a part of the training data.

    The test that `serendip evaluate` judges by is held out first and never looked at. What falls behind is given up
    early. A search that was cut off goes on when the same command is run again, and more --trials or --time continue
    one that has ended. The best options are written into DIR/recipe.toml, for `serendip fit` and `serendip evaluate`.
    """
    from serendip.recipe import tune_recipe

    if find_spec("optuna") is None:
        raise SurroundingsError('tune needs optuna. Try: pip install "serendip[tune]"')
    require_writable(out, directory=True)
    given = {name: value for name, value in {"trials": trials, "time": time}.items() if value is not None}
    recipe = msgspec.structs.replace(recipe, tune=msgspec.structs.replace(recipe.tune, **given))
    _require_own(out)
    data = loaded(recipe, show)
    try:
        with show.step(f"Tuning {recipe.model.name}") as progress:
            found = tune_recipe(recipe, data=data, folder=out, progress=_teller(recipe, show, progress))
    except KeyboardInterrupt:
        show.say(f"What was tried so far is kept in {out}: the same command goes on from there.")
        raise
    _write(out, recipe, data, found)
    show.result({"out": out, **found.to_dict()}, lambda: _tables(found, show))
    show.say(
        f"Written to {out}: recipe.toml, tuned.json, and tuned.html to look at. "
        f"Next: serendip evaluate {out / 'recipe.toml'}"
    )


def _require_own(out: Path) -> None:
    """Make sure that no file of the user's is written over: a recipe may stand where a study stands, too.

    Raises:
        SurroundingsError: there is a recipe and no study.
    """
    from serendip.tune.study import FILE

    if (out / "recipe.toml").exists() and not (out / FILE).exists():
        raise SurroundingsError(
            f"{out} must be a folder of its own: {out / 'recipe.toml'} is there, and would be written over. "
            f"Try --out {FOLDER}"
        )


def _teller(recipe: Recipe, show: Output, progress: Progress | None) -> Any:
    """Moves the bar of a terminal; elsewhere says when a better trial is found."""
    told: dict[str, Any] = {"best": None}

    def tell(done: int, total: int, best: Trial | None) -> None:
        figure = "" if best is None else f", best so far {best.value:.4f} (trial {best.number})"
        if progress is not None:
            progress(done, total, f"Tuning {recipe.model.name}: {done} of {total} trials{figure}")
        elif best is not None and best.number != told["best"]:
            show.say(f"{done} of {total} trials{figure}")
        told["best"] = None if best is None else best.number

    return tell


def _write(out: Path, recipe: Recipe, data: Dataset, found: Tuned) -> None:
    from serendip.recipe import Draft, tuned_recipe
    from serendip.recipe.drafting import written
    from serendip.recipe.fitting import portable
    from serendip.report import render_tuned

    before = "" if found.start is None else f"; {found.start:.4f} with the options it began with"
    note = f"{found.metric} {found.value:.4f} on the held-out part of the training data{before}. {found.rule}"
    path = out / "recipe.toml"
    better = tuned_recipe(recipe, found)
    write_text(path, written(Draft(better, data.schema, {"tune.metric": note}), path))
    write_text(out / "tuned.json", encoded(found.to_dict()))
    write_text(out / "tuned.html", render_tuned(found.to_dict(), recipe=portable(better).plain()))


def _tables(found: Tuned, show: Output) -> None:
    """The best trials, and what was found."""
    sign = 1 if found.minimise else -1
    values = [(sign * trial.value, place) for place, trial in enumerate(found.trials) if trial.value is not None]
    done = [found.trials[place] for _, place in sorted(values)]
    counts = {state: sum(trial.state == state for trial in found.trials) for state in ("done", "pruned", "failed")}
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    ended = "" if found.stopped == "trials" else "; the time is over"
    show.text(f"{found.model}: {len(found.trials)} trials ({said}) in {found.seconds:.1f} s{ended}. {found.rule}")
    rows = ([trial.number, f"{trial.value:.4f}", *(trial.options.get(name) for name in found.space)] for trial in done)
    show.table(["trial", found.metric, *found.space], list(rows)[:SHOWN], title="The best trials")
    if failed := [trial for trial in found.trials if trial.state == "failed"]:
        show.text(f"{len(failed)} failed, the last with: {failed[-1].error}")
    before = "" if found.start is None else f", from {found.start:.4f} with the options it began with"
    show.text(f"Best: {found.metric} {found.value:.4f}{before}.")
    for name, value in found.options.items():
        show.text(f"  {name} = {value}")
