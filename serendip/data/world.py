"""`catalogue`: an invented media shop with topics, drift, late items and known true preferences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from serendip.data import shop, visits
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.data.vocab import Vocab
from serendip.types import ABSENT, Floats, Ids, Queries, SerendipError, as_rows

EVENT_WEIGHTS = {"view": 1.0, "like": 2.0, "purchase": 3.0}
FEWEST = 10


@dataclass(frozen=True, slots=True, eq=False)
class Oracle:
    """The scorer that knows the true preferences at the end of the period, in the codes of one data set.

    Attributes:
        n_items: size of that data set's item vocabulary.
        users: ``[users + 1, d]`` true taste by code; the last row is the average user, who stands for an unknown one.
        items: ``[n_items, d]`` what each item offers.
        appeal: ``[n_items]`` log-odds that all users share; ``-inf`` for an item the world does not know.
    """

    n_items: int
    users: Floats
    items: Floats
    appeal: Floats

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        """As `serendip.types.Scorer.score`."""
        known = (queries.users >= 0) & (queries.users < len(self.users) - 1)
        taste = self.users[np.where(known, queries.users, -1)]
        scores = taste @ self.items.T + self.appeal
        rows = as_rows(items, len(queries), self.n_items)
        if rows is None:
            return scores
        chosen = np.broadcast_to(rows, (len(queries), rows.shape[-1]))
        valid = (chosen >= 0) & (chosen < self.n_items)
        picked = np.take_along_axis(scores, np.where(valid, chosen, 0), axis=1)
        return np.where(valid, picked, -np.inf).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """An invented shop: what was recorded, and what is true.

    Attributes:
        events: ``user_id, item_id, timestamp`` (unix seconds), ``event_type`` (view, like, purchase), ``rating`` (1–5,
            on some views), and on views ``watch_time`` (seconds), ``liked`` and ``purchased`` (0 or 1: whether that
            followed); ordered by time.
        users: ``user_id, age_band, country, device``.
        items: ``item_id, title, description, categories`` (list), ``kind, released`` (unix seconds), ``minutes,
            price``.
        tastes: the truth that the events were drawn from.
    """

    events: pl.DataFrame
    users: pl.DataFrame
    items: pl.DataFrame
    tastes: visits.Tastes

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return Schema(
            timestamp="timestamp",
            time_kind="unix",
            rating="rating",
            event_type="event_type",
            event_weights=dict(EVENT_WEIGHTS),
            labels={"watch_time": "duration", "liked": "binary", "purchased": "binary"},
            title="title",
            categories=("categories", "kind"),
            text=("title", "description"),
        )

    def dataset(self) -> Dataset:
        """The recorded part, encoded."""
        return Dataset.from_frames(self.events, self.users, self.items, schema=self.schema)

    def oracle(self, data: Dataset) -> Oracle:
        """The truth as a scorer for ``data`` (all of this world's data, or a part of it), matched by external id."""
        tastes = self.tastes
        users, items = tastes.user_ids.encode(data.user_ids.ids), tastes.item_ids.encode(data.item_ids.ids)
        average = tastes.end.mean(axis=0, keepdims=True)
        known_users, known_items = (users != ABSENT)[:, None], items != ABSENT
        return Oracle(
            n_items=data.n_items,
            users=np.concatenate([np.where(known_users, tastes.end[users], average), average]).astype(np.float32),
            items=tastes.items[items].astype(np.float32),
            appeal=np.where(known_items, tastes.appeal[-1, items], -np.inf).astype(np.float32),
        )


def catalogue(seed: int = 0, users: int = 5000, items: int = 2000, *, choices: float = 56.0) -> World:
    """An invented media shop over 180 days from 2024-01-01, drawn from known preferences.

    Twelve topics of four sub-topics each. A user's taste is the sum of what their age band, country and device share
    and what is their own, over sub-topics, kinds of media and a few hidden styles that no column shows; it moves during
    the period, as do the topics' popularity and the pull of what is new. 15% of the items are released in the last
    quarter. Each user draws items from the softmax of the true log-odds, an item at most once; a choice is a view,
    perhaps followed by a like and a purchase.

    Args:
        seed: of everything; the same seed gives the same world.
        users, items: how many.
        choices: mean number of items that a user chooses, before repeats are dropped.

    Raises:
        SerendipError: fewer than 10 users or items.
    """
    if users < FEWEST or items < FEWEST:
        raise SerendipError(
            f"users and items must each be at least {FEWEST}. Got {users} and {items} instead. "
            "Try catalogue(users=100, items=50)."
        )
    people, goods, activity, words = np.random.default_rng(seed).spawn(4)
    shelf = shop.stock(items, goods, words)
    crowd = shop.visitors(users, people)
    tastes = visits.Tastes(
        Vocab(crowd.frame["user_id"]), Vocab(shelf.frame["item_id"]), crowd.start, crowd.end, shelf.offers, shelf.appeal
    )
    return World(visits.record(tastes, shelf.frame, choices, activity), crowd.frame, shelf.frame, tastes)
