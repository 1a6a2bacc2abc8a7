"""Which parts of a module its answer can depend on: those that are asked for while it answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def reached(module: nn.Module) -> Iterator[set[int]]:
    """The ids of the module and of its parts, filled while it is run inside.

    A part counts if a tensor or a part of it is asked for, or if another asks for it or for all of its parts. What
    holds a part and does not ask for it is no worse off without. The module must not be run elsewhere meanwhile.
    """
    found = {id(module)}
    parts = list(module.modules())
    kinds = [type(part) for part in parts]
    watching = {kind: _watching(kind, found) for kind in kinds}
    for part, kind in zip(parts, kinds, strict=True):
        part.__class__ = watching[kind]
    try:
        yield found
    finally:
        for part, kind in zip(parts, kinds, strict=True):
            part.__class__ = kind


def _watching(kind: type[nn.Module], found: set[int]) -> type[nn.Module]:
    """The class, noting what is asked of it."""

    class Watching(kind):  # type: ignore[valid-type, misc]
        def __getattr__(self, name: str) -> Any:  # a tensor or a part: all else is found before
            value = super().__getattr__(name)
            found.add(id(self))
            if isinstance(value, nn.Module):
                found.add(id(value))
            return value

        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            if name == "_modules":  # as lists of parts do, to go through them
                found.update(id(part) for part in value.values() if part is not None)
            return value

    Watching.__name__, Watching.__qualname__, Watching.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    return Watching


__all__ = ["reached"]
