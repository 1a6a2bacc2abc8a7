"""Reading the data of a recipe, with a word on what was repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serendip.cli.output import Output
from serendip.recipe.sections import Recipe

if TYPE_CHECKING:
    from serendip.data.dataset import Dataset


def loaded(recipe: Recipe, show: Output, *, part: bool = False) -> Dataset:
    """The data; what was refused, repaired or odd is counted on stderr. ``part`` as of `serendip.recipe.load_data`.

    Raises:
        SerendipError: data that cannot be used.
    """
    from serendip.recipe import load_data

    with show.step("Reading"):
        data = load_data(recipe, part=part)
    show.say(f"{len(data.events):,} events, {data.n_users:,} users, {data.n_items:,} items.")
    counts = {kind: len(data.report.of(kind)) for kind in ("error", "repair", "warning")}
    found = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in counts.items() if count)
    if found:
        show.say(f"The data have {found}: serendip validate lists them.")
    return data
