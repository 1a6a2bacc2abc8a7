from __future__ import annotations

from typing import Any

import pytest

from serendip.report import render_tuned
from serendip.report.tuning import Found
from serendip.types import SerendipError


def trial(number: int, state: str, value: float | None, error: str = "", **options: Any) -> dict[str, Any]:
    looks = {} if value is None else {"2": value}
    made = {"number": number, "state": state, "value": value, "error": error, "options": options}
    return {**made, "looks": looks, "seconds": 0.5}


FOUND: dict[str, Any] = {
    "model": "ials",
    "metric": "ndcg@10",
    "minimise": False,
    "options": {"factors": 8, "reg": 0.25, "how": "b<b>"},
    "value": 0.3125,
    "start": 0.25,
    "fixed": {"factors": 8},
    "space": {"reg": {"low": 0.01, "high": 10.0, "log": True}, "how": ["a", "b<b>"]},
    "rule": "Judged on a part.",
    "seed": 0,
    "stopped": "time",
    "seconds": 150.0,
    "trials": [
        trial(0, "done", 0.25, how="a"),
        trial(1, "done", 0.3125, reg=0.25, how="b<b>"),
        trial(2, "pruned", None, reg=5.0, how="a"),
        trial(3, "failed", None, "reg must be smaller <here>", reg=9.0, how="a"),
    ],
}


def test_the_page_says_what_was_found_and_needs_nothing_else() -> None:
    page = render_tuned(FOUND, recipe={"model": {"name": "ials", "reg": 0.25}}, created="today")
    assert "reaches ndcg@10 0.3125 on the held-out part of the training data, 0.2500 with the options" in page
    assert "Judged on a part." in page and "ended when it was over" in page and "2 min" in page
    assert "2 judged to the end, 1 given up early, 1 failed" in page
    assert "0.01 to 10, by orders of magnitude" in page and "given, not searched" in page
    assert "name = &#34;ials&#34;" in page and "Made today" in page
    assert "<script" not in page and "http" not in page.replace('http-equiv="', "")
    assert "b<b>" not in page and "b&lt;b&gt;" in page and "&lt;here&gt;" in page


def test_a_plot_for_every_option_that_was_searched() -> None:
    page = render_tuned(FOUND)
    labels = [part.partition('"')[0] for part in page.split('aria-label="')[1:]]
    assert sum(label.startswith("ndcg@10 by ") for label in labels) == 2
    assert "ndcg@10 of 4 trials in their order; the best has 0.3125." in labels
    assert 'id="recipe"' not in page


def test_trials_are_ranked_best_first_and_failures_last() -> None:
    import msgspec

    found = msgspec.convert(FOUND, Found)
    assert [one.number for one in found.ranked()] == [1, 0, 2, 3]
    assert [found.ended(one) for one in found.ranked()] == [
        "done",
        "done",
        "given up: behind the others",
        "failed: reg must be smaller <here>",
    ]
    lower = msgspec.structs.replace(found, minimise=True)
    assert [one.number for one in lower.ranked()] == [0, 1, 2, 3]
    assert list(found.choices())[1] == ("reg", "0.25", "none", "0.01 to 10, by orders of magnitude")
    plots = dict(found.plots())
    assert plots["reg"].count("<title>") == 3 and plots["how"].count("<title>") == 4  # the first has no reg


def test_something_else_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"The page needs what serendip tune writes\. .*Try tuning again"):
        render_tuned({"model": "ials"})
