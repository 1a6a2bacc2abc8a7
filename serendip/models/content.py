"""Items like those in the history, by their categories and words: ``score = cos(Σ_i h_i x_i, x_j)``.

``x_i`` is item i's vector of ``tf · idf`` values (`serendip.data.features.terms`), ``h_i`` what i weighs in the
history. An item needs no event to be recommended, only features; one that shares none with the history scores ``-inf``.

Source: G. Salton and C. Buckley, "Term-weighting approaches in automatic text retrieval", Information Processing &
Management 24, 1988; M. Pazzani and D. Billsus, "Content-based recommendation systems", The Adaptive Web, 2007.
"""

from __future__ import annotations

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.model import Model, Run
from serendip.models._features import FeatureOptions, columns_of, item_terms
from serendip.models._weighting import Weight, counts_of
from serendip.scorers import Profiles
from serendip.space import Range, declare
from serendip.types import Scorer, SerendipError


class Options(FeatureOptions, frozen=True):
    """Options of `Content`."""

    weight: Weight = "auto"


class Content(Model):
    """Cosine between what an item is and what the user took up."""

    Config = Options
    config: Options
    summary = "Items like those of the history by categories and words; recommends items without events, too."
    source = "Salton and Buckley, IP&M 1988; Pazzani and Billsus 2007"
    uses_item_features = True
    space = declare(
        category_share=Range(0, 1),
        min_items=Range(1, 20, log=True, whole=True),
        max_share=Range(0.02, 1, log=True),
    )

    def learn(self, data: Dataset, run: Run) -> Profiles:
        """Weigh what the items table says.

        Raises:
            SerendipError: no column of the items table is declared to hold categories, text or titles, or no two items
                share anything in them.
        """
        columns = columns_of(data)
        if not columns:
            raise SerendipError(
                "content needs an items table with a column of categories, text or titles. Got none. "
                "Give the table, and name the columns in the schema (categories, text, title)."
            )
        terms = item_terms(data, self.config)
        features = terms.rows(data.items)
        if features.nnz == 0:
            raise SerendipError(
                f"content found nothing that {self.config.min_items} items share in {', '.join(columns)}. "
                "Try min_items=1, or name other columns in the schema."
            )
        return Profiles(features, counts_of(data, self.config.weight), terms.pack())

    def renew(self, known: Scorer, change: Change, run: Run) -> Profiles:
        """Weigh the table again: how rare a word is depends on all items."""
        return self.learn(change.after, run)
