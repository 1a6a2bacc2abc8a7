"""Second-order terms by hand, and against sums over every two fields."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from serendip.nn.interact import FFM, FM, BiInteraction


def test_fm_by_hand() -> None:
    # of (1, 2), (3, −1), (2, 2): (3 − 2) + (2 + 4) + (6 − 2) = 11; by dimension 3 + 2 + 6 and −2 + 4 − 2
    x = torch.tensor([[[1.0, 2.0], [3.0, -1.0], [2.0, 2.0]]])
    assert FM()(x).tolist() == [11]
    assert BiInteraction()(x).tolist() == [[11, 0]]


def test_ffm_by_hand() -> None:
    # 1·4 + 2·5 + 3·6 for the fields (0, 1), (0, 2) and (1, 2); what a field has for itself does not count
    x = torch.full((1, 3, 3, 1), torch.nan)
    for i, j, one, other in ((0, 1, 1, 4), (0, 2, 2, 5), (1, 2, 3, 6)):
        x[0, i, j], x[0, j, i] = one, other
    assert FFM(3)(x).tolist() == [32]


@pytest.mark.parametrize("fields", [2, 5])
def test_they_are_sums_over_every_two_fields(fields: int) -> None:
    rng = np.random.default_rng(0)
    x, wide = rng.normal(size=(4, fields, 3)), rng.normal(size=(4, fields, fields, 3))
    pairs = list(combinations(range(fields), 2))
    products = sum(x[:, i] * x[:, j] for i, j in pairs)
    np.testing.assert_allclose(BiInteraction()(torch.from_numpy(x)), products)
    np.testing.assert_allclose(FM()(torch.from_numpy(x)), np.sum(products, axis=1))
    aware = sum((wide[:, i, j] * wide[:, j, i]).sum(axis=1) for i, j in pairs)
    np.testing.assert_allclose(FFM(fields)(torch.from_numpy(wide)), aware)


def test_the_order_of_fields_does_not_count() -> None:
    rng = np.random.default_rng(1)
    x, order = torch.from_numpy(rng.normal(size=(4, 6, 3))), torch.from_numpy(rng.permutation(6))
    torch.testing.assert_close(FM()(x[:, order]), FM()(x))
    wide = torch.from_numpy(rng.normal(size=(4, 6, 6, 3)))
    torch.testing.assert_close(FFM(6)(wide[:, order][:, :, order]), FFM(6)(wide))
    assert not torch.allclose(FFM(6)(wide[:, order]), FFM(6)(wide)), "fields and what they are for go together"


def test_with_one_vector_for_all_fields_ffm_is_fm() -> None:
    x = torch.from_numpy(np.random.default_rng(2).normal(size=(4, 5, 3)))
    torch.testing.assert_close(FFM(5)(x.unsqueeze(2).expand(-1, -1, 5, -1)), FM()(x))


def test_one_field_has_nothing_to_be_multiplied_by() -> None:
    assert FM()(torch.tensor([[[1.0, 2.0]]])).tolist() == [0]
    with pytest.raises(ValueError, match=r"2 or more fields to multiply\. Got 1 instead"):
        FFM(1)
