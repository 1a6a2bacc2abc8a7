"""``serendip explain``: why a bundle names an item to somebody, or why it does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serendip.cli.asking import (
    AllowOption,
    Asker,
    AttributeOption,
    EventOption,
    ExcludeOption,
    FilterOption,
    HistoryOption,
    SeenOption,
    TimeOption,
    cell,
    listed_of,
)
from serendip.cli.bundles import BundleOption, asked, load
from serendip.cli.output import Output
from serendip.cli.verb import verb

if TYPE_CHECKING:
    from serendip.bundle import Bundle
    from serendip.bundle.why import Reason, Source, Step, Why

EXAMPLES = (
    "serendip explain --user 42 --item 1193",
    "serendip explain --history 661,914 --item 1193 --item 2355 -k 5 --reasons 10",
    "serendip explain --user new --attribute age=31 --item 1193 --filter 'genres has \"Comedy\"'",
    "serendip explain --crosses -k 10",
)
WIDE = 20
"""Characters of the longest bar."""
SIDES = {
    "history": "history",
    "user": "user",
    "context": "moment",
    "item": "item",
    "event": "events",
    "source": "named by",
}


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
        typer.Option(
            "--user", "-u", metavar="ID", help="To whom the items are, or are not, named.", show_default=False
        ),
    ] = None,
    history: HistoryOption = None,
    attribute: AttributeOption = None,
    event: EventOption = None,
    time: TimeOption = None,
    k: Annotated[
        int | None,
        typer.Option(
            "-k",
            "--k",
            min=1,
            metavar="N",
            help="How many items the list holds; with --crosses, how many pairs. Left out: the recipe's pipeline.k.",
            show_default=False,
        ),
    ] = None,
    filtered: FilterOption = None,
    exclude: ExcludeOption = None,
    allow: AllowOption = None,
    include_seen: SeenOption = False,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            metavar="N",
            help="Explain the list that `recommend --explore --seed N` gives.",
            show_default=False,
        ),
    ] = None,
    reasons: Annotated[
        int, typer.Option("--reasons", min=0, metavar="N", help="How many items and features to name for each score.")
    ] = 3,
    crosses: Annotated[
        bool, typer.Option("--crosses", help="Say instead which two fields a ranker crosses most: -k pairs.")
    ] = False,
) -> None:
    """Say at which place of a user's list an item is and what brought it there, or why it is not in the list.

    Asked as recommend is asked, it tells the item's way: which models named it, at which place and with what score;
    what a ranker and what re-ranks made of that; and what carried the scores. A model whose score is a sum over the
    history names the items that add most. Of any other, each item of the history and each feature is left out once,
    and what the score loses by that is shown.
    """
    from serendip.recipe import RecipeError

    if crosses:
        pairs = load(bundle, show).crosses().head(k or 10).to_dicts()
        show.result(pairs, lambda: show.table(list(pairs[0]), [[cell(*one) for one in row.items()] for row in pairs]))
        return
    if not item:
        raise RecipeError("explain must be told what: --item ID, or --crosses. Got neither.")
    asker = Asker.read(None if user is None else [user], history, attribute, event)
    if not asker.named:
        raise RecipeError(
            "explain must be told for whom: --user ID, --history ID,…, --attribute COLUMN=VALUE or --event KIND=ID,…. "
            "Got none."
        )
    made = asked(bundle, show)
    how: dict[str, Any] = {
        "k": k or int(made.manifest.recipe.get("pipeline", {}).get("k", 10)),
        "history": asker.history, "attributes": asker.attributes or None, "events": asker.events or None,
        "time": time, "filter": filtered, "exclude": listed_of("--exclude", exclude),
        "allow": listed_of("--allow", allow), "exclude_seen": not include_seen, "reasons": reasons,
        "explore": False if seed is None else seed,
    }  # fmt: skip
    _show(made, user, list(dict.fromkeys(item)), how, show)


def _show(made: Bundle, user: str | None, items: Sequence[str], how: dict[str, Any], show: Output) -> None:
    import msgspec

    found = [made.why(user, one, **how) for one in items]
    for note in dict.fromkeys(note for one in found for note in one.notes):
        show.say(f"Note: {note}")
    show.result([msgspec.to_builtins(one) for one in found], lambda: _told(found, show))


def _told(found: Sequence[Why], show: Output) -> None:
    for place, one in enumerate(found):
        if place:
            show.text("")
        _tell(one, show)


def _tell(why: Why, show: Output) -> None:
    """The answer, and a table of each part of it that says anything."""
    show.text(why.said)
    for columns, rows in (
        (
            ("source", "named at", "of", "score", "score of last", "place by score", "of all"),
            [_source(one) for one in why.sources],
        ),
        (("stage", "from place", "of", "to place", "of", "score", "score of last"), [_step(one) for one in why.steps]),
        (("score by", "what", "of", "adds", ""), list(_reasons(why.reasons))),
        (("foretold", "", "by"), [(name, value, why.foretold_by) for name, value in why.foretold.items()]),
    ):
        if rows:
            show.text("")
            show.table(columns, rows)
    for one in why.scores:
        if any(reason.source == one.source and reason.how == "left out" for reason in why.reasons):
            show.text(f"Adds, of {one.source}: its score, {one.score:.4g}, less the score with that left out.")
    if why.score_is is not None:
        show.text(f"The score in the list is {why.score_is}.")


def _source(one: Source) -> tuple[Any, ...]:
    return one.source, one.place, one.named, one.score, one.last, one.standing, one.among


def _step(one: Step) -> tuple[Any, ...]:
    return one.stage, one.before, one.of, one.after, one.kept, one.score, one.last


def _reasons(found: Sequence[Reason]) -> Iterator[tuple[Any, ...]]:
    """Rows with bars, which compare within one model."""
    most: dict[str, float] = {}
    for one in found:
        most[one.source] = max(most.get(one.source, 0.0), abs(one.contribution or 0.0))
    for one in found:
        what = one.name if one.item_id is None else str(one.item_id) if one.title is None else one.title
        if one.name == "history" and one.item_id is None:
            what = "all of it"
        yield (
            one.source,
            what,
            SIDES[one.side],
            "all" if one.contribution is None else one.contribution,
            _bar(one.contribution, most[one.source]),
        )


def _bar(value: float | None, most: float) -> str:
    if value is None:
        return "█" * WIDE
    return ("█" if value > 0 else "░") * max(1, round(WIDE * abs(value) / most)) if most else ""
