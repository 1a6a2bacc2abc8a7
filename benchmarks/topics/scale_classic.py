"""What an event costs as the log grows from a million to fifty: time and memory of iALS, item-kNN and EASE, and a plot.

Users grow as the log, the catalogue as its root. No curve may grow faster than the work that its algorithm asks for:
from one size to the next, the exponent of the processor's seconds (in the number of events) is held against that of
the work. What the fetches alone take (see `scale_limits`) stands beside it, to tell the machine's share of the growth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks import scale_jobs, scale_limits
from benchmarks.harness import RESULTS, ROOT, Row, Topic, run_job
from benchmarks.scale_plot import costs

SIZES = (1_000_000, 3_000_000, 10_000_000, 30_000_000, 50_000_000)
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "ials": ("ials", {"factors": 64, "iterations": 3}),
    "item_knn": ("item_knn", {"neighbours": 50, "user_power": 0}),
    "ease": ("ease", {}),
    "ease_sparse": ("ease", {"solver": "sparse", "neighbours": 50}),
}
MOST_MB = 14_000
SLACK = 0.15
"""How much the exponent of the seconds may be above that of the work: what no longer fits a cache costs more."""
FETCHES = ("ials", "item_knn")
ALONE = "the processor's seconds of the fetches alone"
KERNEL = ("pool.py", "jit.py")
TRIED = (
    "; what fetching alone costs grows alike (see the limits). Tried: asking for rows ahead, which changed nothing, "
    "codes of 16 bits, which item_knn has, and items laid out by how popular they are, which makes fits of 3 million "
    "events 5 to 20% quicker and no exponent smaller; seconds of one fit differ by up to 1.4 times from minute to "
    "minute, which is .2 to .3 in an exponent between neighbouring sizes"
)
"""Said where the seconds grow faster."""
PARTS = ("types.py", "data", "kernels", "models/_weighting.py", "models/_spectrum.py")
DEPENDS = [*(ROOT / "serendip" / name for name in PARTS), Path(scale_jobs.__file__), Path(__file__)]


def measure(topic: Topic) -> None:
    """Each model at each size, the exponents between them, and the plot."""
    for events in SIZES:
        for name in MODELS:
            fit(topic, name, events)
    for name in MODELS:
        growth(topic, name)
    for name in FETCHES:
        limits(topic, name, SIZES)
    plot(topic)


def called(name: str, events: int) -> str:
    """The name of a row."""
    return f"{name}/{events // 1_000_000}M"


def fit(topic: Topic, name: str, events: int) -> None:
    """Microseconds and bytes an event, or why there are none."""
    model, options = MODELS[name]
    depends = [*DEPENDS, ROOT / f"serendip/models/{model}.py", options, events]
    needed = memory_of(name, events)
    if needed > MOST_MB:
        topic.row([(called(name, events), "needed_mb")], lambda: refused(name, events, needed), depends=depends)
        return

    def make() -> list[Row]:
        path = str(scale_jobs.log_file(events))
        found = run_job("benchmarks.scale_jobs:fit", path=path, model=model, options=options)
        count = found["events"]
        size = f"{count:,} events, {found['users']:,} users, {found['items']:,} items"
        how = {"DenseItemToItem": "; solved densely", "ItemToItem": "; solved sparsely"}.get(found["gave"], "")
        note = size + (how if model == "ease" else "")
        time_, memory = 1e6 * found["seconds"] / count, 1e6 * found["fit_peak_mb"] / count
        return [
            Row(called(name, events), "us_per_event", time_, "µs", note=note, details=found),
            Row(called(name, events), "bytes_per_event", memory, "B", note="reading and fit; resident at its highest"),
            Row(called(name, events), "peak_mb", found["fit_peak_mb"], "MB", target=f"<= {MOST_MB}"),
        ]

    names = [(called(name, events), metric) for metric in ("us_per_event", "bytes_per_event", "peak_mb")]
    topic.row(names, make, depends=depends)


def memory_of(name: str, events: int) -> float:
    """Megabytes that a fit cannot do without: the sparse solver holds all products of two items, once more to join."""
    return 16 * scale_jobs.items_of(events) ** 2 / 1e6 + 40 * events / 1e6 if name == "ease_sparse" else 0


def refused(name: str, events: int, needed: float) -> Row:
    note = f"not run: the products of {scale_jobs.items_of(events):,} items need more than {MOST_MB:,} MB"
    return Row(called(name, events), "needed_mb", needed, "MB", note=note)


def measured(topic: Topic, name: str) -> dict[int, Row]:
    """The rows of this model that there are, by size."""
    rows = {row.name: row for row in topic.rows if row.metric == "us_per_event"}
    return {events: rows[called(name, events)] for events in SIZES if called(name, events) in rows}


def growth(topic: Topic, name: str) -> None:
    """The exponents between neighbouring sizes."""
    found = measured(topic, name)
    for (small, before), (large, after) in pairwise(found.items()):
        label = f"{name}/{small // 1_000_000}M_to_{large // 1_000_000}M"
        details = [before.details, after.details]
        topic.row(
            [(label, "exponent"), (label, "memory_exponent")],
            lambda label=label, details=details: exponents(label, *details),
            depends=[details, SLACK],
        )


def exponents(label: str, before: dict[str, Any], after: dict[str, Any]) -> list[Row]:
    """How the processor's seconds and the memory grow with the events, and how far the work does."""
    events = math.log(after["events"] / before["events"])
    works = {kind: math.log(after["work"][kind] / before["work"][kind]) / events for kind in after["work"]}
    asked = max(works.values())
    time_ = math.log(after["cpu"] / before["cpu"]) / events
    memory = math.log(after["fit_peak_mb"] / before["fit_peak_mb"]) / events
    said = ", ".join(f"{kind} {value:.2f}" for kind, value in works.items())
    more = TRIED if time_ > asked + SLACK else ""
    return [
        Row(label, "exponent", time_, "", target=f"<= {asked + SLACK:.2f}", note=f"exponent of the work: {said}{more}"),
        Row(label, "memory_exponent", memory, "", target=f"<= {1 + SLACK:.2f}", note="linear in the events at most"),
    ]


def limits(topic: Topic, name: str, sizes: Sequence[int]) -> None:
    """The fetches alone at each of these sizes, and the exponents between neighbouring ones."""
    files = [Path(scale_jobs.__file__), Path(scale_limits.__file__), *(ROOT / "serendip/kernels" / f for f in KERNEL)]
    for events in sizes:
        label = f"{name}_limit/{events // 1_000_000}M"
        topic.row(
            [(label, "us_per_event")],
            lambda label=label, events=events: fetched(label, name, events),
            depends=[*files, MODELS[name][1], events],
        )
    rows = {row.name: row.details for row in topic.rows if row.metric == "us_per_event"}
    for small, large in pairwise(sizes):
        labels = [f"{name}_limit/{events // 1_000_000}M" for events in (small, large)]
        if not rows.keys() >= set(labels):
            continue
        before, after = (rows[label] for label in labels)
        value = math.log(after["cpu"] / before["cpu"]) / math.log(after["events"] / before["events"])
        label = f"{labels[0]}_to_{large // 1_000_000}M"
        topic.row(
            [(label, "exponent")],
            lambda label=label, value=value: Row(label, "exponent", value, "", note=ALONE),
            depends=[before, after],
        )


def fetched(label: str, name: str, events: int) -> Row:
    """Microseconds an event of the fetches alone."""
    path = str(scale_jobs.log_file(events))
    found = run_job("benchmarks.scale_limits:fetch", path=path, model=name, options=MODELS[name][1])
    note = "what must be read, read in the same order, and nothing else"
    return Row(label, "us_per_event", 1e6 * found["seconds"] / found["events"], "µs", note=note, details=found)


def plot(topic: Topic) -> None:
    """Write the picture of both costs beside the figures."""
    rows = {(row.name, row.metric): row.value for row in topic.rows}
    sizes = [f"{events // 1_000_000}M" for events in SIZES]
    values = {
        metric: {name: [rows.get((f"{name}/{size}", metric)) for size in sizes] for name in MODELS}
        for metric in ("us_per_event", "bytes_per_event")
    }
    (RESULTS / f"{topic.name}.svg").write_text(costs(sizes, values["us_per_event"], values["bytes_per_event"]))
