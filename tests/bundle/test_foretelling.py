"""What a bundle foretells of somebody and an item, task by task, beside the score that is made of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from serendip.bundle import Bundle
from serendip.bundle.foretelling import foretold
from serendip.cli import app
from serendip.pipeline import chain, first_of, rank, retrieve
from serendip.scorers import StaticScores
from serendip.types import Floats, Ids, Queries, SerendipError


def test_each_task_stands_beside_the_score(kept: Path) -> None:
    """Who is shown a clicks on it, who is shown b buys it."""
    made = Bundle.load(kept).rescored("clicked + 10 * bought")
    frame = made.foretold(None, ["b", "a"], history=["c"])
    assert frame.select("item_id", "task").rows() == [
        ("b", "clicked"), ("b", "bought"), ("a", "clicked"), ("a", "bought"),
    ]  # fmt: skip
    (b_click, b_buy), (a_click, a_buy) = frame["foretold"].to_numpy().reshape(2, 2)
    assert b_buy > a_buy + 0.2 and a_click > b_click + 0.2
    np.testing.assert_allclose(frame["score"][::2], [b_click + 10 * b_buy, a_click + 10 * a_buy], rtol=1e-5)
    assert set(frame["source"]) == {"shared_bottom"} and set(frame["user_id"]) == {None}
    assert made.foretold([0, 1], "a").select("user_id", "item_id").unique(maintain_order=True).rows() == [
        (0, "a"), (1, "a"),
    ]  # fmt: skip


def test_what_foretells_nothing_is_left_out(bundle: Bundle) -> None:
    frame = bundle.foretold(101, [20, 21])
    assert len(frame) == 0 and frame.schema["foretold"] == pl.Float32
    assert frame.columns == ["user_id", "item_id", "score", "task", "foretold", "source"]
    with pytest.raises(SerendipError, match="users must be among the 5 users of the bundle"):
        bundle.foretold(999, 20)


class Ranker:
    """Foretells how high what named an item has it."""

    n_items, tasks, pair_names = 12, ("place",), ("source.taste",)

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        assert items is not None
        return np.zeros(items.shape, np.float32)

    def foretold(self, queries: Queries, items: Ids | None = None) -> dict[str, Floats]:
        assert set(queries.pairs) == {"source.taste"}
        return {"place": queries.pairs["source.taste"][:, :, 1]}


def test_a_ranker_is_told_what_named_the_item_that_is_asked_about(bundle: Bundle) -> None:
    """Of what is not named it is told nothing."""
    scores = StaticScores(np.arange(12, dtype=np.float32)[::-1].copy())
    pipeline = chain(first_of(retrieve(scores, name="taste"), least=3), rank(Ranker(), name="ranker"))
    items = bundle.item_ids.ids.to_list()
    frame = foretold(bundle._desk, pipeline, 101, items, None)
    high = float(np.sqrt(1.5))
    np.testing.assert_allclose(frame["foretold"], [high, 0, -high, *[np.nan] * 9], rtol=1e-5, atol=1e-6)
    assert set(frame["source"]) == {"ranker"}


def test_explain_says_it_on_the_command_line(kept: Path) -> None:
    flags = ["explain", "--bundle", str(kept), "--history", "c", "--item", "a"]
    told = CliRunner().invoke(app, [*flags, "--json"])
    assert told.exit_code == 0
    (why,) = json.loads(told.stdout)
    assert [(task, value > 0.5) for task, value in why["foretold"].items()] == [("clicked", True), ("bought", False)]
    assert why["foretold_by"] == "shared_bottom"
    lines = CliRunner().invoke(app, flags).stdout.splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith("foretold"))
    assert [line.split()[0::2] for line in lines[begin + 2 : begin + 4]] == [
        ["clicked", "shared_bottom"], ["bought", "shared_bottom"],
    ]  # fmt: skip
