"""Logs of any size, and fits to them with their time, memory and the work that the algorithm asks for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, THREADS, run_job

PER_USER = 50  # events of a user, on average
SIGMA = 1.2  # of the logarithm of that number
LEAST = 5
ITEMS_AT_A_MILLION = 4000
CHUNK = 5_000_000
FITS, WITHIN_S = 5, 120.0  # how often a fit is repeated, if it is within that time; the fastest is told


def items_of(events: int) -> int:
    """How large the catalogue is: it grows as the root of the log."""
    return round(ITEMS_AT_A_MILLION * (events / 1e6) ** 0.5)


def log_file(events: int) -> Path:
    """A log of about so many events; made once."""
    path = ROOT / ".cache" / "benchmarks" / f"log-{events}.parquet"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        run_job("benchmarks.scale_jobs:make_log", path=str(path), events=events)
    return path


def make_log(path: str, events: int) -> None:
    """Distinct pairs of a user and an item: users of log-normal activity, Zipf-like items (exponent ⅔)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(events)
    n_users, n_items = events // PER_USER, items_of(events)
    activity = rng.lognormal(0, SIGMA, n_users)
    counts = np.clip(activity * (events / activity.sum()), LEAST, n_items // 4).astype(np.int64)
    codes = rng.permutation(n_items)
    ends = np.cumsum(counts)
    cuts = np.searchsorted(ends, np.arange(0, ends[-1], CHUNK))
    with pq.ParquetWriter(path + ".part", pa.schema({"user_id": pa.int32(), "item_id": pa.int32()})) as file:
        for first, last in zip(cuts, [*cuts[1:], n_users], strict=True):
            users = np.repeat(np.arange(first, last), counts[first:last])
            drawn = (n_items * rng.random(len(users)) ** 3).astype(np.int64)
            pairs = np.unique(users * n_items + drawn)
            columns = [pairs // n_items, codes[pairs % n_items]]
            file.write_table(pa.table([pa.array(column, pa.int32()) for column in columns], file.schema))
    Path(path + ".part").replace(path)


def fit(path: str, model: str, options: dict[str, Any]) -> dict[str, Any]:
    """Read the log and fit, compiled before; time and memory of both, and the work that the algorithm asks for.

    A fit that takes no minute is repeated, and the fastest told: the rest is what else ran.
    """
    import resource

    from serendip.data.dataset import Dataset
    from serendip.data.synthetic import planted_factors
    from serendip.model import Run, find

    def peak() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    small = planted_factors(users=300, items=2500, events=20).data  # so many items that nothing is done in float64
    find(model)(**options).fit(small, Run(threads=THREADS))
    begin = time.perf_counter()
    data = Dataset.from_frames(path)
    read, before = time.perf_counter(), peak()
    first, gave = timed(lambda: find(model)(**options).fit(data, Run(threads=THREADS)))
    highest = peak()
    times = [first]
    while len(times) < FITS and (len(times) + 1) * first[0] < WITHIN_S:
        times.append(timed(lambda: find(model)(**options).fit(data, Run(threads=THREADS)))[0])
    return {
        "events": len(data.events),
        "users": data.n_users,
        "items": data.n_items,
        "read_s": read - begin,
        "read_peak_mb": before,
        "fits": len(times),
        "seconds": min(seconds for seconds, _ in times),
        "cpu": min(processor for _, processor in times),
        "fit_peak_mb": highest,
        "gave": gave,
        "work": work(data, model, options),
    }


def timed(fit: Callable[[], Any]) -> tuple[tuple[float, float], str]:
    """Seconds and the processor's seconds of a fit, and what kind of scorer it gave."""
    begin, used = time.perf_counter(), time.process_time()
    fitted = fit()
    took = time.perf_counter() - begin, time.process_time() - used
    return took, type(fitted.lower()).__name__


def work(data: Any, model: str, options: dict[str, Any]) -> dict[str, float]:
    """What the algorithm must do at least, by kind of work.

    - ials: operations of all half steps, see `serendip.kernels.als`, and the product of each row with the basis.
    - item_knn: additions, ``Σ_u n_u²``, and the bytes of an array of all items for each.
    - ease: the same additions, and ``items³`` operations; sparse: those of the K × K systems instead.
    """
    import numpy as np

    matrix = data.matrix()
    by_user = np.diff(matrix.indptr).astype(np.float64)
    by_item = np.bincount(matrix.indices, minlength=data.n_items).astype(np.float64)
    pairs = float((by_user**2).sum())
    if model == "ials":
        d = float(options["factors"])
        rows = np.concatenate([by_user, by_item])
        low, high = np.minimum(rows, d), np.maximum(rows, d)
        step = (low**2 * high + low**3 / 3).sum() + 2 * len(rows) * d**2
        return {"operations": float(step) * options["iterations"]}
    if model == "item_knn":
        return {"additions": pairs, "bytes": float(data.n_items) ** 2}
    if options.get("solver") == "sparse":
        return {"additions": pairs, "operations": data.n_items * options["neighbours"] ** 3 / 3}
    return {"additions": pairs, "operations": float(data.n_items) ** 3}
