"""The rows of `kernel_jobs`: what share of its bound each kernel reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import kernel_jobs, scale_jobs
from benchmarks.harness import ROOT, Row, Topic, run_job

EVENTS = 1_000_000
# name: (job, its arguments, whether it works on the log, files of the package, what the bound is)
KERNELS: dict[str, tuple[str, dict[str, Any], bool, tuple[str, ...], str]] = {
    "topk": ("topk", {}, False, ("select", "best"), "bytes: the scores read once at the memory's rate"),
    "search_64": ("search", {"d": 64}, False, ("search", "tile", "best"), "operations: 2·q·n·d as a matrix product"),
    "search_256": ("search", {"d": 256}, False, ("search", "tile", "best"), "operations: 2·q·n·d as a matrix product"),
    "neighbours": (
        "neighbours",
        {},
        True,
        ("neighbours", "common", "best"),
        "additions Σ n_u² at the rate of random places in the first cache, and n² bytes at the memory's",
    ),
    "als_half_step_64": ("half_step", {"d": 64}, True, ("als", "normal", "gather"), "operations and gathered bytes"),
    "als_half_step_256": ("half_step", {"d": 256}, True, ("als", "normal", "gather"), "operations and gathered bytes"),
    "gram": ("gram", {}, True, ("gram",), "additions Σ n_u² / 2 at the rate of random places in the first cache"),
    "ease_inverse": ("inverse", {"n": 6144}, False, (), "operations: n³ as a matrix product"),
    "gibbs_factor": ("gibbs", {}, False, ("gibbs",), "bytes: two passes of 32 bytes a case, one thread"),
    "descent": ("descent", {"d": 64}, True, ("descent",), "bytes: 16·d a rating, as random rows of 256, one thread"),
}


def measure(topic: Topic) -> None:
    """A row per kernel."""
    for name, (job, arguments, on_log, files, bound) in KERNELS.items():
        parts = [ROOT / f"serendip/kernels/{file}.py" for file in (*files, "pool", "registers", "jit")]
        if name == "ease_inverse":
            parts.append(ROOT / "serendip/models/ease.py")
        topic.row(
            [(f"kernel/{name}", "share")],
            lambda name=name, job=job, arguments=arguments, on_log=on_log, bound=bound: row(
                name, job, arguments, on_log, bound
            ),
            depends=[*parts, Path(kernel_jobs.__file__), Path(__file__), arguments],
        )


def row(name: str, job: str, arguments: dict[str, Any], on_log: bool, bound: str) -> Row:
    log = {"path": str(scale_jobs.log_file(EVENTS))} if on_log else {}
    found = run_job(f"benchmarks.kernel_jobs:{job}", **log, **arguments)
    return Row(
        f"kernel/{name}", "share", found["bound"] / found["seconds"], "", n=kernel_jobs.TURNS, note=bound, details=found
    )
