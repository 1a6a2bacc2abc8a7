"""Fields are alike wide, unknown ones are zero, and items know theirs by code or by features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from serendip.nn.fields import Fields, ItemFields
from serendip.types import ABSENT, Input

TOWN = Input("town", "user", 3)
TAGS = Input("tags", "item", 4, 2, pooling="sum")
AGE = Input("age", "user")
PLACE = Input("place", "user", width=2)


def test_each_kind_of_feature_has_a_vector_worked_out_by_hand() -> None:
    fields = Fields((TOWN, TAGS, AGE, PLACE), 2)
    town, tags = (table.weight for table in fields.tables)
    age, place = (layer.weight for layer in fields.numbers)
    with torch.no_grad():
        town[1:] = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
        tags[1:] = torch.tensor([[1.0, 0.0], [0.0, 1.0], [10.0, 0.0], [0.0, 10.0]])
        age[:] = torch.tensor([[2.0], [-1.0]])
        place[:] = torch.tensor([[1.0, 1.0], [0.0, 3.0]])
    found = fields(
        {
            "town": torch.tensor([1, ABSENT]),
            "tags": torch.tensor([[0, 3], [2, ABSENT]]),
            "age": torch.tensor([0.5, torch.nan]),
            "place": torch.tensor([[1.0, 2.0], [torch.nan, 1.0]]),
        }
    )
    expected = [[[3, 4], [1, 10], [1, -0.5], [3, 6]], [[0, 0], [10, 0], [0, 0], [1, 3]]]
    assert np.allclose(found.detach(), expected)
    assert len(fields) == 4


def test_features_of_one_table_share_its_vectors() -> None:
    fields = Fields((Input("lives", "user", 3, table="town"), Input("works", "user", 5, table="town")), 4)
    found = fields({"lives": torch.tensor([2]), "works": torch.tensor([2])})
    assert torch.equal(found[:, 0], found[:, 1]) and len(fields.tables) == 1


def test_what_is_wrong_with_features_is_said() -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        Fields((), 2)
    with pytest.raises(ValueError, match=r"Got none for \['town'\] instead"):
        Fields((TOWN,), 2)({})
    with pytest.raises(ValueError, match="ids or features"):
        ItemFields(3, 2, ids=False)
    with pytest.raises(ValueError, match=r"for each of 3 items\. Got 2 instead"):
        ItemFields(3, 2, inputs=(TAGS,), values={"tags": np.zeros((2, 2), np.int32)})


def test_items_have_their_own_field_first_and_no_item_has_zeros() -> None:
    tags = np.array([[0, 1], [2, ABSENT], [ABSENT, ABSENT]], np.int32)
    items = ItemFields(3, 4, inputs=(TAGS,), values={"tags": tags})
    found = items(torch.tensor([[0, 1], [2, ABSENT]]))
    assert found.shape == (2, 2, 2, 4) and len(items) == 2
    assert items.ids is not None
    assert torch.equal(found[0, 1, 0], items.ids.weight[2])
    assert not found[1, 1].any() and not found[1, 0, 1].any() and found[1, 0, 0].any()
    new = items.vectors(torch.tensor([ABSENT]), {"tags": torch.tensor([[0, 1]])})
    assert not new[0, 0].any() and torch.equal(new[0, 1], found[0, 0, 1])
