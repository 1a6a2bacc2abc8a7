"""The text of a formula, read into steps for a stack.

Its grammar, from what binds least to what binds most; what stands in brackets may be left out, a star repeats it:

    sum      = product [ ("+" | "-") product ]*
    product  = signed [ ("*" | "/") signed ]*
    signed   = "-" signed | power
    power    = value [ ("^" | "**") signed ]           so that -x^2 is -(x^2), and x^y^z is x^(y^z)
    value    = number | task | function "(" sum [ "," sum ]* ")" | "(" sum ")"
    function = log | log1p | exp | sqrt | min | max | clip

There are no other operations than these, and nothing of a text is ever run as code, so that it need not be trusted.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serendip.types import SerendipError

MOST_CHARACTERS = 2000
MOST_DEPTH = 32
"""How deep parentheses, functions, signs and exponents may stand inside each other."""

Numbers = NDArray[np.float64]


def read(text: str, known: tuple[str, ...]) -> tuple[Step, ...]:
    """The steps in the order in which a stack takes them: numbers, names of tasks, and operations on what came last.

    Args:
        text: `MOST_CHARACTERS` at most, nested `MOST_DEPTH` deep at most.
        known: the tasks that it may read.

    Raises:
        SerendipError: as `serendip.scorers.formula.Formula.of`.
    """
    for name in known:
        if _NAME.fullmatch(name) is None:
            raise SerendipError(
                "the name of a task that a formula may read must be letters, digits and _, and not begin with a digit. "
                f"Got {name!r} instead. Try {re.sub(r'^(?=[0-9])|[^0-9A-Za-z]+', '_', name) or '_'!r}."
            )
    return _Reader(text, known).whole()


def sound(values: Numbers) -> Numbers:
    """The same, with NaN for whatever is not finite."""
    return np.where(np.isfinite(values), values, np.nan)


@dataclass(frozen=True, eq=False)
class Operation:
    """What is done with the last numbers on the stack, and how it binds where it stands between two."""

    takes: int
    apply: Callable[..., Numbers]
    binds: int = 0
    from_right: bool = False

    def of(self, *values: Numbers) -> Numbers:
        """NaN for whatever is not finite."""
        return sound(self.apply(*values))


Step = str | float | Operation


def _power(base: Numbers, exponent: Numbers) -> Numbers:
    """NaN also in what NumPy takes for 1: 1 to the power of NaN, and NaN to that of 0."""
    return np.where(np.isnan(base) | np.isnan(exponent), np.nan, np.power(base, exponent))


def _clip(x: Numbers, low: Numbers, high: Numbers) -> Numbers:
    return np.minimum(np.maximum(x, low), high)


_SUM, _PRODUCT, _SIGN, _EXPONENT = 1, 2, 3, 4
_NEGATIVE = Operation(1, np.negative)
_QUOTIENT = Operation(2, np.divide, _PRODUCT)
_BETWEEN = {
    "+": Operation(2, np.add, _SUM),
    "-": Operation(2, np.subtract, _SUM),
    "*": Operation(2, np.multiply, _PRODUCT),
    "/": _QUOTIENT,
    "^": Operation(2, _power, _EXPONENT, from_right=True),
}
_BETWEEN["**"] = _BETWEEN["^"]
_FUNCTIONS = {
    "log": Operation(1, np.log),
    "log1p": Operation(1, np.log1p),
    "exp": Operation(1, np.exp),
    "sqrt": Operation(1, np.sqrt),
    "min": Operation(2, np.minimum),
    "max": Operation(2, np.maximum),
    "clip": Operation(3, _clip),
}
_ANY_NUMBER = frozenset({"min", "max"})
"""Functions of two values or more."""

_NAME = re.compile(r"[^\W\d]\w*")
_TOKEN = re.compile(
    rf"(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>{_NAME.pattern})|(?P<mark>\*\*|[-+*/^(),])"
)
_MEANT = {"−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/", ":": "/", "[": "(", "]": ")", ";": ","}
"""Characters that are often written for those of the grammar."""


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Part(NamedTuple):
    """A part of a formula as steps, and where it begins."""

    steps: tuple[Step, ...]
    at: int

    @property
    def constant(self) -> float | None:
        """Its value if it reads no task."""
        return self.steps[0] if len(self.steps) == 1 and isinstance(self.steps[0], float) else None


class _Reader:
    """Reads one text, from left to right, by how strongly operators bind."""

    def __init__(self, text: str, known: tuple[str, ...]) -> None:
        if len(text) > MOST_CHARACTERS:
            raise SerendipError(
                f"a formula must have at most {MOST_CHARACTERS} characters. Got {len(text)} instead. Try a shorter one."
            )
        self.text, self.known, self.depth = text, known, 0
        self.tokens = tuple(self._tokens())
        self.place = 0

    def whole(self) -> tuple[Step, ...]:
        """The steps of all of it."""
        example = f"Try the name of one: {', '.join(self.known)}."
        if len(self.tokens) == 1:
            raise SerendipError(f"a formula must read at least one task. Got an empty text instead. {example}")
        part = self._expression(_SUM)
        left = self._take()
        if left.text == ")":
            raise self._wrong(left.at, "this ) closes no parenthesis. Try without it, or with a ( before.")
        if left.text == ",":
            raise self._wrong(left.at, "a comma must stand between the values of a function. Try a decimal point.")
        if left.kind != "end":
            what = f"expected an operator: + - * / ^. Got {left.text!r} instead. Try * for a product."
            raise self._wrong(left.at, what)
        if part.constant is not None:
            raise self._wrong(0, f"a formula must read at least one task. Got the number {part.constant:g}. {example}")
        return part.steps

    def _expression(self, least: int) -> _Part:
        """Operands and the operators between them that bind at least so much."""
        left = self._operand()
        while (operation := _BETWEEN.get(self._now.text)) is not None and operation.binds >= least:
            sign = self._take()
            if operation.from_right:
                right = self._inner(sign, operation.binds)
            else:
                right = self._expression(operation.binds + 1)
            if operation is _QUOTIENT and right.constant == 0:
                raise self._wrong(right.at, "the divisor must not be 0. Got 0: no item could be scored. Try a number.")
            left = self._applied(operation, sign, left, right)
        return left

    def _operand(self) -> _Part:
        """A number, a task, or what follows a sign, a function or a parenthesis."""
        token = self._take()
        if token.kind == "number":
            return self._number(token)
        if token.kind == "name":
            return self._call(token) if self._now.text == "(" else self._task(token)
        if token.text == "-":
            part = self._inner(token, _SIGN)
            return self._applied(_NEGATIVE, token, part)._replace(at=token.at)
        if token.text == "(":
            part = self._inner(token, _SUM)
            self._close(token)
            return part._replace(at=token.at)
        got = f"Got {token.text!r} instead." if token.text else "The text ends instead."
        raise self._wrong(token.at, f"expected a number, a task, a function or a parenthesis. {got} Try one of these.")

    def _inner(self, opener: _Token, least: int) -> _Part:
        """What stands one deeper."""
        if self.depth == MOST_DEPTH:
            what = f"parts must stand at most {MOST_DEPTH} deep inside each other. Got more. Try fewer parentheses."
            raise self._wrong(opener.at, what)
        self.depth += 1
        part = self._expression(least)
        self.depth -= 1
        return part

    def _number(self, token: _Token) -> _Part:
        value = float(token.text)
        if not np.isfinite(value):
            raise self._wrong(token.at, f"a number must be finite. Got {token.text} instead. Try a smaller one.")
        return _Part((value,), token.at)

    def _task(self, token: _Token) -> _Part:
        if token.text in self.known:
            return _Part((token.text,), token.at)
        if token.text in _FUNCTIONS:
            raise self._wrong(
                token.at, f"the function {token.text} must be given values. Try {token.text}(…), in parentheses."
            )
        guess = _nearest(token.text, self.known)
        raise self._wrong(
            token.at, f"there is no task {token.text!r}.{guess} Known: {', '.join(self.known) or 'none'}."
        )

    def _call(self, token: _Token) -> _Part:
        operation = _FUNCTIONS.get(token.text)
        if operation is None:
            guess = " To multiply, try *." if token.text in self.known else _nearest(token.text, _FUNCTIONS)
            raise self._wrong(token.at, f"there is no function {token.text!r}.{guess} Known: {', '.join(_FUNCTIONS)}.")
        opener = self._take()
        parts = [self._inner(opener, _SUM)]
        while self._now.text == ",":
            self._take()
            parts.append(self._inner(opener, _SUM))
        self._close(opener)
        several = token.text in _ANY_NUMBER
        if len(parts) != operation.takes and not (several and len(parts) > operation.takes):
            form = f"{token.text}({', '.join('xab'[: operation.takes])}{', …' if several else ''})"
            raise self._wrong(
                token.at, f"{token.text} must be given as {form}. Got {len(parts)} between the parentheses instead."
            )
        first = self._applied(operation, token, *parts[: operation.takes])
        for part in parts[operation.takes :]:
            first = self._applied(operation, token, first, part)
        return first._replace(at=token.at)

    def _applied(self, operation: Operation, token: _Token, *parts: _Part) -> _Part:
        """The operation on these parts; worked out at once if none of them reads a task."""
        steps = sum((part.steps for part in parts), ())
        constants = [np.asarray(part.constant) for part in parts if part.constant is not None]
        if len(constants) < len(parts):
            return _Part((*steps, operation), parts[0].at)
        with np.errstate(all="ignore"):
            value = float(operation.of(*constants))
        if np.isnan(value):
            given = ", ".join(f"{float(one):g}" for one in constants)
            what = f"{token.text!r} must have a finite value. Of {given} it has none: no item could be scored."
            raise self._wrong(token.at, f"{what} Try other numbers.")
        return _Part((value,), parts[0].at)

    def _close(self, opener: _Token) -> None:
        if self._now.text == ")":
            self._take()
        elif self._now.kind == "end":
            raise self._wrong(opener.at, "this ( is never closed. Try a ) behind what it is about.")
        else:
            what = f"expected an operator or the ) of character {opener.at + 1}. Got {self._now.text!r} instead."
            raise self._wrong(self._now.at, f"{what} Try * for a product.")

    @property
    def _now(self) -> _Token:
        return self.tokens[self.place]

    def _take(self) -> _Token:
        token = self.tokens[self.place]
        self.place = min(self.place + 1, len(self.tokens) - 1)
        return token

    def _tokens(self) -> Iterator[_Token]:
        at = 0
        while at < len(self.text):
            if self.text[at].isspace():
                at += 1
                continue
            found = _TOKEN.match(self.text, at)
            if found is None:
                hint = f"{_MEANT[self.text[at]]!r}" if self.text[at] in _MEANT else "numbers, tasks, + - * / ^ ( ) ,"
                raise self._wrong(at, f"{self.text[at]!r} must not stand in a formula. Try {hint}.")
            yield _Token(str(found.lastgroup), found[0], at)
            at = found.end()
        yield _Token("end", "", at)

    def _wrong(self, at: int, what: str) -> SerendipError:
        """The error, with the place and what is written there."""
        start, stop = max(0, at - 30), at + 30
        cut = "…" * (start > 0) + self.text[start:stop] + "…" * (stop < len(self.text))
        return SerendipError(f"formula {cut!r}, character {at + 1}: {what}")


def _nearest(name: str, known: Iterable[str]) -> str:
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" Did you mean {folded[near[0]]!r}?" if near else ""


__all__ = ["MOST_CHARACTERS", "MOST_DEPTH", "Numbers", "Operation", "Step", "read", "sound"]
