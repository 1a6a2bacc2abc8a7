"""Jobs of our rankers on rows with a label: training epoch by epoch, each judged on the parts that are asked for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.frappe import FIELDS, ITEM, LABEL, PART, USER
from benchmarks.peers.lists import stay

WHO = "who"
"""The feature that is a user's id."""
USED = "used"
"""A column, if the file has it, that is 0 where no positive of training has the user with the item."""


def rows_of(file: str, part: str, columns: Sequence[str] = ()) -> Any:
    """The rows of a part as a table, with further columns."""
    import polars as pl

    return pl.read_parquet(file).filter(pl.col(PART) == part).select(LABEL, *FIELDS, *columns)


def new_of(file: str, part: str) -> Any:
    """``[m]`` which rows of a part are of a user and an item that no positive of training has; None: it is not told."""
    import polars as pl

    rows = pl.scan_parquet(file).filter(pl.col(PART) == part)
    if USED not in rows.collect_schema():
        return None
    return rows.select(pl.col(USED) == 0).collect()[USED].to_numpy()


def context_of(rows: Any) -> list[str]:
    """The columns that are of the moment."""
    return [name for name in rows.columns if name not in (LABEL, USER, ITEM)]


def training(rows: Any) -> Any:
    """Rows as a log whose events have the label; every field but the item is a feature of the user or the moment."""
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.data.features.declared import Category

    users = rows.select(USER).unique(maintain_order=True).with_columns(pl.col(USER).cast(pl.String).alias(WHO))
    features = {WHO: Category(side="user"), **{name: Category(side="context") for name in context_of(rows)}}
    return Dataset.from_frames(rows, users, labels={LABEL: "binary"}, features=features)


def asked(data: Any, rows: Any) -> tuple[Any, Any]:
    """The queries ``[m]`` and items ``[m, 1]`` that rows ask about, in the codes of the data."""
    from serendip.types import Queries

    users, items = data.user_ids.encode(rows[USER]), data.item_ids.encode(rows[ITEM])
    queries = Queries(users, np.empty((len(rows), 0), np.int32))
    return data.asked(queries, rows.select(context_of(rows))), items[:, None]


def judged(scorer: Any, data: Any, rows: Any, new: Any = None) -> dict[str, float]:
    """AUC and logloss of rows; one that has no score is as likely as a row of training.

    ``new`` ``[m]``: also the AUC of these rows alone, as ``auc_new``.
    """
    from serendip.evaluate.rows import auc, logloss

    scores = scorer.score(*asked(data, rows))[:, 0].astype(np.float64)
    share = float(data.events.labels[LABEL].mean())
    scores[np.isneginf(scores)] = np.log(share / (1 - share))
    labels = rows[LABEL].to_numpy()
    found = {"auc": auc(labels, scores), "logloss": logloss(labels, 1 / (1 + np.exp(-scores)))}
    return found if new is None else {**found, "auc_new": auc(labels[new], scores[new])}


def train_job(
    file: str,
    model: str,
    options: Mapping[str, Any],
    seed: int,
    cores: int,
    judge: Sequence[str] = (),
    patience: int | None = None,
    epochs: int | None = None,
    columns: Sequence[str] = (),
) -> dict[str, Any]:
    """Train on the rows of ``train``.

    Args:
        file: of `benchmarks.frappe.written`.
        model: its name.
        options: of the model; ``label`` is set here.
        seed: of the fit.
        cores: threads.
        judge: parts judged after each epoch, which is not timed. With patience the first of them decides.
        patience: epochs without a higher AUC after which training ends; None: it does not.
        epochs: how many at most, where the schedule is for more; None: those of the options.
        columns: of the file that are fields beside those that everybody reads.

    Returns:
        ``epochs``: of each its number, ``examples``, the ``seconds`` of training so far, the processor's ``cpu``
        seconds, and the figures of each part by its name.
    """
    stay(cores)
    from serendip.model import Run, find

    data = training(rows_of(file, "train", columns))
    parts = {name: (rows_of(file, name, columns), new_of(file, name)) for name in judge}
    points: list[dict[str, Any]] = []
    found: dict[str, Any] = {}
    state = {"cpu": time.process_time()}

    def look(scorer: Any) -> float:
        found.update({name: judged(scorer, data, *part) for name, part in parts.items()})
        return float(found[judge[0]]["auc"])

    def note(one: Any) -> None:
        spent = time.process_time() - state["cpu"]
        points.append({"epoch": int(one["epoch"]), "examples": len(data.events), "seconds": one["seconds"], **found})
        if not parts:
            points[-1]["cpu"] = spent
        state["cpu"] = time.process_time()

    run = Run(seed=seed, threads=cores, validation=look if parts else None, patience=patience, log=note, epochs=epochs)
    find(model)(**{**options, "label": LABEL}).fit(data, run)
    return {"epochs": points}
