"""Titles and descriptions for the items of an invented media shop, made of the words in ``topics.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALL_WORDS = frozenset({"of", "and", "for", "to", "at", "the"})
ATTEMPTS = 12


@dataclass(frozen=True, slots=True)
class Subtopic:
    """A narrow subject and its words.

    Attributes:
        topic: the broad subject it belongs to.
        name: its own name.
        adjectives: words of the topic that colour a title.
        tones: words of the topic that describe a work.
        nouns: things such a story is about.
        roles: who it is about.
        quests: what they must do.
    """

    topic: str
    name: str
    adjectives: tuple[str, ...]
    tones: tuple[str, ...]
    nouns: tuple[str, ...]
    roles: tuple[str, ...]
    quests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """What all titles and descriptions share.

    Attributes:
        titles: patterns with ``{noun}``, ``{other}``, ``{adjective}``, ``{name}`` and ``{place}``.
        names: given names.
        place_starts, place_ends: halves of the names of places.
    """

    titles: tuple[str, ...]
    names: tuple[str, ...]
    place_starts: tuple[str, ...]
    place_ends: tuple[str, ...]


@cache
def words() -> Words:
    """The words that do not depend on the subject."""
    table = _table()
    return Words(*(tuple(table[name]) for name in ("titles", "names", "place_starts", "place_ends")))


@cache
def subtopics() -> tuple[Subtopic, ...]:
    """All sub-topics, those of one topic side by side and equally many for each."""
    return tuple(
        Subtopic(
            topic["name"],
            name,
            tuple(topic["adjectives"]),
            tuple(topic["tones"]),
            tuple(own["nouns"]),
            tuple(own["roles"]),
            tuple(own["quests"]),
        )
        for topic in _table()["topic"]
        for name, own in topic["subtopics"].items()
    )


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files("serendip.data").joinpath("topics.toml").read_text(encoding="utf-8"))


def write(
    main: NDArray[np.int64], side: NDArray[np.int64], kinds: list[str], rng: np.random.Generator
) -> tuple[list[str], list[str]]:
    """A distinct title and a short description per item.

    Args:
        main: ``[n]`` position of each item's sub-topic in `subtopics`.
        side: ``[n]`` position of the sub-topic its second subject comes from.
        kinds: ``[n]`` what the item is (``film``, ``book`` …).
        rng: where the choices come from.
    """
    subjects = subtopics()
    titles: dict[str, None] = {}
    descriptions = []
    for first, second, kind in zip(main.tolist(), side.tolist(), kinds, strict=True):
        titles[_fresh_title(subjects[first], subjects[second], titles, rng)] = None
        descriptions.append(_description(subjects[first], subjects[second], kind, rng))
    return list(titles), descriptions


def _fresh_title(main: Subtopic, side: Subtopic, taken: dict[str, None], rng: np.random.Generator) -> str:
    for _ in range(ATTEMPTS):
        title = _title(main, side, rng)
        if title not in taken:
            return title
    volume = 2
    while f"{title}, Part {volume}" in taken:
        volume += 1
    return f"{title}, Part {volume}"


def _title(main: Subtopic, side: Subtopic, rng: np.random.Generator) -> str:
    noun, other = _two_nouns(main, side, rng)
    filled = _pick(words().titles, rng).format(
        adjective=_pick(main.adjectives, rng), noun=noun, other=other, name=_pick(words().names, rng), place=_place(rng)
    )
    parts = _article(filled).split(" ")
    return " ".join(
        word if place and word in SMALL_WORDS else word[:1].upper() + word[1:] for place, word in enumerate(parts)
    )


def _description(main: Subtopic, side: Subtopic, kind: str, rng: np.random.Generator) -> str:
    noun, other = _two_nouns(main, side, rng)
    subject = _article(f"A {_pick(main.tones, rng)} {kind} about a {noun} and a {other}.")
    plot = _article(f"In {_place(rng)}, a {_pick(main.roles, rng)} must {_pick(main.quests, rng)}.")
    return f"{subject} {plot}"


def _two_nouns(main: Subtopic, side: Subtopic, rng: np.random.Generator) -> tuple[str, str]:
    noun = _pick(main.nouns, rng)
    return noun, _pick(tuple(word for word in side.nouns if word != noun), rng)


def _place(rng: np.random.Generator) -> str:
    start, end = _pick(words().place_starts, rng), _pick(words().place_ends, rng)
    return start + end.removeprefix(start[-1])


def _article(text: str) -> str:
    """``A``/``a`` as ``An``/``an`` where the next word begins with a vowel."""
    parts = text.split(" ")
    for place, (word, after) in enumerate(pairwise(parts)):
        if word in ("a", "A") and after[0].lower() in "aeiou":
            parts[place] = word + "n"
    return " ".join(parts)


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
