"""What re-rankers know of items, as arrays by item code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.features.values import separator_of, several
from serendip.data.vocab import factorise
from serendip.types import ABSENT, Embedder, Floats, Ids, SerendipError, Uncertain

DAY = 86_400
SHOWN = 12
"""How many names an error lists."""


@dataclass(frozen=True, eq=False)
class Shelf:
    """The items of one catalogue.

    Attributes:
        items: ``item_id`` and attributes; row i for code i.
        counts: ``[n]`` how many events each has.
        scorers: those of the pipeline by name; None for one that is not fitted yet, which is taken on trust.
        latest: unix seconds of the last event; None where the log has no such times.
        vectors: ``[n, d]`` by name of the scorer, where they are others than the scorer's own.
    """

    items: pl.DataFrame
    counts: NDArray[np.int64]
    scorers: Mapping[str, Any] = field(default_factory=dict)
    latest: int | None = None
    vectors: Mapping[str, Floats] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The attributes of the items."""
        return [name for name in self.items.columns if name != "item_id"]

    def values(self, option: str, name: str) -> tuple[Ids, int]:
        """``[n + 1, w]`` the codes of an attribute's values, `ABSENT`-padded, nothing in the last row; and how many
        values there are.

        Args:
            option: that names the attribute, for messages.
            name: of the attribute; lists, or texts parted as filters read them, hold several values.

        Raises:
            SerendipError: no such column, or one of another type.
        """
        column = self._column(option, name)
        try:
            found = several(name, column, separator_of(column) if column.dtype == pl.String else "\0")
        except SerendipError:
            raise SerendipError(
                f"{option} must be a column of texts, numbers or dates, or of lists of them. "
                f"Got {name!r}, which holds {column.dtype}."
            ) from None
        coded = factorise(found.texts)
        table = found.padded(coded.codes, max(found.widest, 1))
        return np.concatenate([table, np.full((1, table.shape[1]), ABSENT, np.int32)]), len(coded.values)

    def numbers(self, option: str, name: str) -> tuple[NDArray[np.float64], bool]:
        """``[n + 1]`` the numbers of an attribute, NaN where missing and in the last row; of dates the unix days. And
        whether they are dates.

        Raises:
            SerendipError: no such column, or one of another type.
        """
        column = self._column(option, name)
        dated = column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime)
        if dated:
            column = column.cast(pl.Datetime("us")).cast(pl.Int64).cast(pl.Float64) / (DAY * 1e6)
        elif not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
            raise SerendipError(
                f"{option} must be a column of numbers or dates. Got {name!r}, which holds {column.dtype}."
            )
        values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        return np.append(np.where(np.isfinite(values), values, np.nan), np.nan), dated

    def units(self, option: str, name: str) -> Floats | None:
        """``[n + 1, d]`` vectors of a scorer, of length 1; zeros where there is none, and in the last row. None where
        it is not fitted yet.

        Raises:
            SerendipError: no such scorer, or one without vectors.
        """
        if name not in self.scorers:
            raise self._unknown(option, name, self.scorers, "a model of the pipeline that has vectors")
        scorer = self.scorers[name]
        if scorer is None:
            return None
        if name not in self.vectors and not isinstance(scorer, Embedder):
            there = [one for one, other in self.scorers.items() if isinstance(other, Embedder)]
            raise SerendipError(
                f"{option} must be a model that has vectors ({_some(there)}) or a column of the items "
                f"({_some(self.columns)}). Got {name!r}, which has none."
            )
        rows = np.asarray(self.vectors[name] if name in self.vectors else scorer.item_vectors(), np.float32)
        rows = np.nan_to_num(np.concatenate([rows, np.zeros((len(self.items) + 1 - len(rows), rows.shape[1]))]))
        length = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.where(length > 0, length, 1), np.float32)

    def uncertain(self, option: str, name: str | None) -> Uncertain | None:
        """The scorer of this name, or the first one, that knows how sure it is; None where it is not fitted yet.

        Raises:
            SerendipError: there is none.
        """
        able = [one for one, other in self.scorers.items() if isinstance(other, Uncertain)]
        chosen = name if name is not None else next(iter(able), None)
        if name is not None and name not in self.scorers:
            raise self._unknown(option, name, self.scorers, "a model of the pipeline that says how sure it is")
        if any(self.scorers[one] is None for one in ([name] if name is not None else self.scorers)):
            return None
        if chosen not in able:
            raise SerendipError(
                f"{option} must be a model that says how sure it is of a score, such as ials or popular; of the "
                f"pipeline: {_some(able)}. Got {chosen or _some(self.scorers)}, which does not. "
                'Try: policy = "epsilon_greedy".'
            )
        found: Uncertain = self.scorers[chosen]
        return found

    def _column(self, option: str, name: str) -> pl.Series:
        if name in self.columns:
            return self.items[name]
        raise self._unknown(option, name, self.columns, "a column of the items")

    def likeness(self, option: str, name: str | None) -> str:
        """What items are compared by: the name of an attribute or of a scorer.

        Raises:
            SerendipError: there is no such, or none of the scorers has vectors.
        """
        if name is None:
            embedders = [one for one, it in self.scorers.items() if it is None or isinstance(it, Embedder)]
            if embedders:
                return embedders[0]
            raise SerendipError(
                f"{option} must be given where no model of the pipeline has vectors: a column of the items "
                f"({_some(self.columns)}). Got models without: {_some(self.scorers)}."
            )
        if name not in self.columns and name not in self.scorers:
            raise self._unknown(
                option, name, [*self.columns, *self.scorers], "a column of the items or a model of the pipeline"
            )
        return name

    @staticmethod
    def _unknown(option: str, name: str, there: Iterable[str], what: str) -> SerendipError:
        near = difflib.get_close_matches(name, list(there), n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return SerendipError(f"{option} must be {what}: {_some(there)}. Got {name!r} instead.{hint}")


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return (", ".join(listed[:SHOWN]) + (" …" if len(listed) > SHOWN else "")) or "none"


__all__ = ["DAY", "Shelf"]
