"""Formulas: values by hand, Python's own reading of the same text as an oracle, and every text refused in words."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serendip.scorers.formula import MOST_CHARACTERS, MOST_DEPTH, Formula
from serendip.types import SerendipError

KNOWN = ("click", "watch", "hide")
EXAMPLE = "click * watch^0.5 - 3 * hide"


def value(text: str, **tasks: float) -> float:
    """Of one item."""
    found = Formula.of(text, KNOWN)({name: np.float32([one]) for name, one in tasks.items()})
    assert found.shape == (1,)
    assert found.dtype == np.float32
    return float(found[0])


def refusal(text: str, known: tuple[str, ...] = KNOWN) -> str:
    with pytest.raises(SerendipError) as caught:
        Formula.of(text, known)
    return str(caught.value)


def test_a_score_by_hand() -> None:
    # ½·√4 − 3·0.1 = 0.7
    assert value(EXAMPLE, click=0.5, watch=4, hide=0.1) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-click^2", -9),
        ("(-click)^2", 9),
        ("2^click^2", 512),
        ("2**-click", 0.125),
        ("2^-click^2", 2**-9),
        ("2 - click - 4", -5),
        ("2 / click / 4", 2 / 12),
        ("2 + click * 4", 14),
        ("2 * -click", -6),
        ("--click", 3),
        ("-click * 2 + 10", 4),
        ("1.5e1 + click", 18),
        (".5 * click + 1.", 2.5),
        ("log(click)", math.log(3)),
        ("log1p(click)", math.log(4)),
        ("exp(click)", math.exp(3)),
        ("sqrt(click + 1)", 2),
        ("min(click, 5)", 3),
        ("max(click, 5, 2, 7, 1)", 7),
        ("clip(click, 0, 2)", 2),
        ("clip(click, 4, 5)", 4),
        (" \t(\nclick ) ", 3),
    ],
)
def test_what_each_part_means(text: str, expected: float) -> None:
    assert value(text, click=3) == pytest.approx(expected, rel=1e-6)


def test_arrays_of_any_common_shape() -> None:
    formula = Formula.of("click + 10 * watch", KNOWN)
    click, watch = np.float32([[1], [2]]), np.float32([3, 4, 5])
    found = formula({"click": click, "watch": watch, "hide": np.zeros(9, np.float32)})
    assert found.tolist() == [[31, 41, 51], [32, 42, 52]]
    assert formula({"click": np.float32(1), "watch": np.float32(2)}).shape == ()
    assert formula({"click": click[:0], "watch": watch}).shape == (0, 3)
    with pytest.raises(ValueError, match="broadcast"):
        formula({"click": np.float32([1, 2]), "watch": watch})


def test_what_was_given_stays_as_it_was() -> None:
    click = np.float32([1, np.nan, -np.inf])
    formula = Formula.of("click", KNOWN)
    assert formula({"click": click}).tolist() == [1, -np.inf, -np.inf]
    assert np.isnan(click[1])
    formula({"click": click})[:] = 7
    assert click[0] == 1


@pytest.mark.parametrize(
    ("text", "click"),
    [
        ("1 / click", 0),
        ("click / click", 0),
        ("log(click)", 0),
        ("log(click)", -1),
        ("log1p(click)", -1),
        ("sqrt(click)", -1),
        ("click ^ 0.5", -1),
        ("click ^ -1", 0),
        ("exp(click)", 1000),
        ("click ^ 30", 1e30),
        ("click * 1e39", 1),
        ("click", math.nan),
        ("click", math.inf),
        ("click", -math.inf),
        ("min(1, click)", math.inf),
        # What has no value has none, whatever is done with it afterwards.
        ("min(1, 1 / click)", 0),
        ("exp(log(click))", 0),
        ("1 / (1 / click)", 0),
        ("0 * (1 / click)", 0),
        ("(1 / click) ^ 0", 0),
        ("1 ^ (1 / click)", 0),
        ("clip(log(click), 0, 1)", 0),
        ("max(click, 1, sqrt(click))", -1),
    ],
)
def test_what_is_not_finite_cannot_be_scored(text: str, click: float) -> None:
    assert value(text, click=click) == -np.inf


def test_one_item_without_a_value_does_not_touch_the_others() -> None:
    found = Formula.of("click / watch", KNOWN)({"click": np.float32([1, 1]), "watch": np.float32([0, 2])})
    assert found.tolist() == [-np.inf, 0.5]


def test_names_and_text_round_trip() -> None:
    formula = Formula.of("hide * 2 - click + hide", KNOWN)
    assert formula.names == ("hide", "click")
    assert Formula.of(formula.text, formula.known) == formula
    plain = msgspec.to_builtins(formula)
    assert plain == {"text": "hide * 2 - click + hide", "known": KNOWN}
    stored = msgspec.json.encode(formula)
    assert msgspec.json.decode(stored, type=Formula) == formula
    assert len({formula, Formula.of(formula.text, KNOWN)}) == 1


def test_a_stored_formula_is_read_as_strictly() -> None:
    with pytest.raises(SerendipError, match="there is no task 'watch'"):
        msgspec.json.decode(b'{"text": "watch", "known": ["click"]}', type=Formula)


def test_tasks_may_have_the_names_of_functions_and_letters_of_any_script() -> None:
    formula = Formula.of("log(log) + länge_2", ("log", "länge_2"))
    found = formula({"log": np.float32([1, 0]), "länge_2": np.float32([2, 2])})
    assert found.tolist() == [2, -np.inf]


def test_a_missing_task_is_named() -> None:
    with pytest.raises(SerendipError, match=r"it reads: click, watch, hide\. Got none of watch, hide\."):
        Formula.of(EXAMPLE, KNOWN)({"click": np.float32([1])})


REFUSED = {
    "": "a formula must read at least one task. Got an empty text instead. Try the name of one: click, watch, hide.",
    " \n": "Got an empty text instead",
    "3 * 2": "formula '3 * 2', character 1: a formula must read at least one task. Got the number 6.",
    "click * wach": "character 9: there is no task 'wach'. Did you mean 'watch'? Known: click, watch, hide.",
    "CLICK": "Did you mean 'click'?",
    "zzz": "there is no task 'zzz'. Known: click, watch, hide.",
    "lgo(click)": "character 1: there is no function 'lgo'. Did you mean 'log'? Known: log, log1p, exp, sqrt, min,",
    "click(watch)": "there is no function 'click'. To multiply, try *.",
    "2 + log click": "character 5: the function log must be given values. Try log(…), in parentheses.",
    "click * (watch + 1": "character 9: this ( is never closed. Try a ) behind",
    "max(click, 1": "character 4: this ( is never closed.",
    "click) + 1": "character 6: this ) closes no parenthesis.",
    "(click watch)": "character 8: expected an operator or the ) of character 1. Got 'watch' instead.",
    "2 click": "character 3: expected an operator: + - * / ^. Got 'click' instead. Try * for a product.",
    "click.5": "expected an operator: + - * / ^. Got '.5' instead.",
    "click, 5": "character 6: a comma must stand between the values of a function. Try a decimal point.",
    "click +": "character 8: expected a number, a task, a function or a parenthesis. The text ends instead.",
    "+ click": "character 1: expected a number, a task, a function or a parenthesis. Got '+' instead.",
    "click * * watch": "character 9: expected a number",
    "max(click,,1)": "character 11: expected a number, a task, a function or a parenthesis. Got ',' instead.",
    "clip(click, 1)": "character 1: clip must be given as clip(x, a, b). Got 2 between the parentheses instead.",
    "log(click, 2)": "log must be given as log(x). Got 2 between the parentheses",
    "min(click)": "min must be given as min(x, a, …). Got 1 between the parentheses",
    "click / 0": "character 9: the divisor must not be 0. Got 0: no item could be scored.",
    "click / (2 - 2)": "character 9: the divisor must not be 0.",
    "click / -0.0": "character 9: the divisor must not be 0.",
    "click / 1e-999": "the divisor must not be 0.",
    "1 / 0 + click": "character 5: the divisor must not be 0.",
    "click + log(1 - 1)": "character 9: 'log' must have a finite value. Of 0 it has none: no item could be scored.",
    "0 ^ -1 * click": "character 3: '^' must have a finite value. Of 0, -1 it has none",
    "1e999 * click": "character 1: a number must be finite. Got 1e999 instead.",
    "click − 1": "character 7: '−' must not stand in a formula. Try '-'.",
    "click × 2": "Try '*'.",
    "click; import os": "character 6: ';' must not stand in a formula. Try ','.",
    "__import__('os')": 'character 12: "\'" must not stand in a formula. Try numbers, tasks, + - * / ^ ( ) ,.',
    "click.__class__": "character 6: '.' must not stand in a formula.",
    "\ud800": "'\\ud800' must not stand in a formula.",
}


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_what_is_wrong_is_said_with_its_place(text: str) -> None:
    assert REFUSED[text] in refusal(text)


def test_of_a_long_text_the_place_alone_is_shown() -> None:
    text = "click + " * 40 + "wach" + " + click" * 40
    said = refusal(text)
    assert f"character {text.index('wach') + 1}: there is no task 'wach'" in said
    assert said.startswith("formula '…")
    assert len(said) < 200


@pytest.mark.parametrize("name", ["long-view", "", "2nd", "a b", "click\n"])
def test_a_task_that_no_formula_could_name_is_refused(name: str) -> None:
    said = refusal("click", ("click", name))
    assert f"must be letters, digits and _, and not begin with a digit. Got {name!r} instead. Try " in said
    better = re.findall(r"Try '(.*)'\.", said)[0]
    Formula.of(better, (better,))


def test_length_and_depth_are_bounded() -> None:
    longest = "+".join(["click"] * 333)
    padded = longest.ljust(MOST_CHARACTERS)
    assert value(padded, click=2) == 666
    assert refusal(padded + " ").startswith(f"a formula must have at most {MOST_CHARACTERS} characters. Got 2001")
    forms: list[Callable[[int], str]] = [
        lambda n: "(" * n + "click" + ")" * n,
        lambda n: "sqrt(" * n + "click" + ")" * n,
        lambda n: "-" * n + "click",
        lambda n: "click^" * n + "click",
        lambda n: "(1 + 2 * click^" * (n // 2) + "click" + ")" * (n // 2),
    ]
    for form in forms:
        assert value(form(MOST_DEPTH), click=1) != 0
        for deeper in (MOST_DEPTH + 2, 120):
            assert f"at most {MOST_DEPTH} deep inside each other" in refusal(form(deeper))
    flat = "(click) * -click ^ 2 + " * 80 + "click"
    assert value(flat, click=1) == -79


SAFE: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.divide,
    ast.Pow: np.power,
    ast.USub: operator.neg,
}
CALLS: dict[str, Callable[..., Any]] = {
    **{name: getattr(np, name) for name in ("log", "log1p", "exp", "sqrt")},
    "min": min,
    "max": max,
    "clip": lambda x, a, b: min(max(x, a), b),
}


def by_python(text: str, tasks: dict[str, float]) -> float:
    """What Python reads in the text, worked out by one number at a time; ArithmeticError where it is not finite.

    Of NumPy are only the functions whose last digit is not the same everywhere.
    """

    def of(node: ast.expr) -> Any:
        match node:
            case ast.Constant(value=number):
                found = np.float64(number)
            case ast.Name(id=name):
                found = np.float64(tasks[name])
            case ast.UnaryOp(op=op, operand=one):
                found = SAFE[type(op)](of(one))
            case ast.BinOp(left=left, op=op, right=right):
                found = SAFE[type(op)](of(left), of(right))
            case ast.Call(func=ast.Name(id=name), args=args):
                found = CALLS[name](*map(of, args))
            case _:
                raise AssertionError(ast.dump(node))
        if not np.isfinite(found):
            raise ArithmeticError
        return found

    with np.errstate(all="ignore"):
        return float(of(ast.parse(text.replace("^", "**").strip(), mode="eval").body))


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    call = st.sampled_from([("log", 1), ("log1p", 1), ("exp", 1), ("sqrt", 1), ("min", 2), ("max", 3), ("clip", 3)])
    operators = st.sampled_from(["+", "-", "*", "/", "^", "**", " + ", " - ", " * ", " / ", " ^ "])
    return st.one_of(
        st.tuples(inner, operators, inner).map("".join),
        inner.map("({})".format),
        inner.map("-{}".format),
        call.flatmap(lambda one: st.tuples(*[inner] * one[1]).map(lambda args: f"{one[0]}({', '.join(args)})")),
    )


NUMBERS = st.sampled_from(["0", "1", "2", "3", "0.5", ".25", "1.5e1", "10", "1e-2", "7.0"])
# No parentheses are put around what is joined, so that it is for the readers to tell what belongs together.
FORMULAS = st.recursive(st.one_of(st.sampled_from(KNOWN), NUMBERS), nested, max_leaves=12)
VALUES = st.floats(-16, 16, width=16)


@settings(max_examples=150)
@given(FORMULAS, st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=4))
def test_it_agrees_with_python(text: str, rows: list[tuple[float, float, float]]) -> None:
    expected: list[float] = []
    for row in rows:
        try:
            expected.append(by_python(text, dict(zip(KNOWN, row, strict=True))))
        except ArithmeticError:
            expected.append(-np.inf)
    try:
        formula = Formula.of(text, KNOWN)
    except SerendipError as error:
        if "at least one task" not in str(error):
            assert "deep inside" in str(error) or expected == [-np.inf] * len(rows)
        return
    tasks = dict(zip(KNOWN, np.float32(rows).T, strict=True))
    found = formula(tasks)
    assert not np.isnan(found).any()
    assert set(formula.names) == {name for name in KNOWN if name in text}
    with np.errstate(over="ignore"):
        rounded = np.float32(expected)
    rounded[~np.isfinite(rounded)] = -np.inf
    np.testing.assert_allclose(found, rounded, rtol=1e-6)


PIECES = [*"()+-*/^,.", "**", " ", "click", "watch", "log", "min", "clip", "0", "2.5", "1e9", "(click)", "wach", "\n"]
TEXTS = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))


@settings(max_examples=150)
@given(TEXTS, VALUES)
def test_no_text_does_anything_but_score_or_be_refused(text: str, number: float) -> None:
    try:
        formula = Formula.of(text, KNOWN)
    except SerendipError:
        return
    found = formula({name: np.float32([number, 0, np.inf]) for name in KNOWN})
    assert not np.isnan(found).any()
    assert (found < np.inf).all()
    assert Formula.of(formula.text, formula.known) == formula


PREFIXES = [*"([{+-*/^.,x1", "log(", "-(", "^-", "max(", "1,"]


@pytest.mark.parametrize("piece", PREFIXES)
@pytest.mark.parametrize("times", [1, MOST_DEPTH, 300, MOST_CHARACTERS, 10 * MOST_CHARACTERS])
def test_no_long_text_is_too_much(piece: str, times: int) -> None:
    refusal(piece * times)
