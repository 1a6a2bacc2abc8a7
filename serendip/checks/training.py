"""What models that learn in epochs must keep to: they go on where they were, and from what another fit learned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from serendip.checks.cases import everyone, odd_log
from serendip.checks.contract import ONE, Kind, expect, same
from serendip.data.dataset import Dataset
from serendip.model import Start, name_of


def goes_on_from_a_checkpoint(model: Kind) -> None:
    """A fit that was cut off and goes on from its checkpoint ends as one that was not, to the last bit."""
    data = odd_log()
    queries = everyone(data)
    whole = model().fit(data, replace(ONE, epochs=3))
    with TemporaryDirectory() as folder:
        cut = replace(ONE, epochs=1, checkpoint=Path(folder) / "checkpoint")
        model().fit(data, cut)
        expect(bool(cut.checkpoint and cut.checkpoint.exists()), "a fit must leave its checkpoint. There is none.")
        rest = model().fit(data, replace(cut, epochs=3, resume=True))
    same(rest.score(queries), whole.score(queries), "scores of a fit that went on and of one that was never cut off")


def goes_on_from_another_fit(model: Kind) -> None:
    """It begins with what a fit to fewer users and items learned of them; ids that are new are answered, too."""
    data = odd_log()
    part = _part(data)
    learned = model().fit(part, replace(ONE, epochs=2)).learned()
    if learned is None:
        raise AssertionError("learned() must give what the fit learned, by name of the parameter. It gave None.")
    codes = (vocab.encode(own.ids) for vocab, own in ((part.user_ids, data.user_ids), (part.item_ids, data.item_ids)))
    start = Start(name_of(model), learned, *codes)
    queries = everyone(data)
    begun = model().fit(data, replace(ONE, epochs=1, start=start))
    fresh = model().fit(data, replace(ONE, epochs=1))
    shape = (len(queries), data.n_items)
    scores = begun.score(queries)
    expect(scores.shape == shape, f"a fit that goes on must score {shape}. Got {scores.shape}.")
    expect(not np.array_equal(scores, fresh.score(queries)), "what it begins with must have an effect. It has none.")


def _part(data: Dataset) -> Dataset:
    """Some of the events, and only the users and items that they name."""
    nobody, nothing = np.zeros(data.n_users, bool), np.zeros(data.n_items, bool)
    some = (data.events.users % 3 > 0) & (data.events.items % 5 > 0)
    return replace(data, users_listed=nobody, items_listed=nothing).where(some)
