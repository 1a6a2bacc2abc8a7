"""Rankers against FuxiCTR and DeepCTR-Torch, and against the products that have to be computed.

All train the same rows in batches of as many, in turn, in processes that are kept on two cores. The peers are given
what is quickest for them: batches that are slices of tensors, without their loaders.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import ctr_jobs, frappe, rank_speed_jobs, streamed_jobs
from benchmarks.harness import ROOT, THREADS, Row, Topic, in_turn, median, peer_python, run_job, spread

BATCH, EPOCHS, REPEATS = 4096, 4, 2
REG, RATE = 0.05, 0.001
OURS: dict[str, dict[str, Any]] = {
    name: {"factors": 10, "hidden": 400, "layers": 3, "batch_size": BATCH, "length": 0, "reg": REG, **more}
    for name, more in {"dcn_v2": {"crosses": 3}, "deepfm": {}}.items()
}
FIXED: dict[str, Any] = {"learning_rate": RATE, "schedule": "constant"}
THEIRS: dict[str, Any] = {"reg": REG, "dim": 10, "hidden": 400, "layers": 3, "crosses": 3, "lr": RATE}
THEIRS |= {"dropout": 0.0, "batch_norm": False}
PEERS = {"fuxictr": "FuxiCTR 2.3.7", "deepctr": "DeepCTR-Torch 0.3.0"}
RANKED = {"mlp_256_128": ((256, 128), "ms"), "mlp_400x3": ((400, 400, 400), "share")}
CANDIDATES, CROSSES, RANK, DIM, TURNS = 500, 3, 50, 10, 200
STREAMED = (2_000_000, 8_000_000)
TEXT = 16
"""Bytes that a short text takes in a column in memory."""
PARTS = ("loop.py", "neural.py", "models/_fields.py", "models/_ranking.py", "nn", "kernels/fields_compiled.py")
SERVED = ("scorers", "network", "nn/lower.py", "nn/quantise.py", "nn/ranker.py", "nn/interact")


def measure(topic: Topic) -> None:
    """All rows of rankers."""
    for model in OURS:
        training(topic, model, target=2.0, share=0.6)
    for name in RANKED:
        ranking(topic, name)
    in_bytes(topic)
    streaming(topic)


def depends(model: str) -> list[Any]:
    """What the rows of training rest on."""
    files = [Path(__file__), Path(rank_speed_jobs.__file__), Path(ctr_jobs.__file__), Path(frappe.__file__)]
    peers = [ROOT / "benchmarks/peers" / f"{name}{end}" for name in PEERS for end in (".txt", "_rank.py")]
    own = [ROOT / "serendip" / part for part in (*PARTS, f"models/{model}.py")]
    return [*files, *peers, ROOT / "benchmarks/peers/judging.py", *own]


def ours(model: str, **more: Any) -> dict[str, Any]:
    """Our side."""
    found: dict[str, Any] = run_job(
        "benchmarks.rank_speed_jobs:speed_job",
        file=str(frappe.written()),
        model=model,
        options={**OURS[model], **FIXED, **more},
        epochs=EPOCHS,
        cores=THREADS,
    )
    return found


def theirs(name: str, model: str) -> dict[str, Any]:
    """A peer's side."""
    found: dict[str, Any] = run_job(
        f"benchmarks.peers.{name}_rank:fit",
        python=peer_python(name),
        file=str(frappe.written()),
        fields=frappe.FIELDS,
        model=model,
        options=THEIRS,
        epochs=EPOCHS,
        seed=0,
        cores=THREADS,
        batch_size=BATCH,
    )
    return found


def pace(run: dict[str, Any], measure: str = "seconds") -> float:
    """Rows a second of the median epoch, the first left out; or a second of the processor's."""
    points = run["epochs"]
    before = [0.0] * len(points) if measure == "cpu" else [0.0, *(one[measure] for one in points[:-1])]
    paces = [one["examples"] / (one[measure] - start) for one, start in zip(points, before, strict=True)]
    return float(median(paces[1:]))


def training(topic: Topic, model: str, target: float, share: float) -> None:
    """Rows a second against the peers', in bfloat16 too, and the share of the bound."""
    names = [(f"train/{model}_{name}", "rows_per_second") for name in PEERS]
    names += [(f"train/{model}_bfloat16", "rows_per_second"), (f"train/{model}_bound", "share")]

    def make() -> list[Row]:
        jobs: dict[str, Any] = {name: partial(theirs, name, model) for name in PEERS}
        jobs |= {"ours": partial(ours, model), "bfloat16": partial(ours, model, precision="bfloat16")}
        done = in_turn(jobs, REPEATS)
        paces = {side: [pace(run) for run in runs] for side, runs in done.items()}
        cpu = {side: median(pace(run, "cpu") for run in runs) for side, runs in done.items()}
        mine = median(paces["ours"])
        how = f"Frappe, 10 fields of 10 numbers, layers 400 × 3, batches of {BATCH}, {THREADS} threads"
        rows = []
        for (label, metric), (name, title) in zip(names, PEERS.items(), strict=False):
            other = median(paces[name])
            note = (
                f"{how}: {mine:,.0f} rows a second against {other:,.0f} of theirs by slices of tensors, and "
                f"{cpu['ours']:,.0f} against {cpu[name]:,.0f} a second of the processor's"
            )
            rows.append(
                Row(
                    label, metric, mine, "/s", spread(paces["ours"]), REPEATS, title, mine / other, f"ratio >= {target}"
                )
            )
            rows[-1].note = note
        half = median(paces["bfloat16"])
        rows.append(Row(*names[2], half, "/s", spread(paces["bfloat16"]), REPEATS, "float32", half / mine, note=how))
        rates = {kind: max(run["rates"][kind] for run in done["ours"]) for kind in done["ours"][0]["rates"]}
        needed, rate = 6.0 * done["ours"][0]["weights"], max(rates.values())
        note = f"{rate / needed:,.0f} rows a second by bare products at {rate / 1e9:.0f} Gflop/s in float32"
        rows.append(Row(*names[3], mine * needed / rate, "", None, REPEATS, target=f">= {share:g}", note=note))
        rows[0].details = {"paces": paces, "cpu": cpu, "rates": rates, "weights": done["ours"][0]["weights"]}
        return rows

    topic.row(names, make, depends=[*depends(model), REPEATS, EPOCHS], data=[frappe.DATA], seeds=[0])


def ranking(topic: Topic, name: str) -> None:
    """Milliseconds to score the candidates of a query on one core, and the share of the bound."""
    widths, asked = RANKED[name]
    label = f"rank_{CANDIDATES}/{name}"
    names = [(label, "ms"), (label, "share"), (f"{label}_int8", "ms")]

    def make() -> list[Row]:
        found = run_job(
            "benchmarks.rank_speed_jobs:rank_job",
            threads=1,
            hidden=widths,
            crosses=CROSSES,
            rank=RANK,
            dim=DIM,
            candidates=CANDIDATES,
            turns=TURNS,
        )
        share, fields = found["bound_ms"] / found["ms"], rank_speed_jobs.QUERY_FIELDS + rank_speed_jobs.ITEM_FIELDS
        note = (
            f"{CANDIDATES} candidates of one query, {fields} fields of {DIM} numbers, "
            f"{CROSSES} crosses of rank {RANK}, layers {'-'.join(map(str, widths))}, one core; bare "
            f"products take {found['bound_ms']:.2f} ms"
        )
        targets = {"ms": "<= 3" if asked == "ms" else None, "share": ">= 0.6" if asked == "share" else None}
        rows = [
            Row(label, "ms", found["ms"], "ms", None, TURNS, target=targets["ms"], note=note, details=found),
            Row(label, "share", share, "", None, TURNS, target=targets["share"], note=note),
        ]
        quick = f"the network alone with int8 products; rank correlation of the scores {found['agreement']:.4f}"
        ratio = found["network_ms"] / found["int8_ms"]
        return [*rows, Row(*names[2], found["int8_ms"], "ms", None, TURNS, "float32", ratio, note=quick)]

    files = [Path(__file__), Path(rank_speed_jobs.__file__), *(ROOT / "serendip" / part for part in SERVED)]
    topic.row(names, make, depends=[*files, widths, TURNS], seeds=[0])


def in_bytes(topic: Topic) -> None:
    """What it costs in AUC to serve dcn_v2 by products of bytes."""
    label = "rank_int8/dcn_v2"

    def make() -> list[Row]:
        options = {**OURS["dcn_v2"], **FIXED}
        found = run_job(
            "benchmarks.rank_speed_jobs:bytes_job", file=str(frappe.written()), options=options, epochs=8, cores=THREADS
        )
        exact, near, size = (found[name] for name in ("float32", "int8", "bytes"))
        note = (
            f"Frappe, test rows, 8 epochs: AUC {exact['auc']:.5f} in float32, logloss {exact['logloss']:.4f} and "
            f"{near['logloss']:.4f}; the ranking network has {size['int8']:,} bytes instead of {size['float32']:,}"
        )
        lost = exact["auc"] - near["auc"]
        return [
            Row(
                label, "auc", near["auc"], "", None, 1, "float32", near["auc"] / exact["auc"], note=note, details=found
            ),
            Row(label, "auc_lost", lost, "", None, 1, target="<= 0.002", note=note),
        ]

    own = [ROOT / "serendip/nn/quantise.py", *depends("dcn_v2")]
    names = [(label, "auc"), (label, "auc_lost")]
    topic.row(names, make, depends=own, data=[frappe.DATA], seeds=[0], timed=False)


def streaming(topic: Topic) -> None:
    """The most memory that it takes to learn from a file, as the file grows."""
    names = [(f"streamed/{rows // 1_000_000}M", "peak_mb") for rows in STREAMED]
    names.append(("streamed/growth", "ratio"))

    def make() -> list[Row]:
        few, many = (
            run_job("benchmarks.streamed_jobs:streamed_job", threads=1, rows=rows, streamed=True) for rows in STREAMED
        )
        made = []
        for (label, metric), rows, found in zip(names, STREAMED, (few, many), strict=False):
            whole = rows * streamed_jobs.COLUMNS * TEXT / 1e6
            note = (
                f"deepfm over {rows:,} rows of {streamed_jobs.COLUMNS} columns of texts, {found['file_mb']:,.0f} MB as "
                f"Parquet and {whole:,.0f} MB in memory; {found['before_mb']:,.0f} MB before the fit"
            )
            made.append(Row(label, metric, found["peak_mb"], "MB", None, 1, note=note, details=found))
        made[-1].target = f"<= {STREAMED[-1] * streamed_jobs.COLUMNS * TEXT / 2e6:g}"
        share = many["peak_mb"] / few["peak_mb"]
        note = f"peak of {STREAMED[1]:,} rows over that of {STREAMED[0]:,}: it does not grow with the file"
        return [*made, Row(*names[-1], share, "", None, 1, target="<= 1.1", note=note)]

    files = [Path(__file__), Path(streamed_jobs.__file__), ROOT / "serendip/data/streamed.py", *depends("deepfm")]
    topic.row(names, make, depends=files, seeds=[0], timed=False)
