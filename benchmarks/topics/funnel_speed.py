"""How fast the whole funnel answers: three sources, a ranker of their candidates, and diversity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import funnel_speed_jobs, made_up_ranker
from benchmarks.harness import ROOT, Row, Topic, run_job

ITEMS, USERS, TURNS = 100_000, 20_000, 500
RANKER: dict[str, Any] = {"crosses": 3, "rank": 50, "dim": 10, "hidden": [256, 128]}
NAMES = [("whole/median", "ms"), ("whole/p99", "ms"), ("whole/batch", "queries_per_second")]
PARTS = ("pipeline", "rerank", "scorers", "network", "index", "nn/lower.py", "nn/ranker.py", "nn/interact", "types.py")


def measure(topic: Topic) -> None:
    """All rows of the topic."""

    def make() -> list[Row]:
        found = run_job(
            "benchmarks.funnel_speed_jobs:funnel_job", threads=1, items=ITEMS, users=USERS, turns=TURNS, **RANKER
        )
        total = sum(found["stages"].values())
        shares = ", ".join(f"{name} {value / total:.0%}" for name, value in found["stages"].items())
        fields = made_up_ranker.QUERY_FIELDS + made_up_ranker.ITEM_FIELDS
        layers = "-".join(map(str, RANKER["hidden"]))
        note = (
            f"{ITEMS:,} items; ials ({funnel_speed_jobs.FACTORS} numbers, index {found['index']}), item_knn and "
            f"popular, {found['candidates']} candidates, dcn_v2 of {fields} fields of {RANKER['dim']} numbers, "
            f"{RANKER['crosses']} crosses of rank {RANKER['rank']}, layers {layers}, mmr, {funnel_speed_jobs.SHOWN} "
            f"shown; one query, one core; of the mean: {shares}"
        )
        together = f"{funnel_speed_jobs.TOGETHER} at a time, one core"
        return [
            Row(*NAMES[0], found["ms"], "ms", None, TURNS, target="<= 5", note=note, details=found),
            Row(*NAMES[1], found["p99"], "ms", None, TURNS, note="99 of 100 queries take no longer"),
            Row(*NAMES[2], found["batch"], "/s", None, funnel_speed_jobs.BATCHES, note=together),
        ]

    files = [
        Path(__file__),
        Path(funnel_speed_jobs.__file__),
        Path(made_up_ranker.__file__),
        *(ROOT / "serendip" / part for part in PARTS),
    ]
    topic.row(NAMES, make, depends=[*files, ITEMS, USERS, TURNS, RANKER], seeds=[0])
