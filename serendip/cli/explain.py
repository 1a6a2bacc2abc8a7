"""``serendip explain``: why a bundle names an item to somebody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from serendip.cli.asking import HistoryOption, cell, history_of
from serendip.cli.bundles import BundleOption, load
from serendip.cli.output import Output
from serendip.cli.verb import verb

if TYPE_CHECKING:
    import polars as pl

    from serendip.bundle import Bundle

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
    """Say which items of a user's history speak for an item, and how much; or what is foretold of it.

    A model whose score is a sum over the history names the items that add most. One of several tasks, or one that is
    calibrated, says what it foretells of each: a probability, an expected count, a rating or a duration, beside the
    score. Where a ranker puts what others name into its order, these say why they named it, and it what it foretells.
    """
    from serendip.pipeline import Rank, scoring
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
    made = load(bundle, show)
    told = made.foretold(user, item, history=liked)
    ranked = any(isinstance(part, Rank) for part in scoring(made.pipeline))
    left = [name for name in item if ranked or name not in set(told["item_id"].cast(str))]
    reasons = _reasons(made, user, left, k, liked, wanted=not len(told)) if left else None
    explained = set() if reasons is None else set(reasons["item_id"].cast(str))
    if bare := [name for name in dict.fromkeys(left) if name not in explained]:
        show.say(f"Note: nothing in the history says anything of {', '.join(bare)}, or their model cannot say why.")
    tables = [frame for frame in (told, reasons) if frame is not None and len(frame)]
    show.result([row for frame in tables for row in frame.to_dicts()], lambda: _tables(tables, show))


def _reasons(
    made: Bundle, user: str | None, items: list[str], k: int, history: Sequence[str] | None, *, wanted: bool
) -> pl.DataFrame | None:
    """Why the items are named; None where nothing can say so, and something else than that is known of them.

    Raises:
        SerendipError: nothing can say so, and it is ``wanted``.
    """
    from serendip.types import SerendipError

    try:
        return made.explain(user, items, k, history=history)
    except SerendipError:
        if wanted:
            raise
        return None


def _tables(frames: Sequence[pl.DataFrame], show: Output) -> None:
    for frame in frames:
        show.table(frame.columns, ([cell(*pair) for pair in row.items()] for row in frame.to_dicts()))
