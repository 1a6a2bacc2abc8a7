"""What comes next: the last item of each history held out, ranked among the whole catalogue, items seen left out."""

from __future__ import annotations

import time
from typing import Any

METRICS = ("hit_rate@10", "ndcg@10")
RULE = (
    "each trial learns from the training part without the last item of each history and is judged by that item; the "
    "best by NDCG@10 then learns from all of the training part, for all its epochs, and is judged by the test, once a "
    "seed"
)


def last_of(folder: str, order: str | None = None, least: int = 1) -> Any:
    """The data of a folder with the last item of each history held out.

    Args:
        folder: holds ``interactions.parquet``.
        order: the column with each event's place in its history; None: the order of the rows.
        least: how many events an item must have to be in the catalogue.
    """
    import polars as pl

    from serendip.data.dataset import Dataset
    from serendip.evaluate import last_out

    frame = pl.read_parquet(f"{folder}/interactions.parquet").with_row_index("row")
    frame = frame.with_columns(pl.col(order or "row").cast(pl.Int64).alias("timestamp"))
    frame = frame.filter(pl.len().over("item_id") >= least).select("user_id", "item_id", "timestamp")
    return last_out(Dataset.from_frames(frame, time_kind="rank"))


def job(
    folder: str, data: dict[str, Any], model: str, options: dict[str, Any], seed: int, inner: bool
) -> dict[str, Any]:
    """Train, and judge by what was held out.

    Args:
        folder: of the data.
        data: arguments of `last_of`.
        model: its name.
        options: its options.
        seed: of the fit.
        inner: hold out of the training part, for a trial; else be judged by the test.
    """
    from serendip.evaluate import evaluate, last_out
    from serendip.kernels import pool
    from serendip.model import Run, find

    split = last_of(folder, **data)
    if inner:
        split = last_out(split.train)
    trace: list[float] = []

    def told(epoch: Any) -> None:
        trace.append(float(epoch["loss"]))
        print(model, options, len(trace), trace[-1], flush=True)

    begin, threads = time.perf_counter(), pool.count()
    fitted = find(model)(**options).fit(split.train, Run(seed=seed, threads=threads, log=told))
    seconds = time.perf_counter() - begin
    found = evaluate(fitted, split, METRICS, threads=threads)
    figures = {metric: found.mean(metric) for metric in METRICS}
    return {"options": options, "seed": seed, **figures, "seconds": seconds, "threads": threads, "loss": trace}
