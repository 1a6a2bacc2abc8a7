"""``serendip demo``: the whole chain on a generated shop, without a network."""

from __future__ import annotations

from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path
from typing import Annotated

import typer

from serendip.cli.evaluate import tables
from serendip.cli.files import require_writable, write_tables, write_text
from serendip.cli.output import Output
from serendip.cli.reading import loaded
from serendip.cli.report import page, people
from serendip.cli.verb import verb
from serendip.recipe.sections import (
    Choice,
    DataSection,
    EvaluateSection,
    PipelineSection,
    Recipe,
    RunSection,
    SourceSection,
)
from serendip.rerank import Mmr

EXAMPLES = ("serendip demo", "serendip demo --users 1000 --items 500 --out /tmp/demo")
EVENT_WEIGHTS = {"view": 1.0, "like": 2.0, "purchase": 3.0}
COMPARED = (Choice("popular"), Choice("item_knn"), Choice("ease"))
FUNNEL = PipelineSection(
    sources=(SourceSection(model=Choice("item_knn")), SourceSection(model=Choice("popular"), weight=0.3)),
    merge="normalised",
    rerank=(Mmr(by="categories", weight=0.95),),
)
"""Beside iALS, which stands first: the best of those tried on a part of the training data of the shop."""
SHOWN = 5


@verb
def demo(
    show: Output,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where to write data, recipe, bundle and report.")
    ] = Path("out/demo"),
    users: Annotated[int, typer.Option(min=100, metavar="N", help="Users of the generated shop.")] = 5000,
    items: Annotated[int, typer.Option(min=50, metavar="N", help="Items of the generated shop.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Of everything random.")] = 0,
    threads: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Threads at most. Left out: one per core.", show_default=False),
    ] = None,
) -> None:
    """Run the whole chain on a generated shop.

    Generates a log of views, likes and purchases, checks it, evaluates three models merged beside each alone, fits
    them, writes a bundle and a report, and shows recommendations beside what three people liked. No network is needed.
    """
    from serendip.recipe import evaluate_recipe, read, run_recipe

    require_writable(out, directory=True)
    recipe = read(_write_shop(out, users, items, RunSection(seed=seed, threads=threads, out=str(out / "bundle")), show))
    data = loaded(recipe, show)
    found = evaluate_recipe(recipe, data=data, watch=show.step)
    bundle = run_recipe(recipe, data=data, evaluation=found.to_dict(), watch=show.step)
    path = bundle.save(out / "bundle")
    html = out / "report.html"
    with show.step("Drawing the report"):
        write_text(html, page(bundle, data))
    tables(found, show)
    samples = [sample for sample in people(bundle) if sample.user is not None]
    for sample in samples:
        show.text("")
        beside = zip_longest(*([line.title for line in lines] for lines in (sample.recent, sample.shown)))
        show.table([f"{sample.user} had lately", "and may like"], list(beside)[:SHOWN])
    show.text("")
    written = {"recipe": out / "recipe.toml", "bundle": path, "report": html}
    show.result({**written, "evaluation": found.to_dict(), "people": [asdict(sample) for sample in samples]})
    for name, place in written.items():
        show.text(f"{name}: {place}")
    show.say(
        f"Next: serendip recommend --bundle {path} --user new\n"
        f"      serendip serve --bundle {path}\n"
        f"      serendip init --events FILE, for a log of your own"
    )


def _write_shop(out: Path, users: int, items: int, run: RunSection, show: Output) -> Path:
    """The generated tables and a recipe for them; returns the recipe's path."""
    from serendip.data.synthetic import catalogue
    from serendip.recipe import draft
    from serendip.recipe.drafting import written

    with show.step(f"Generating a shop of {users:,} users and {items:,} items"):
        world = catalogue(run.seed, users, items)
        paths = write_tables(out, {"events": world.events, "users": world.users, "items": world.items})
    files = DataSection(events=paths["events"], users=paths["users"], items=paths["items"], event_weights=EVENT_WEIGHTS)
    judged = EvaluateSection(split="global_time", compare=COMPARED)
    wanted = Recipe(data=files, pipeline=FUNNEL, evaluate=judged, run=run)
    path = out / "recipe.toml"
    write_text(path, written(draft(wanted), path))
    return path
