"""Numbers through layers of their own: where a number counts, by the moment, as no product of two fields has it."""

from __future__ import annotations

from serendip.data.features.declared import Number
from tests.models.fields import SIDES, log, right


def test_a_band_of_a_number_is_learned_for_each_moment() -> None:
    features = {"moment": SIDES["moment"], "age": Number(side="user", powers=False)}
    data = log(lambda user, item, moment: moment == (abs(user - 9.5) < 5), features, age=list(range(20)))
    assert right(data, "dlrm", factors=8, hidden=32, bottom=32, learning_rate=0.02) > 0.95
    assert right(data, "fm", factors=8) < 0.75
