"""Who asks, and what is said of them: options that verbs share, and what their texts mean."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

UserOption = Annotated[
    list[str] | None,
    typer.Option(
        "--user",
        "-u",
        metavar="ID",
        help="For whom; may be repeated. An id that the bundle does not know, such as new, stands for a newcomer.",
        show_default=False,
    ),
]
HistoryOption = Annotated[
    list[str] | None,
    typer.Option(
        "--history",
        metavar="ID,ID,…",
        help="Items that the user liked, oldest first, in place of what the bundle remembers. May be repeated, and "
        "goes on then; an id that holds a comma stands in double quotes.",
        show_default=False,
    ),
]
AttributeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--attribute",
        metavar="COLUMN=VALUE",
        help="What is known of the user and the moment, where the bundle's model reads features; may be repeated, for "
        "one column too.",
        show_default=False,
    ),
]
EventOption = Annotated[
    list[str] | None,
    typer.Option(
        "--event",
        metavar="KIND=ID,ID,…",
        help="Items of the user's events of a kind that is not the target, oldest first, in place of what the bundle "
        "remembers of that kind; may be repeated. Ids are written as in --history.",
        show_default=False,
    ),
]
FilterOption = Annotated[
    str | None,
    typer.Option(
        "--filter",
        metavar="CONDITION",
        help="What items must be like to be shown: conditions on their attributes, joined by and, or, not and "
        "parentheses.",
        show_default=False,
    ),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="ID,ID,…",
        help="Items that must not be shown, besides those seen. Ids are written as in --history.",
        show_default=False,
    ),
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="ID,ID,…",
        help="The only items that may be shown. Ids are written as in --history.",
        show_default=False,
    ),
]
SeenOption = Annotated[bool, typer.Option("--include-seen", help="Show what the user has already seen, too.")]
TimeOption = Annotated[
    int | None,
    typer.Option(
        "--time",
        min=0,
        metavar="SECONDS",
        help="When it is asked, in unix seconds. Left out: now. Only features of time read it.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Asker:
    """Who asks, in external ids.

    Attributes:
        users: their ids.
        history: items in place of what is stored, or None.
        attributes: values by column.
        events: items by kind of event.
    """

    users: list[str]
    history: list[str] | None
    attributes: dict[str, str | list[str]]
    events: dict[str, list[str]]

    @classmethod
    def read(
        cls,
        user: list[str] | None,
        history: list[str] | None,
        attribute: list[str] | None,
        event: list[str] | None,
    ) -> Asker:
        """What the options say.

        Raises:
            RecipeError: a text of another form, or more than one user where something is said of them.
        """
        from serendip.recipe import RecipeError

        made = cls(user or [], listed_of("--history", history), attributes_of(attribute or []), events_of(event or []))
        flags = {"--history": made.history is not None, "--attribute": made.attributes, "--event": made.events}
        for flag, given in flags.items():
            if given and len(made.users) > 1:
                raise RecipeError(f"{flag} must come with one --user at most. Got {len(made.users)}.")
        return made

    @property
    def named(self) -> bool:
        """Whether anything is said at all."""
        return bool(self.users or self.history is not None or self.attributes or self.events)

    def arguments(self) -> dict[str, Any]:
        """What `serendip.bundle.Bundle.answer` takes, ``users`` included."""
        return {
            "users": self.users or [None],
            "history": None if self.history is None else [self.history],
            "attributes": [self.attributes] if self.attributes else None,
            "events": [self.events] if self.events else None,
        }


def attributes_of(pairs: Iterable[str]) -> dict[str, str | list[str]]:
    """``COLUMN=VALUE`` by column; a column that is named several times has several values.

    Raises:
        RecipeError: there is no ``=``.
    """
    from serendip.recipe import RecipeError

    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise RecipeError(f"--attribute must be COLUMN=VALUE, such as age=31. Got {pair!r} instead.")
        found.setdefault(name.strip(), []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def events_of(pairs: Iterable[str]) -> dict[str, list[str]]:
    """``KIND=ID,ID,…`` by kind; one that is named several times goes on.

    Raises:
        RecipeError: there is no ``=``, or quotes that do not match.
    """
    from serendip.recipe import RecipeError

    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, ids = pair.partition("=")
        if not equals or not name.strip():
            raise RecipeError(f"--event must be KIND=ID,ID,…, such as view=661,914. Got {pair!r} instead.")
        found.setdefault(name.strip(), []).extend(ids_of("--event", ids))
    return found


def listed_of(flag: str, texts: list[str] | None) -> list[str] | None:
    """``ID,ID,…``, one text after the other; None where there is none.

    Raises:
        RecipeError: quotes that do not match.
    """
    return [one for text in texts for one in ids_of(flag, text)] if texts else None


def ids_of(flag: str, text: str) -> list[str]:
    """Ids separated by commas; one that holds a comma stands in double quotes, as in a CSV file.

    Raises:
        RecipeError: quotes that do not match.
    """
    from serendip.recipe import RecipeError

    try:
        rows = list(csv.reader([text], strict=True, skipinitialspace=True))
    except csv.Error as error:
        raise RecipeError(
            f'{flag} must hold ids separated by commas, those that hold a comma in double quotes, such as "a,b",c. '
            f"Got {text!r} instead. Within quotes, write a quote twice."
        ) from error
    return [part.strip() for row in rows for part in row if part.strip()]


def cell(name: str, value: Any) -> Any:
    """Ids as they are: a thousands separator is no part of one."""
    return str(value) if name.endswith("_id") and value is not None else value
