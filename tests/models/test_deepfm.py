"""DeepFM learns what a factorisation machine cannot: three fields that say nothing two by two."""

from __future__ import annotations

from tests.models.fields import parity, right


def test_layers_learn_what_only_three_fields_together_say() -> None:
    assert right(parity(), "deepfm", factors=8, hidden=32) > 0.95
    assert right(parity(), "fm", factors=8) < 0.75
