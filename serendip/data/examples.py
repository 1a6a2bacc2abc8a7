"""`Examples`: a table of rows with labels and no users or items, as a `Dataset` that every ranker can learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from serendip.data.dataset import Dataset
from serendip.data.features.declared import Category, Feature, Number
from serendip.data.findings import Finding
from serendip.data.read import read
from serendip.data.roles import label_kind
from serendip.data.schema import LabelKind, Schema
from serendip.types import SerendipError

if TYPE_CHECKING:
    from serendip.data.table import Table

USER, ITEM = "examples.user", "examples.item"
"""The columns that stand for users and items."""
EVERYBODY, THING = "everybody", "row"
"""The one user and the one item."""


@dataclass(frozen=True)
class Examples:
    """Rows, what is to be foretold of each, and what it is foretold from.

    Attributes:
        table: the rows as read.
        labels: columns that are foretold, and what they measure.
        features: what is made of the other columns, by name, all of the side ``context``.
        left_out: columns that are named as labels are, so that no feature is made of them.
    """

    table: Table
    labels: Mapping[str, LabelKind]
    features: Mapping[str, Feature]
    left_out: tuple[str, ...] = ()

    @classmethod
    def read(
        cls,
        table: Any,
        labels: Mapping[str, LabelKind],
        features: Mapping[str, Feature] | None = None,
        *,
        without: Sequence[str] = (),
        encoding: str | None = None,
    ) -> Examples:
        """Read a table.

        Args:
            table: a path, or a Polars, pandas or PyArrow table (`serendip.data.read`).
            labels: columns to foretell, and what they measure.
            features: what is made of columns; None: a number of every column of numbers, a category of every column of
                texts or truths, but of the labels and of columns that are named as labels are, such as ``purchased``:
                these may be known only afterwards.
            without: columns that no feature is made of, such as one that says what a label does.
            encoding: of a text file; None: UTF-8.

        Raises:
            SerendipError: no label, a label or column that the table does not have, a feature of users or items, a
                column that no feature can be made of, or none at all.
        """
        made = read(table, "examples", encoding=encoding or "utf-8")
        columns = made.frame.columns
        listed = ", ".join(columns)
        if not labels:
            raise SerendipError(
                f'examples must have labels, columns to be foretold, such as {{clicked = "binary"}}. Got none. The '
                f"columns are {listed}."
            )
        for name in (*labels, *without):
            if name not in columns:
                raise SerendipError(f"{made.name}: expected a column {name!r}. The columns are {listed}.")
        others = [name for name in columns if name not in (*labels, *without)]
        alike = [] if features is not None else [name for name in others if label_kind(made.frame[name]) is not None]
        if features is None:
            features = _features({name: made.frame.schema[name] for name in others if name not in alike})
        for name, one in features.items():
            if one.side != "context":
                raise SerendipError(
                    f"features.{name} must be of the side context: examples have no users and items of their own. "
                    f"Got {one.side}."
                )
        if not features:
            raise SerendipError(f"{made.name}: expected columns beside the labels, to foretell them from. Got none.")
        return cls(made, dict(labels), dict(features), tuple(alike))

    def dataset(self) -> Dataset:
        """The rows as events of one user with one item, their columns as context.

        Rankers learn from them with ``label`` and ``length = 0``, as there is no history.

        Raises:
            SchemaError: labels outside their range, values that cannot be used; the text lists all of them.
        """
        frame = self.table.frame.with_columns(pl.lit(EVERYBODY).alias(USER), pl.lit(THING).alias(ITEM))
        schema = Schema(user=USER, item=ITEM, labels=dict(self.labels))
        data = Dataset.from_frames(frame, schema=schema, features=self.features, part=True)
        if not self.left_out:
            return data
        said = Finding(
            severity="warning",
            where=self.table.name,
            what=f"no features are made of {', '.join(self.left_out)}, which are named as labels are.",
            count=1,
            hint="Where they are known beforehand, declare features, of all columns that count.",
        )
        report = msgspec.structs.replace(data.report, findings=(*data.report.findings, said))
        return replace(data, report=report)


def are_examples(data: Dataset) -> bool:
    """Whether the data were made from a table without users and items."""
    return data.schema.user == USER


def load_examples(
    path: str | Path, labels: Mapping[str, LabelKind], features: Mapping[str, Feature] | None, encoding: str
) -> Dataset:
    """The data set of a file of examples; arguments as of `Examples.read`.

    Raises:
        SerendipError: as `Examples.read` and `Examples.dataset`.
    """
    return Examples.read(path, labels, features, encoding=encoding).dataset()


def _features(columns: Mapping[str, pl.DataType]) -> dict[str, Feature]:
    """A feature of every column, by its type.

    Raises:
        SerendipError: a column of another type.
    """
    found: dict[str, Feature] = {}
    for name, kind in columns.items():
        if kind.is_numeric():
            found[name] = Number(side="context")
        elif isinstance(kind, pl.String | pl.Boolean | pl.Categorical | pl.Enum):
            found[name] = Category(side="context")
        else:
            raise SerendipError(
                f"no feature is made of the column {name!r} of the type {kind} by itself. Try declaring one in "
                "features, or leaving the column out."
            )
    return found


__all__ = ["Examples", "are_examples", "load_examples"]
