"""What validation finds: findings in three severities, gathered into one report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
import polars as pl
from msgspec.structs import replace
from numpy.typing import NDArray

from serendip.data.table import Table, rows_text
from serendip.types import SerendipError

Severity = Literal["error", "repair", "warning"]
SHOWN = 60
PLURAL: Mapping[Severity, str] = {"error": "errors", "repair": "repairs", "warning": "warnings"}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found in the input.

    Attributes:
        severity: ``error`` (refused), ``repair`` (put right and counted) or ``warning`` (kept).
        what: what was expected and what came.
        where: file or frame, column, and the first rows concerned (1-based data rows, as a reader counts them).
        count: how many rows.
        hint: what to try.
    """

    severity: Severity
    what: str
    where: str
    count: int
    hint: str

    def __str__(self) -> str:
        return " ".join(part for part in (f"{self.where}: {self.what}", self.hint) if part)


class Report(msgspec.Struct, frozen=True):
    """All findings of one validation.

    Attributes:
        findings: errors first, then repairs, then warnings.
        notes: how the input was understood: which column is what, the unit of the times.
        rows: how many events came in, and ``kept``: how many of them are in the data set.
    """

    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    rows: int = 0
    kept: int = 0

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def __str__(self) -> str:
        lines = [f"{self.kept:,} of {self.rows:,} events kept."]
        for severity, plural in PLURAL.items():
            found = self.of(severity)
            if found:
                lines += [f"{len(found)} {severity if len(found) == 1 else plural}:", *(f"  - {one}" for one in found)]
        return "\n".join([*lines, *(["Notes:", *(f"  - {note}" for note in self.notes)] if self.notes else [])])


class SchemaError(SerendipError):
    """The input cannot be used as it is; the text lists every error.

    Attributes:
        report: everything that was found, repairs and warnings included.
    """

    def __init__(self, report: Report) -> None:
        self.report = report
        errors = report.of("error")
        lines = [f"{number}. {error}" for number, error in enumerate(errors, 1)]
        count = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        super().__init__(str(errors[0]) if len(errors) == 1 else "\n".join([f"{count} in the data:", *lines]))


class DataError(SerendipError):
    """Input that cannot be read, or that does not go with what is known."""


@dataclass(frozen=True, slots=True, eq=False)
class Refusal:
    """Rows of one table that are not used, and why."""

    table: Table
    rows: NDArray[np.int64]
    reason: str


@dataclass(slots=True, eq=False)
class Findings:
    """Gathers findings while the input is checked, so that all of them come in one report.

    Attributes:
        strict: whether what would be repaired is refused instead.
        naming: what to try where a column is missing.
        found: the findings so far.
        refusals: the rows refused so far.
        notes: how the input was understood.
        unusable: whether an error remains that setting rows aside would not cure.
    """

    strict: bool = False
    naming: str = "naming another one (--columns role=column)"
    unusable: bool = False
    found: list[Finding] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def error(self, where: str, what: str, hint: str, count: int = 1) -> None:
        """Something that makes a whole column, table or setting unusable; no row is to blame."""
        self.unusable = True
        self._add("error", where, what, hint, count)

    def note(self, text: str) -> None:
        """How the input was understood."""
        self.notes.append(text)

    def warn(self, where: str, what: str, hint: str, count: int = 1) -> None:
        """Something that is kept as it is."""
        self._add("warning", where, what, hint, count)

    def refuse(self, table: Table, column: str | None, bad: NDArray[np.bool_], expected: str, hint: str) -> None:
        """Refuse the rows where ``bad`` ``[m]`` holds, if any; ``expected`` says what they should hold."""
        rows = np.flatnonzero(bad)
        if not len(rows):
            return
        came = "" if column is None else f" Got {_shown(table.frame[column], int(rows[0]))} instead."
        self.refusals.append(Refusal(table, rows, f"{'row' if column is None else column}: expected {expected}"))
        self._add("error", table.where(rows, column), f"expected {expected}.{came}", hint, len(rows))

    def ragged(self, table: Table) -> None:
        """Refuse the lines of files that have more or fewer fields than their header."""
        for part in table.parts:
            if len(part.ragged):
                line = part.lines[0] if len(part.lines[0]) <= SHOWN else part.lines[0][: SHOWN - 1] + "…"
                what = f"expected {part.fields} fields, as in the header. Got {line!r} instead."
                hint = "Try putting quotes around fields that hold the separator, or rejects=FILE (--rejects FILE)."
                self._add("error", part.name + rows_text(part.ragged), what, hint, len(part.ragged))

    def repair(
        self, table: Table, column: str | None, bad: NDArray[np.bool_], expected: str, repaired: str, hint: str
    ) -> None:
        """Count the rows where ``bad`` ``[m]`` holds as ``repaired``; with `strict`, refuse them."""
        if self.strict:
            self.refuse(table, column, bad, expected, hint)
            return
        rows = np.flatnonzero(bad)
        if len(rows):
            self._add("repair", table.where(rows, column), repaired, "", len(rows))

    def set_aside(self, path: Path) -> None:
        """What was refused is in that file: say so in place of what to try."""
        hint = f"Set aside in {path}."
        self.found = [replace(one, hint=hint) if one.severity == "error" else one for one in self.found]

    def kept(self, table: Table) -> NDArray[np.bool_]:
        """``[m]`` the rows of the table that nothing has refused."""
        keep = np.ones(len(table.frame), bool)
        for refusal in self.refusals:
            if refusal.table is table:
                keep[refusal.rows] = False
        return keep

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return any(finding.severity == "error" for finding in self.found)

    def report(self, rows: int = 0, kept: int = 0) -> Report:
        """Everything found, the gravest first."""
        order = list(PLURAL)
        found = sorted(self.found, key=lambda finding: order.index(finding.severity))
        return Report(tuple(found), tuple(self.notes), rows, kept)

    def stop(self, *, at_rows: bool = True) -> None:
        """Raise if there is an error; without ``at_rows``, only if there is one that setting rows aside would not cure.

        Raises:
            SchemaError: with everything found so far.
        """
        if self.unusable or (at_rows and self.failed):
            raise SchemaError(self.report())

    def _add(self, severity: Severity, where: str, what: str, hint: str, count: int) -> None:
        self.found.append(Finding(severity=severity, what=what, where=where, count=count, hint=hint))


def _shown(column: pl.Series, row: int) -> str:
    value: Any = column[row]
    if value is None:
        return "nothing"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
