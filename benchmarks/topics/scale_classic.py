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
from benchmarks.harness import RESULTS, ROOT, Row, Topic, in_turn, run_job
from benchmarks.scale_plot import costs

SIZES = (1_000_000, 3_000_000, 10_000_000, 30_000_000, 50_000_000)
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "ials": ("ials", {"factors": 64, "iterations": 3}),
    "item_knn": ("item_knn", {"neighbours": 50, "user_power": 0}),
    "ease": ("ease", {}),
    "ease_sparse": ("ease", {"solver": "sparse", "neighbours": 50}),
}
MOST_MB = 14_000
TURNS, SHORT = 3, 25.0
"""How often all sizes come round, of those whose fit takes no more than so many seconds."""
SLACK = 0.15
"""How much the exponent of the seconds may be above that of the work: what no longer fits a cache costs more."""
FETCHES = ("ials", "item_knn")
ALONE = "the processor's seconds of the fetches alone"
KERNEL = ("pool.py", "jit.py")
PARTS = ("types.py", "data", "kernels", "models/_weighting.py", "models/_spectrum.py")
DEPENDS = [*(ROOT / "serendip" / name for name in PARTS), Path(scale_jobs.__file__), Path(__file__)]


def measure(topic: Topic) -> None:
    """Each model at all sizes, the exponents between them, what fetching alone costs, and the plot."""
    for name in MODELS:
        fits(topic, name)
        growth(topic, name)
    for name in FETCHES:
        limits(topic, name, SIZES)
    plot(topic)


def called(name: str, events: int) -> str:
    """The name of a row."""
    return f"{name}/{events // 1_000_000}M"


def fits(topic: Topic, name: str) -> None:
    """Microseconds and bytes an event at each size, or why there are none.

    The sizes come in turn, several times where a fit takes little: how fast a machine is differs from minute to minute.
    """
    model, options = MODELS[name]
    depends = [*DEPENDS, ROOT / f"serendip/models/{model}.py", options]
    small = [events for events in SIZES if memory_of(name, events) <= MOST_MB]
    for events in SIZES:
        needed = memory_of(name, events)
        if events not in small:
            label = called(name, events)
            topic.row(
                [(label, "needed_mb")],
                lambda label=label, needed=needed, events=events: refused(label, events, needed),
                depends=[*depends, events],
            )

    def make() -> list[Row]:
        jobs = {
            events: lambda events=events: run_job(
                "benchmarks.scale_jobs:fit", path=str(scale_jobs.log_file(events)), model=model, options=options
            )
            for events in small
        }
        found = in_turn(jobs, 1)
        again = {events: jobs[events] for events in small if found[events][0]["seconds"] <= SHORT}
        for events, more in in_turn(again, TURNS - 1).items():
            found[events] += more
        return [row for events in small for row in costing(name, events, found[events])]

    metrics = ("us_per_event", "bytes_per_event", "peak_mb")
    names = [(called(name, events), metric) for events in small for metric in metrics]
    topic.row(names, make, depends=[*depends, small, TURNS, SHORT])


def costing(name: str, events: int, found: list[dict[str, Any]]) -> list[Row]:
    """The rows of one size, of its fastest fit and its highest peak."""
    model, _ = MODELS[name]
    best = {**found[0], **{kind: min(one[kind] for one in found) for kind in ("seconds", "cpu")}}
    best["fit_peak_mb"] = max(one["fit_peak_mb"] for one in found)
    best["turns"] = [{kind: one[kind] for kind in ("seconds", "cpu", "fit_peak_mb", "fits")} for one in found]
    count = best["events"]
    size = f"{count:,} events, {best['users']:,} users, {best['items']:,} items"
    how = {"DenseItemToItem": "; solved densely", "ItemToItem": "; solved sparsely"}.get(best["gave"], "")
    note = size + (how if model == "ease" else "")
    time_, memory = 1e6 * best["seconds"] / count, 1e6 * best["fit_peak_mb"] / count
    return [
        Row(called(name, events), "us_per_event", time_, "µs", None, len(found), note=note, details=best),
        Row(called(name, events), "bytes_per_event", memory, "B", note="reading and fit; resident at its highest"),
        Row(called(name, events), "peak_mb", best["fit_peak_mb"], "MB", target=f"<= {MOST_MB}"),
    ]


def memory_of(name: str, events: int) -> float:
    """Megabytes that a fit cannot do without: the sparse solver holds all products of two items, once more to join."""
    return 16 * scale_jobs.items_of(events) ** 2 / 1e6 + 40 * events / 1e6 if name == "ease_sparse" else 0


def refused(label: str, events: int, needed: float) -> Row:
    """Said instead of a cost."""
    note = f"not run: the products of {scale_jobs.items_of(events):,} items need more than {MOST_MB:,} MB"
    return Row(label, "needed_mb", needed, "MB", note=note)


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
    return [
        Row(label, "exponent", time_, "", target=f"<= {asked + SLACK:.2f}", note=f"exponent of the work: {said}"),
        Row(label, "memory_exponent", memory, "", target=f"<= {1 + SLACK:.2f}", note="linear in the events at most"),
    ]


def limits(topic: Topic, name: str, sizes: Sequence[int]) -> None:
    """The fetches alone at each of these sizes, and the exponents between neighbouring ones."""
    files = [Path(scale_jobs.__file__), Path(scale_limits.__file__), *(ROOT / "serendip/kernels" / f for f in KERNEL)]
    model, options = MODELS[name]
    labels = {events: f"{name}_limit/{events // 1_000_000}M" for events in sizes}

    def make() -> list[Row]:
        jobs = {
            events: lambda events=events: run_job(
                "benchmarks.scale_limits:fetch", path=str(scale_jobs.log_file(events)), model=model, options=options
            )
            for events in sizes
        }
        rows = []
        for events, found in in_turn(jobs, TURNS).items():
            best = {kind: min(one[kind] for one in found) for kind in ("events", "seconds", "cpu")}
            note = "what must be read, read in the same order, and nothing else"
            value = 1e6 * best["seconds"] / best["events"]
            rows.append(Row(labels[events], "us_per_event", value, "µs", None, TURNS, note=note, details=best))
        return rows

    topic.row(
        [(label, "us_per_event") for label in labels.values()], make, depends=[*files, options, list(sizes), TURNS]
    )
    rows = {row.name: row.details for row in topic.rows if row.metric == "us_per_event"}
    for small, large in pairwise(sizes):
        before, after = (rows[labels[events]] for events in (small, large))
        value = math.log(after["cpu"] / before["cpu"]) / math.log(after["events"] / before["events"])
        label = f"{labels[small]}_to_{large // 1_000_000}M"
        topic.row(
            [(label, "exponent")],
            lambda label=label, value=value: Row(label, "exponent", value, "", note=ALONE),
            depends=[before, after],
        )


def plot(topic: Topic) -> None:
    """Write the picture of both costs beside the figures."""
    rows = {(row.name, row.metric): row.value for row in topic.rows}
    sizes = [f"{events // 1_000_000}M" for events in SIZES]
    values = {
        metric: {name: [rows.get((f"{name}/{size}", metric)) for size in sizes] for name in MODELS}
        for metric in ("us_per_event", "bytes_per_event")
    }
    (RESULTS / f"{topic.name}.svg").write_text(costs(sizes, values["us_per_event"], values["bytes_per_event"]))
