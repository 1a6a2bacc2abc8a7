"""What a verb shows: results on stdout (a table, or JSON for machines), everything else on stderr."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.console import Console

BETWEEN_LINES = 10.0
"""Seconds between two lines about how far something is."""
PIPED_WIDTH = 10_000
"""Columns taken as given where output is no terminal: nothing is cut there."""


class Progress(Protocol):
    """Tells how far something is, and perhaps in new words what it is."""

    def __call__(self, done: int, total: int, text: str | None = None) -> None:
        """``done`` of ``total``; total 0: unknown."""


def clean(text: str) -> str:
    """Text without control characters, which titles and ids from anywhere could steer a terminal with."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)


def plain(value: Any) -> Any:
    """A value as JSON can say it: no NaN, no infinity, no NumPy."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(part) for part in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def encoded(value: Any) -> str:
    """A value as the text of a JSON file."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(plain(value)), indent=2).decode() + "\n"


@dataclass(frozen=True)
class Output:
    """Where a verb's words go.

    Attributes:
        json: the result is one JSON value on stdout, and nothing else is.
        quiet: nothing but results and errors.
    """

    json: bool = False
    quiet: bool = False

    def say(self, text: str, *, style: str = "") -> None:
        """A line about what is going on, on stderr."""
        if not self.quiet:
            _console(stderr=True).print(clean(text), style=style, soft_wrap=True, markup=False, highlight=False)

    def result(self, value: Any, table: Callable[[], Any] | None = None) -> None:
        """The result: ``value`` as JSON, or what ``table`` prints."""
        if self.json:
            sys.stdout.write(encoded(value))
        elif table is not None:
            table()

    def text(self, text: str) -> None:
        """A line of the result, where it is not JSON."""
        if not self.json:
            _console().print(clean(text), soft_wrap=True, markup=False, highlight=False)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, title: str | None = None) -> None:
        """A table of the result, where it is not JSON; numbers stand on the right, nothing is cut."""
        if self.json:
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        body = [[_cell(value) for value in row] for row in rows]
        kinds = [list(kind) for kind in zip(*body, strict=True)]
        table = Table(
            box=box.SIMPLE_HEAD,
            show_edge=False,
            collapse_padding=True,
            title=title,
            title_justify="left",
            title_style="bold",
            pad_edge=False,
        )
        for place, name in enumerate(columns):
            right = bool(kinds) and all(isinstance(value, _Number) or not value for value in kinds[place])
            table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=right)
        for row in body:
            table.add_row(*(Text(clean(str(value))) for value in row))
        console = _console()
        if console.is_terminal:
            console.print(table)
            return
        with console.capture() as capture:
            console.print(table)
        sys.stdout.write("\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n")

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[Progress | None]:
        """Something that may take a while: a bar on a terminal, and how long it took."""
        begin = time.perf_counter()
        if self.quiet or not sys.stderr.isatty():
            yield None
        else:
            with _bar(name) as progress:
                yield progress
        self.say(f"{name}: {time.perf_counter() - begin:.1f} s", style="dim")

    @contextlib.contextmanager
    def told(self, name: str) -> Iterator[Progress | None]:
        """As `step`; where there is no terminal, words about how far it is come as lines, now and then."""
        with self.step(name) as progress:
            yield progress or (None if self.quiet else self._lines())

    def _lines(self) -> Progress:
        last, over = time.monotonic(), False

        def move(done: int, total: int, text: str | None = None) -> None:
            nonlocal last, over
            now = time.monotonic()
            if text is not None and not over and (done == total or now - last >= BETWEEN_LINES):
                last, over = now, done == total
                self.say(text, style="dim")

        return move


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Progress]:
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Bars(*columns, console=_console(stderr=True), transient=True, refresh_per_second=4) as bars:
        task = bars.add_task(clean(name), total=None)

        def move(done: int, total: int, text: str | None = None) -> None:
            words = None if text is None else clean(text)
            bars.update(task, completed=done, total=total or None, description=words)

        yield move


class _Number(str):
    """Text of a number."""


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return _Number(f"{value:,}")
    if isinstance(value, float):
        return _Number(f"{value:.4g}")
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return str(value)


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else PIPED_WIDTH, emoji=False)
