"""Rankers against FuxiCTR and DeepCTR-Torch, and against the products that have to be computed.

All train the same rows in batches of as many, in turn, in processes that are kept on two cores. The peers are given
what is quickest for them: batches that are slices of tensors, without their loaders.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import ctr_jobs, frappe, made_up_ranker, rank_speed_jobs, streamed_jobs
from benchmarks.harness import (
    ROOT,
    THREADS,
    Row,
    Topic,
    in_turn,
    kept_job,
    mean,
    median,
    peer_python,
    run_job,
    spread,
)

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
STREAMED = (1_000_000, 8_000_000)
LIMIT = 1000
"""MB that a process may hold beside its libraries while it learns from the longer of these files."""
TEXT = 16
"""Bytes that a short text takes in a column in memory."""
SHORT = (
    "Their layers run at half of what products of these sizes reach, so twice as fast is more than the products alone "
    "allow. Tried: fields, layers and crosses as one node each and memory lent from step to step (kept); parts of a "
    "batch that stay in the cache, 2 or 8 of them (5 and 20% slower); bfloat16, which has a row of its own"
)
"""Said where training is not twice as fast."""
EQUAL_EPOCHS = 8
EQUAL_SEEDS = (0, 1, 2)
PARTS = ("loop.py", "neural.py", "models/_fields.py", "models/_ranking.py", "nn", "kernels/fields_compiled.py")
SERVED = ("scorers/asked.py", "scorers/feeds.py", "scorers/ranked.py", "network", "nn/export.py", "nn/fields.py")
SERVED += tuple(f"nn/{name}" for name in ("lower.py", "quantise.py", "ranker.py", "sides.py", "tower.py", "interact"))


def measure(topic: Topic) -> None:
    """All rows of rankers."""
    for model in OURS:
        training(topic, model, target=2.0, share=0.6)
    for name in RANKED:
        ranking(topic, name)
    streaming(topic)
    in_bytes(topic)
    equal(topic)


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
            ) + ("" if mine >= target * other else f". {SHORT}")
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
        share, fields = found["bound_ms"] / found["ms"], made_up_ranker.QUERY_FIELDS + made_up_ranker.ITEM_FIELDS
        note = (
            f"{CANDIDATES} candidates of one query, {fields} fields of {DIM} numbers, "
            f"{CROSSES} crosses of rank {RANK}, layers {'-'.join(map(str, widths))}, one core; bare "
            f"products, the query's share once, take {found['bound_ms']:.2f} ms ({found['whole_ms']:.2f} if it were "
            f"worked out for each); the network alone {found['network_ms']:.2f} ms"
        )
        targets = {"ms": "<= 3" if asked == "ms" else None, "share": ">= 0.6" if asked == "share" else None}
        rows = [
            Row(label, "ms", found["ms"], "ms", None, TURNS, target=targets["ms"], note=note, details=found),
            Row(label, "share", share, "", None, TURNS, target=targets["share"], note=note),
        ]
        quick = f"the network alone with int8 products; rank correlation of the scores {found['agreement']:.4f}"
        ratio = found["network_ms"] / found["int8_ms"]
        return [*rows, Row(*names[2], found["int8_ms"], "ms", None, TURNS, "float32", ratio, note=quick)]

    files = [
        Path(__file__),
        Path(rank_speed_jobs.__file__),
        Path(made_up_ranker.__file__),
        *(ROOT / "serendip" / part for part in SERVED),
    ]
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
    """The most memory that it takes to learn from a file as the file grows, and of reading it as a whole."""
    few, many = (f"streamed/{rows / 1_000_000:g}M" for rows in STREAMED)
    whole = f"whole/{STREAMED[0] / 1_000_000:g}M"
    names = [(few, "peak_mb"), (many, "peak_mb"), (whole, "peak_mb"), ("streamed/growth", "ratio")]

    def make() -> list[Row]:
        with tempfile.TemporaryDirectory() as folder:
            files = [f"{folder}/{rows}.parquet" for rows in STREAMED]
            sizes = [
                run_job("benchmarks.streamed_jobs:written_job", threads=1, file=file, rows=rows)["file_mb"]
                for file, rows in zip(files, STREAMED, strict=True)
            ]
            one, more, all_of_it = (
                run_job("benchmarks.streamed_jobs:learned_job", threads=1, file=file, streamed=streamed)
                for file, streamed in ((files[0], True), (files[1], True), (files[0], False))
            )
        rows = []
        for (label, metric), count, size, found in zip(names, STREAMED, sizes, (one, more), strict=False):
            text = count * streamed_jobs.COLUMNS * TEXT / 1e6
            note = (
                f"deepfm, one epoch of {count:,} rows of {streamed_jobs.COLUMNS} columns of texts, {size:,.0f} MB as "
                f"Parquet and {text:,.0f} MB in memory; {found['before_mb']:,.0f} MB with all libraries loaded before"
            )
            rows.append(Row(label, metric, found["peak_mb"], "MB", note=note, details=found))
        rows[1].target = f"<= {more['before_mb'] + LIMIT:.0f}"
        grown = [found["peak_mb"] - found["before_mb"] for found in (one, more)]
        read = f"{STREAMED[0]:,} rows read as a whole"
        said = f"beside the libraries {grown[1]:,.0f} MB against {grown[0]:,.0f}: it does not grow with the file"
        share = one["peak_mb"] / all_of_it["peak_mb"]
        rows.append(Row(*names[2], all_of_it["peak_mb"], "MB", None, 1, "streamed", share, note=read))
        rows.append(Row(*names[3], more["peak_mb"] / one["peak_mb"], "", target="<= 1.1", note=said))
        return rows

    files = [Path(__file__), Path(streamed_jobs.__file__), ROOT / "serendip/data/streamed.py", *depends("deepfm")]
    topic.row(names, make, depends=[*files, STREAMED, LIMIT], seeds=[0], timed=False)


def equal(topic: Topic, model: str = "dcn_v2") -> None:
    """That what is timed learns as much: the AUC of test rows after the epoch that is best on validation rows."""
    names = [(f"auc/{model}", "auc"), (f"auc/{model}_bfloat16", "auc_lost")]
    names += [(f"auc/{model}_{name}", "auc_gained") for name in PEERS]

    def make() -> list[Row]:
        rested = depends(model)
        given: dict[str, Any] = {"file": str(frappe.written()), "model": model, "cores": THREADS}
        given |= {"judge": ["validation", "test"], "epochs": EQUAL_EPOCHS}

        def mine(precision: str, seed: int) -> float:
            options = {**OURS[model], **FIXED, "epochs": EQUAL_EPOCHS, "precision": precision}
            target = "benchmarks.ctr_jobs:train_job"
            return best(kept_job(target, depends=rested, options=options, seed=seed, **given))

        def other(name: str) -> float:
            more = {"fields": frappe.FIELDS, "options": THEIRS, "seed": 0, "batch_size": BATCH}
            target = f"benchmarks.peers.{name}_rank:fit"
            return best(kept_job(target, depends=rested, python=peer_python(name), **given, **more))

        exact, half = ([mine(kind, seed) for seed in EQUAL_SEEDS] for kind in ("float32", "bfloat16"))
        how = f"Frappe, batches of {BATCH}, the best of {EQUAL_EPOCHS} epochs by validation rows"
        lost = [one - two for one, two in zip(exact, half, strict=True)]
        rows = [
            Row(*names[0], mean(exact), "", spread(exact), len(exact), note=how),
            Row(*names[1], mean(lost), "", spread(lost), len(lost), "float32", target="<= 0.002", note=how),
        ]
        for name, (label, metric) in zip(PEERS, names[2:], strict=True):
            found = other(name)
            note = f"{how}: {mean(exact):.4f} against {found:.4f}, seed 0"
            rows.append(
                Row(label, metric, mean(exact) - found, "", None, 1, PEERS[name], target=">= -0.002", note=note)
            )
        return rows

    topic.row(names, make, depends=[*depends(model), EQUAL_EPOCHS], data=[frappe.DATA], seeds=EQUAL_SEEDS, timed=False)


def best(run: dict[str, Any]) -> float:
    """The AUC of test rows after the epoch whose validation rows have the highest."""
    return float(max(run["epochs"], key=lambda one: one["validation"]["auc"])["test"]["auc"])
