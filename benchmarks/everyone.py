"""Lists for every user at once, from the same factors: our exact search against implicit's `recommend`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, THREADS, Row, Topic, data_dir, in_turn, median, peer_python, run_job, same, spread

PARTS = ("types.py", "data", "index", "kernels", "scorers", "models/ials.py")
DEPENDS = [*(ROOT / "serendip" / name for name in PARTS), Path(__file__)]
DEPENDS += [ROOT / "benchmarks/peers" / name for name in ("implicit.txt", "implicit_recommend.py")]
K = 20
REPEATS = 2
TURNS = 2


def prepare(path: str, folder: str, factors: int) -> dict[str, Any]:
    """Fit iALS, and write the vectors of all users and items and what each user has."""
    import numpy as np

    from serendip.data.dataset import Dataset
    from serendip.model import Run, find

    train = Dataset.from_frames(path)
    scorer = find("ials")(factors=factors, iterations=4).fit(train, Run(seed=0, threads=THREADS)).lower()
    known = train.matrix().sorted_indices()
    arrays = {
        "users": scorer.query_vectors(train.queries()),
        "items": np.nan_to_num(scorer.item_vectors()),
        "starts": known.indptr,
        "seen": known.indices,
    }
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(f"{folder}/{name}.npy", np.ascontiguousarray(array))
    return {"users": len(arrays["users"]), "items": len(arrays["items"])}


def ours(folder: str, repeats: int) -> dict[str, Any]:
    """Times of one search for all users, laying out the items and the lists of what each has included.

    Between the searches the rate of a bare product of the same shape is measured in a part of the rows.
    """
    import numpy as np

    from serendip.index.exact import Exact
    from serendip.kernels.pool import blas_threads
    from serendip.types import ABSENT

    users, items, starts, seen = (np.load(f"{folder}/{name}.npy") for name in ("users", "items", "starts", "seen"))
    part, product = users[:4096], np.zeros((4096, len(items)), np.float32)
    times, processor, rates = [], [], []
    for _ in range(repeats + 1):
        with blas_threads(THREADS):
            begin = time.perf_counter()
            np.matmul(part, items.T, out=product)
            rates.append(2.0 * part.size * len(items) / (time.perf_counter() - begin))
        begin, used = time.perf_counter(), time.process_time()
        counts = np.diff(starts)
        exclude = np.full((len(users), counts.max()), ABSENT, np.int32)
        exclude[np.arange(counts.max()) < counts[:, None]] = seen
        found = Exact(items, threads=THREADS).search(users, K, exclude)
        times.append(time.perf_counter() - begin)
        processor.append(time.process_time() - used)
    np.save(f"{folder}/lists_of_ours.npy", found.items)
    return {"seconds": times[1:], "cpu": processor[1:], "rate": max(rates)}


def agreement(folder: str) -> float:
    """The share of our lists' items that are in implicit's for the same user."""
    import numpy as np

    one, two = (np.load(f"{folder}/lists_of_{name}.npy") for name in ("ours", "implicit"))
    return float((one[:, :, None] == two[:, None, :]).any(axis=2).mean())


def measure(topic: Topic, factors: int, target: float) -> None:
    """Our seconds against implicit's, and the share of the bound that we reach."""
    names = [(f"everyone/implicit_{factors}", "seconds"), (f"everyone/bound_{factors}", "share")]
    topic.row(names, lambda: rows(factors, target), depends=[*DEPENDS, factors], data=["gowalla_lightgcn"])


def rows(factors: int, target: float) -> list[Row]:
    folder = str(ROOT / ".cache" / "benchmarks" / f"everyone-{factors}")
    python = peer_python("implicit")
    path = str(data_dir("gowalla_lightgcn") / "train.parquet")
    shape = run_job("benchmarks.everyone:prepare", path=path, folder=folder, factors=factors)
    arguments = {"folder": folder, "repeats": REPEATS}
    done = in_turn(
        {
            "ours": lambda: run_job("benchmarks.everyone:ours", **arguments),
            "implicit": lambda: run_job(
                "benchmarks.peers.implicit_recommend:everyone",
                python=python,
                env={"OPENBLAS_NUM_THREADS": "1"},
                k=K,
                cores=THREADS,
                **arguments,
            ),
        },
        TURNS,
    )
    shared = agreement(folder)
    same("items in common with implicit's lists", shared, 1.0, 1e-3)
    mine, theirs = ([value for job in done[name] for value in job["seconds"]] for name in ("ours", "implicit"))
    rate = max(job["rate"] for job in done["ours"])
    bound = 2.0 * shape["users"] * shape["items"] * factors / rate
    details = {
        "ours": mine,
        "implicit": theirs,
        "cpu": {name: [value for job in jobs for value in job["cpu"]] for name, jobs in done.items()},
        "in_common": shared,
        "gflops": rate / 1e9,
        "bound_s": bound,
    }
    size = f"{shape['users']:,} users × {shape['items']:,} items × {factors}"
    return [
        Row(
            f"everyone/implicit_{factors}",
            "seconds",
            median(mine),
            "s",
            spread(mine),
            len(mine),
            "implicit 0.7.3 recommend",
            median(theirs) / median(mine),
            f"ratio >= {target:g}",
            note=f"gowalla_lightgcn, top {K}, items a user has left out, the same factors and lists; {size}",
            details=details,
        ),
        Row(
            f"everyone/bound_{factors}",
            "share",
            bound / median(mine),
            "",
            n=len(mine),
            note="the seconds of the whole product at the rate of a bare float32 one, over ours; above 1 as vectors of "
            "small norm are left out",
            details={"gflops": rate / 1e9, "bound_s": bound},
        ),
    ]
