from __future__ import annotations

import pytest

from serendip.cli.asking import Asker, attributes_of, cell, events_of, ids_of, listed_of
from serendip.recipe import RecipeError


def test_attributes_by_column() -> None:
    assert attributes_of(["age=31", "likes=a", "likes=b=c", "note="]) == {
        "age": "31",
        "likes": ["a", "b=c"],
        "note": "",
    }


def test_events_by_kind() -> None:
    assert events_of(["view=3, 4,", "cart=a", "view=5", 'cart="b,c"']) == {
        "view": ["3", "4", "5"],
        "cart": ["a", "b,c"],
    }


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        (" , ", []),
        ("1193, 661 ,914,", ["1193", "661", "914"]),
        ('"Seven, or: Se7en", Heat', ["Seven, or: Se7en", "Heat"]),
        ('"say ""hi""",5" nail', ['say "hi"', '5" nail']),
        ("a=b,é 字", ["a=b", "é 字"]),
    ],
)
def test_ids_by_comma(text: str, ids: list[str]) -> None:
    assert ids_of("--history", text) == ids


@pytest.mark.parametrize("text", ['"a,b', '"a"b,c', "a\nb"])
def test_ids_that_cannot_be_told_apart_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match=r'--event must hold ids .* in double quotes, such as "a,b",c\. Got '):
        ids_of("--event", text)


def test_a_list_may_be_empty_or_not_given() -> None:
    assert listed_of("--history", None) is None
    assert listed_of("--history", []) is None
    assert listed_of("--history", [""]) == []
    assert listed_of("--allow", ["a,b", "c"]) == ["a", "b", "c"]
    with pytest.raises(RecipeError, match="--allow must hold ids"):
        listed_of("--allow", ['"a'])


def test_who_asks() -> None:
    nobody = Asker.read(None, None, None, None)
    assert not nobody.named
    assert nobody.arguments() == {"users": [None], "history": None, "attributes": None, "events": None}
    newcomer = Asker.read(None, [""], ["age=3"], ["view=a"])
    assert newcomer.named
    said = {"history": [[]], "attributes": [{"age": "3"}], "events": [{"view": ["a"]}]}
    assert newcomer.arguments() == {"users": [None], **said}
    assert Asker.read(["1", "2"], None, None, None).arguments()["users"] == ["1", "2"]
    with pytest.raises(RecipeError, match=r"--history must come with one --user at most\. Got 2"):
        Asker.read(["1", "2"], [""], None, None)


def test_ids_are_shown_as_they_are() -> None:
    assert (cell("user_id", 1000), cell("user_id", None), cell("rank", 1000)) == ("1000", None, 1000)
