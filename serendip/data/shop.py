"""What the invented media shop holds and who comes to it: items and users, and what they really offer and like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data import prose

EPOCH = 1_704_067_200
"""The shop's first second: 2024-01-01 00:00 UTC."""
DAYS = 180
STEPS = 12
DAY = 86_400

AGE_BANDS = ("18-24", "25-34", "35-44", "45-54", "55-64", "65+")
COUNTRIES = ("BR", "CA", "DE", "ES", "FR", "GB", "IN", "JP", "PL", "US")
DEVICES = ("phone", "tablet", "television", "computer")
KINDS = ("film", "series", "book", "podcast")
MINUTES = (105, 320, 420, 45)
PRICES = (3.99, 9.99, 7.99, 0.99)

STYLES = 10
LATE_SHARE = 0.15
LATE_FROM = 0.74
EARLY_SHARE = 0.6

Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Shelf:
    """The items: their table, what each offers ``[n, d]``, and its appeal in each step ``[steps, n]``."""

    frame: pl.DataFrame
    offers: Doubles
    appeal: Doubles


@dataclass(frozen=True, slots=True, eq=False)
class Crowd:
    """The users: their table, and their tastes ``[n, d]`` over what items offer at the start and the end."""

    frame: pl.DataFrame
    start: Doubles
    end: Doubles


def stock(n: int, rng: np.random.Generator, words: np.random.Generator) -> Shelf:
    """``n`` items; what they offer is ``[n, subtopics + kinds + styles]``."""
    subjects = prose.subtopics()
    count = len(subjects)
    topics = list(dict.fromkeys(subject.topic for subject in subjects))
    topic_of = np.array([topics.index(subject.topic) for subject in subjects])
    main = rng.choice(count, n, p=rng.dirichlet(np.full(count, 6.0)))
    side = (main + rng.integers(1, count, n)) % count
    share = rng.uniform(0.0, 0.45, n)
    mixture = np.zeros((n, count))
    mixture[np.arange(n), main] = 1 - share
    mixture[np.arange(n), side] = share
    kind = rng.choice(len(KINDS), n, p=(0.35, 0.2, 0.3, 0.15))
    offers = np.hstack([mixture, np.eye(len(KINDS))[kind], rng.normal(size=(n, STYLES))])

    day = _release_days(n, rng)
    appeal = _appeal(mixture, topic_of, day, rng)
    titles, descriptions = prose.write(main, np.where(share > 0.15, side, main), [KINDS[code] for code in kind], words)
    categories = [
        list(dict.fromkeys([subjects[a].topic, subjects[a].name, *([subjects[b].topic] if s > 0.25 else [])]))
        for a, b, s in zip(main, side, share, strict=True)
    ]
    frame = pl.DataFrame(
        {
            "item_id": _names("i", n),
            "title": titles,
            "description": descriptions,
            "categories": categories,
            "kind": [KINDS[code] for code in kind],
            "released": EPOCH + (day * DAY).astype(np.int64),
            "minutes": np.round(np.array(MINUTES)[kind] * rng.lognormal(0, 0.25, n)).astype(np.int32),
            "price": np.array(PRICES)[kind] + rng.integers(0, 4, n),
        }
    )
    return Shelf(frame, offers, appeal)


def _release_days(n: int, rng: np.random.Generator) -> Doubles:
    """The day of each release ``[n]``: negative for what the shop began with, the last quarter for late items."""
    late, early = (round(n * part) for part in (LATE_SHARE, EARLY_SHARE))
    day = np.concatenate(
        [
            -1500 * rng.random(early) ** 2 - 1,
            rng.uniform(0, LATE_FROM * DAYS, n - late - early),
            rng.uniform(LATE_FROM * DAYS, DAYS - 4, late),
        ]
    )
    return np.asarray(rng.permutation(day))


def _appeal(mixture: Doubles, topic_of: NDArray[np.int64], day: Doubles, rng: np.random.Generator) -> Doubles:
    """Log-odds that everybody shares ``[steps, n]``: quality, a wave per topic, and the pull of the new."""
    n, topics = len(day), int(topic_of.max()) + 1
    when = (np.arange(STEPS) + 0.5) / STEPS
    wave = 0.35 * np.sin(2 * np.pi * (when[:, None] * rng.uniform(0.5, 1.5, topics) + rng.random(topics)))
    wave += 0.5 * (when[:, None] - 0.5) * rng.normal(size=topics)
    age = np.maximum(when[:, None] * DAYS - day, 0)
    fresh = 0.8 * np.exp(-age / 30)
    quality = rng.normal(0, 1.7, n)
    open_days = np.clip((when[:, None] + 0.5 / STEPS) * DAYS - day, 0, None)
    released = np.where(open_days > 0, 0.0, -np.inf)
    return np.asarray(quality + wave[:, topic_of] @ mixture.T + fresh + released)


def visitors(n: int, rng: np.random.Generator) -> Crowd:
    """``n`` users whose tastes follow partly from their age band, country and device."""
    age = rng.choice(len(AGE_BANDS), n, p=(0.16, 0.24, 0.21, 0.17, 0.13, 0.09))
    country = rng.choice(len(COUNTRIES), n, p=rng.dirichlet(np.full(len(COUNTRIES), 4.0)))
    device = rng.choice(len(DEVICES), n, p=(0.4, 0.15, 0.25, 0.2))
    width = len(prose.subtopics())
    per_topic = width // len({subject.topic for subject in prose.subtopics()})

    def by_topic(rows: int, scale: float) -> Doubles:
        return np.asarray(np.repeat(rng.normal(0, scale, (rows, width // per_topic)), per_topic, axis=1))

    shared = by_topic(len(AGE_BANDS), 0.9)[age] + by_topic(len(COUNTRIES), 0.6)[country]
    shared += rng.normal(0, 0.6, (len(AGE_BANDS), width))[age]
    own = by_topic(n, 1.5) + rng.normal(0, 1.2, (n, width))
    moved = by_topic(n, 0.8) + rng.normal(0, 0.7, (n, width))
    kinds = rng.normal(0, 0.7, (len(DEVICES), len(KINDS)))[device] + rng.normal(0, 0.4, (n, len(KINDS)))
    styles = rng.normal(0, 0.3, (n, STYLES))
    frame = pl.DataFrame(
        {
            "user_id": _names("u", n),
            "age_band": np.array(AGE_BANDS)[age],
            "country": np.array(COUNTRIES)[country],
            "device": np.array(DEVICES)[device],
        }
    )
    start, end = (np.hstack([shared + own + sign * moved, kinds, styles]) for sign in (-0.5, 0.5))
    return Crowd(frame, start, end)


def _names(prefix: str, n: int) -> pl.Series:
    width = max(4, len(str(n)))
    return pl.Series([f"{prefix}{number:0{width}d}" for number in range(1, n + 1)])
