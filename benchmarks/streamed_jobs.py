"""Jobs of rows that are streamed from a Parquet file: how much memory that takes, and how fast it is."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.job import peak_megabytes
from benchmarks.peers.lists import stay

COLUMNS = 20
VALUES = 1000
ONCE = 500_000


def streamed_job(rows: int, streamed: bool, cores: int = 1) -> dict[str, Any]:
    """Go through a file of so many rows once with deepfm: 20 columns of 1,000 texts each, and a binary label.

    Args:
        rows: of the file, which is written first, half a million at a time.
        streamed: whether it is streamed, or read as a whole.
        cores: threads.

    Returns:
        ``peak_mb`` of the process, ``before_mb`` when the file was written, ``file_mb``, and ``rows_per_second``.
    """
    stay(cores)
    from serendip.data.examples import Examples
    from serendip.data.streamed import Streamed
    from serendip.model import Run, find

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        _write(path, rows)
        before, labels = peak_megabytes(), {"bought": "binary"}
        data = Streamed.read(path, labels) if streamed else Examples.read(path, labels).dataset()  # type: ignore[arg-type]
        options = {"label": "bought", "length": 0, "factors": 8, "hidden": 64, "batch_size": 4096, "epochs": 1}
        begin = time.perf_counter()
        find("deepfm")(**options).fit(data, Run(threads=cores))
        seconds = time.perf_counter() - begin
        size = path.stat().st_size / 1e6
    return {"peak_mb": peak_megabytes(), "before_mb": before, "file_mb": size, "rows_per_second": rows / seconds}


def _write(path: Path, rows: int) -> None:
    """A part at a time."""
    import polars as pl

    folder = path.parent / "parts"
    folder.mkdir()
    names = np.array([f"value {number}" for number in range(VALUES)])
    for place in range(0, rows, ONCE):
        rng = np.random.default_rng(place)
        codes = rng.integers(0, VALUES, (min(ONCE, rows - place), COLUMNS))
        columns: dict[str, Any] = {f"column_{at}": names[codes[:, at]] for at in range(COLUMNS)}
        columns["bought"] = ((codes[:, 0] + codes[:, 1]) % 2).astype(np.int8)
        pl.DataFrame(columns).write_parquet(folder / f"{place:012}.parquet")
    pl.scan_parquet(sorted(folder.glob("*.parquet"))).sink_parquet(path, row_group_size=65_536)
