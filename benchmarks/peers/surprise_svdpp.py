"""Surprise's SVD++, timed in its own environment."""

import time

import numpy as np
import pyarrow.parquet as pq
from surprise import SVDpp, Trainset


def columns(path):
    """Users, items and ratings of a file."""
    table = pq.read_table(path)
    return [np.asarray(table[name]) for name in ("user_id", "item_id", "rating")]


def trainset(users, items, ratings):
    """What Surprise trains on, from arrays."""
    by_user, by_item = {}, {}
    user_numbers = {raw: number for number, raw in enumerate(dict.fromkeys(users.tolist()))}
    item_numbers = {raw: number for number, raw in enumerate(dict.fromkeys(items.tolist()))}
    for user, item, rating in zip(users.tolist(), items.tolist(), ratings.tolist(), strict=True):
        u, i = user_numbers[user], item_numbers[item]
        by_user.setdefault(u, []).append((i, rating))
        by_item.setdefault(i, []).append((u, rating))
    return Trainset(by_user, by_item, len(by_user), len(by_item), len(users), (1, 5), user_numbers, item_numbers)


def fit(folder, fold, seed, options):
    """Seconds to fit a fold's training part, and the RMSE of its test part."""
    users, items, ratings = columns(f"{folder}/ratings.parquet")
    test = columns(f"{folder}/u{fold}_test.parquet")
    held = set(zip(test[0].tolist(), test[1].tolist(), strict=True))
    kept = np.array([pair not in held for pair in zip(users.tolist(), items.tolist(), strict=True)])
    data = trainset(users[kept], items[kept], ratings[kept])
    model = SVDpp(random_state=seed, **options)
    begin, used = time.perf_counter(), time.process_time()
    model.fit(data)
    seconds, processor = time.perf_counter() - begin, time.process_time() - used
    pairs = zip(test[0].tolist(), test[1].tolist(), strict=True)
    found = np.array([model.predict(user, item).est for user, item in pairs])
    return {"seconds": seconds, "cpu": processor, "rmse": float(np.sqrt(np.mean((found - test[2]) ** 2)))}
