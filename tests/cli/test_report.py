from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from serendip.bundle import Bundle
from serendip.cli.report import people

SMALL = ("--model", "ease", "--set", 'evaluate.compare=["popular"]', "--set", 'evaluate.metrics=["ndcg@5"]')


def test_a_page_from_data(run: Any, data_flags: list[object], here: Path) -> None:
    assert "out/report.html: open it" in run("report", *data_flags, *SMALL).stdout
    html = (here / "out" / "report.html").read_text()
    assert html.startswith("<!doctype html>")
    for part in ("ndcg@5", "ease", "popular", "event_type"):
        assert part in html
    assert [path.name for path in (here / "out").iterdir()] == ["report.html"]


def test_a_page_from_a_bundle_shows_the_figures_kept_in_it(run: Any, data_flags: list[object], here: Path) -> None:
    run("fit", *data_flags, *SMALL, "--evaluate", "--quiet")
    mean = Bundle.load("out/bundle").manifest.evaluation["models"]["ease"]["table"][0]["mean"]
    found = json.loads(run("report", "--out", "page.html", "--json").stdout)
    html = (here / found["report"]).read_text()
    assert f"{mean:.4f}" in html


def test_a_bundle_without_figures_or_files_has_a_page(run: Any, bundle: Path, here: Path) -> None:
    run("report", "--bundle", bundle, "--out", "page.html")
    user = people(Bundle.load(bundle))[0].user
    assert str(user) in (here / "page.html").read_text()


def test_sample_users_have_short_middling_and_long_histories(bundle: Path) -> None:
    loaded = Bundle.load(bundle)
    found = people(loaded)
    lengths = sorted(np.diff(loaded.histories.indptr).tolist())
    had = sorted(sample.had for sample in found if sample.user is not None)
    assert had == [lengths[int(share * len(lengths))] for share in (0.25, 0.5, 0.9)]
    assert found[-1].user is None
    for sample in found:
        assert not {line.item for line in sample.recent} & {line.item for line in sample.shown}


def test_flags_for_reading_need_something_to_read(run: Any, bundle: Path, here: Path) -> None:
    result = run("report", "--bundle", bundle, "--set", "model.reg=3", code=4)
    assert "takes no flags for reading" in result.stderr
    assert "There is no bundle" in run("report", code=5).stderr
    (here / "page").mkdir()
    assert "cannot be written" in run("report", "--bundle", bundle, "--out", "page", code=6).stderr
