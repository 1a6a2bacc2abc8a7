"""Jobs of rows that are streamed from a Parquet file: how much memory that takes, and how fast it is.

What writes the file and what learns from it are jobs of their own, so that the memory of the one is not the other's.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.job import peak_megabytes
from benchmarks.peers.lists import stay

COLUMNS = 20
VALUES = 1000
ONCE = 500_000
FEW = 1000


def learned_job(file: str, streamed: bool, cores: int = 1) -> dict[str, Any]:
    """Go through a file of `written_job` once with deepfm, after a fit to a thousand rows, which loads all libraries.

    Args:
        file: its path.
        streamed: whether it is streamed, or read as a whole.
        cores: threads.

    Returns:
        ``peak_mb`` of the process, ``before_mb`` when the file was about to be read, and ``rows_per_second``.
    """
    stay(cores)
    import polars as pl

    from serendip.data.examples import Examples
    from serendip.data.schema import LabelKind
    from serendip.data.streamed import Streamed
    from serendip.model import Run, find

    labels: dict[str, LabelKind] = {"bought": "binary"}
    options = {"label": "bought", "length": 0, "factors": 8, "hidden": 64, "batch_size": 4096, "epochs": 1}
    few = pl.scan_parquet(file).head(FEW).collect()
    find("deepfm")(**options).fit(Examples.read(few, labels).dataset(), Run(threads=cores))
    before = peak_megabytes()
    begin = time.perf_counter()
    data = Streamed.read(file, labels) if streamed else Examples.read(file, labels).dataset()
    rows = data.rows if isinstance(data, Streamed) else len(data.events)
    find("deepfm")(**options).fit(data, Run(threads=cores))
    pace = rows / (time.perf_counter() - begin)
    return {"peak_mb": peak_megabytes(), "before_mb": before, "rows_per_second": pace}


def written_job(file: str, rows: int) -> dict[str, Any]:
    """Write so many rows of 20 columns of 1,000 texts each, and a binary label, half a million at a time.

    Returns:
        ``file_mb``.
    """
    import polars as pl

    path = Path(file)
    folder = path.parent / f"{path.stem}_parts"
    folder.mkdir(parents=True)
    names = np.array([f"value {number}" for number in range(VALUES)])
    for place in range(0, rows, ONCE):
        rng = np.random.default_rng(place)
        codes = rng.integers(0, VALUES, (min(ONCE, rows - place), COLUMNS))
        columns: dict[str, Any] = {f"column_{at}": names[codes[:, at]] for at in range(COLUMNS)}
        columns["bought"] = ((codes[:, 0] + codes[:, 1]) % 2).astype(np.int8)
        pl.DataFrame(columns).write_parquet(folder / f"{place:012}.parquet")
    pl.scan_parquet(sorted(folder.glob("*.parquet"))).sink_parquet(path, row_group_size=65_536)
    shutil.rmtree(folder)
    return {"file_mb": path.stat().st_size / 1e6}
