"""The command line: one file per verb. Nothing heavy is imported before a verb runs."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from serendip.cli import (
    data,
    demo,
    evaluate,
    explain,
    fit,
    init,
    items,
    list_,
    onboard,
    recommend,
    report,
    rescore,
    serve,
    tune,
    update,
    validate,
)
from serendip.cli.errors import Verbs

VERBS = {
    "init": (init.init, init.EXAMPLES),
    "validate": (validate.validate, validate.EXAMPLES),
    "fit": (fit.fit, fit.EXAMPLES),
    "tune": (tune.tune, tune.EXAMPLES),
    "evaluate": (evaluate.evaluate, evaluate.EXAMPLES),
    "update": (update.update, update.EXAMPLES),
    "rescore": (rescore.rescore, rescore.EXAMPLES),
    "recommend": (recommend.recommend, recommend.EXAMPLES),
    "explain": (explain.explain, explain.EXAMPLES),
    "onboard": (onboard.onboard, onboard.EXAMPLES),
    "serve": (serve.serve, serve.EXAMPLES),
    "report": (report.report, report.EXAMPLES),
    "list": (list_.list_, list_.EXAMPLES),
    "demo": (demo.demo, demo.EXAMPLES),
}
WITHOUT_MODELS = ("recommend", "explain", "onboard", "items", "serve", "data")

app = typer.Typer(
    name="serendip",
    cls=Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help takes half the time of a boxed one, and does not squeeze its text
    context_settings={"help_option_names": ["-h", "--help"]},
)


def examples(lines: tuple[str, ...]) -> str:
    """The end of a verb's help."""
    return "\n".join(["\b", "Examples:", *(f"  $ {line}" for line in lines)])


for _name, (_function, _examples) in VERBS.items():
    app.command(_name, epilog=examples(_examples))(_function)

sets = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List and fetch public data sets.")
sets.command("list", epilog=examples(data.LIST_EXAMPLES))(data.list_sets)
sets.command("get", epilog=examples(data.GET_EXAMPLES))(data.get_set)
app.add_typer(sets, name="data")

live = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Put live items in and take them out.")
live.command("upsert", epilog=examples(items.UPSERT_EXAMPLES))(items.upsert)
live.command("delete", epilog=examples(items.DELETE_EXAMPLES))(items.delete)
live.command("status", epilog=examples(items.STATUS_EXAMPLES))(items.status)
app.add_typer(live, name="items")


def _version(wanted: bool) -> None:
    if wanted:
        import serendip

        typer.echo(f"serendip {serendip.__version__}")
        raise typer.Exit()


@app.callback()
def common(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """From an event log to recommendations people are glad of."""
    # Models of one's own are found by dotted path from where one works, after whatever is installed. Answering from a
    # bundle needs no models and runs no code from there.
    here = str(Path.cwd())
    if ctx.invoked_subcommand not in WITHOUT_MODELS and here not in sys.path:
        sys.path.append(here)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a title that the terminal cannot show is no reason to stop
    app(prog_name="serendip")
