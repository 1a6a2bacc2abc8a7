"""``serendip fit``: from a log to a bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serendip.cli.bundles import BUNDLE
from serendip.cli.files import require_writable
from serendip.cli.output import Output
from serendip.cli.reading import loaded
from serendip.cli.verb import verb
from serendip.recipe.sections import Recipe

if TYPE_CHECKING:
    from serendip.bundle import Bundle
    from serendip.model import Run

EXAMPLES = (
    "serendip fit recipe.toml --set model.factors=128",
    "serendip fit --events events.parquet --items items.parquet --model ease --out out/b",
    "serendip fit recipe.toml --model lightgcn --validate ndcg@10 --patience 5 --checkpoint out/fit.ckpt --resume",
    "serendip fit --from out/b --events today.parquet --out out/b2",
    "serendip fit recipe.toml --from out/views --task buy --freeze towers --out out/buys",
)


OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="DIR",
        help=f"Where to write the bundle, in place of one that is there. Left out: run.out, else {BUNDLE}.",
        show_default=False,
    ),
]
EvaluateOption = Annotated[bool, typer.Option("--evaluate", help="Evaluate first, and keep the figures in the bundle.")]
# How training goes.
ValidateOption = Annotated[
    str | None,
    typer.Option(
        metavar="METRIC",
        help="Choose the number of epochs by this figure, such as ndcg@10, on a part held out of the training "
        "data. Left out: fit.validate.",
        show_default=False,
    ),
]
PatienceOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Stop after so many validations that bring nothing better. Left out: fit.patience.",
        show_default=False,
    ),
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Keep here where training has come to, for models that learn in epochs.",
        show_default=False,
    ),
]
ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on from the checkpoint, if it is there: the result is the same.")
]
# What it goes on from.
FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="DIR",
        help="Go on from a bundle: its events come before those named, and the model begins with what it learned. "
        "Without a recipe or --model, the model is the bundle's.",
        show_default=False,
    ),
]
FreezeOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,…",
        help="What stays as it is in the bundle of --from: towers, query or items of models that have them, or "
        "beginnings of names of parameters. Over towers that stay, an adapter learns.",
        show_default=False,
    ),
]
TaskOption = Annotated[
    str | None,
    typer.Option(
        metavar="KIND,…",
        help="Go on to another task: these kinds of events are the target, and all that is learned to be foretold; "
        "the others are read as they were for the bundle of --from.",
        show_default=False,
    ),
]


@verb
def fit(
    recipe: Recipe,
    show: Output,
    out: OutOption = None,
    evaluate: EvaluateOption = False,
    validate: ValidateOption = None,
    patience: PatienceOption = None,
    checkpoint: CheckpointOption = None,
    resume: ResumeOption = False,
    from_: FromOption = None,
    freeze: FreezeOption = None,
    task: TaskOption = None,
) -> None:
    """Fit a model to a log and write the bundle that answers."""
    from serendip.bundle.store import require_room
    from serendip.recipe import judge_recipe, run_recipe
    from serendip.recipe.fitting import to_read

    path = out or (BUNDLE if recipe.run.out is None else Path(recipe.run.out))
    require_writable(path, directory=True)
    require_room(path)
    run = _run(recipe, checkpoint, resume)
    start = _start(recipe, from_, evaluate, freeze=freeze, task=task)
    if start is not None:
        frozen = _names(freeze)
        recipe, run = _carried_over(recipe, start, frozen, _names(task)), replace(run, freeze=frozen or ())
    data = loaded(to_read(recipe, start), show, part=start is not None and task is None)
    figures = judge_recipe(recipe, data=data, watch=show.told).to_dict() if evaluate else None
    bundle = run_recipe(recipe, data=data, evaluation=figures, watch=show.told, run=run, start=start)
    with show.step(f"Writing {path}"):
        bundle.save(path)
    _show(bundle, path, recipe, show)


def _show(bundle: Bundle, path: Path, recipe: Recipe, show: Output) -> None:
    """What was written, and what can be done with it."""
    from serendip.recipe.fitting import unread_features
    from serendip.recipe.funnel import title

    made = bundle.summary()
    if unread := unread_features(recipe, bundle):
        show.say(f"Note: {unread}")
    for name, index in bundle.manifest.index.items():
        found = f"{index.backend}, recall {index.recall:.3f}, {index.ms:.2f} ms a query ({index.exact_ms:.2f} exactly)"
        show.say(f"Index of {name}: {index.note or found}")
    show.result(
        {"bundle": path, **made},
        lambda: show.text(
            f"{path}: {title(recipe)} from {made['events']:,} events of {made['users']:,} users on "
            f"{made['items']:,} items, version {made['version']}, {made['bytes'] / 1e6:.1f} MB."
        ),
    )
    show.say(f"Next: serendip recommend --bundle {path} --user ID, or serendip serve --bundle {path}")


def _run(recipe: Recipe, checkpoint: Path | None, resume: bool) -> Run:
    """How the fit is carried out, by the recipe and the flags that are of use to its model.

    Raises:
        RecipeError: flags that do not go together, or with the model.
    """
    from serendip.recipe.fitting import run_of
    from serendip.recipe.learning import check_learning, require_epochs
    from serendip.recipe.reading import RecipeError

    check_learning(recipe)
    if checkpoint is None and resume:
        raise RecipeError("--resume must come with the file to go on from: --checkpoint FILE.")
    if checkpoint is None:
        return run_of(recipe)
    require_epochs(recipe, "--checkpoint")
    require_writable(checkpoint, flag="--checkpoint")
    return replace(run_of(recipe), checkpoint=checkpoint, resume=resume)


def _names(given: str | None) -> tuple[str, ...] | None:
    """What a flag lists; None where it is not given."""
    return None if given is None else tuple(name.strip() for name in given.split(","))


def _carried_over(
    recipe: Recipe, start: Bundle, freeze: tuple[str, ...] | None, task: tuple[str, ...] | None
) -> Recipe:
    """The recipe for the fit that goes on.

    Raises:
        RecipeError: a task that the model cannot learn.
    """
    from serendip.recipe.transfer import for_task, over_towers

    if task is not None:
        recipe = for_task(recipe, start.manifest, task)
    return recipe if freeze is None else over_towers(recipe, freeze)


def _start(recipe: Recipe, path: Path | None, evaluate: bool, **flags: str | None) -> Bundle | None:
    """The bundle to go on from; ``flags`` are of no use without one.

    Raises:
        RecipeError: flags that do not go together, or with the model.
        BundleError: there is no bundle, or it cannot be used.
    """
    from serendip.bundle import Bundle
    from serendip.recipe.learning import require_epochs
    from serendip.recipe.reading import RecipeError

    if path is None:
        for name in (name for name, value in flags.items() if value is not None):
            raise RecipeError(f"--{name} must come with the bundle that the fit goes on from: --from DIR.")
        return None
    if evaluate:
        raise RecipeError(
            "--evaluate cannot go with --from: what is held out may be what the bundle learned from. Leave out one."
        )
    require_epochs(recipe, "--from")
    return Bundle.load(path)
