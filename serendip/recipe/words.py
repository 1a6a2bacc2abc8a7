"""Types in words, for messages and pages: ``a whole number ≥ 1``, ``one of "unix", "rank"``."""

from __future__ import annotations

from msgspec import inspect

_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def bare(kind: inspect.Type) -> inspect.Type:
    """The type without its description, and without None, which TOML cannot say."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        parts = [part for part in kind.types if not isinstance(part, inspect.NoneType)]
        if len(parts) == 1:
            return bare(parts[0])
        return inspect.UnionType(tuple(bare(part) for part in parts))
    return kind


def wording(kind: inspect.Type) -> str:
    """What may stand there, as a phrase that follows "must be"."""
    kind = bare(kind)
    match kind:
        case inspect.StrType():
            return "text"
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType() | inspect.FloatType():
            return _number(kind)
        case inspect.LiteralType():
            return "one of " + ", ".join(f'"{value}"' for value in sorted(kind.values, key=str))
        case inspect.AnyType():
            return "anything"
        case inspect.DictType():
            return "a table, each value " + wording(kind.value_type)
        case inspect.VarTupleType():
            least = " with at least one entry" if kind.min_length else ""
            return f"a list{least}, each {wording(kind.item_type)}"
        case inspect.StructType():
            fields = [field.name for field in kind.fields]
            if "options" in fields:
                return "a model's name, or a table of its name and options"
            return f"{'a model' + chr(39) + 's name, or ' if 'model' in fields else ''}a table of {', '.join(fields)}"
        case inspect.UnionType():
            return " or ".join(wording(part) for part in kind.types)
    raise TypeError(f"recipes have no keys of the type {kind}.")


def _number(kind: inspect.IntType | inspect.FloatType) -> str:
    noun = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
    bounds = [f"{sign} {limit:g}" for name, sign in _BOUNDS.items() if (limit := getattr(kind, name)) is not None]
    return f"{noun} {' and '.join(bounds)}".strip()
