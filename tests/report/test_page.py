from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serendip.report import Line, Sample, describe, render, write
from serendip.scorers.crossed import Crosses
from serendip.types import SerendipError
from tests.report.conftest import Judged

EVIL = "<script>document.title='pwned'</script>"
HOSTILE = "<img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Outline(HTMLParser):
    """Collects elements and text, and checks that tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text.append(data)

    def ids(self) -> list[str]:
        return [value for _, attrs in self.elements if (value := attrs.get("id"))]

    def said(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def full(judged: Judged, **changes: Any) -> str:
    sample = Sample(
        "u1", 1, (Line("i1", "The Last Ferry", "film", "2024-02-01"),), (Line("i2", "Salt & Lantern", "", "popular"),)
    )
    parts: dict[str, Any] = {
        "facts": describe(judged.data),
        "evaluation": judged.figures,
        "samples": [sample, Sample(None, 0, (), ())],
        "recipe": {"model": {"name": "oracle", "seed": None}, "evaluate": {"metrics": ["ndcg@10"]}},
        "versions": {"serendip": "1.2.3", "python": "3.11"},
        "title": "A shop",
        "created": "2024-07-01",
    }
    return render(**(parts | changes))


def test_the_page_has_every_part_and_each_link_leads_somewhere(judged: Judged) -> None:
    outline = Outline(full(judged))
    ids = outline.ids()
    assert len(ids) == len(set(ids))
    for name in ("data", "models", "segments", "popularity", "beyond", "samples", "definitions", "recipe", "versions"):
        assert name in ids
    targets = [attrs["href"] for tag, attrs in outline.elements if tag == "a"]
    assert sorted(target.removeprefix("#") for target in targets if target) == sorted(ids)
    labelled = [attrs["aria-labelledby"] for tag, attrs in outline.elements if tag == "section"]
    assert labelled == ids


def test_the_page_says_what_the_figures_say(judged: Judged) -> None:
    said = Outline(full(judged)).said()
    main = judged.figures["models"]["oracle"]
    mean = next(row["mean"] for row in main["table"] if (row["metric"], row["segment"]) == ("ndcg@10", "all"))
    assert f"oracle reaches ndcg@10 {mean:.4f}" in said
    assert "oracle is better than popular (+" in said
    assert main["description"] in said
    assert "Share of the held-out items found among the first 10." in said
    assert f"{len(judged.data.events):,}" in said
    assert "The Last Ferry" in said
    assert "Salt & Lantern" in said
    assert "Somebody unknown" in said
    assert 'name = "oracle"' in said
    assert "seed" not in said.split("Recipe")[-1]
    assert "1.2.3" in said


def test_tables_and_plots_can_be_used_without_seeing_them(judged: Judged) -> None:
    outline = Outline(full(judged))
    plots = [attrs for tag, attrs in outline.elements if tag == "svg" and attrs.get("role") == "img"]
    assert len(plots) == 5
    assert all(attrs["aria-label"] for attrs in plots)
    heads = [attrs for tag, attrs in outline.elements if tag == "th"]
    assert heads
    assert all(attrs.get("scope") in ("col", "row") for attrs in heads)
    regions = [attrs for tag, attrs in outline.elements if attrs.get("role") == "region"]
    assert all(attrs.get("aria-label") and attrs.get("tabindex") == "0" for attrs in regions)
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert outline.elements[0][1]["lang"] == "en"


def test_the_page_needs_nothing_from_elsewhere(judged: Judged) -> None:
    page = full(judged)
    outline = Outline(page)
    assert not [tag for tag, _ in outline.elements if tag in ("script", "img", "iframe", "object", "base", "form")]
    assert not re.search(r"https?://|@import|url\(|javascript:", page)
    policy = next(
        attrs["content"] for tag, attrs in outline.elements if attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert not [name for _, attrs in outline.elements for name in attrs if name.startswith("on")]


def test_nothing_that_comes_in_becomes_markup(judged: Judged) -> None:
    models = judged.figures["models"]
    figures = {
        "models": {
            EVIL: {**models["oracle"], "name": EVIL, "description": EVIL, "notes": [EVIL]},
            "b": models["popular"],
        },
        "comparisons": [{**judged.figures["comparisons"][0], "a": EVIL, "b": EVIL}],
    }
    line = Line(EVIL, EVIL, EVIL, EVIL)
    page = full(
        judged,
        evaluation=figures,
        samples=[Sample(EVIL, 1, (line,), (line,))],
        recipe={EVIL: EVIL},
        versions={EVIL: EVIL},
        title=EVIL,
        created=EVIL,
    )
    assert "<script" not in page
    assert html.escape(EVIL, quote=False).replace("'", "&#39;") in page
    Outline(page)


def test_parts_that_are_not_given_are_left_out(judged: Judged) -> None:
    assert Outline(render()).ids() == ["versions"]
    assert Outline(render(facts=describe(judged.data))).ids() == ["data", "versions"]
    alone = {"models": {"oracle": judged.figures["models"]["oracle"]}}
    assert Outline(render(evaluation=alone)).ids() == [
        "models", "segments", "popularity", "beyond", "definitions", "versions",
    ]  # fmt: skip
    assert "better than" not in Outline(render(evaluation=alone)).said()
    assert Outline(render(evaluation={})).ids() == ["versions"]


def test_writing_replaces_the_file_at_once_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.html"
    assert write(path, "one") == path
    write(path, "zwö")
    assert path.read_text(encoding="utf-8") == "zwö"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "report.html", "old")

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(SerendipError, match=r"report.html: cannot be written: No space left on device"):
        write(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SerendipError, match=r"cannot be written: .*Try another place"):
        write(tmp_path / "file" / "report.html", "x")


@pytest.fixture(scope="module")
def page_file(judged: Judged, tmp_path_factory: pytest.TempPathFactory) -> Path:
    line = Line("i1", HOSTILE, HOSTILE, HOSTILE)
    page = render(
        facts=describe(judged.data),
        evaluation=judged.figures,
        samples=[Sample(HOSTILE, 3, (line,) * 3, (line,) * 10)],
        recipe={"model": {"name": HOSTILE}},
        title=f"A shop {HOSTILE}",
    )
    return write(tmp_path_factory.mktemp("report") / "report.html", page)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_itself_without_network_scripts_or_complaints(
    page_file: Path, browser: object, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[attr-defined]
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(page_file.as_uri())
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [page_file.as_uri()]
    assert page.title().startswith("A shop <img")
    assert page.locator("table").count() == 5
    assert page.locator("script, img").count() == 0
    for plot in page.locator("svg.plot").all():
        box = plot.bounding_box()
        assert box["width"] > 200
        assert box["height"] > 50
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light = sum(map(int, background.removeprefix("rgb(").removesuffix(")").split(", "))) > 3 * 128
    assert light == (scheme == "light")
    context.close()


def test_marks_stay_inside_their_plot(page_file: Path, browser: object) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 800})  # type: ignore[attr-defined]
    page.goto(page_file.as_uri())
    outside = page.evaluate(
        """() => [...document.querySelectorAll('svg.plot')].flatMap(plot => {
            const box = plot.getBoundingClientRect();
            return [...plot.querySelectorAll('.mark, .bar, .whisker')].map(one => one.getBoundingClientRect())
              .filter(one => one.left < box.left - 8 || one.right > box.right + 8 || one.bottom > box.bottom + 1);
        }).length"""
    )
    assert outside == 0
    page.close()


@pytest.mark.parametrize(("width", "written"), [(400, 0), (660, 64), (1200, 64)])
def test_figures_in_a_heat_map_do_not_touch(tmp_path: Path, browser: object, width: int, written: int) -> None:
    """Where there is no room for them, a cell says its own only when it is pointed at."""
    names = tuple(f"field {at}" for at in range(8))
    strengths = 1 + np.arange(64, dtype=np.float32).reshape(8, 8) / 7
    made = render(crosses={"dcn_v2": Crosses(names, strengths)})
    page = browser.new_page(viewport={"width": width, "height": 800})  # type: ignore[attr-defined]
    page.goto(write(tmp_path / "heat.html", made).as_uri())
    widths = page.evaluate(
        """() => [...document.querySelectorAll('svg .over')].map(one => one.getBoundingClientRect().width)"""
    )
    cell = page.evaluate("document.querySelector('svg .heat').getBoundingClientRect().width")
    shown = [one for one in widths if one > 0]
    assert len(shown) == written and all(one < cell for one in shown)
    assert page.locator("svg .heat title").count() == 64
    page.close()
