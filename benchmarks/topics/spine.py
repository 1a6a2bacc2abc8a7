"""The spine: start-up, ingest, four models, full evaluation against a bare product, item-kNN against implicit."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import knn
from benchmarks.harness import ROOT, THREADS, Row, Topic, data_dir, in_turn, median, run_job, spread

PACKAGE = ROOT / "serendip"
HERE = Path(__file__)
EVENTS, USERS, ITEMS = 10_000_000, 1_000_000, 100_000


def parts(*names: str) -> list[Path]:
    """Parts of the package that a row depends on."""
    return [PACKAGE / name for name in names]


ANSWERING = parts("types.py", "data", "evaluate", "index", "kernels", "scorers", "model.py")


def measure(topic: Topic) -> None:
    """All rows of the topic."""
    topic.row(
        [("import/serendip", "seconds"), ("help/serendip", "seconds")],
        start_up,
        depends=[*parts("__init__.py", "cli", "recipe", "types.py"), HERE],
    )
    topic.row(
        [("ingest/10M", "ratio"), ("ingest/10M", "peak_mb")],
        ingest,
        depends=[*parts("types.py", "data"), HERE, EVENTS, USERS, ITEMS],
    )
    topic.row(
        [("ml_1m/four_models", "seconds"), ("ml_1m/four_models", "peak_mb")]
        + [(f"ml_1m/{name}", f"{metric}@10") for name in FOUR for metric in ("recall", "ndcg")],
        four_models,
        depends=[*ANSWERING, *parts(*(f"models/{name}.py" for name in FOUR)), HERE],
        data=["ml_1m"],
        seeds=[0],
    )
    topic.row(
        [("gowalla/full_evaluation", "seconds"), ("gowalla/bare_product", "gflops")],
        full_evaluation,
        depends=[*ANSWERING, HERE],
        data=["gowalla_lightgcn"],
        seeds=[0],
    )
    for name, neighbours in (("item_knn/implicit_k50", 50), ("item_knn/implicit", 200)):
        knn.measure(topic, name, "gowalla_lightgcn", neighbours, 2.5)


def wall(command: list[str]) -> float:
    """Seconds a command takes, from outside."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return time.perf_counter() - begin


def start_up() -> list[Row]:
    """Median of 15 cold processes, the interpreter's own start included for `--help` and left out for the import."""
    jobs = {
        "bare": lambda: wall([sys.executable, "-c", "pass"]),
        "import": lambda: wall([sys.executable, "-c", "import serendip"]),
        "help": lambda: wall([str(Path(sys.executable).with_name("serendip")), "--help"]),
    }
    in_turn(jobs, 1)
    times = in_turn(jobs, 15)
    imported = [a - b for a, b in zip(times["import"], times["bare"], strict=True)]
    return [
        Row("import/serendip", "seconds", max(median(imported), 0.0), "s", spread(imported), 15, target="<= 0.3"),
        Row("help/serendip", "seconds", median(times["help"]), "s", spread(times["help"]), 15, target="<= 0.5"),
    ]


# --- ingest


def events_file() -> Path:
    """Ten million events with text ids, Zipf-like items, in no order; made once."""
    path = ROOT / ".cache" / "benchmarks" / "events-10M.parquet"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        run_job("benchmarks.topics.spine:make_events", path=str(path))
    return path


def make_events(path: str) -> None:
    """Write the ingest file."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    users = (USERS * rng.random(EVENTS) ** 1.5).astype(np.int64)
    items = (ITEMS * rng.random(EVENTS) ** 3).astype(np.int64)
    times = 1_700_000_000 + rng.integers(0, 30_000_000, EVENTS)
    frame = pl.DataFrame({"user_id": users, "item_id": items, "timestamp": times}).with_columns(
        pl.format("user-{}", pl.col("user_id").cast(pl.String).str.zfill(7)).alias("user_id"),
        pl.format("item-{}", pl.col("item_id").cast(pl.String).str.zfill(6)).alias("item_id"),
    )
    frame.write_parquet(path + ".part")
    Path(path + ".part").replace(path)


def ingest_ours(path: str) -> dict[str, float]:
    """Read, check and encode."""
    begin = time.perf_counter()
    from serendip.data.dataset import Dataset

    begin_warm = time.perf_counter()
    data = Dataset.from_frames(path)
    end = time.perf_counter()
    return {"seconds": end - begin_warm, "with_import": end - begin, "events": len(data.events)}


def ingest_polars(path: str) -> dict[str, float]:
    """Only read and sort."""
    import polars as pl

    begin = time.perf_counter()
    frame = pl.read_parquet(path).sort("user_id", "timestamp")
    return {"seconds": time.perf_counter() - begin, "events": len(frame)}


def ingest() -> list[Row]:
    path = str(events_file())
    done = in_turn(
        {
            "ours": lambda: run_job("benchmarks.topics.spine:ingest_ours", path=path),
            "polars": lambda: run_job("benchmarks.topics.spine:ingest_polars", path=path),
        },
        3,
    )
    ours, theirs = ([job["seconds"] for job in done[name]] for name in ("ours", "polars"))
    times = [a / b for a, b in zip(ours, theirs, strict=True)]
    details = {"ours_s": ours, "polars_s": theirs, "events": done["ours"][0]["events"]}
    return [
        Row(
            "ingest/10M",
            "ratio",
            median(times),
            "×",
            spread(times),
            3,
            "polars: read_parquet + sort(user, time)",
            median(theirs) / median(ours),
            "<= 3",
            details=details,
            note="text ids; reading, checking, encoding and sorting",
        ),
        Row("ingest/10M", "peak_mb", max(job["peak_mb"] for job in done["ours"]), "MB", n=3),
    ]


# --- four models on ml_1m

FOUR = ("popular", "item_knn", "ease", "ials")


def four_models_job(folder: str) -> dict[str, Any]:
    """Fit and fully evaluate the four, leave last out, all users; compiled kernels are taken from their cache."""
    from serendip.data.dataset import Dataset
    from serendip.evaluate.run import evaluate
    from serendip.evaluate.split import last_out
    from serendip.model import Run, find

    data = Dataset.from_frames(f"{folder}/interactions.parquet", columns={"timestamp": "time_rank"}, time_kind="rank")
    split = last_out(data)
    begin = time.perf_counter()
    out: dict[str, Any] = {"models": {}}
    for name in FOUR:
        start = time.perf_counter()
        model = find(name)().fit(split.train, Run(seed=0, threads=THREADS))
        fitted = time.perf_counter()
        result = evaluate(model, split, ("recall@10", "recall@20", "ndcg@10", "ndcg@20"), threads=THREADS)
        means = {metric: result.mean(metric) for metric in ("recall@10", "recall@20", "ndcg@10", "ndcg@20")}
        out["models"][name] = {"fit": fitted - start, "evaluate": time.perf_counter() - fitted, **means}
    out["seconds"] = time.perf_counter() - begin
    return out


def four_models() -> list[Row]:
    folder = str(data_dir("ml_1m"))
    runs = [run_job("benchmarks.topics.spine:four_models_job", folder=folder) for _ in range(4)][1:]
    seconds = [run["seconds"] for run in runs]
    models = runs[0]["models"]
    note = "leave last out by time_rank, every user, whole catalogue, seen items left out; fit + evaluation of all four"
    return [
        Row(
            "ml_1m/four_models",
            "seconds",
            median(seconds),
            "s",
            spread(seconds),
            3,
            target="<= 15",
            note=note,
            details=models,
        ),
        Row("ml_1m/four_models", "peak_mb", max(run["peak_mb"] for run in runs), "MB", n=3, target="<= 2000"),
        *(
            Row(f"ml_1m/{name}", f"{metric}@10", models[name][f"{metric}@10"], "", note="default options, one seed")
            for name in FOUR
            for metric in ("recall", "ndcg")
        ),
    ]


# --- full evaluation against one bare product


def full_evaluation_job(folder: str, repeats: int) -> dict[str, Any]:
    """A B A B in one process: scores, mask, top-20 and metrics for every user, against ``Q @ V.T`` in memory."""
    import numpy as np

    from serendip.data.dataset import Dataset
    from serendip.evaluate.run import evaluate
    from serendip.evaluate.split import given
    from serendip.model import Run, find

    train = Dataset.from_frames(f"{folder}/train.parquet")
    split = given(train, f"{folder}/test.parquet")
    scorer = find("ials")(factors=64, iterations=4).fit(train, Run(seed=0, threads=THREADS)).lower()
    queries = split.queries(slice(None))
    vectors, items = scorer.query_vectors(queries), np.nan_to_num(scorer.item_vectors())
    known = queries.users

    class Fixed:
        """An embedder whose query vectors are ready: what is measured is scoring, masking, selecting and judging."""

        n_items = len(items)

        def item_vectors(self) -> Any:
            return items

        def query_vectors(self, asked: Any) -> Any:
            return vectors[place[asked.users]]

        def score(self, asked: Any, chosen: Any = None) -> Any:
            raise AssertionError("an embedder is searched, not scored")

    place = np.empty(known.max() + 1, np.int64)
    place[known] = np.arange(len(known))
    product = np.zeros((len(vectors), len(items)), np.float32)  # written once, so that its pages are there
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    evaluate(Fixed(), split, ("recall@20", "ndcg@20"), threads=THREADS)
    for _ in range(repeats):
        begin = time.perf_counter()
        np.matmul(vectors, items.T, out=product)
        middle = time.perf_counter()
        result = evaluate(Fixed(), split, ("recall@20", "ndcg@20"), threads=THREADS)
        found = {metric: result.mean(metric) for metric in ("recall@20", "ndcg@20")}
        times["bare"].append(middle - begin)
        times["ours"].append(time.perf_counter() - middle)
    flops = 2.0 * vectors.shape[0] * items.shape[0] * items.shape[1]
    return {**times, **found, "shape": [*vectors.shape, len(items)], "flops": flops}


def full_evaluation() -> list[Row]:
    folder = str(data_dir("gowalla_lightgcn"))
    done = run_job("benchmarks.topics.spine:full_evaluation_job", folder=folder, repeats=5)
    ours, bare = median(done["ours"]), median(done["bare"])
    return [
        Row(
            "gowalla/full_evaluation",
            "seconds",
            ours,
            "s",
            spread(done["ours"]),
            5,
            "numpy: one bare product of the same size",
            bare / ours,
            "ratio >= 1",
            note="29,858 users × 40,981 items × 64; seen items masked, top 20, recall and NDCG; the product's "
            "memory was touched before",
            details=done,
        ),
        Row(
            "gowalla/bare_product",
            "gflops",
            done["flops"] / bare / 1e9,
            "GF/s",
            n=5,
            note="the physical limit: float32 product, two threads",
        ),
    ]
