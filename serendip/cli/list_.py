"""``serendip list``: which models there are, and what each can be told."""

from __future__ import annotations

from typing import Annotated

import typer

from serendip.cli.output import Output
from serendip.cli.verb import RECIPE_FILE, verb

EXAMPLES = ("serendip list", "serendip list ials", "SERENDIP_MODELS=my.package.model serendip list")


@verb
def list_(
    show: Output,
    model: Annotated[
        list[str] | None,
        typer.Argument(
            help="Models to describe with their options; a dotted path names one from elsewhere.", show_default=False
        ),
    ] = None,
) -> None:
    """List the models, or the options of one.

    Beside the models of this package, those of installed packages, those that the environment variable SERENDIP_MODELS
    names, and the one that recipe.toml in this directory names are listed.
    """
    from serendip.model import find

    if model:
        _options(model, show)
        return
    known = {name: find(name) for name in _names()}
    rows = [
        {
            "name": name,
            "summary": kind.summary,
            "personalised": kind.personalised,
            "uses_item_features": kind.uses_item_features,
            "source": kind.source,
        }
        for name, kind in known.items()
    ]
    show.result(
        rows,
        lambda: show.table(
            ["model", "what it does", "personal", "item features", "source"], (list(row.values()) for row in rows)
        ),
    )
    show.say("serendip list NAME shows a model's options.")


def _options(models: list[str], show: Output) -> None:
    from serendip.model import describe, find

    described = []
    for name in models:
        kind = find(name)
        options = describe(kind)
        described.append(
            {
                "name": name,
                "summary": kind.summary,
                "source": kind.source,
                "options": [
                    {
                        "name": one.name,
                        "type": one.type,
                        "bounds": one.bounds,
                        "default": one.default,
                        "searched": kind.space[one.name].plain() if one.name in kind.space else None,
                        "meaning": one.doc,
                    }
                    for one in options
                ],
            }
        )
        show.text(f"{name}: {kind.summary} Source: {kind.source}.")
        rows = (
            [
                one.name,
                one.type,
                one.bounds,
                "none" if one.default is None else str(one.default),
                str(kind.space.get(one.name, "")),
                one.doc,
            ]
            for one in options
        )
        show.table(["option", "type", "bounds", "default", "tune searches", "meaning"], rows)
    show.result(described)


def _names() -> list[str]:
    """The models there are, and the one of the recipe in this directory."""
    from serendip.model import names
    from serendip.recipe import read

    here = [read(RECIPE_FILE).model.name] if RECIPE_FILE.exists() else []
    return list(dict.fromkeys([*names(), *here]))
