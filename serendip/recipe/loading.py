"""From the ``[data]`` of a recipe to a `Dataset`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from serendip.data.dataset import Dataset
from serendip.data.examples import load_examples
from serendip.data.features.declared import column_of
from serendip.data.findings import DataError, SchemaError
from serendip.data.impressions import ITEM, USER, with_churn, with_impressions
from serendip.data.streamed import Streamed
from serendip.recipe.reading import RecipeError
from serendip.recipe.sections import DataSection, Recipe
from serendip.types import SerendipError

DEMO = "demo"
"""The source that is generated."""
BESIDE_SOURCE = ("source", "positive_from")
"""The keys that may stand beside ``source``: a set's columns are known."""
COUNTED = (ITEM, USER)
"""The columns that impressions bring."""
BESIDE_EXAMPLES = ("examples", "streamed", "labels", "encoding")
"""The keys that may stand beside ``examples``."""
BESIDE_DEMO = (*BESIDE_SOURCE, "target", "event_weights")
"""Those that may stand beside the generated one, which has several kinds of events."""


def load_data(recipe: Recipe, *, part: bool = False) -> Dataset:
    """Read, check and encode what the recipe names.

    Args:
        recipe: says what to read.
        part: whether the events go on from a log that is known: then they may be of one user or item, and hold nothing
            of the target.

    Raises:
        SchemaError: what is wrong with the data, all of it.
        DataError: a file that cannot be read.
        RecipeError: nothing to read is named, keys that do not go together, or a public set that is not here yet.
    """
    section = recipe.data
    named = [key for key in ("events", "source", "examples") if getattr(section, key) is not None]
    if len(named) != 1:
        raise RecipeError(
            'data must name either events, such as "events.parquet", or source, such as "demo", or examples, a table '
            f"without users and items. Got {' and '.join(named) or 'neither'}."
        )
    if section.streamed and section.examples is None:
        raise RecipeError(
            "data.streamed must come with data.examples, a Parquet file of rows with labels. A log of users and items "
            "is read as a whole."
        )
    if section.source is not None:
        data = _published(section, section.source)
        return data.with_features(recipe.features) if recipe.features else data
    if section.examples is not None:
        return _examples(section, section.examples, recipe)
    counted = _counts_impressions(section)
    features = {name: one for name, one in recipe.features.items() if not (counted and column_of(name, one) in COUNTED)}
    try:
        data = Dataset.from_frames(
            section.events,
            section.users,
            section.items,
            columns=section.columns or None,
            time_kind=section.time_kind,
            positive_from=section.positive_from,
            event_weights=section.event_weights or None,
            target=section.target or None,
            labels=section.labels or None,
            relations=section.relations or None,
            features=features or None,
            encoding=section.encoding,
            strict=section.strict,
            rejects=section.rejects,
            part=part,
        )
        if section.impressions:
            data = with_impressions(data, section.impressions)
        if section.churn is not None:
            data = with_churn(data, section.churn)
        return data if len(features) == len(recipe.features) else data.with_features(recipe.features)
    except SchemaError:
        raise
    except SerendipError as error:
        raise DataError(str(error)) from error


def _counts_impressions(section: DataSection) -> bool:
    """Whether columns say how often something was shown before in vain."""
    return bool(section.impressions) or section.churn is not None


def _others(section: DataSection, let_in: Sequence[str]) -> list[str]:
    """The keys that are set and have no place beside the others."""
    default = DataSection()
    given = [key for key in section.__struct_fields__ if getattr(section, key) != getattr(default, key)]
    return [key for key in given if key not in let_in]


def _examples(section: DataSection, path: str, recipe: Recipe) -> Dataset:
    refused = _others(section, BESIDE_EXAMPLES)
    if refused:
        raise RecipeError(f"data.examples is a table without users and items. Leave out {', '.join(refused)}.")
    try:
        if section.streamed:
            return Streamed.read(path, section.labels, recipe.features or None, seed=recipe.run.seed)
        return load_examples(path, section.labels, recipe.features or None, section.encoding)
    except SchemaError:
        raise
    except SerendipError as error:
        raise DataError(str(error)) from error


def _published(section: DataSection, name: str) -> Dataset:
    refused = _others(section, BESIDE_DEMO if name == DEMO else BESIDE_SOURCE)
    if refused:
        raise RecipeError(f"data.source brings its own files and columns. Leave out {', '.join(refused)}.")
    if name == DEMO:
        from serendip.data.synthetic import catalogue

        world = catalogue()
        # Its own weights are of a log of which all is foretold.
        weights = section.event_weights or ({} if section.target else world.schema.event_weights)
        schema = msgspec.structs.replace(
            world.schema, positive_from=section.positive_from, target=section.target, event_weights=weights
        )
        return Dataset.from_frames(world.events, world.users, world.items, schema=schema)
    from serendip.data import sources

    entry = sources.entry(name)
    if not _is_here(sources.cache_folder(), name):
        raise RecipeError(f"{name} is not on this machine yet. Try: serendip data get {entry.name}")
    return sources.load(name, positive_from=section.positive_from)


def _is_here(cache: Path, name: str) -> bool:
    return (cache / name / "files").is_dir()


__all__ = ["DataError", "load_data"]
