"""How everything is measured: in processes of their own, cached by what they depend on, in turn where compared.

A *job* is a function ``module:function`` run in a fresh process with a fixed number of threads. It returns a value for
JSON; the harness adds its peak memory. A *row* is what a job (or several) showed. Rows keep the key of what they depend
on (the files that do the work, the arguments, the data, the seed and, for times, the machine), so that a later run
measures only what is missing.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PEERS = ROOT / ".peers"
KEPT = ROOT / ".cache" / "benchmarks" / "jobs"
THREADS = 2
WATCHED = ("numpy", "scipy", "polars", "pyarrow", "numba", "serendip")
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "SERENDIP_THREADS",
)


class Missing(Exception):
    """What a row needs is not here (a data set, a peer's environment): the row is left out, with the reason."""


def data_dir(name: str) -> Path:
    """A public data set's folder.

    Raises:
        Missing: it is not here.
    """
    named = os.environ.get("SERENDIP_DATA")
    folder = (Path(named) if named else ROOT.parent / "shared" / "data") / name
    if not folder.is_dir():
        raise Missing(f"{name}: not found; set SERENDIP_DATA to the folder that holds it")
    return folder


def peer_python(name: str) -> Path:
    """The interpreter of a peer's own environment.

    Raises:
        Missing: `make peers` has not made it.
    """
    python = PEERS / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        raise Missing(f"{name}: no environment; run `make peers`")
    return python


def machine() -> dict[str, Any]:
    """What was measured on: processor, cores, system."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def substance(file: Path) -> bytes:
    """What of a file can change a figure: of Python, code without comments, docstrings and declared search spaces."""
    content = file.read_bytes()
    if file.suffix != ".py":
        return content
    tree = ast.parse(content)
    for node in ast.walk(tree):
        if isinstance(body := getattr(node, "body", None), list):
            node.body = [line for line in body if not _only_told(line)]  # type: ignore[attr-defined]
    return ast.dump(tree).encode()


def _only_told(line: ast.AST) -> bool:
    """Whether a statement is a bare text, or declares what `serendip tune` may try."""
    if isinstance(line, ast.Expr):
        return isinstance(line.value, ast.Constant)
    if isinstance(line, ast.ImportFrom):
        return line.module == "serendip.space"
    return isinstance(line, ast.Assign) and any(isinstance(to, ast.Name) and to.id == "space" for to in line.targets)


def digest(*parts: Any) -> str:
    """A short stable name of values and files (a `Path` stands for its `substance`)."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
                if file.is_file() and "__pycache__" not in file.parts:
                    total.update(hashlib.sha256(substance(file)).digest())
        else:
            total.update(json.dumps(part, sort_keys=True, default=str).encode())
    return total.hexdigest()[:16]


def run_job(
    target: str,
    /,
    *,
    python: Path | None = None,
    threads: int = THREADS,
    env: dict[str, str] | None = None,
    **arguments: Any,
) -> Any:
    """Run ``module:function(**arguments)`` in a process of its own.

    Returns:
        Its value; where that is a dict, ``peak_mb`` (resident memory at its highest) is added.

    Raises:
        RuntimeError: the job failed, with what it wrote.
    """
    environment = {**os.environ, **{name: str(threads) for name in THREAD_VARIABLES}, **(env or {})}
    environment["PYTHONPATH"] = str(ROOT)
    command = [
        str(python or sys.executable),
        str(ROOT / "benchmarks" / "job.py"),
        target,
        json.dumps(arguments, default=str),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        raise RuntimeError(f"{target} failed ({done.returncode}):\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return json.loads(lines[-1].removeprefix("RESULT "))


def kept_job(
    target: str,
    /,
    *,
    depends: Sequence[Any],
    python: Path | None = None,
    threads: int = THREADS,
    **arguments: Any,
) -> Any:
    """As `run_job`, run once: its value is kept under `KEPT` by what it depends on, whatever becomes of the others.

    Args:
        target: as for `run_job`.
        depends: files (as `Path`) and values that the result depends on beside the arguments.
        python: as for `run_job`.
        threads: as for `run_job`; the value must not depend on them.
    """
    place = KEPT / f"{digest(target, *depends, arguments)}.json"
    if place.exists():
        return json.loads(place.read_text())
    value = run_job(target, python=python, threads=threads, **arguments)
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_suffix(f".{os.getpid()}.part")
    partial.write_text(json.dumps(value))
    partial.replace(place)
    return value


def in_turn(jobs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[Any]]:
    """Run the jobs A B A B …, so that whatever the machine does meanwhile strikes all of them alike."""
    out: dict[str, list[Any]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            out[name].append(job())
    return out


@dataclass
class Row:
    """One figure.

    Attributes:
        name, metric, unit: what was measured: ``gowalla_lightgcn/ease``, ``recall@20``, ``share``.
        value, sd, n: mean (or median, for times), standard deviation, and over how many seeds or repeats.
        peer, ratio: what it is compared with, and how many times better this is (above 1: better).
        target, holds: what was asked for (``<= 15``) and whether it was reached; None where nothing was asked.
        note: what a reader must know to compare it.
        key: what the row depends on; a row with the same key is not measured again.
        on: the processor it was measured on.
    """

    name: str
    metric: str
    value: float
    unit: str
    sd: float | None = None
    n: int = 1
    peer: str | None = None
    ratio: float | None = None
    target: str | None = None
    holds: bool | None = None
    note: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    on: str = ""

    def judged(self) -> Row:
        """The row with ``holds`` worked out from ``target``: ``<= x``, ``>= x`` (the value) or ``ratio >= x``."""
        if self.target is None:
            return self
        words = self.target.split()
        found = self.ratio if words[0] == "ratio" else self.value
        sign, bound = words[-2], float(words[-1])
        self.holds = found is not None and (found <= bound if sign == "<=" else found >= bound)
        return self


class Topic:
    """One result file in the making."""

    def __init__(self, name: str, *, again: str | None = None) -> None:
        self.name = name
        self.again = again
        self.path = RESULTS / f"{name}.json"
        self.console = Console(stderr=True)
        old = json.loads(self.path.read_text()) if self.path.exists() else {}
        before = old.get("machine", {}).get("processor", "")
        self.old = {(row["name"], row["metric"]): {"on": before, **row} for row in old.get("rows", [])}
        self.seeds: set[int] = set(old.get("seeds", []))
        self.data: dict[str, str] = dict(old.get("data", {}))
        self.rows: list[Row] = []
        self.left_out: list[str] = []

    def row(
        self,
        names: str | Sequence[tuple[str, str]],
        make: Callable[[], Row | list[Row]],
        *,
        depends: Sequence[Any],
        timed: bool = True,
        seeds: Sequence[int] = (),
        data: Sequence[str] = (),
    ) -> None:
        """Measure what ``make`` returns, unless rows of these names with the same key are already there.

        Args:
            names: ``name``, or the ``(name, metric)`` pairs that ``make`` returns.
            depends: files (as `Path`) and values that the result depends on.
            timed: the result depends on the machine.
            data: names of public data sets used.
        """
        wanted = (
            [(name, metric) for name, metric in self.old if name == names] if isinstance(names, str) else list(names)
        )
        label = names if isinstance(names, str) else names[0][0]
        try:
            sums = {name: digest(data_dir(name)) for name in data}
            key = digest(*depends, sums, sorted(seeds), machine() if timed else None)
            kept = [self.old[pair] for pair in wanted if pair in self.old]
            fresh = kept and len(kept) == len(wanted) and all(row["key"] == key for row in kept)
            if fresh and not (self.again and self.again in label):
                self.rows += [Row(**row) for row in kept]
            else:
                self.console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] measuring {label} …")
                made = make()
                for row in made if isinstance(made, list) else [made]:
                    row.key, row.on = key, machine()["processor"]
                    self.rows.append(row.judged())
            self.seeds |= set(seeds)
            self.data |= sums
        except Missing as reason:
            self.left_out.append(f"{label}: {reason}")
            self.rows += [Row(**self.old[pair]) for pair in wanted if pair in self.old]
        self.write()

    def write(self) -> None:
        """Write the result file: what has been measured so far, then what an earlier run left."""
        done = {(row.name, row.metric) for row in self.rows}
        rows = [asdict(row) for row in self.rows] + [row for pair, row in self.old.items() if pair not in done]
        self._dump(rows)

    def _dump(self, rows: list[dict[str, Any]]) -> None:
        RESULTS.mkdir(exist_ok=True)
        content = {
            "topic": self.name,
            "command": f"make bench TOPIC={self.name}",
            "versions": {name: version(name) for name in WATCHED},
            "machine": machine(),
            "threads": THREADS,
            "data": self.data,
            "seeds": sorted(self.seeds),
            "rows": rows,
        }
        partial = self.path.with_suffix(".part")
        partial.write_text(json.dumps(content, indent=1, default=str) + "\n")
        partial.replace(self.path)

    def finish(self) -> None:
        """Print the table, drop rows that no longer exist, say what was left out."""
        self._dump([asdict(row) for row in self.rows])
        table = Table("name", "metric", "value", "±", "n", "peer", "ratio", "target", "holds", title=self.name)
        for row in self.rows:
            table.add_row(
                row.name,
                row.metric,
                f"{row.value:.4g} {row.unit}",
                "" if row.sd is None else f"{row.sd:.2g}",
                str(row.n),
                row.peer or "",
                "" if row.ratio is None else f"{row.ratio:.2f}",
                row.target or "",
                {True: "[green]yes[/]", False: "[red]no[/]", None: ""}[row.holds],
            )
        Console(width=160 if not sys.stdout.isatty() else None).print(table)
        for line in self.left_out:
            Console().print(f"left out — {line}")


def spread(values: Sequence[float]) -> float | None:
    """Standard deviation, None for a single value."""
    return stdev(values) if len(values) > 1 else None


def same(what: str, ours: float, theirs: float, tolerance: float) -> None:
    """That two results which are compared by the time they took are equally good.

    Raises:
        RuntimeError: they differ by more than ``tolerance`` of the second, so that their times cannot be compared.
    """
    if not abs(ours - theirs) <= tolerance * abs(theirs):
        raise RuntimeError(f"{what}: {ours:.6g} of ours and {theirs:.6g} of the peer differ by more than {tolerance:g}")


__all__ = [
    "Missing",
    "Row",
    "Topic",
    "data_dir",
    "in_turn",
    "mean",
    "median",
    "peer_python",
    "run_job",
    "same",
    "spread",
]
