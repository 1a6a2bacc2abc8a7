"""A ranker that foretells ratings: `dcn_v2` on MovieLens-100K, a random fifth held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import rating_jobs
from benchmarks.harness import ROOT, Row, Topic, data_dir, kept_job, mean, spread

DATA, LABEL = "ml_100k", "ml_100k/dcn_v2"
SEEDS = (0, 1, 2)
PACKAGE = ROOT / "serendip"
BASE: dict[str, Any] = {"length": 0, "items_by": "both", "batch_size": 1024, "schedule": "constant", "epochs": 12}
BASE |= {"learning_rate": 0.002, "factors": 32, "hidden": 192, "layers": 2, "crosses": 2}
GRID: list[dict[str, Any]] = [{"reg": 0.1, "dropout": dropout} for dropout in (0.3, 0.5)]
FILES = [
    *(PACKAGE / f"models/{name}.py" for name in ("dcn_v2", "_ranking", "_fields")),
    *(PACKAGE / f"nn/{name}" for name in ("fields.py", "ranker.py", "tower.py", "embed.py", "interact")),
    *(PACKAGE / name for name in ("loop.py", "neural.py", "nn/losses/pointwise.py")),
    Path(rating_jobs.__file__),
]


def measure(topic: Topic) -> None:
    """The row of ratings."""

    def make() -> Row:
        common: dict[str, Any] = {"folder": str(data_dir(DATA)), "cores": 1, "threads": 1, "depends": FILES}
        trials = [
            {
                "options": one,
                **kept_job("benchmarks.rating_jobs:choose_job", seeds=SEEDS, options={**BASE, **one}, **common),
            }
            for one in GRID
        ]
        chosen = {**BASE, **min(trials, key=lambda one: min(one["errors"]))["options"]}
        found = [kept_job("benchmarks.rating_jobs:test_job", seed=seed, options=chosen, **common) for seed in SEEDS]
        values = [one["rmse"] for one in found]
        note = f"{rating_jobs.RULE}; {len(GRID)} settings tried: {chosen}. KerasRS publishes .9136, TFRS .9326"
        details = {"trials": trials, "chosen": chosen, "test": found}
        return Row(
            LABEL,
            "rmse",
            mean(values),
            "stars",
            spread(values),
            len(values),
            target="<= 0.913",
            note=note,
            details=details,
        )

    files = [*FILES, Path(__file__)]
    topic.row([(LABEL, "rmse")], make, depends=files, timed=False, seeds=SEEDS, data=[DATA])
