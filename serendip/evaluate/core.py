"""The k-core of a log: what is left when every user and every item must have k of the others.

Many published splits hold out a share of a data set that was made a k-core first. That ties training and test together:
of an item that is rare in the training part it is known that the rest of its k events are in the test. A hold-out drawn
straight from the training part knows nothing of this, and there rare items are worth less than in the test. It is drawn
from the same distribution as the test only if the training part is treated as the whole log was: first the k-core, then
the hold-out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.evaluate.keys import distinct
from serendip.types import SerendipError


def core(data: Dataset, k: int = 10) -> Dataset:
    """The largest part of the log in which every user and every item has at least k partners.

    Partners are counted by interest: a repeated pair counts once, an event without interest not at all. Events without
    interest stay where both their user and their item do. Of users and items that drop out, those that a table lists
    stay in the vocabulary, as in `Dataset.where`.

    Args:
        data: the log.
        k: the least number of partners; 1 changes nothing but to drop who shows no interest in anything.

    Raises:
        SerendipError: k below 1, or nothing is left.
    """
    if k < 1:
        raise SerendipError(f"k must be at least 1. Got {k} instead.")
    events = data.events
    liked = events.weight > 0
    pairs = distinct(events.users[liked].astype(np.int64) * data.n_items + events.items[liked])
    users, items = pairs // max(data.n_items, 1), pairs % max(data.n_items, 1)
    while True:
        by_user, by_item = np.bincount(users, minlength=data.n_users), np.bincount(items, minlength=data.n_items)
        enough: NDArray[np.bool_] = (by_user[users] >= k) & (by_item[items] >= k)
        if enough.all():
            break
        users, items = users[enough], items[enough]
    if len(users) == 0:
        raise SerendipError(
            f"core must leave something of the log. Got nothing for k = {k}. Try a smaller k; 1 keeps every pair."
        )
    return data.where((by_user > 0)[events.users] & (by_item > 0)[events.items])
