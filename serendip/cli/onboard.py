"""``serendip onboard``: what to ask somebody new."""

from __future__ import annotations

from typing import Annotated

import typer

from serendip.bundle.options import Onboarding
from serendip.cli.asking import cell, ids_of
from serendip.cli.bundles import BundleOption, asked
from serendip.cli.output import Output
from serendip.cli.verb import described, verb

EXAMPLES = (
    "serendip onboard -k 5",
    "serendip onboard -k 1 --liked 260,1193 --not-known 858",
)
DEFAULTS = Onboarding()


def _answers(flag: str, what: str) -> typer.models.OptionInfo:
    info: typer.models.OptionInfo = typer.Option(
        flag, metavar="ID,ID,…", help=f"Items that they said {what}. May be repeated.", show_default=False
    )
    return info


@verb
def onboard(
    show: Output,
    bundle: BundleOption = None,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="How many questions.")] = 5,
    liked: Annotated[list[str] | None, _answers("--liked", "they like")] = None,
    not_liked: Annotated[list[str] | None, _answers("--not-liked", "they do not like")] = None,
    not_known: Annotated[list[str] | None, _answers("--not-known", "they do not know")] = None,
    filtered: Annotated[
        str | None,
        typer.Option(
            "--filter", metavar="CONDITION", help="What items must be like to be asked about.", show_default=False
        ),
    ] = None,
    pool: Annotated[int, typer.Option(metavar="N", help=described(Onboarding, "pool"))] = DEFAULTS.pool,
    recognisability: Annotated[
        float, typer.Option(metavar="X", help=described(Onboarding, "recognisability"))
    ] = DEFAULTS.recognisability,
) -> None:
    """Say which items to ask somebody new about, given the answers so far.

    What they like is their history then: serendip recommend --history. Asked one by one (-k 1), each with the answers
    before it, questions tell most.
    """
    import msgspec

    from serendip.recipe import RecipeError

    given = {"liked": liked, "not_liked": not_liked, "not_known": not_known}
    answers = {
        name: [one for text in texts or [] for one in ids_of("--" + name.replace("_", "-"), text)]
        for name, texts in given.items()
    }
    try:
        options = msgspec.convert({"pool": pool, "recognisability": recognisability}, Onboarding)
    except msgspec.ValidationError as error:
        raise RecipeError(f"onboard: {error}.") from error
    frame = asked(bundle, show).onboarding(k, **answers, filter=filtered, options=options)
    if len(frame) < k:
        show.say(f"Note: {len(frame)} questions instead of {k}: there is no other item that may be asked about.")
    rows = frame.to_dicts()
    show.result(rows, lambda: show.table(frame.columns, ([cell(*pair) for pair in row.items()] for row in rows)))
