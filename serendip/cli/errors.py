"""How a command ends: exit codes, and one block of red on stderr in place of a traceback."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperGroup

DEBUG = "serendip.debug"
"""Key of the context's shared notes that holds whether ``--debug`` was given."""

EXIT_CODES = {
    0: "done",
    1: "something unexpected: a defect of Serendip; --debug shows the traceback",
    2: "the command line cannot be understood",
    3: "the input data cannot be used",
    4: "a recipe, an option or a model cannot be used",
    5: "a bundle is missing, damaged or not to be trusted",
    6: "the surroundings do not allow it: a file cannot be written, a port is taken, an extra is not installed",
    130: "interrupted",
}

CODE_OF = {"DataError": 3, "SchemaError": 3, "RecipeError": 4, "BundleError": 5}
"""Exit code by the name of an error's class; others are 6 where the system caused them, else 4."""


EXTRAS = ("torch", "optuna")
"""Packages that are installed on demand: what lacks one is right, but cannot be done here."""


class SurroundingsError(Exception):
    """What was asked for is right, but this machine does not allow it."""


def exit_code(error: BaseException) -> int:
    """The exit code for an error that ended a command."""
    from serendip.types import SerendipError

    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, SurroundingsError | OSError | MemoryError):
        return 6
    if isinstance(error, SerendipError):
        kinds = {kind.__name__ for kind in type(error).__mro__}
        named = [code for name, code in CODE_OF.items() if name in kinds]
        surroundings = isinstance(error.__cause__, OSError) or getattr(error.__cause__, "name", None) in EXTRAS
        return named[0] if named else 6 if surroundings else 4
    return 1


def message(error: BaseException) -> str:
    """What the user reads."""
    from serendip.types import SerendipError

    if isinstance(error, SerendipError | SurroundingsError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted."
    if isinstance(error, MemoryError):
        return "There is not enough memory for this. Try fewer events, or a model with fewer factors."
    if isinstance(error, OSError):
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return f"{' → '.join(names) or 'the operating system'}: {error.strerror or error}."
    return (
        f"This was not expected ({type(error).__name__}: {error}). "
        "It is a defect of Serendip: please report it with what --debug shows."
    )


class Verbs(TyperGroup):
    """The commands; whatever one of them raises becomes a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        with guarded(ctx):
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result


@contextlib.contextmanager
def guarded(ctx: Any) -> Iterator[None]:
    """Turn errors into a message on stderr and an exit; with ``--debug`` let them through."""
    try:
        yield
    except BrokenPipeError:
        # Whoever read our output has seen enough. The interpreter flushes stdout once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except (Exception, KeyboardInterrupt) as error:
        if type(error).__module__.partition(".")[0] in ("click", "typer"):
            raise
        if ctx.meta.get(DEBUG) and not isinstance(error, KeyboardInterrupt):
            from rich.console import Console

            Console(stderr=True).print_exception()
        else:
            complain(message(error))
        raise typer.Exit(exit_code(error)) from None


def complain(text: str) -> None:
    """One block on stderr, red where the terminal has colours."""
    from rich.console import Console
    from rich.text import Text

    from serendip.cli.output import clean

    Console(stderr=True).print(Text(clean("Error: " + text), style="red"), soft_wrap=True)
