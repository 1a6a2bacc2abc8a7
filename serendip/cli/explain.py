"""``serendip explain``: why a bundle names an item to somebody."""

from __future__ import annotations

from typing import Annotated

import typer

from serendip.cli.asking import HistoryOption, cell, history_of
from serendip.cli.bundles import BundleOption, load
from serendip.cli.output import Output
from serendip.cli.verb import verb

EXAMPLES = (
    "serendip explain --user 42 --item 1193",
    "serendip explain --history 661,914 --item 1193 --item 2355 -k 5",
    "serendip explain --crosses -k 10",
)


@verb
def explain(
    show: Output,
    item: Annotated[
        list[str] | None,
        typer.Option("--item", "-i", metavar="ID", help="What to explain; may be repeated.", show_default=False),
    ] = None,
    bundle: BundleOption = None,
    user: Annotated[
        str | None,
        typer.Option("--user", "-u", metavar="ID", help="To whom the items are named.", show_default=False),
    ] = None,
    history: HistoryOption = None,
    k: Annotated[int, typer.Option("-k", "--k", min=1, metavar="N", help="How many items of the history.")] = 3,
    crosses: Annotated[
        bool, typer.Option("--crosses", help="Say instead which two fields a ranker crosses most: -k pairs.")
    ] = False,
) -> None:
    """Say which items of a user's history speak for an item, and how much."""
    from serendip.recipe import RecipeError

    if crosses:
        pairs = load(bundle, show).crosses().head(k).to_dicts()
        show.result(pairs, lambda: show.table(list(pairs[0]), [[cell(*one) for one in row.items()] for row in pairs]))
        return
    if not item:
        raise RecipeError("explain must be told what: --item ID, or --crosses. Got neither.")
    liked = history_of(history)
    if user is None and liked is None:
        raise RecipeError("explain must be told for whom: --user ID or --history ID,…. Got none.")
    rows = load(bundle, show).explain(user, item, k, history=liked)
    explained = set(rows["item_id"].cast(str))
    if bare := [name for name in dict.fromkeys(item) if name not in explained]:
        show.say(f"Note: nothing in the history says anything of {', '.join(bare)}, or their model cannot say why.")
    show.result(
        rows.to_dicts(),
        lambda: show.table(rows.columns, ([cell(*pair) for pair in row.items()] for row in rows.to_dicts())),
    )
