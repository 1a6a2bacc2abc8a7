"""Which bundle a verb means where none is named."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serendip.cli.output import Output
from serendip.recipe.sections import Recipe

if TYPE_CHECKING:
    from serendip.bundle import Bundle

OUT = Path("out")
BUNDLE = OUT / "bundle"
"""Where ``fit`` writes unless told otherwise."""
SOURCES = ("events", "source", "examples")
"""The keys of a recipe's data of which one says what is read."""

BundleOption = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        "-b",
        metavar="DIR",
        help=f"A bundle. Left out: the one that SERENDIP_BUNDLE names, else {BUNDLE}, else the only one under {OUT}.",
        show_default=False,
    ),
]


def bundle_path(given: Path | None) -> Path:
    """The bundle's directory.

    Raises:
        BundleError: none is named and none, or several, could be meant.
    """
    from serendip.bundle import BundleError

    if given is not None:
        return given
    if named := os.environ.get("SERENDIP_BUNDLE"):
        return Path(named)
    if is_bundle(BUNDLE):
        return BUNDLE
    found = sorted(path.parent for pattern in ("*", "*/*") for path in OUT.glob(f"{pattern}/manifest.json"))
    if len(found) == 1:
        return found[0]
    if not found:
        raise BundleError(f"There is no bundle in {BUNDLE}. Try: serendip fit writes one; --bundle DIR names another.")
    names = ", ".join(map(str, found))
    raise BundleError(f"There are {len(found)} bundles under {OUT}: {names}. Try: --bundle {found[0]}")


def is_bundle(path: Path) -> bool:
    """Whether the directory looks like a bundle."""
    return (path / "manifest.json").is_file()


def load(given: Path | None, show: Output) -> Bundle:
    """The bundle that was named, or the one that is meant.

    Raises:
        BundleError: there is none, or it cannot be used.
    """
    from serendip.bundle import Bundle

    path = bundle_path(given)
    if given is None:
        show.say(f"Using the bundle {path}.", style="dim")
    return Bundle.load(path)


def asked(given: Path | None, show: Output) -> Bundle:
    """As `load`, with the live items that are kept beside the bundle, if any are.

    Raises:
        BundleError: as `load`.
        CatalogueError: what is kept was damaged, or does not fit the bundle.
    """
    from serendip.catalogue import Catalogue, beside, kept_in

    bundle, folder = load(given, show), beside(bundle_path(given))
    if not kept_in(folder):
        return bundle
    view = Catalogue.open(bundle, folder).view
    show.say(f"With the live items of {folder}, change {view.sequence:,}.", style="dim")
    for note in view.said:
        show.say(f"Note: {note}")
    return view.bundle


def recipe_going_on(
    path: Path, flags: Mapping[str, Mapping[str, Any]], overrides: Sequence[str], *, anew: bool
) -> Recipe:
    """The recipe by which a bundle was made, for a fit that goes on from it.

    Args:
        path: of the bundle.
        flags: values by section and key.
        overrides: of ``--set``.
        anew: whether flags name what to read; the files of the recipe are left out then, but not what columns mean.

    Raises:
        BundleError: there is no bundle.
        RecipeError: there is nothing to read, or a key that cannot be used.
    """
    from serendip.bundle import Bundle
    from serendip.recipe.reading import RecipeError, read

    recipe = dict(Bundle.load(path).manifest.recipe)
    if anew:
        files = (*SOURCES, "items", "users", "relations")
        recipe["data"] = {key: value for key, value in recipe.get("data", {}).items() if key not in files}
    found = read(recipe, overrides, given=flags)
    if all(getattr(found.data, key) is None for key in SOURCES):
        raise RecipeError(f"{path} does not say which files it was made from. Name what to read: --events FILE.")
    return found


def recipe_within(
    given: Path | None,
    show: Output,
    flags: Mapping[str, Mapping[str, Any]],
    overrides: Sequence[str],
    model: str | None,
) -> Recipe:
    """The recipe by which a bundle was made, changed by flags.

    Raises:
        BundleError: there is no bundle, or it does not say how it was made.
    """
    from serendip.bundle import BundleError
    from serendip.recipe.reading import read

    bundle = load(given, show)
    recipe = bundle.manifest.recipe
    if "data" not in recipe:
        raise BundleError(
            "This bundle does not say which files it was made from. Try: name a recipe, or --events FILE."
        )
    return read(recipe, overrides, given=flags, model=model)
