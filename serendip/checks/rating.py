"""What a model that predicts ratings must keep to besides: a function per clause, as in `serendip.checks.contract`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serendip.checks.cases import NOTHING, USERS, everyone, known_answer, odd_log, rated_alike, tiny_logs
from serendip.checks.contract import ONE, TOLERANCE, Kind, close, expect
from serendip.data.dataset import Dataset
from serendip.evaluate.metrics import rmse
from serendip.evaluate.split import at_random
from serendip.types import ABSENT, Ids, SerendipError

RATED = "planted_factors"
STRANGE = (ABSENT, -7, np.iinfo(np.int32).max, np.iinfo(np.int32).min)


def predictions_of_a_batch_equal_single(model: Kind) -> None:
    """Many pairs at once get the same ratings as one after the other, whatever their order."""
    data = odd_log()
    fitted = model().fit(data, ONE)
    users, items = _pairs(data)
    together = fitted.predict(users, items)
    some = np.random.default_rng(0).permutation(len(users))[:60]
    alone = np.array([fitted.predict(users[row : row + 1], items[row : row + 1])[0] for row in some])
    close(together[some], alone, TOLERANCE, "ratings of a batch and of its pairs one by one")
    close(together, fitted.predict(users[::-1], items[::-1])[::-1], TOLERANCE, "ratings of a batch and in reverse")


def predictions_are_ratings(model: Kind) -> None:
    """Float32 within the range of the training ratings, never NaN, for known and unknown codes and any log."""
    for what, data in {"an odd log": odd_log(), **tiny_logs()}.items():
        try:
            fitted = model().fit(data, ONE)
        except SerendipError as error:
            expect(what != "an odd log", f"{what} must be learned from. It was refused: {error}")
            continue
        ratings = data.events.labels["rating"]
        low, high = np.nanmin(ratings), np.nanmax(ratings)
        users, items = _pairs(data)
        found = fitted.predict(users, items)
        expect(found.dtype == np.float32, f"{what}: ratings must be float32. Got {found.dtype}.")
        expect(found.shape == users.shape, f"{what}: one rating a pair. Got {found.shape} for {users.shape}.")
        expect(not bool(np.isnan(found).any()), f"{what}: ratings must not be NaN. Got some.")
        inside = bool(((found >= low) & (found <= high)).all())
        expect(inside, f"{what}: ratings must be in {low} … {high}. Got {found.min()} … {found.max()}.")
    nobody = np.empty(0, np.int32)
    expect(model().fit(odd_log(), ONE).predict(nobody, nobody).shape == (0,), "no pairs must give no ratings.")


def scores_are_predictions(model: Kind) -> None:
    """Where it scores a known user and item, the score is the predicted rating; and it scores all that are rated."""
    data = odd_log()
    fitted = model().fit(data, ONE)
    queries = everyone(data)
    scores = fitted.score(queries)
    row, item = np.nonzero(np.isfinite(scores))
    predicted = fitted.predict(queries.users[row], item.astype(np.int32))
    close(scores[row, item], predicted, 1e-4, "scores and predicted ratings")
    rated = ~np.isnan(data.events.labels["rating"])
    pairs = scores[data.events.users[rated], data.events.items[rated]]
    expect(bool(np.isfinite(pairs).all()), "every pair rated in training must have a finite score. Some had none.")


def one_rating_throughout_is_predicted(model: Kind) -> None:
    """Where all ratings are equal that rating is predicted for everybody and everything."""
    data = rated_alike(4)
    users, items = _pairs(data)
    found = model().fit(data, ONE).predict(users, items)
    expect(bool((found == 4).all()), f"where all ratings are 4 it must predict 4. Got {found.min()} … {found.max()}.")


def predicts_better_than_the_mean(model: Kind) -> None:
    """Held-out ratings of a known low rank are predicted with less error than by the mean of all ratings."""
    split = at_random(known_answer(RATED), test=0.1)
    actual = split.test.labels["rating"]
    plain = rmse(np.full(len(actual), np.nanmean(split.train.events.labels["rating"])), actual)
    found = rmse(model().fit(split.train, ONE).predict(split.test.users, split.test.items, split.test.time), actual)
    expect(found < plain, f"RMSE on {RATED} must be below the {plain:.4f} of the mean rating. Got {found:.4f}.")


def _pairs(data: Dataset) -> tuple[Ids, Ids]:
    """Each user with each item, those of whom nothing is known and codes out of range included."""
    users = _codes(data.n_users, USERS)
    items = _codes(data.n_items, NOTHING)
    return np.repeat(users, len(items)), np.tile(items, len(users))


def _codes(n: int, last: int) -> Ids:
    codes: NDArray[np.int64] = np.array([*range(n), n, last, *STRANGE])
    return codes.astype(np.int32)
