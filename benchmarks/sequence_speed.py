"""Attention over histories against RecTools, and against the products that have to be computed.

Both sides train SASRec with the same shape, loss, batches, rate and dropout on the same histories, in turn, in
processes of their own. Speed is that of histories cut to their last events, one window each, so that an epoch of either
side learns from the same events; time to quality is that of training as each side does by itself: ours goes through
whole histories, in windows.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import sequence_jobs
from benchmarks.harness import ROOT, THREADS, Row, Topic, data_dir, in_turn, median, peer_python, run_job, spread
from benchmarks.learned import reached

DATA = "ml_1m"
HOW: dict[str, Any] = {"order": "time_rank", "least": 5}
LENGTH, BATCH, RATE = 200, 128, 0.001
OURS: dict[str, Any] = {
    "factors": 64,
    "blocks": 2,
    "heads": 4,
    "length": LENGTH,
    "batch_size": BATCH,
    "dropout": 0.2,
    "loss": "softmax",
    "learning_rate": RATE,
    "schedule": "constant",
}
PEERS: dict[str, Any] = {
    "n_factors": 64,
    "n_blocks": 2,
    "n_heads": 4,
    "session_max_len": LENGTH,
    "batch_size": BATCH,
    "dropout_rate": 0.2,
    "loss": "softmax",
    "lr": RATE,
}
PEER = "RecTools 0.19.0 SASRecModel"
EPOCHS = 2
"""Epochs of a turn in which only the time counts."""
TRAINED = 1800
"""Seconds that RecTools may train, and ours to reach what it reached."""
PARTS = (
    "neural.py",
    "loop.py",
    "models/sasrec.py",
    "models/_sequence.py",
    "nn",
    *(f"kernels/{name}.py" for name in ("softmax", "softmax_block", "softmax_tile")),
)


def measure(topic: Topic) -> None:
    """All rows of sequences."""
    against(topic, target=4.0, repeats=2)
    bound(topic, target=0.35, repeats=3)
    quality(topic)


def depends() -> list[Any]:
    """What the rows rest on."""
    files = [Path(__file__), Path(sequence_jobs.__file__), ROOT / "benchmarks/sequences.py"]
    peers = [ROOT / "benchmarks/peers" / name for name in ("rectools.txt", "rectools_sasrec.py")]
    return [*files, *peers, *(ROOT / "serendip" / part for part in PARTS)]


@cache
def written() -> str:
    """The folder of the split as a peer reads it."""
    target = str(ROOT / ".cache" / "benchmarks" / f"sequences-{DATA}")
    run_job("benchmarks.sequence_jobs:write_job", folder=str(data_dir(DATA)), data=HOW, target=target)
    return target


def ours(**arguments: Any) -> dict[str, Any]:
    """Our side."""
    folder = str(data_dir(DATA))
    found: dict[str, Any] = run_job(
        "benchmarks.sequence_jobs:train_job", folder=folder, data=HOW, options=OURS, **arguments
    )
    return found


def theirs(**arguments: Any) -> dict[str, Any]:
    """RecTools' side."""
    found: dict[str, Any] = run_job(
        "benchmarks.peers.rectools_sasrec:train",
        python=peer_python("rectools"),
        folder=written(),
        options=PEERS,
        cores=THREADS,
        **arguments,
    )
    return found


def against(topic: Topic, target: float, repeats: int) -> None:
    """Histories a second, and peak memory."""
    names = (("sasrec/rectools", "sequences_per_second"), ("sasrec/rectools_memory", "peak_mb"))

    def make() -> list[Row]:
        peer_python("rectools")
        done = in_turn(
            {
                "ours": lambda: ours(epochs=EPOCHS, most=LENGTH + 1, judged=False),
                "theirs": lambda: theirs(epochs=EPOCHS, judged=False),
                "whole": lambda: ours(epochs=EPOCHS, judged=False),
            },
            repeats,
        )
        each = {side: [median(row["seconds"] for row in one["epochs"]) for one in runs] for side, runs in done.items()}
        seconds = {side: median(times) for side, times in each.items()}
        cut, whole, peer = (done[side][0] for side in ("ours", "whole", "theirs"))
        if cut["users"] != peer["users"]:
            raise RuntimeError(
                f"{cut['users']} histories of ours and {peer['users']} of the peer are not the same work"
            )
        tokens = {
            "ours": cut["tokens"] / seconds["ours"],
            "theirs": cut["tokens"] / seconds["theirs"],
            "whole": whole["tokens"] / seconds["whole"],
        }
        note = (
            f"{DATA}, d 64, 2 blocks of {OURS['heads']} heads, the last {LENGTH + 1} events of each user, batches of "
            f"{BATCH}, softmax over all items: {tokens['ours']:,.0f} events a second against {tokens['theirs']:,.0f}; "
            f"{tokens['whole']:,.0f} on whole histories"
        )
        memory = {side: median(one["peak_mb"] for one in runs) for side, runs in done.items()}
        rates = [cut["users"] / times for times in each["ours"]]
        ratio = seconds["theirs"] / seconds["ours"]
        cpu = {side: median(row["cpu"] for one in runs for row in one["epochs"]) for side, runs in done.items()}
        options = {"ours": OURS, "peer": PEERS}
        details = {"seconds": each, "cpu": cpu, "tokens_per_second": tokens, "runs": done, "options": options}
        speed = Row(
            *names[0],
            median(rates),
            "/s",
            spread(rates),
            repeats,
            PEER,
            ratio,
            f"ratio >= {target:g}",
            note=note,
            details=details,
        )
        used = Row(*names[1], memory["ours"], "MB", None, repeats, PEER, memory["theirs"] / memory["ours"], note=note)
        return [speed, used]

    topic.row(names, make, depends=[*depends(), repeats], data=[DATA], seeds=[0])


def bound(topic: Topic, target: float, repeats: int) -> None:
    """The share of an epoch that its products need."""

    def make() -> Row:
        folder = str(data_dir(DATA))
        found = run_job("benchmarks.sequence_jobs:bound_job", folder=folder, data=HOW, options=OURS, epochs=repeats)
        note = (
            f"{found['operations'] / 1e12:.2f} Tflop of an epoch without padding, at {found['rate'] / 1e9:.0f} Gflop/s "
            f"of bare products with the softmax's shapes, over {found['seconds']:.1f} s; large square products make "
            f"{found['square'] / 1e9:.0f} Gflop/s"
        )
        return Row(
            "sasrec/bound",
            "share",
            found["share"],
            "",
            n=repeats,
            target=f">= {target:g}",
            note=note,
            details=found,
        )

    topic.row([("sasrec/bound", "share")], make, depends=[*depends(), repeats], data=[DATA], seeds=[0])


def quality(topic: Topic) -> None:
    """Seconds until the best NDCG@10 that RecTools reaches within its time."""

    def make() -> Row:
        peer = theirs(seconds=TRAINED)
        traces = {"theirs": _trace(peer)}
        best = max(one["ndcg"] for one in traces["theirs"])
        own = ours(seconds=TRAINED, until=best)
        traces["ours"] = _trace(own)
        needed = {side: reached(trace, best) for side, trace in traces.items()}
        epochs = {side: sum(one["seconds"] <= needed[side] for one in trace) for side, trace in traces.items()}
        there = needed["ours"] < float("inf")
        seconds = needed["ours"] if there else float(TRAINED)
        note = (
            f"{DATA}: until RecTools' best NDCG@10 within {TRAINED} s of training, {best:.4f} in epoch "
            f"{epochs['theirs']}, learning rate {RATE:g} of both; ours in epoch {epochs['ours']} over whole histories"
        )
        return Row(
            "sasrec/time_to_quality",
            "seconds",
            seconds,
            "s",
            peer=PEER,
            ratio=needed["theirs"] / seconds if there else 0.0,
            note=note if there else f"{note}; never reached",
            details={"ours": own, "peer": peer, "options": {"ours": OURS, "peer": PEERS}},
        )

    names = [("sasrec/time_to_quality", "seconds")]
    topic.row(names, make, depends=[*depends(), TRAINED], data=[DATA], seeds=[0])


def _trace(run: dict[str, Any]) -> list[dict[str, float]]:
    return [{"seconds": one["training"], "ndcg": one["ndcg"]} for one in run["epochs"]]
