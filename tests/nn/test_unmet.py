"""Rows that no example has are zero, others stay; so a value never seen counts as none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from serendip.nn.embed import FeatureEmbedding
from serendip.nn.fields import Fields
from serendip.nn.unmet import silence
from serendip.types import ABSENT, Input

LIVES = Input("lives", "user", 5, table="town")
WORKS = Input("works", "user", 4, 2, table="town")
AGE = Input("age", "user")
FREE = Input("free", "user", 3)


@pytest.mark.parametrize("made", [FeatureEmbedding, Fields])
def test_rows_that_nobody_has_are_zero(made: type[FeatureEmbedding] | type[Fields]) -> None:
    part = made((LIVES, WORKS, AGE, FREE), 6)
    before = part.table_for(LIVES).weight.clone()
    free = part.table_for(FREE).weight.clone()
    silence(nn.Sequential(part), {"lives": np.array([0, 0, 3]), "works": np.array([[1, ABSENT], [ABSENT, ABSENT]])})
    after = part.table_for(LIVES).weight
    assert torch.equal(after[[1, 2, 4]], before[[1, 2, 4]]) and before[1:].any(dim=1).all()
    assert not after[[0, 3, 5]].any()
    assert torch.equal(part.table_for(FREE).weight, free)  # nothing is said of it
