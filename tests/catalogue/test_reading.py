"""Rows of files become rows as a bundle has them."""

import pytest

from serendip.catalogue import CatalogueError, rows_of


def test_texts_become_what_the_bundle_has(bundle, tmp_path):
    (tmp_path / "new.csv").write_text('item_id,price,genres\n500,3,"Arts, Crafts"\n501,,x|y\n502,1.5,\n')
    rows = rows_of(bundle, tmp_path / "new.csv")
    assert rows["price"].to_list() == [3.0, None, 1.5]
    assert rows["genres"].to_list() == [["Arts, Crafts"], ["x", "y"], None]  # one value among them is parted by |


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("item_id,price\n500,3\n501,low\n", "The attribute 'price' must be Float64. Got 'low' instead"),
        ("item_id\n500\n501.5\n", "The attribute 'item_id' must be Int64. Got 501.5 instead"),
    ],
)
def test_what_does_not_fit_is_named(bundle, tmp_path, text, said):
    (tmp_path / "new.csv").write_text(text)
    with pytest.raises(CatalogueError, match=said):
        rows_of(bundle, tmp_path / "new.csv")
