"""The language of filters: a text ↔ a tree of conditions.

::

    either    = both { "or" both }
    both      = one { "and" one }
    one       = "not" one | "(" either ")" | condition
    condition = attribute ("==" | "!=" | "<" | "<=" | ">" | ">=") value
              | attribute ["not"] "in" "[" [value {"," value}] "]"
              | attribute ["not"] "has" value
              | attribute "is" ["not"] "missing"
    value     = text in double or single quotes | number | "true" | "false"
    attribute = a word of letters, digits and "_", or anything between backticks

Words of the language may be in capitals. In a text, a backslash takes the next character as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

from serendip.types import SerendipError

MOST_CHARACTERS = 10_000
MOST_DEPTH = 50
"""How deep parentheses and ``not`` may be nested."""
EXAMPLE = 'category in ["a", "b"] and price < 20'
ORDERS = ("==", "!=", "<=", ">=", "<", ">")

_WORDS = ("and", "or", "not", "in", "has", "is", "missing", "true", "false")
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])
    | (?P<quoted>`[^`]+`)
    | (?P<word>[^\W\d]\w*)
    | (?P<sign>==|!=|<=|>=|[<>=()\[\],])
    | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)

Value = str | bool | int | float


class FilterError(SerendipError):
    """A filter that cannot be read, or that does not fit the attributes there are."""


@dataclass(frozen=True, slots=True)
class Compare:
    """``name order value``."""

    name: str
    order: str
    value: Value


@dataclass(frozen=True, slots=True)
class In:
    """``name in values``."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Has:
    """``name has value``: one of several values."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Missing:
    """``name is missing``."""

    name: str


@dataclass(frozen=True, slots=True)
class Not:
    """What a condition leaves out."""

    part: Condition


@dataclass(frozen=True, slots=True)
class Both:
    """All of the parts."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Any of the parts."""

    parts: tuple[Condition, ...]


Condition = Compare | In | Has | Missing | Not | Both | Either


def read(text: str) -> Condition:
    """The conditions of a text.

    Raises:
        FilterError: saying where the text stops being a filter, and what was expected there.
    """
    if not isinstance(text, str) or not text.strip():
        raise FilterError(f"A filter must be a text such as {EXAMPLE}. Got {text!r} instead.")
    if len(text) > MOST_CHARACTERS:
        raise FilterError(f"A filter must have at most {MOST_CHARACTERS:,} characters. Got {len(text):,} instead.")
    reader = _Reader(text)
    tree = reader.either(0)
    reader.expect("end", "and, or, or the end")
    return tree


def names(tree: Condition) -> Iterator[str]:
    """The attributes that conditions are about."""
    match tree:
        case Not(part):
            yield from names(part)
        case Both(parts) | Either(parts):
            for part in parts:
                yield from names(part)
        case _:
            yield tree.name


def written(tree: Condition) -> str:
    """The conditions as a text, which `read` understands in the same way."""
    match tree:
        case Compare(name, order, value):
            return f"{_name(name)} {order} {_value(value)}"
        case In(name, values):
            return f"{_name(name)} in [{', '.join(_value(one) for one in values)}]"
        case Has(name, value):
            return f"{_name(name)} has {_value(value)}"
        case Missing(name):
            return f"{_name(name)} is missing"
        case Not(In(name, values)):
            return f"{_name(name)} not in [{', '.join(_value(one) for one in values)}]"
        case Not(Has(name, value)):
            return f"{_name(name)} not has {_value(value)}"
        case Not(Missing(name)):
            return f"{_name(name)} is not missing"
        case Not(part):
            return f"not {_within(part, Both | Either)}"
        case Both(parts):
            return " and ".join(_within(part, Both | Either) for part in parts)
        case Either(parts):
            return " or ".join(_within(part, Either) for part in parts)


def _within(part: Condition, kinds: Any) -> str:
    """A part, in parentheses where it would be read otherwise without."""
    return f"({written(part)})" if isinstance(part, kinds) else written(part)


def _name(name: str) -> str:
    plain = re.fullmatch(r"[^\W\d]\w*", name) and name.lower() not in _WORDS
    return name if plain else f"`{name}`"


def _value(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"' if isinstance(value, str) else repr(value)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


@dataclass(slots=True)
class _Reader:
    text: str
    _tokens: list[_Token] = field(init=False)
    _next: int = 0

    def __post_init__(self) -> None:
        self._tokens = list(self._split())

    def either(self, depth: int) -> Condition:
        parts = [self.both(depth)]
        while self.take("or"):
            parts.append(self.both(depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def both(self, depth: int) -> Condition:
        parts = [self.one(depth)]
        while self.take("and"):
            parts.append(self.one(depth))
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def one(self, depth: int) -> Condition:
        if depth == MOST_DEPTH:
            raise FilterError(f"A filter must be nested at most {MOST_DEPTH} deep. Got more instead.")
        if self.take("not"):
            return Not(self.one(depth + 1))
        if self.take("("):
            inner = self.either(depth + 1)
            self.expect(")", "a closing parenthesis, and, or or")
            return inner
        return self.condition()

    def condition(self) -> Condition:
        token = self._tokens[self._next]
        if token.kind not in ("word", "quoted"):
            self.fail("the name of an attribute")
        self._next += 1
        name = token.text.strip("`")
        if self.take("is"):
            turned = self.take("not")
            self.expect("missing", "missing")
            return Not(Missing(name)) if turned else Missing(name)
        turned = self.take("not")
        if self.take("in"):
            found: Condition = In(name, self.values())
        elif self.take("has"):
            found = Has(name, self.value())
        elif not turned and (order := next((sign for sign in ORDERS if self.take(sign)), None)):
            return Compare(name, order, self.value())
        else:
            self.fail("in or has" if turned else f"{', '.join(ORDERS)}, in, has or is")
        return Not(found) if turned else found

    def values(self) -> tuple[Value, ...]:
        self.expect("[", "a list in square brackets")
        found: list[Value] = []
        while not self.take("]"):
            if found:
                self.expect(",", "a comma or a closing bracket")
            found.append(self.value())
        return tuple(found)

    def value(self) -> Value:
        token = self._tokens[self._next]
        self._next += 1
        match token.kind:
            case "text":
                return re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL)
            case "number":
                return self._number(token)
            case "true" | "false":
                return token.kind == "true"
        self._next -= 1
        return self.fail("a text in quotes, a number, true or false")

    def take(self, kind: str) -> bool:
        """Whether the next token is of that kind; if so, it is passed."""
        found = self._tokens[self._next].kind == kind
        self._next += found
        return found

    def expect(self, kind: str, what: str) -> None:
        if not self.take(kind):
            self.fail(what)

    def fail(self, expected: str) -> NoReturn:
        token = self._tokens[self._next]
        came = "the end" if token.kind == "end" else repr(token.text)
        hint = ""
        if token.text == "=":
            hint = " Try: == for equal."
        elif token.kind in ("word", "quoted"):
            hint = f" Try: texts in quotes, such as {EXAMPLE}."
        where = f"at character {token.at + 1}. Got {came} in {self.text!r:.120} instead"
        raise FilterError(f"A filter must have {expected} {where}.{hint}")

    def _number(self, token: _Token) -> int | float:
        if re.fullmatch(r"[-+]?\d+", token.text):
            whole: Any = int(token.text) if len(token.text) <= 20 else 1 << 64
            if -(1 << 63) <= whole < 1 << 63:
                return int(whole)
        else:
            value = float(token.text)
            if abs(value) != float("inf"):
                return value
        raise FilterError(f"A filter must have numbers that 64 bits can hold. Got {token.text:.40} instead.")

    def _split(self) -> Iterator[_Token]:
        at = 0
        while True:
            found = _TOKEN.match(self.text, at)
            if found is None:
                rest = self.text[at:].lstrip()
                start = len(self.text) - len(rest) + 1
                what = "a closing quote" if rest[0] in "\"'`" else "names, signs, texts in quotes and numbers only"
                raise FilterError(
                    f"A filter must have {what} at character {start}. Got {rest!r:.40} instead. For example: {EXAMPLE}"
                )
            kind, text = str(found.lastgroup), found[str(found.lastgroup)]
            if kind == "sign" or (kind == "word" and text.lower() in _WORDS):
                kind = text.lower()
            yield _Token(kind, text, found.start(str(found.lastgroup)))
            if kind == "end":
                return
            at = found.end()
