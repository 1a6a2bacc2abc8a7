"""Frappe as rows to be judged: the published validation and test parts, and training rows with negatives drawn once.

A training row is a positive of the set that neither of the published parts holds, or one of two negatives of it: the
same user in the same moment with another app, drawn uniformly among those that the user has in no training row; what
the published parts hold is not looked at. In them, too, no negative is an app that the user has in training. The rows
are written once, drawn with seed 0, and given to everybody.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import ROOT, data_dir, run_job

DATA = "frappe"
LABEL, PART, USER, ITEM = "label", "part", "user_id", "item_id"
CONTEXT = ("daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city")
FIELDS = (USER, ITEM, *CONTEXT)
PARTS = ("train", "validation", "test")
NEGATIVES = 2
SEED = 0


@cache
def written() -> Path:
    """The file of all rows.

    Raises:
        Missing: Frappe is not here.
    """
    folder = data_dir(DATA)
    target = ROOT / ".cache" / "benchmarks" / f"frappe-rows-{NEGATIVES}-{SEED}.parquet"
    if not target.exists():
        run_job("benchmarks.frappe:write_job", folder=str(folder), target=str(target))
    return target


def checksum(file: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_job(folder: str, target: str) -> None:
    """Write the rows of all parts, one column for each of `FIELDS`, `LABEL` and `PART`."""
    import polars as pl

    held = {name: pl.read_parquet(f"{folder}/nfm_{name}.parquet") for name in ("validation", "test")}
    positives = pl.read_parquet(f"{folder}/positives.parquet").select(FIELDS)
    train = positives.join(pl.concat(held.values()).filter(pl.col(LABEL) == 1), on=FIELDS, how="anti").sort(FIELDS)
    drawn = negatives(
        train[USER].to_numpy(), train[ITEM].to_numpy(), positives[ITEM].max() + 1, np.random.default_rng(SEED)
    )
    rows = np.repeat(np.arange(len(train)), NEGATIVES)
    others = train[rows.tolist()].with_columns(pl.Series(ITEM, drawn.ravel(), dtype=train.schema[ITEM]))
    parts = {
        "train": pl.concat([one.with_columns(pl.lit(y).alias(LABEL)) for one, y in ((train, 1), (others, 0))]),
        **held,
    }
    whole = pl.concat(
        [
            one.select(pl.lit(name).alias(PART), pl.col(LABEL).cast(pl.Int8), *FIELDS)
            for name, one in sorted(parts.items(), key=lambda pair: PARTS.index(pair[0]))
        ]
    )
    partial = Path(target).with_suffix(".part")
    partial.parent.mkdir(parents=True, exist_ok=True)
    whole.write_parquet(partial)
    partial.replace(target)


def negatives(users: Any, items: Any, n: int, rng: np.random.Generator) -> Any:
    """``[m, NEGATIVES]`` items of ``n``, each row's apart and none of those that its user ``[m]`` has in ``items``."""
    pair = users.astype(np.int64) * n
    taken = np.unique(pair + items)
    out = np.full((len(users), NEGATIVES), -1, np.int64)
    while len(again := np.argwhere(out < 0)):
        row, place = again.T
        out[row, place] = rng.integers(0, n, len(again))
        bad = np.isin(pair[row] + out[row, place], taken)
        out[row[bad], place[bad]] = -1
        twice = (out[:, 1:] == out[:, :1]).any(axis=1) & (out[:, 0] >= 0)
        out[twice, 1] = -1
    return out
