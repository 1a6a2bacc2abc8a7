"""Tables beside the log: one row per user or item, and relations between two of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.check import ASIDE, check_ids, has_columns
from serendip.data.findings import Findings
from serendip.data.roles import matching
from serendip.data.schema import Schema, Side
from serendip.data.table import Table
from serendip.data.vocab import Coded, Vocab
from serendip.types import ABSENT


@dataclass(frozen=True, slots=True, eq=False)
class Keyed:
    """A checked table with one row per id.

    Attributes:
        table: as it was read.
        key: its id column.
        ids: the ids of its rows.
        rows: the rows that are used.
    """

    table: Table
    key: str
    ids: Coded
    rows: NDArray[np.int64]

    def attributes(self, name: str, vocab: Vocab) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
        """The rows in the order of the vocabulary, null where there is none, the id in a column ``name``; and ``[n]``
        whether there is one."""
        place = np.full(len(vocab) + 1, ABSENT, np.int64)
        place[vocab.encode(self.ids.values)[self.ids.codes[self.rows]]] = self.rows
        listed = place[:-1] != ABSENT
        rows = pl.Series(place[:-1]).set(pl.Series(~listed), None)
        rest = self.table.frame.drop(self.key).select(pl.all().gather(rows))
        return pl.DataFrame([vocab.ids.alias(name), *rest.get_columns()]), listed


@dataclass(frozen=True, slots=True, eq=False)
class Related:
    """A checked relation.

    Attributes:
        side: what it joins.
        table: as it was read; its first two columns hold the ids.
        left, right: the ids of each row.
    """

    side: Side
    table: Table
    left: Coded
    right: Coded

    def pairs(self, vocab: Vocab, found: Findings) -> pl.DataFrame:
        """``left`` and ``right`` codes and the further columns, for the rows whose ids are both known."""
        left, right = (vocab.encode(side.values)[side.codes] for side in (self.left, self.right))
        kept = found.kept(self.table)
        known = (left != ABSENT) & (right != ABSENT)
        strange = np.flatnonzero(kept & ~known)
        if len(strange):
            what = f"pairs of {self.side} that neither the log nor a table knows: {len(strange):,}. They are left out."
            hint = "Check that the ids are written alike in both." if len(strange) == kept.sum() else ""
            found.warn(self.table.where(strange), what, hint, len(strange))
        rows = kept & known
        codes = [pl.Series("left", left[rows]), pl.Series("right", right[rows])]
        return pl.DataFrame([*codes, *self.table.frame.filter(rows).get_columns()[2:]])


def check_keyed(table: Table | None, key: str, name: str, found: Findings) -> Keyed | None:
    """Check a table of users or items: each id once. ``name``: what the id column will be called."""
    if table is None:
        return None
    found.ragged(table)
    if not has_columns(table, [key], found):
        return None
    if key != name and name in table.frame.columns:
        what = f'expected the ids in "{key}" and no other column called "{name}". Got both.'
        found.error(table.name, what, f'Try renaming "{name}", or naming it as the id column.')
        return None
    ids = check_ids(table, key, found)
    known = np.flatnonzero(ids.codes != ABSENT)
    first = np.full(len(ids.values), ABSENT, np.int64)
    first[ids.codes[known[::-1]]] = known[::-1]
    again = known[first[ids.codes[known]] != known]
    if len(again):
        _check_again(table, key, again, first[ids.codes[again]], found)
    rows = np.flatnonzero(found.kept(table) & (ids.codes != ABSENT))
    return Keyed(table, key, ids, rows[first[ids.codes[rows]] == rows])


def _check_again(table: Table, key: str, again: NDArray[np.int64], first: NDArray[np.int64], found: Findings) -> None:
    """Rows whose id has a row already: the same one is dropped, a different one refused."""
    rest = table.frame.drop(key)
    same = np.ones(len(again), bool)
    for column in rest.get_columns():
        same &= column.gather(again).eq_missing(column.gather(first)).to_numpy()
    mask = np.zeros(len(table.frame), bool)
    mask[again[same]] = True
    repaired = f"exact repeats of an earlier row were dropped: {int(same.sum()):,}."
    found.repair(table, key, mask, "one row per id", repaired, ASIDE)
    mask[:] = False
    mask[again[~same]] = True
    found.refuse(table, key, mask, "one row per id, but other values than in an earlier row", ASIDE)


def check_relation(table: Table, schema: Schema, found: Findings) -> Related | None:
    """Check a table of pairs: two id columns in front. It joins items if the first is named like an item column."""
    found.ragged(table)
    if len(table.frame.columns) < 2:
        what = f"expected two columns of ids. Got {len(table.frame.columns)} instead."
        found.error(table.name, what, "Try a table with a row per pair.")
        return None
    first, second = table.frame.columns[:2]
    items = first == schema.item or bool(matching("item", [first]))
    return Related(
        "items" if items else "users", table, check_ids(table, first, found), check_ids(table, second, found)
    )
