"""The rows of `benchmarks.frappe` with counts beside their fields: what their user and their app did in training.

They are told of the positives of training apart from the one that a row is of: a negative is of the positive that it
was drawn for. So a row of training looks as a row of the published parts does, of whose positives none is counted. The
rankers that are compared with others do not read them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frappe import ITEM, LABEL, NEGATIVES, PART, SEED, USER, written
from benchmarks.harness import ROOT, run_job

COUNTS = ("used", "events", "fresh", "others")
"""How often the user has the app, five times at most; how much the user has of anything, by powers of 2; the share of
different apps in that, in tenths; and how many others have the app, by powers of the root of 2."""


@cache
def counted() -> Path:
    """The file of all rows, as `benchmarks.frappe.written`, with one column for each of `COUNTS`.

    Raises:
        Missing: Frappe is not here.
    """
    source = written()
    target = ROOT / ".cache" / "benchmarks" / f"frappe-counts-{NEGATIVES}-{SEED}.parquet"
    if not target.exists():
        run_job("benchmarks.frappe_counts:count_job", source=str(source), target=str(target))
    return target


def count_job(source: str, target: str) -> None:
    """Write the rows with their counts. Those of training are its positives and then, in their order, the negatives."""
    import polars as pl

    rows = pl.read_parquet(source)
    training = rows[PART].to_numpy() == "train"
    positive = training & (rows[LABEL].to_numpy() == 1)
    m = int(positive.sum())
    of = np.full(len(rows), -1)
    of[training] = np.concatenate([np.arange(m), np.repeat(np.arange(m), NEGATIVES)])
    users, items = rows[USER].to_numpy(), rows[ITEM].to_numpy()
    found = counts(users[positive], items[positive], users, items, of)
    partial = Path(target).with_suffix(".part")
    rows.with_columns(*(pl.Series(name, values) for name, values in found.items())).write_parquet(partial)
    partial.replace(target)


def counts(known: Any, taken: Any, users: Any, items: Any, of: Any) -> dict[str, Any]:
    """`COUNTS` of rows.

    Args:
        known: ``[e]`` the users of the positives of training.
        taken: ``[e]`` their items.
        users: ``[m]`` of the rows.
        items: ``[m]`` of the rows.
        of: ``[m]`` the positive of training that a row is of, which is not counted; -1: none.
    """
    n, size = int(max(taken.max(), items.max())) + 1, int(max(known.max(), users.max())) + 1
    pair, asked = known.astype(np.int64) * n + taken, users.astype(np.int64) * n + items
    pairs, often = np.unique(pair, return_counts=True)

    def count(some: Any) -> Any:
        place = np.minimum(np.searchsorted(pairs, some), len(pairs) - 1)
        return np.where(pairs[place] == some, often[place], 0)

    own, itself = pair[of], of >= 0
    used = count(asked)
    others = np.bincount(pairs % n, minlength=n)[items] - (used > 0)
    used = used - (itself & (asked == own))
    events = np.bincount(known, minlength=size)[users] - itself
    apps = np.bincount(pairs // n, minlength=size)[users] - (itself & (count(own) == 1))
    found = {
        "used": np.minimum(used, 5),
        "events": np.log2(events + 1),
        "fresh": np.minimum(10 * (apps + 0.5) / (events + 1), 9),
        "others": 2 * np.log2(others + 1),
    }
    return {name: values.astype(np.int64) for name, values in found.items()}


def bound_job(file: str, part: str) -> dict[str, float]:
    """What bounds the AUC of a part.

    Returns:
        ``new``, the share of its positives that are of a user and an app which training does not have together; of
        these the shares ``unknown``, whose app has no positive there, and ``denied``, which training has as negatives;
        ``auc_counts``, the AUC of pairs that training has before all others, these by how many have the app.
    """
    import polars as pl

    from serendip.evaluate.rows import auc

    rows = pl.read_parquet(file)
    asked = rows.filter(pl.col(PART) == part)
    train = rows.filter(pl.col(PART) == "train")
    positive, negative = (train.filter(pl.col(LABEL) == y) for y in (1, 0))
    new = asked.filter((pl.col(LABEL) == 1) & (pl.col("used") == 0))
    denied = new.join(negative, on=[USER, ITEM], how="semi")
    unknown = new.join(positive, on=[ITEM], how="anti")
    order = asked["used"].to_numpy().clip(0, 1) * 100.0 + asked["others"].to_numpy()
    return {
        "new": len(new) / int(asked[LABEL].sum()),
        "unknown": len(unknown) / len(new),
        "denied": len(denied) / len(new),
        "auc_counts": auc(asked[LABEL].to_numpy(), order),
    }
