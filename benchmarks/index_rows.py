"""Search by inner product: each backend against exact search, the bare library and what memory allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import index_jobs
from benchmarks.harness import ROOT, Row, Topic, run_job

SIZES = {"hundred_thousand": 100_000, "million": 1_000_000, "ten_million": 10_000_000}
BACKENDS = {
    "hundred_thousand": ("auto", "exact_int8", "faiss_hnsw", "scann"),
    "million": ("auto", "exact_int8", "scann"),
    "ten_million": ("auto",),
}
RECALL = 0.95
SHOP = {"items": 100_000, "users": 40_000}
SHORT = {
    "bound": "What bounds it is keeping the best in NumPy, some .4 ms a query, where vectors lie in the cache or are "
    "bytes. Tried: the product by BLAS, which reads at half of that rate, by einsum, in blocks of 2,048 to 65,536 "
    "rows, compiled (taken), and sorting no more than what may be among the best (taken)",
    "raw": "Tried: products by one dot, no full sort of finds, one test for NaN, parameters made once. What is left is "
    "some .02 ms of Python a query, the more the quicker the library",
    "wide": "Where half is allowed, twice as many must be looked through for as many finds. Tried: an effort tuned for "
    "that share (a lower one misses the recall), counting what is allowed from a part, the filter inside the scan",
}
"""Said where more was asked for: what was tried, and what bounds it."""
DEPENDS: list[Any] = [
    Path(__file__),
    Path(index_jobs.__file__),
    ROOT / "serendip" / "index",
    ROOT / "serendip" / "kernels" / "topk.py",
    ROOT / "serendip" / "kernels" / "search.py",
    ROOT / "serendip" / "kernels" / "coarse.py",
]


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    for size, n in SIZES.items():
        for backend in BACKENDS[size]:
            _row(topic, f"{size}/{backend}", "mixture", n, backend)
    _row(topic, "ials/auto", "ials", SHOP["items"], "auto")


def _row(topic: Topic, name: str, source: str, n: int, backend: str) -> None:
    def make() -> list[Row]:
        path = "mixture" if source == "mixture" else str(_ials_file())
        told = run_job("benchmarks.index_jobs:search", threads=1, source=path, n=n, backend=backend, recall=RECALL)
        return rows_of(name, told)

    topic.row([(name, metric) for metric in metrics(backend)], make, depends=[*DEPENDS, source, n, backend, RECALL])


def metrics(backend: str) -> list[str]:
    """What is told of a backend, in order."""
    own = ["bound"] if backend == "exact_int8" else ["bound", "raw"] if backend == "auto" else ["raw"]
    filters = [f"filter {share:g}" for share in index_jobs.SHARES]
    return ["speedup", "recall@100", "ms", *own, *filters, "build", "memory"]


def rows_of(name: str, told: dict[str, Any]) -> list[Row]:
    """A job's figures as rows."""
    backend, ms = name.split("/")[1], told["ms"]
    chosen, quarter = told["chosen"], "int8" if backend == "exact_int8" else "float32"
    speedup = ms["exact"] / ms["index"]
    asked = ">= 15" if name == "million/auto" else None
    approximate = backend not in ("exact", "exact_int8")
    found = {
        "speedup": Row(
            name, "speedup", speedup, "times", peer="exact search", ratio=speedup, target=asked, note=chosen
        ),
        "recall@100": Row(name, "recall@100", told["recall"], "share", target=f">= {RECALL}" if approximate else None),
        "ms": Row(
            name, "ms", ms["index"], "ms", details={"effort": told["effort"], "of": told["ms"]}, note=told["note"]
        ),
        "build": Row(name, "build", told["seconds"], "s", note="one thread, tuning included"),
        "memory": Row(
            name, "memory", told["index_mb"], "MB", note="without the vectors", details={"grown_mb": told["grown_mb"]}
        ),
    }
    reads = told["reads_ms"][quarter]
    taken = ms["index"] if backend == "exact_int8" else ms["exact"]
    found["bound"] = Row(
        name, "bound", reads / taken, "share", target=">= 0.8",
        note=f"of the rate at which memory is read: {quarter}, {reads:.1f} of {taken:.1f} ms",
    )  # fmt: skip
    if "raw" in ms:
        found["raw"] = Row(
            name, "raw", ms["index"] / ms["raw"], "times", peer="the bare library", ratio=ms["raw"] / ms["index"],
            target="<= 1.1", note=f"recall of the library with the same effort {told['raw_recall']:.4f}",
        )  # fmt: skip
    else:
        found["raw"] = Row(name, "raw", 1.0, "times", note="no library was chosen")
    for share, one in told["filters"].items():
        found[f"filter {float(share):g}"] = _filter_row(name, float(share), one)
    for metric, reason in (("bound", "bound"), ("raw", "raw"), ("filter 0.5", "wide")):
        if metric in found and found[metric].judged().holds is False:
            found[metric].note += f". {SHORT[reason]}"
    return [found[metric] for metric in metrics(backend)]


def _filter_row(name: str, share: float, one: dict[str, Any]) -> Row:
    """A filter's cost: against the open search where half is allowed, else against exact search among the allowed."""
    ms, wide = one["ms"], share >= 0.5
    against = ms["open"] if wide else ms["among"]
    if not one["full"]:
        raise RuntimeError(f"{name}: a list of a filter that allows {share:g} is not full")
    return Row(
        name,
        f"filter {share:g}",
        ms["index"] / against,
        "times",
        peer="no filter" if wide else "exact search among the allowed",
        ratio=against / ms["index"],
        target="<= 1.2" if wide else "<= 1.1",
        note=f"{ms['index']:.3f} ms, recall {one['recall']:.4f}, exact among the allowed {ms['among']:.3f} ms",
    )


def _ials_file() -> Path:
    path = ROOT / ".cache" / "benchmarks" / f"ials-{SHOP['items']}-{SHOP['users']}.npz"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        run_job("benchmarks.index_jobs:make_ials", path=str(path), items=SHOP["items"], users=SHOP["users"])
    return path
