"""What is known of who asks and when, as the models that read features of queries take it."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.types import Input


def query_inputs(data: Dataset) -> tuple[Input, ...]:
    """The features of users and moments that the data have."""
    return () if data.features is None else tuple(one for one in data.features.inputs if one.side != "item")


def features_of(data: Dataset) -> dict[str, NDArray[Any]]:
    """The features of the user and the moment of every event, ``[m, …]`` by name."""
    if data.features is None:
        return {}
    by_user = data.features.users(data.users)
    own = {name: values[data.events.users] for name, values in by_user.items()}
    return {**own, **data.features.examples(data)}
