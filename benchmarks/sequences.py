"""What comes next: the last item of each history held out, ranked among the whole catalogue, items seen left out.

The rule, the same for every model: options are tried on the training part alone, whose own last items are held out
again; each trial trains until NDCG@10 there has not risen for some validations. The best trial's options and number of
epochs are then used on the whole training part, which has that last item back, and the test is judged once.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.harness import THREADS

METRICS = ("hit_rate@10", "ndcg@10")
RULE = (
    "last item of each history of the training part held out; trained until NDCG@10 there has not risen for "
    "{patience} validations, one every {every} epochs; then on the whole training part for the best number of epochs"
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


def search_job(
    folder: str,
    data: dict[str, Any],
    model: str,
    grid: list[dict[str, Any]],
    every: int,
    patience: int,
) -> dict[str, Any]:
    """Try options on the training part; every trial with its trace, the best one's options and epochs first.

    Args:
        folder: of the data.
        data: arguments of `last_of`.
        model: its name.
        grid: the options to try, ``epochs`` being the most.
        every: how many epochs lie between two validations.
        patience: how many of them may bring nothing.
    """
    from serendip.evaluate import evaluate, last_out
    from serendip.model import Run, find

    inner = last_out(last_of(folder, **data).train)
    trials = []
    for options in grid:
        trace: list[dict[str, float]] = []
        run = Run(
            threads=THREADS,
            validation=lambda scorer: evaluate(scorer, inner, ["ndcg@10"], threads=THREADS).mean("ndcg@10"),
            validate_every=every,
            patience=patience,
            log=lambda one, trace=trace: trace.append(dict(one)),  # type: ignore[misc]
        )
        begin = time.perf_counter()
        fitted = find(model)(**options).fit(inner.train, run)
        best: Any = fitted.training
        trials.append(
            {
                "options": options,
                "ndcg@10": best.best,
                "epochs": best.best_epoch,
                "seconds": time.perf_counter() - begin,
                "trace": [one for one in trace if "validation" in one],
            }
        )
    trials.sort(key=lambda one: -one["ndcg@10"])
    chosen = {**trials[0]["options"], "epochs": trials[0]["epochs"]}
    return {"rule": RULE.format(patience=patience, every=every), "trials": trials, "chosen": chosen}


def test_job(folder: str, data: dict[str, Any], model: str, options: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train on the whole training part and judge by the test."""
    from serendip.evaluate import evaluate
    from serendip.model import Run, find

    split = last_of(folder, **data)
    begin = time.perf_counter()
    fitted = find(model)(**options).fit(split.train, Run(seed=seed, threads=THREADS))
    seconds = time.perf_counter() - begin
    found = evaluate(fitted, split, METRICS, threads=THREADS)
    return {"seconds": seconds, **{metric: found.mean(metric) for metric in METRICS}}
