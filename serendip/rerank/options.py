"""What re-rankers may be told: their options, each declared once.

Recipes, their JSON Schema, bundles and messages are read from here, so this file imports nothing heavy.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MOST_DRAWS = 100_000
MOST_PLACES = 1_000_000

Weight = Annotated[float, Meta(ge=0, le=1)]
Share = Annotated[float, Meta(gt=0, lt=1)]
Places = Annotated[int, Meta(ge=1, le=MOST_PLACES)]
Id = int | str

Likeness = Annotated[
    str | None,
    Meta(
        description="By what items are alike: a column of the items, whose values in common count, or a model of the "
        "pipeline that has vectors. Left out: the first model that has vectors."
    ),
]
Column = Annotated[str, Meta(description="The column of the items whose values count; an item may have several.")]


Order = Annotated[
    Literal["chosen", "relevance"],
    Meta(
        description="In which order the chosen stand: chosen (each beginning of the list is diverse) or relevance (the "
        "most relevant of them first, which costs less where the list is seen as a whole)."
    ),
]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="name", tag=str.lower):
    """Base of the options of all re-rankers; in a recipe they stand beside the name."""


class Mmr(Options, frozen=True, kw_only=True):
    """Diversity by maximal marginal relevance: next is what is relevant and unlike those before."""

    weight: Annotated[
        float, Meta(ge=0, le=1, description="How much relevance counts; at 1 the list stays as it is.")
    ] = 0.7
    by: Likeness = None
    order: Order = "chosen"
    against: Annotated[
        Literal["nearest", "all"],
        Meta(
            description="Of those before, which an item should be unlike: nearest (the most alike of them, so that no "
            "two are alike) or all (their mean, which makes the list diverse at the least loss of relevance)."
        ),
    ] = "nearest"


class Dpp(Options, frozen=True, kw_only=True):
    """Diversity by a determinantal point process: items that are relevant, and unlike each other as a set."""

    weight: Annotated[float, Meta(ge=0, lt=1, description="How much relevance counts.")] = 0.7
    by: Likeness = None
    order: Order = "chosen"


class Cap(Options, frozen=True, kw_only=True):
    """At most so many items with one value. What is over stands behind, so that no list gets shorter."""

    by: Column
    most: Annotated[int, Meta(ge=1, le=MOST_PLACES, description="How many items may have one value.")] = 2
    places: Annotated[
        Places | None,
        Meta(examples=[5], description="Within how many first places. Left out: within all that are asked for."),
    ] = None


class Boost(Options, frozen=True, kw_only=True):
    """What is new, what is worth more, or what fits a filter goes up; by a weight below 0 it goes down."""

    by: Annotated[
        str | None,
        Meta(
            examples=["released"],
            description="A column of numbers, added to the relevance as they are; or, with half_life, of numbers or "
            "dates that say how new an item is.",
        ),
    ] = None
    half_life: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            examples=[30],
            description="By how much older than now (a date, in days) or than the newest item (a number, in its unit) "
            "what is added is half.",
        ),
    ] = None
    fits: Annotated[
        str | None,
        Meta(examples=["price < 20"], description="Instead of a column: a filter; 1 is added for what fits it."),
    ] = None
    weight: Annotated[
        float,
        Meta(
            ge=-1000,
            le=1000,
            description="Times what is added to the relevance, which is 1 for the first item and 0 for the last.",
        ),
    ] = 0.1

    def __post_init__(self) -> None:
        if (self.by is None) == (self.fits is None):
            raise ValueError("boost must have either by, a column of the items, or fits, a filter")
        if self.half_life is not None and self.by is None:
            raise ValueError("boost.half_life must come with by, a column that says how new an item is")


class Pin(Options, frozen=True, kw_only=True):
    """Items that stand at a place whatever their score, unless the query excludes or does not allow them."""

    items: Annotated[
        tuple[Id, ...], Meta(min_length=1, examples=[[1193]], description="Their ids; several one after the other.")
    ]
    place: Annotated[int, Meta(ge=1, le=MOST_PLACES, description="Where the first of them stands.")] = 1

    def __post_init__(self) -> None:
        if len({str(one) for one in self.items}) < len(self.items):
            raise ValueError("pin.items must name each item once")


class Calibrate(Options, frozen=True, kw_only=True):
    """The mix of values in the list comes near to that in the user's history."""

    by: Column
    weight: Annotated[
        float, Meta(ge=0, le=1, description="How much the mix counts against relevance; at 0 the list stays.")
    ] = 0.5
    smoothing: Annotated[
        float, Meta(gt=0, lt=1, description="Share of the history that is mixed into the list's, so that none is 0.")
    ] = 0.01


class Popularity(Options, frozen=True, kw_only=True):
    """Less of what everybody knows: by a penalty, or by a quota of other items. One of both."""

    weight: Annotated[
        Weight | None,
        Meta(examples=[0.2], description="Taken off the relevance of the most popular item; of others by the log."),
    ] = None
    quota: Annotated[
        Share | None,
        Meta(examples=[0.3], description="Share of the places asked for that hold items outside the head."),
    ] = None
    head: Annotated[
        float, Meta(gt=0, lt=1, description="With a quota: share of all events that the items of the head have.")
    ] = 0.5

    def __post_init__(self) -> None:
        if (self.weight is None) == (self.quota is None):
            raise ValueError("popularity must have either weight, a penalty, or quota, a share of places")


class Repeat(Options, frozen=True, kw_only=True):
    """What becomes of items that the history holds, where what was seen may be shown again."""

    policy: Annotated[
        Literal["hide", "lower", "keep"],
        Meta(description="hide: they are left out; lower: they are less relevant; keep: they stay where they are."),
    ] = "hide"
    after: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(
            examples=[30],
            description="Days after which an item counts as if the history did not hold it; the log must have times.",
        ),
    ] = None
    weight: Annotated[
        float, Meta(ge=0, le=1, description="With lower: taken off the relevance, which is 1 for the first item.")
    ] = 0.5


class Explore(Options, frozen=True, kw_only=True):
    """Shows some items by chance, to learn what they are worth, and says how likely each was: only where a request asks
    for it, and last of all, so that what it says is true."""

    policy: Annotated[
        Literal["epsilon_greedy", "thompson"],
        Meta(
            description="epsilon_greedy: a place goes by chance to any of the items that are left; thompson: scores "
            "are drawn from what the model holds possible."
        ),
    ] = "epsilon_greedy"
    epsilon: Annotated[
        float, Meta(ge=0, le=1, description="With epsilon_greedy: how likely a place is filled by chance.")
    ] = 0.1
    among: Annotated[
        Places | None,
        Meta(examples=[50], description="Among how many first items. Left out: all that the stages before name."),
    ] = None
    scorer: Annotated[
        str | None,
        Meta(
            examples=["ials"],
            description="With thompson: the model of the pipeline whose uncertainty it is. Left out: the first that "
            "knows its own.",
        ),
    ] = None
    scale: Annotated[float, Meta(gt=0, le=1000, description="With thompson: times the deviation of each score.")] = 1.0
    draws: Annotated[
        int,
        Meta(
            ge=1, le=MOST_DRAWS, description="With thompson: how many lists are drawn to say how likely the shown is."
        ),
    ] = 200


Reranker = Mmr | Dpp | Cap | Boost | Pin | Calibrate | Popularity | Repeat | Explore

KINDS: dict[str, type[Options]] = {
    kind.__name__.lower(): kind for kind in (Mmr, Dpp, Cap, Boost, Pin, Calibrate, Popularity, Repeat, Explore)
}
"""Options by the name of the re-ranker."""

__all__ = [
    "KINDS", "Boost", "Calibrate", "Cap", "Dpp", "Explore", "Mmr", "Options", "Pin", "Popularity", "Repeat", "Reranker"
]  # fmt: skip
