"""Logistic regression: what two fields say together is beyond it; everybody is answered, and the order is one."""

from __future__ import annotations

import numpy as np

from serendip.model import Run
from serendip.models.lr import LR
from serendip.scorers import dump, restore
from serendip.types import ABSENT, Queries, Similar
from tests.models.fields import FEW, log, of_events, right

APART = log(lambda user, item, moment: user % 2 + item % 2 >= 1)


def test_what_each_field_says_by_itself_is_learned_and_what_two_say_together_is_not() -> None:
    assert right(APART, "lr") > 0.95
    together = log(lambda user, item, moment: (user + item) % 2)
    assert right(together, "lr") < 0.6
    assert right(together, "fm", factors=4) > 0.95


def test_weights_add_up_and_what_is_not_known_adds_nothing() -> None:
    model = LR(**{**FEW, "epochs": 2})
    scorer = model.fit(APART, Run(threads=1)).lower()
    learned = model.learned()
    assert learned is not None
    alone = learned["items.ids.weight"][1:, 0] + learned["bias"]
    nobody = Queries(np.array([ABSENT], np.int32), np.empty((1, 0), np.int32))
    assert np.allclose(scorer.score(nobody)[0], alone, atol=1e-5)
    asked = of_events(APART).take(slice(0, 5))
    sides, moments = (learned[f"fields.tables.{place}.weight"][:, 0] for place in (0, 1))
    known = sides[asked.features["side"] + 1] + moments[asked.features["moment"] + 1]
    found = restore(*dump(scorer)).score(asked)
    assert np.allclose(found, known[:, None] + alone, atol=1e-5)
    assert not isinstance(scorer, Similar)
