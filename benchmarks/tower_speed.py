"""Two towers against TFRS, against the products that have to be computed, and on tables of any size.

Both sides learn a vector per user and one per item by the softmax over the items of a batch and Adagrad, on the same
events in another order every epoch, in turn, in processes of their own that are kept on two cores.
"""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

from benchmarks import sequence_jobs, tower_speed_jobs
from benchmarks.harness import ROOT, THREADS, Row, Topic, data_dir, in_turn, median, peer_python, run_job, spread
from benchmarks.learned import against

DATA = "ml_1m"
DIM = 64
BATCHES = (1024, 8192)
RATE = 0.1
"""Size of the steps where only the time counts."""
RATES = (0.02, 0.05, 0.1, 0.2)
GRIDS: dict[str, list[dict[str, Any]]] = {
    "ours": [{"learning_rate": rate, "reg": reg} for rate in RATES[2:] for reg in (0.0, 0.1)],
    "theirs": [{"learning_rate": rate, "corrected": corrected} for rate in RATES for corrected in (False, True)],
}
"""Tried on the hold-out: rates of both sides; ours may hold its vectors towards 0, theirs leave logQ out. Ours has logQ
in any case: without it both learn far worse."""
PEER = "TFRS 0.7.7"
EPOCHS, TRIED, TRAINED = 4, 20, 12
"""Epochs of a turn in which only the time counts, of a trial, and of one that is judged after each: past its best."""
STEPS = {1024: None, 8192: 40}
"""Steps of an epoch of the peer in which only the time counts, at most."""
TABLES = (20_000, 2_000_000)
TOUCHED = 20_480
PARTS = ("neural.py", "loop.py", "models/two_tower.py", "models/_retrieval.py", "models/_items.py", "nn", "kernels")


def measure(topic: Topic) -> None:
    """All rows of two towers."""
    for batch in BATCHES:
        speed(topic, batch, repeats=2, target=2.5, share=0.55)
    quality(topic, repeats=1)
    tables(topic, repeats=2, target=1.5)
    rows(topic, target=3.0)


def depends() -> list[Any]:
    """What the rows rest on."""
    files = [Path(__file__), Path(tower_speed_jobs.__file__), Path(sequence_jobs.__file__)]
    peers = [ROOT / "benchmarks/peers" / name for name in ("tfrs.txt", "tfrs_two_tower.py", "lists.py")]
    return [*files, *peers, *(ROOT / "serendip" / part for part in PARTS)]


@cache
def written() -> Path:
    """The folder of the split, as files for both sides."""
    target = ROOT / ".cache" / "benchmarks" / f"towers-{DATA}"
    run_job("benchmarks.tower_speed_jobs:write_job", folder=str(data_dir(DATA)), target=str(target))
    return target


def ours(folder: Path, batch: int, epochs: int, every: int, **options: Any) -> dict[str, Any]:
    """Our side."""
    fixed = {"factors": DIM, "batch_size": batch, "optimiser": "adagrad", **options}
    found: dict[str, Any] = run_job(
        "benchmarks.tower_speed_jobs:train_job", folder=str(folder), options=fixed, epochs=epochs, every=every
    )
    return found


def theirs(folder: Path, batch: int, epochs: int, every: int, **options: Any) -> dict[str, Any]:
    """TFRS's side."""
    found: dict[str, Any] = run_job(
        "benchmarks.peers.tfrs_two_tower:fit",
        python=peer_python("tfrs"),
        folder=str(folder),
        batch_size=batch,
        dim=DIM,
        epochs=epochs,
        every=every,
        cores=THREADS,
        **options,
    )
    return found


def pace(run: dict[str, Any], measure: str = "seconds") -> float:
    """Examples a second of the median epoch, the first left out; or a second of the processor's."""
    points = run["epochs"]
    before = [0.0] * len(points) if measure == "cpu" else [0.0, *(one[measure] for one in points[:-1])]
    rates = [one["examples"] / (one[measure] - start) for one, start in zip(points, before, strict=True)]
    return float(median(rates[1:]))


def speed(topic: Topic, batch: int, repeats: int, target: float, share: float) -> None:
    """Examples a second against the peer's, the share of the bound, and peak memory."""
    names = [
        (f"two_tower/tfrs_{batch}", "examples_per_second"),
        (f"two_tower/tfrs_{batch}_memory", "peak_mb"),
        (f"two_tower/bound_{batch}", "share"),
    ]

    def make() -> list[Row]:
        peer_python("tfrs")
        folder = written()
        done = in_turn(
            {
                "ours": lambda: ours(folder, batch, EPOCHS, 0, learning_rate=RATE),
                "theirs": lambda: theirs(folder, batch, EPOCHS, 0, learning_rate=RATE, most=STEPS[batch]),
            },
            repeats,
        )
        paces = {side: [pace(run) for run in runs] for side, runs in done.items()}
        cpu = {side: median(pace(run, "cpu") for run in runs) for side, runs in done.items()}
        memory = {side: median(run["peak_mb"] for run in runs) for side, runs in done.items()}
        mine, peers, candidates = median(paces["ours"]), median(paces["theirs"]), done["ours"][0]["candidates"]
        note = (
            f"{DATA}, d {DIM}, Adagrad, batches of {batch} reshuffled every epoch, {candidates:.0f} different items in "
            f"each: {mine:,.0f} examples a second against {peers:,.0f}, and {cpu['ours']:,.0f} against "
            f"{cpu['theirs']:,.0f} a second of the processor's"
        )
        made = [
            Row(
                *names[0],
                mine,
                "/s",
                spread(paces["ours"]),
                repeats,
                PEER,
                mine / peers,
                f"ratio >= {target:g}",
                note=note,
                details={"paces": paces, "cpu": cpu, "runs": done},
            ),
            Row(*names[1], memory["ours"], "MB", None, repeats, PEER, memory["theirs"] / memory["ours"], note=note),
        ]
        return [*made, bound(names[2], batch, done["ours"], f">= {share:g}")]

    topic.row(names, make, depends=[*depends(), repeats, EPOCHS], data=[DATA], seeds=[0])


def bound(name: tuple[str, str], batch: int, runs: list[dict[str, Any]], target: str) -> Row:
    """The share of a step that its three products need."""
    rates = [one["rates"] for run in runs for one in run["epochs"]]
    each = {kind: median(one[kind] for one in rates) for kind in rates[0]}
    rate, candidates = max(each.values()), runs[0]["candidates"]
    mine = median(pace(run) for run in runs)
    found, merged = (6.0 * width * DIM * mine / rate for width in (batch, candidates))
    note = (
        f"{rate / 6 / batch / DIM:,.0f} examples a second by the bare products {batch} × {DIM} × {batch} at "
        f"{rate / 1e9:.0f} Gflop/s; ours takes an item that comes several times as one, and computes with "
        f"{candidates:.0f}: {merged:.2f} of the bound of what it does compute"
    )
    details = {"merged": merged, "rate": rate, "rates": each, "examples_per_second": mine}
    return Row(*name, found, "", None, len(runs), target=target, note=note, details=details)


def quality(topic: Topic, repeats: int) -> None:
    """Seconds until the best NDCG@20 that the peer reaches in as many epochs; options chosen on a hold-out."""
    name, batch = "two_tower/time_to_quality", BATCHES[0]

    def make() -> Row:
        peer_python("tfrs")
        folder = written()
        held = folder / "held"
        sides = {"ours": ours, "theirs": theirs}
        tried = {
            side: [(options, trace(train(held, batch, TRIED, 2, **options))) for options in GRIDS[side]]
            for side, train in sides.items()
        }
        highest = max(tried["theirs"], key=_height)
        best = {"ours": _soonest(tried["ours"], _height(highest)), "theirs": highest[0]}
        done = in_turn(
            {side: partial(train, folder, batch, TRAINED, 1, **best[side]) for side, train in sides.items()}, repeats
        )
        traces = {side: [trace(run) for run in runs] for side, runs in done.items()}
        note = (
            f"{DATA}, random fifth of each user's events held out, batches of {batch}, {TRAINED} epochs; options of "
            f"both chosen on a hold-out of the training part, theirs {best['theirs']} as the highest, ours "
            f"{best['ours']} as the soonest at that height"
        )
        return against(name, traces["ours"], traces["theirs"], PEER, 2.5, note, {"chosen": best, "tried": tried})

    topic.row([(name, "seconds")], make, depends=[*depends(), repeats, TRIED, TRAINED, GRIDS], data=[DATA], seeds=[0])


def trace(run: dict[str, Any]) -> list[dict[str, float]]:
    """The epochs that were judged."""
    return [{name: one[name] for name in ("seconds", "ndcg", "recall")} for one in run["epochs"] if "ndcg" in one]


def _height(trial: tuple[dict[str, Any], list[dict[str, float]]]) -> float:
    return max(point["ndcg"] for point in trial[1])


def _soonest(trials: list[tuple[dict[str, Any], list[dict[str, float]]]], ndcg: float) -> dict[str, Any]:
    """The options that reach that NDCG after the fewest epochs, of several those that reach the most."""

    def order(trial: tuple[dict[str, Any], list[dict[str, float]]]) -> tuple[int, float]:
        missed = [point["ndcg"] < ndcg for point in trial[1]]
        return missed.index(False) if not all(missed) else len(missed), -_height(trial)

    return min(trials, key=order)[0]


def tables(topic: Topic, repeats: int, target: float) -> None:
    """A step over a large catalogue against one over a small one, by either optimiser, and peak memory."""
    names = [("two_tower/table_2M", "step_ratio"), ("two_tower/table_2M_memory", "peak_mb")]

    def make() -> list[Row]:
        def job(items: int, optimiser: str) -> Any:
            options = {"factors": DIM, "batch_size": BATCHES[0], "optimiser": optimiser}
            return run_job("benchmarks.tower_speed_jobs:table_job", items=items, options=options, epochs=3)

        kinds = [(items, optimiser) for optimiser in ("adagrad", "adam") for items in TABLES]
        done = in_turn({f"{optimiser}_{items}": partial(job, items, optimiser) for items, optimiser in kinds}, repeats)
        step = {kind: median(one["seconds"] for one in runs) * 1000 for kind, runs in done.items()}
        ratios = {kind: step[f"{kind}_{TABLES[1]}"] / step[f"{kind}_{TABLES[0]}"] for kind in ("adagrad", "adam")}
        large = done[f"adagrad_{TABLES[1]}"]
        note = (
            f"milliseconds of a step of {BATCHES[0]} events, d {DIM}, {TABLES[1]:,} items against {TABLES[0]:,}: "
            + "; ".join(
                f"{kind} {step[f'{kind}_{TABLES[1]}']:.2f} and {step[f'{kind}_{TABLES[0]}']:.2f}" for kind in ratios
            )
        )
        ratio = Row(
            *names[0],
            ratios["adagrad"],
            "",
            None,
            repeats,
            target=f"<= {target:g}",
            note=note,
            details={"milliseconds": step, "ratios": ratios, "runs": done},
        )
        return [ratio, Row(*names[1], median(one["peak_mb"] for one in large), "MB", None, repeats, note=note)]

    topic.row(names, make, depends=[*depends(), repeats], seeds=[0])


def rows(topic: Topic, target: float) -> None:
    """A step of Adagrad on a few rows of a large table."""

    def make() -> Row:
        found = run_job("benchmarks.tower_speed_jobs:rows_job", items=TABLES[1], dim=DIM, touched=TOUCHED, turns=40)
        note = (
            f"{TOUCHED:,} rows, drawn at random, of {TABLES[1]:,} × {DIM}; to copy as many takes "
            f"{found['copy_ms']:.2f} ms, and a step reads and writes two tables"
        )
        value = found["step_ms"]
        return Row(
            "rows/adagrad", "ms", value, "ms", None, found["turns"], target=f"<= {target:g}", note=note, details=found
        )

    topic.row([("rows/adagrad", "ms")], make, depends=depends(), seeds=[0])
