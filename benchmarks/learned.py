"""iALS and LightGCN against the specialists: seconds until the peer's best NDCG@20 is reached.

Both sides run in turn, in processes of their own, on the published split of `gowalla_lightgcn`; judging is not timed.
What iALS's options are chosen among stands in `ials_jobs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import graph_jobs, ials_jobs
from benchmarks.harness import ROOT, THREADS, Row, Topic, data_dir, in_turn, median, peer_python, run_job, spread

DATA = "gowalla_lightgcn"
CHOSEN_UP_TO = 256
"""Factors: with more of them options are taken over, as a search would take longer than everything else."""
TRAINED, BATCH = 1500, 8192
"""Seconds that RecBole's LightGCN may train, and the size of its batches."""
Point = dict[str, float]
Trace = list[Point]


def depends(jobs: Any, peer: str, script: str, *parts: str) -> list[Path]:
    """The files that a row rests on."""
    peers = [ROOT / "benchmarks/peers" / name for name in (f"{peer}.txt", f"{script}.py", "lists.py")]
    return [*(ROOT / "serendip" / part for part in parts), Path(jobs.__file__), Path(__file__), *peers]


def reached(trace: Sequence[Point], ndcg: float) -> float:
    """Seconds until that NDCG was first reached; infinite if it never was."""
    return min((one["seconds"] for one in trace if one["ndcg"] >= ndcg), default=float("inf"))


def against(
    name: str, ours: Sequence[Trace], theirs: Sequence[Trace], peer: str, target: float, note: str, options: Any
) -> Row:
    """One row of the traces of several turns: the median seconds of ours to the peer's best, and of the peer itself."""
    best = median(max(one["ndcg"] for one in trace) for trace in theirs)
    mine = [reached(trace, best) for trace in ours]
    others = [reached(trace, max(one["ndcg"] for one in trace)) for trace in theirs]
    most = max(one["ndcg"] for trace in ours for one in trace)
    there = max(mine) < float("inf")
    seconds = median(mine) if there else max(one["seconds"] for trace in ours for one in trace)
    return Row(
        name,
        "seconds",
        seconds,
        "s",
        spread(mine) if there else None,
        len(mine),
        peer,
        median(others) / seconds if there else 0.0,
        f"ratio >= {target:g}",
        note=note + ("" if there else "; never reached") + f": NDCG@20 {best:.4f} of theirs, {most:.4f} of ours",
        details={"ours": list(ours), "peer": list(theirs), "options": options},
    )


def turns(ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int) -> tuple[list[Any], list[Any]]:
    """Ours and theirs in turn."""
    done = in_turn({"ours": ours, "theirs": theirs}, repeats)
    return done["ours"], done["theirs"]


# --- iALS


@cache
def chosen(factors: int) -> dict[str, Any]:
    """The options of both sides that are best on the hold-out, and what was tried; those of 256 factors beyond that."""
    if factors > CHOSEN_UP_TO:
        found = chosen(CHOSEN_UP_TO)
        return {**found, "best": {side: {**best, "factors": factors} for side, best in found["best"].items()}}
    held = ROOT / ".cache" / "benchmarks" / f"ials-{DATA}"
    held.mkdir(parents=True, exist_ok=True)
    run_job("benchmarks.ials_jobs:write_hold_out", folder=str(data_dir(DATA)), target=str(held))
    tried = {
        "ours": run_job(
            "benchmarks.ials_jobs:search_job",
            folder=str(held),
            grid=ials_jobs.ours_grid(factors),
            iterations=ials_jobs.ITERATIONS["ours"],
        ),
        "peer": run_job(
            "benchmarks.peers.implicit_als:search",
            python=peer_python("implicit"),
            folder=str(held),
            grid=ials_jobs.peer_grid(factors),
            iterations=ials_jobs.ITERATIONS["peer"],
            cores=THREADS,
            step=1,
            users=ials_jobs.USERS,
        ),
    }
    return {"tried": tried, "best": {side: trials[0]["options"] for side, trials in tried.items()}}


def ials(topic: Topic, factors: int, target: float, repeats: int) -> None:
    """Seconds to implicit's best, and an iteration against one of its."""
    parts = ("models/ials.py", "models/_alternation.py", "kernels/als.py", "kernels/als_block.py", "kernels/als_cg.py")
    names = (f"ials/implicit_{factors}", f"ials/implicit_per_iteration_{factors}")

    def make() -> list[Row]:
        folder, python = str(data_dir(DATA)), peer_python("implicit")
        best, iterations = chosen(factors)["best"], ials_jobs.ITERATIONS
        ours, theirs = turns(
            lambda: run_job(
                "benchmarks.ials_jobs:ours_job", folder=folder, options=best["ours"], iterations=iterations["ours"]
            ),
            lambda: run_job(
                "benchmarks.peers.implicit_als:trace",
                python=python,
                folder=folder,
                options=best["peer"],
                iterations=iterations["peer"],
                cores=THREADS,
            ),
            repeats,
        )
        peer = "implicit 0.7.3 AlternatingLeastSquares"
        rule = f"options of both chosen on a hold-out with {min(factors, CHOSEN_UP_TO)} factors"
        each = [[ials_jobs.per_iteration(trace) for trace in traces] for traces in (ours, theirs)]
        step = Row(
            names[1],
            "seconds",
            median(each[0]),
            "s",
            spread(each[0]),
            repeats,
            peer,
            median(each[1]) / median(each[0]),
            "ratio >= 1",
            note=f"{DATA}, {factors} factors: an iteration",
        )
        note = f"{DATA}, {factors} factors: until implicit's best; {rule}"
        return [against(names[0], ours, theirs, peer, target, note, chosen(factors)), step]

    topic.row(
        [(name, "seconds") for name in names],
        make,
        depends=[*depends(ials_jobs, "implicit", "implicit_als", *parts), ROOT / "benchmarks/holdout.py", repeats],
        data=[DATA],
        seeds=[0],
    )


# --- graphs


def graph(topic: Topic, target: float, share: float) -> None:
    """Seconds to RecBole's best within its time, and the share of the bound of an epoch."""
    parts = ("models/lightgcn.py", "models/_graph.py", "nn/graph.py", "kernels/propagate.py", "neural.py", "loop.py")
    rests = depends(graph_jobs, "recbole", "recbole_lightgcn", *parts)

    def make() -> Row:
        folder, python = str(data_dir(DATA)), peer_python("recbole")
        ours, theirs = turns(
            lambda: run_job("benchmarks.graph_jobs:lightgcn_job", folder=folder, options={}, seconds=TRAINED)["trace"],
            lambda: run_job(
                "benchmarks.peers.recbole_lightgcn:train",
                python=python,
                folder=folder,
                batch_size=BATCH,
                seconds=TRAINED,
                cores=THREADS,
            )["epochs"],
            1,
        )
        judged = [[{**one, "seconds": one["training"]} for one in trace if "ndcg" in one] for trace in theirs]
        note = f"{DATA}: until RecBole's best within {TRAINED} s of training (batches of {BATCH:,}); our defaults"
        return against("lightgcn/recbole", ours, judged, "recbole 1.2.1 LightGCN", target, note, {})

    def bound() -> Row:
        found = run_job("benchmarks.graph_jobs:bound_job", folder=str(data_dir(DATA)), options={"epochs": 3})
        note = "an epoch: the bytes of its passes over the graph at the rate of random rows, over what it took"
        return Row(
            "lightgcn/bandwidth_share",
            "share",
            found["epoch_share"],
            "",
            target=f">= {share:g}",
            note=note,
            details=found,
        )

    topic.row([("lightgcn/recbole", "seconds")], make, depends=[*rests, TRAINED, BATCH], data=[DATA], seeds=[0])
    topic.row([("lightgcn/bandwidth_share", "share")], bound, depends=rests, data=[DATA], seeds=[0])
